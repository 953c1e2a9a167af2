"""XML-RPC over HTTP: /xmlrpc/2/common and /xmlrpc/2/object, and their elder twins without the 2.

HTTP status is always 200, for faults and for malformed XML too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from odoo_simulator import xmlrpc
from odoo_simulator.calls import Call, CallLog
from odoo_simulator.errors import (
    AccessDenied,
    AccessError,
    OdooError,
    ServerError,
    fault_code,
    traceback_text,
)
from odoo_simulator.faults import Faults
from odoo_simulator.http_server import Request, Response
from odoo_simulator.service import Service

_XML_HEADERS = {
    "Content-Type": "text/xml; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
}
_PATHS = {
    "/xmlrpc/2/common": ("common", False),
    "/xmlrpc/2/object": ("object", False),
    "/xmlrpc/common": ("common", True),
    "/xmlrpc/object": ("object", True),
}


class Transports:
    """From an HTTP request to its answer, faults on command included."""

    def __init__(self, service: Service, faults: Faults, calls: CallLog) -> None:
        self.service = service
        self.faults = faults
        self.calls = calls

    def answer(self, request: Request) -> Response:
        """404 for a path Odoo hasn't."""
        known = _PATHS.get(request.path)
        if known is None:
            return Response(404, "NOT FOUND", {"Content-Type": "text/html"}, b"Not Found")
        return self._xmlrpc(request, *known)

    def _xmlrpc(self, request: Request, service: str, elder: bool) -> Response:
        started, at = time.perf_counter(), time.time()
        method, records = "", 0
        params: list[Any] = []
        fault: int | None = None
        replaced = self.faults.take_answer()
        try:
            method, params = xmlrpc.loads(request.body)
            if replaced is None:
                run = self.service.common if service == "common" else self.service.execute
                result = run(method, params)
                records = _count(result)
                body = xmlrpc.dumps(result)
            else:
                body = b""
        except OdooError as error:
            fault = fault_code(error)
            body = xmlrpc.fault(*_fault(error, elder))
        self._wait(records)
        response = self._response(body, replaced)
        model, called = _named(service, method, params)
        self.calls.add(
            Call(
                at,
                service,
                model,
                called,
                _ids_named(params),
                records,
                time.perf_counter() - started,
                len(request.body),
                len(response.body) + response.padding,
                fault,
            )
        )
        return response

    def _wait(self, records: int) -> None:
        state = self.faults.state
        seconds = state.latency + state.per_order * records
        if seconds > 0:
            time.sleep(seconds)

    def _response(
        self, body: bytes, replaced: tuple[int, dict[str, str], bytes] | None
    ) -> Response:
        state = self.faults.state
        if replaced is not None:
            status, headers, body = replaced
            return Response(status, "", headers, body, drip=state.drip)
        response = Response(200, "", dict(_XML_HEADERS), body, state.drip, state.close_mid_response)
        if state.huge:
            response.body = xmlrpc.dumps("|")
            response.padding = max(0, state.huge - len(response.body))
        return response


def _fault(error: OdooError, elder: bool) -> tuple[int | str, str]:
    text = traceback_text(error) if isinstance(error, ServerError) else error.text
    if not elder:
        return fault_code(error), text
    if isinstance(error, AccessDenied):
        return "AccessDenied", text
    if isinstance(error, AccessError):
        return f"warning -- AccessError\n\n{text}", ""
    if isinstance(error, ServerError):
        return error.text, text
    return f"warning -- {type(error).__name__}\n\n{text}", ""


def _named(service: str, method: str, params: Sequence[Any]) -> tuple[str, str]:
    if service == "object" and len(params) >= 5:
        return str(params[3]), str(params[4])
    return "", method


def _ids_named(params: Sequence[Any]) -> int:
    """Ids in the first argument, or in a domain's `id in` or `id =`."""
    args = params[5] if len(params) > 5 and isinstance(params[5], list) else []
    kwargs = params[6] if len(params) > 6 and isinstance(params[6], dict) else {}
    first = args[0] if args else kwargs.get("domain", kwargs.get("ids", []))
    if isinstance(first, int):
        return 1
    if not isinstance(first, list):
        return 0
    if all(isinstance(item, int) for item in first):
        return len(first)
    for term in first:
        if isinstance(term, list) and len(term) == 3 and term[0] == "id":
            return len(term[2]) if isinstance(term[2], list) else 1
    return 0


def _count(result: Any) -> int:
    if isinstance(result, dict) and isinstance(result.get("records"), list):
        return len(result["records"])
    return len(result) if isinstance(result, list) else 0
