"""Changes orders in an Odoo as its users do: by calls, at a rate or as fast as they can."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.deployments import ORDER, OdooServer
from bench.odoo_calls import OdooCalls


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the order, the text that it got, and when the call began and ended."""

    odoo_id: int
    text: str
    began: float
    ended: float
    """Both by ``time.perf_counter``."""


class Users:
    """Several users of one Odoo, each with a connection of its own."""

    def __init__(self, server: OdooServer, transport: str, count: int) -> None:
        self._local = threading.local()
        self._connect: Callable[[], OdooCalls] = lambda: server.calls(transport)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="user")
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Let them go."""
        self._pool.shutdown()

    def write_together(self, groups: Sequence[Sequence[int]], text: str) -> float:
        """Write a text into all orders, a group in each transaction; return the last call's end."""
        calls = [self._pool.submit(self._write, group, text) for group in groups]
        return max(call.result() for call in calls)

    def write_at_rate(self, ids: Sequence[int], rate: float, seconds: float) -> list[Change]:
        """Write so many orders a second, one in each transaction, whether or not Odoo keeps up."""
        count = int(rate * seconds)
        began = time.perf_counter()
        calls = []
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            odoo_id = ids[number % len(ids)]
            calls.append(self._pool.submit(self._change, odoo_id, f"change {next(self._numbers)}"))
        return [call.result() for call in calls]

    def _change(self, odoo_id: int, text: str) -> Change:
        odoo = self._odoo()
        began = time.perf_counter()
        odoo.call(ORDER, "write", [odoo_id], vals={"partner_ref": text})
        return Change(odoo_id, text, began, time.perf_counter())

    def _write(self, ids: Sequence[int], text: str) -> float:
        self._odoo().call(ORDER, "write", ids, vals={"partner_ref": text})
        return time.perf_counter()

    def _odoo(self) -> OdooCalls:
        odoo: OdooCalls | None = getattr(self._local, "odoo", None)
        if odoo is None:
            odoo = self._local.odoo = self._connect()
        return odoo
