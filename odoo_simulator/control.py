"""POST /simulator/control: the Python API, for tests in another process.

{"do": "write_order", "args": [7], "kwargs": {"partner_ref": "B"}} returns {"result": …}, or
{"error": …} with status 400. "faults.latency" and the like address the faults. "begin" returns a
transaction's number, which `"transaction": N` then refers to until "commit" or "rollback".
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any, Protocol

from odoo_simulator.call_log import Call, CallLog
from odoo_simulator.faults import Faults
from odoo_simulator.http_server import Request, Response
from odoo_simulator.webhooks import WebhookSender

# fmt: off
_VERBS = frozenset([
    "create_order", "write_order", "add_line", "write_line", "delete_line", "delete_order",
    "confirm", "cancel", "to_draft", "lock_order", "receive", "merge", "move_line",
    "create", "write", "unlink", "rename", "update_sql",
])
_SIMULATOR_VERBS = frozenset([
    "bulk_create", "load_demo_orders", "install_rules", "remove_rules", "order", "order_ids",
    "line_ids", "last_order_id", "display_name", "count", "calls_clear",
    "webhook_counters", "webhook_deliveries", "webhooks_clear", "add_field",
    "remove_field", "add_company", "add_user", "set_companies",
    "generate_api_key", "revoke_api_key",
])
# fmt: on


class OpenTransaction(Protocol):
    """A transaction shared by several requests. Its verbs are found by name."""

    @property
    def started(self) -> str:
        """When it began, in Odoo's format."""


class Controlled(Protocol):
    """What is controlled: a simulator. Its verbs are found by name."""

    version: int
    database: str
    order_model: str
    faults: Faults
    call_log: CallLog
    webhooks: WebhookSender

    @property
    def url(self) -> str:
        """The URL of the simulated Odoo."""

    @property
    def control_url(self) -> str:
        """The URL of the control endpoint."""

    @property
    def calls(self) -> list[Call]:
        """The calls answered so far."""

    def begin(self) -> OpenTransaction:
        """Open a transaction."""

    def count(self) -> int:
        """Count the orders."""


class Control:
    """The control endpoint of one simulator."""

    def __init__(self, simulator: Controlled) -> None:
        self.simulator = simulator
        self._transactions: dict[int, OpenTransaction] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        if request.path == "/simulator" and request.method == "GET":
            return _json(200, self._about())
        if request.path != "/simulator/control" or request.method != "POST":
            return _json(404, {"error": "GET /simulator or POST /simulator/control"})
        try:
            order = json.loads(request.body)
            return _json(200, {"result": self.run(order)})
        except Exception as error:  # noqa: BLE001 - whatever went wrong belongs to the caller
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    def run(self, order: dict[str, Any]) -> Any:
        """Carry out one command. Raises ValueError for an unknown name."""
        name = str(order.get("do", ""))
        args, kwargs = list(order.get("args") or ()), dict(order.get("kwargs") or {})
        if name == "begin":
            return self._begin()
        if name in ("commit", "rollback"):
            return self._end(name, int(order["transaction"]), float(kwargs.get("hold") or 0))
        return self._target(name, order.get("transaction"))(*args, **kwargs)

    def _target(self, name: str, transaction: int | None) -> Callable[..., Any]:
        simulator = self.simulator
        if name == "faults.between_calls":
            return self._between_calls
        if name.startswith("faults.") and not name.startswith("faults._"):
            return _method(simulator.faults, name.removeprefix("faults."))
        if name == "calls":
            return lambda: simulator.calls
        if name in _VERBS:
            owner = simulator if transaction is None else self._transactions[transaction]
            return _method(owner, name)
        if name in _SIMULATOR_VERBS:
            return _method(simulator, name)
        raise ValueError(f"unknown action: {name!r}")

    def _begin(self) -> dict[str, Any]:
        handle = self.simulator.begin()
        with self._lock:
            number = next(self._numbers)
            self._transactions[number] = handle
        return {"transaction": number, "started": handle.started}

    def _end(self, name: str, number: int, hold: float) -> None:
        if hold:
            time.sleep(hold)
        with self._lock:
            handle = self._transactions.pop(number)
        getattr(handle, name)()

    def _between_calls(self, orders: list[dict[str, Any]] | None, times: int | None = 1) -> None:
        """Carry out these commands after each of the next `times` reads (None: after all reads)."""
        left = [times]

        def callback(_model: str, _method: str) -> None:
            with self._lock:
                if left[0] is not None:
                    if left[0] <= 0:
                        return
                    left[0] -= 1
            for order in orders or ():
                self.run(order)

        self.simulator.faults.between_calls(callback if orders else None)

    def _about(self) -> dict[str, Any]:
        simulator = self.simulator
        return {
            "version": simulator.version,
            "url": simulator.url,
            "control_url": simulator.control_url,
            "database": simulator.database,
            "order_model": simulator.order_model,
            "orders": simulator.count(),
            "calls": simulator.call_log.total,
            "webhooks": simulator.webhooks.counters(),
        }


def _method(owner: object, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(owner, name)
    return method


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, range):
        return {"first": value.start, "count": len(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _json(status: int, content: Any) -> Response:
    body = json.dumps(content, default=_plain).encode()
    return Response(status, "", {"Content-Type": "application/json"}, body)
