"""Small real HTTP servers: raw ones that misbehave, and an Odoo of a few lines."""

import contextlib
import json
import socket
import ssl
import threading
import xmlrpc.client
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bc_consumer.odoo import Odoo, OdooSettings
from odoo_simulator import Simulator

CAPTURES = Path(__file__).parents[2] / "fixtures" / "odoo"
PASSWORD = "s3cret-api-key"
DATABASE = "shop"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


Respond = Callable[[Incoming], bytes | Iterable[bytes]]


class RawServer:
    """Answers each request with the bytes that ``respond`` gives, then closes, as Odoo does."""

    def __init__(
        self, respond: Respond, *, tls: ssl.SSLContext | None = None, keep_alive: bool = False
    ) -> None:
        self.requests: list[Incoming] = []
        self.connections = 0
        self._respond = respond
        self._tls = tls
        self._keep_alive = keep_alive
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "RawServer":
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            while self._serve_one(connection) and self._keep_alive:
                pass
        with contextlib.suppress(OSError):
            connection.close()

    def _serve_one(self, connection: socket.socket) -> bool:
        incoming = _read(connection)
        if incoming is None:
            return False
        self.requests.append(incoming)
        answer = self._respond(incoming)
        for part in [answer] if isinstance(answer, bytes) else answer:
            connection.sendall(part)
        return True


def _read(connection: socket.socket) -> Incoming | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("iso-8859-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    method, path = first.split()[:2]
    return Incoming(path=path, headers=headers, body=body, method=method)


DATE = "Tue, 24 Nov 2026 06:00:00 GMT"
"""The same in every process of a run: answers are part of tests' names."""


def http(body: bytes, status: int = 200, content_type: str = "text/xml", **headers: str) -> bytes:
    """A whole HTTP answer; header names with _ for -."""
    named = {"Content-Type": content_type, "Date": DATE}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def rpc(value: Any) -> bytes:
    """An XML-RPC answer, as HTTP."""
    return http(xmlrpc.client.dumps((value,), methodresponse=True).encode())


def fault(code: int, text: str) -> bytes:
    """An XML-RPC fault, as HTTP."""
    return http(xmlrpc.client.dumps(xmlrpc.client.Fault(code, text)).encode())


def captured(name: str) -> bytes:
    """The body of a captured answer of a real Odoo."""
    return captured_answer(name)[1]


def captured_answer(name: str) -> tuple[int, bytes]:
    """The status and the body of a captured answer of a real Odoo."""
    text = (CAPTURES / name).read_text(encoding="utf-8")
    head, _, body = text.partition("<<< RESPONSE\n")[2].partition("\n\n")
    return int(head.split()[1]), body.encode()


def json_answer(content: Any, status: int = 200, **headers: str) -> bytes:
    """An answer in JSON, as HTTP."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return http(body, status, "application/json; charset=utf-8", **headers)


ERROR_NAMES = {
    1: "builtins.Exception",
    2: "odoo.exceptions.UserError",
    3: "odoo.exceptions.AccessDenied",
    4: "odoo.exceptions.AccessError",
}


def json_error(code: int, text: str) -> dict[str, Any]:
    """What JSON answers say of an error that has this fault code in XML-RPC."""
    message = text.strip().splitlines()[-1] if text.strip() else ""
    return {
        "name": ERROR_NAMES.get(code, ERROR_NAMES[1]),
        "message": message if code == 1 else text,
        "arguments": [message],
        "context": {},
        "debug": text if code == 1 else f"Traceback …\n{text}\n",
    }


@dataclass(frozen=True, slots=True)
class Wire:
    """How one of the two protocols of Odoo's services writes its answers."""

    name: str
    value: Callable[[Any], bytes]
    fault: Callable[[int, str], bytes]


def jsonrpc_value(value: Any) -> bytes:
    """An answer of JSON-RPC, as HTTP."""
    return json_answer({"jsonrpc": "2.0", "id": 1, "result": value})


def jsonrpc_fault(code: int, text: str) -> bytes:
    """An error of JSON-RPC, as HTTP."""
    error = {"code": 200, "message": "Odoo Server Error", "data": json_error(code, text)}
    return json_answer({"jsonrpc": "2.0", "id": 1, "error": error})


Execute = Callable[[str, str, list[Any], dict[str, Any]], Any]


WIRES = (Wire("xmlrpc", rpc, fault), Wire("jsonrpc", jsonrpc_value, jsonrpc_fault))


@dataclass
class TinyOdoo:
    """XML-RPC and JSON-RPC with one account.

    ``execute`` answers the calls or raises xmlrpc.client.Fault.
    """

    execute: Execute
    password: str = PASSWORD
    uid: int = 7
    calls: list[tuple[str, str, list[Any], dict[str, Any]]] = field(default_factory=list)
    authentications: int = 0

    def respond(self, incoming: Incoming) -> bytes:
        if incoming.path.endswith("/jsonrpc"):
            wire = WIRES[1]
            called = json.loads(incoming.body)["params"]
            params, method = tuple(called["args"]), called["method"]
        else:
            wire = WIRES[0]
            params, method = xmlrpc.client.loads(incoming.body)
        try:
            return wire.value(self._answer(str(method), params))
        except xmlrpc.client.Fault as error:
            return wire.fault(error.faultCode, error.faultString)

    def _answer(self, method: str, params: tuple[Any, ...]) -> Any:
        if method == "version":
            return {"server_version": "17.0", "protocol_version": 1}
        if method == "authenticate":
            self.authentications += 1
            return self.uid if params[2] == self.password else False
        _database, uid, password, model, name, args, kwargs = params
        if uid != self.uid or password != self.password:
            raise xmlrpc.client.Fault(3, "Access Denied")
        self.calls.append((model, name, args, kwargs))
        return self.execute(model, name, args, kwargs)


def settings_for(server: RawServer, **changes: Any) -> OdooSettings:
    """Settings that lead to the server."""
    values: dict[str, Any] = {
        "url": server.url,
        "database": DATABASE,
        "login": "copy",
        "password": PASSWORD,
        "timeout": 10.0,
    }
    return OdooSettings(**(values | changes))


@contextlib.contextmanager
def serving(respond: Respond, **options: Any) -> Iterator[tuple[RawServer, Odoo]]:
    """A raw server and a gateway to it; options are those of OdooSettings and of RawServer."""
    own = {name: options.pop(name) for name in ("tls", "keep_alive") if name in options}
    stop = options.pop("stop", None)
    with RawServer(respond, **own) as server:
        odoo = Odoo(settings_for(server, **options), stop)
        try:
            yield server, odoo
        finally:
            odoo.close()


def gateway(simulator: Simulator, **changes: Any) -> Odoo:
    """A gateway to a simulator of the whole of Odoo."""
    values: dict[str, Any] = {"database": "odoo", "login": "admin", "password": "admin"}
    return Odoo(OdooSettings(simulator.url, **(values | {"timeout": 10.0} | changes)))
