"""What the tests of the simulator share: one of each version, a caller, a receiver of webhooks."""

from __future__ import annotations

import json
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from odoo_simulator import Simulator

LINES = [
    {"product_id": 1, "product_qty": 2, "price_unit": 10.0, "taxes_id": [1]},
    {"product_id": 2, "product_qty": 3, "price_unit": 20.0, "taxes_id": [1]},
]


class Caller:
    """Calls a simulator as any client would: Python's own xmlrpc.client."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.password = simulator.password

    def common(self, method: str, *params: Any) -> Any:
        with xmlrpc.client.ServerProxy(f"{self.simulator.url}/xmlrpc/2/common") as server:
            return getattr(server, method)(*params)

    def __call__(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        with xmlrpc.client.ServerProxy(f"{self.simulator.url}/xmlrpc/2/object") as server:
            return server.execute_kw("odoo", 2, self.password, model, method, list(args), kwargs)

    def fault(self, model: str, method: str, *args: Any, **kwargs: Any) -> xmlrpc.client.Fault:
        """The fault this call must end in."""
        with pytest.raises(xmlrpc.client.Fault) as caught:
            self(model, method, *args, **kwargs)
        return caught.value

    def order(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self("purchase.order", method, *args, **kwargs)

    def line(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self("purchase.order.line", method, *args, **kwargs)

    def write_date(self, order_id: int) -> str:
        """The order's write_date, with the microseconds no client sees."""
        row = self.simulator.store.get("purchase.order", order_id)
        assert row is not None
        return str(row["write_date"])


@dataclass
class Hook:
    path: str
    headers: dict[str, str]
    payload: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.payload["_model"])


@dataclass
class Receiver:
    """A web server that keeps what it gets; `on_hook` runs before it answers."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list)
    on_hook: Callable[[Hook], None] = lambda _hook: None
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[str, str]] = field(default_factory=list)

    def models(self) -> list[str]:
        return [hook.model.removeprefix("purchase.") for hook in self.hooks]

    def clear(self) -> None:
        self.hooks.clear()


@pytest.fixture(params=[17, 18, 19])
def odoo(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """One simulator of each version."""
    with Simulator(request.param) as started:
        yield started


@pytest.fixture
def odoo17() -> Iterator[Simulator]:
    with Simulator(17) as started:
        yield started


@pytest.fixture
def odoo19() -> Iterator[Simulator]:
    with Simulator(19) as started:
        yield started


@pytest.fixture
def call(odoo: Simulator) -> Caller:
    return Caller(odoo)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.got.append(("POST", self.path))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook = Hook(self.path, dict(self.headers), json.loads(body))
            made.hooks.append(hook)
            made.on_hook(hook)
            self._answer()

        def do_GET(self) -> None:
            made.got.append(("GET", self.path))
            made.status, made.headers = 200, {}
            self._answer()

        def _answer(self) -> None:
            try:
                self.send_response(made.status)
                for name, value in made.headers.items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:
                return  # Odoo gave up waiting

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
