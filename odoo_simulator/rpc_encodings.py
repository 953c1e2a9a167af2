"""XML-RPC and JSON-RPC: two encodings of the same services and values.

The HTTP status is always 200 in both, even for faults and nonsense (measured on 17, 18, 19).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from odoo_simulator import xmlrpc
from odoo_simulator.errors import (
    AccessDenied,
    AccessError,
    OdooError,
    ServerError,
    error_name,
    fault_code,
    traceback_text,
)
from odoo_simulator.http_server import Request, Response
from odoo_simulator.rpc_services import Service


@dataclass(slots=True)
class Invocation:
    """A call: service (common, object), method, and positional parameters."""

    service: str
    method: str
    params: list[Any]
    number: Any = None  # JSON-RPC's id of the request


class RpcEncoding(Protocol):
    """One protocol: reads requests, calls, writes answers."""

    def parse(self, request: Request) -> Invocation: ...

    def run(self, service: Service, invocation: Invocation) -> Any: ...

    def result(self, invocation: Invocation, value: Any) -> Response: ...

    def error(self, invocation: Invocation, error: OdooError) -> Response: ...


def run(service: Service, invocation: Invocation) -> Any:
    """Call one of the two services."""
    if invocation.service == "common":
        return service.common(invocation.method, invocation.params)
    if invocation.service == "object":
        return service.execute(invocation.method, invocation.params)
    raise ServerError("Exception", f"Method not available {invocation.service}")


class XmlRpc:
    """/xmlrpc/2/…, or the older /xmlrpc/… with text fault codes."""

    def __init__(self, service: str, version: int, elder: bool = False) -> None:
        self.service = service
        self._dumps = xmlrpc.dumps if version >= 17 else xmlrpc.dumps_unfiltered
        self.elder = elder

    def parse(self, request: Request) -> Invocation:
        method, params = xmlrpc.loads(request.body)
        return Invocation(self.service, method, params)

    def run(self, service: Service, invocation: Invocation) -> Any:
        return run(service, invocation)

    def result(self, invocation: Invocation, value: Any) -> Response:
        return _xml(self._dumps(value))

    def error(self, invocation: Invocation, error: OdooError) -> Response:
        text = traceback_text(error) if isinstance(error, ServerError) else error.text
        if not self.elder:
            return _xml(xmlrpc.fault(fault_code(error), text))
        if isinstance(error, AccessDenied):
            return _xml(xmlrpc.fault("AccessDenied", text))
        if isinstance(error, ServerError):
            return _xml(xmlrpc.fault(error.text, text))
        kind = "AccessError" if isinstance(error, AccessError) else type(error).__name__
        return _xml(xmlrpc.fault(f"warning -- {kind}\n\n{text}", ""))


class JsonRpc:
    """/jsonrpc, in any version."""

    def __init__(self, version: int) -> None:
        self.version = version

    def parse(self, request: Request) -> Invocation:
        """Parse a request. Raises ServerError if its body is no call."""
        try:
            content = json.loads(request.body)
            params = content["params"]
            return Invocation(
                str(params["service"]), str(params["method"]), params["args"], content.get("id")
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(type(error).__name__, f"Invalid JSON-RPC request: {error}") from None

    def run(self, service: Service, invocation: Invocation) -> Any:
        return run(service, invocation)

    def result(self, invocation: Invocation, value: Any) -> Response:
        answer = {"jsonrpc": "2.0", "id": invocation.number}
        # Without a value the member "result" is left out (Odoo's source).
        return _json(answer if value is None else {**answer, "result": value})

    def error(self, invocation: Invocation, error: OdooError) -> Response:
        told = {
            "code": 0 if self.version >= 19 else 200,
            "message": "Odoo Server Error",
            "data": error_data(error),
        }
        return _json({"jsonrpc": "2.0", "id": invocation.number, "error": told})


def error_data(error: OdooError) -> dict[str, Any]:
    """Return an error as JSON answers describe it."""
    name = error_name(error)
    debug = (
        traceback_text(error)
        if isinstance(error, ServerError)
        else f"Traceback (most recent call last):\n{name}: {error.text}\n"
    )
    return {
        "name": name,
        "message": error.text,
        "arguments": [error.text],
        "context": {},
        "debug": debug,
    }


def _xml(body: bytes) -> Response:
    headers = {"Content-Type": "text/xml; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Response(200, "", headers, body)


def _json(content: Any) -> Response:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Response(200, "OK", headers, json.dumps(content, ensure_ascii=False).encode())
