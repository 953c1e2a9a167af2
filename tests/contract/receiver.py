"""A webhook receiver that looks at Odoo while Odoo waits for its answer."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# Under which name, and on which port, a real Odoo reaches this machine.
HOST = os.environ.get("ODOO_E2E_RECEIVER_HOST", "127.0.0.1")
PORT = int(os.environ.get("ODOO_E2E_RECEIVER_PORT", "0"))  # 0: any free one
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Received:
    """One webhook, and what a look at Odoo showed while it was being delivered."""

    path: str
    headers: dict[str, str]
    payload: dict[str, Any]
    seen: Any

    @property
    def order_id(self) -> Any:
        """The order that it is about, be it the order's own or one of its lines'."""
        return order_of(self.payload)


def order_of(payload: dict[str, Any]) -> Any:
    """Give the order's id; a line may have the same number, and has its order beside it."""
    of_line = str(payload["_model"]).endswith(".line")
    return payload.get("order_id") if of_line else payload["_id"]


def can_be_reached_from(url: str) -> bool:
    """Whether what runs at this address may know the name above."""
    return HOST not in LOCAL or urlsplit(url).hostname in LOCAL


class Receiver:
    """Listens on a free port; ``look`` is called with each payload before the answer."""

    def __init__(self, look: Callable[[dict[str, Any]], Any]) -> None:
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                payload = json.loads(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = look(payload)
                receiver.received.append(Received(self.path, headers, payload, seen))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        bound = "127.0.0.1" if HOST in LOCAL else "0.0.0.0"
        self._server = ThreadingHTTPServer((bound, PORT), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://odoo:a-secret@{HOST}:{self._server.server_address[1]}/hook/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
