"""From an HTTP request to its answer: choice of protocol, faults, the log of calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from odoo_simulator import xmlrpc
from odoo_simulator.call_log import Call, CallLog
from odoo_simulator.errors import OdooError, PlainFault, fault_code
from odoo_simulator.faults import Faults
from odoo_simulator.http_server import Request, Response
from odoo_simulator.json2 import Json2
from odoo_simulator.rpc_encodings import Invocation, JsonRpc, RpcEncoding, XmlRpc
from odoo_simulator.rpc_services import Service

_LOOK_AGAIN = 0.05  # seconds between checks whether a silence has ended


class Transports:
    """All protocols of one simulated Odoo."""

    def __init__(self, service: Service, faults: Faults, calls: CallLog) -> None:
        self.service = service
        self.faults = faults
        self.calls = calls
        self._xmlrpc = {
            "/xmlrpc/2/common": XmlRpc("common", service.version),
            "/xmlrpc/2/object": XmlRpc("object", service.version),
            "/xmlrpc/common": XmlRpc("common", service.version, elder=True),
            "/xmlrpc/object": XmlRpc("object", service.version, elder=True),
        }

    def answer(self, request: Request) -> Response:
        """Answer a request: 404 for a path this version lacks, the login page for pages of Odoo.

        18 has pages below /json/ that require a login (measured with one database; with several,
        and on 17, they are a 404).
        """
        dialect = self._dialect(request)
        if dialect is None and self.service.version == 18 and request.path.startswith("/json/"):
            target = f"/web/login?redirect={quote(request.path + '?', safe='')}"
            headers = {"Content-Type": "text/html; charset=utf-8", "Location": target}
            page = b"<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n"
            return Response(303, "SEE OTHER", headers, page)
        if dialect is None:
            headers = {"Content-Type": "text/html; charset=utf-8"}
            page = b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n"
            return Response(404, "NOT FOUND", headers, page)
        return self._exchange(request, dialect)

    def _dialect(self, request: Request) -> RpcEncoding | None:
        if request.path == "/jsonrpc":
            return JsonRpc(self.service.version)
        known = self._xmlrpc.get(request.path)
        if known is not None or self.service.version < 19:
            return known
        return Json2.at(request)

    def _exchange(self, request: Request, dialect: RpcEncoding) -> Response:
        while self.faults.state.silent:
            time.sleep(_LOOK_AGAIN)
            if not self.faults.state.silent:
                raise ConnectionAbortedError  # the server closes the connection without an answer
        # In this order: on a busy machine the call may then seem to end early, but never late.
        at, started = time.time(), time.perf_counter()
        invocation, records = Invocation("", "", []), 0
        fault: int | None = None
        replaced = self.faults.take_answer()
        try:
            invocation = dialect.parse(request)
            if replaced is None:
                result = dialect.run(self.service, invocation)
                records = _count(result)
                response = dialect.result(invocation, result)
            else:
                response = Response()
        except OdooError as error:
            fault = fault_code(error)
            response = dialect.error(invocation, self._repeating(request, invocation, error))
        self._wait(records)
        response = self._spoiled(request, response, replaced)
        self.calls.add(
            Call(
                at,
                invocation.service,
                *_named(invocation),
                _ids_named(invocation.params),
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

    def _repeating(self, request: Request, invocation: Invocation, error: OdooError) -> OdooError:
        """Return the error, with the call in its text if `echo` is on."""
        if not self.faults.state.echo:
            return error
        call = f"{invocation.service}.{invocation.method}{tuple(invocation.params)!r}"
        text = f"{error.text} while doing {call} with headers {request.headers}"
        return PlainFault(fault_code(error), text)

    def _spoiled(
        self,
        request: Request,
        response: Response,
        replaced: tuple[int, dict[str, str], bytes] | None,
    ) -> Response:
        state = self.faults.state
        if replaced is not None:
            status, headers, body = replaced
            if state.echo:
                body += f"<pre>{escape(str(request.headers))}</pre>".encode() + request.body
            response = Response(status, "", headers, body)
        elif state.huge:
            response.body = xmlrpc.dumps("|")
            response.padding = max(0, state.huge - len(response.body))
        response.drip, response.cut = state.drip, state.close_mid_response
        return response


def _named(invocation: Invocation) -> tuple[str, str]:
    """Return (model, method) of a call."""
    params = invocation.params
    if invocation.service == "object" and len(params) >= 5:
        return str(params[3]), str(params[4])
    return "", invocation.method


def _ids_named(params: Sequence[Any]) -> int:
    """Return the ids in the first argument, or in a domain's `id in` or `id =`."""
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
