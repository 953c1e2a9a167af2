"""JSON-RPC: /jsonrpc, the same services as XML-RPC in a third of the bytes (17, 18 and 19)."""

from collections.abc import Sequence
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import MissingEndpoint, OdooProtocolError
from bc_consumer.odoo.http import Request
from bc_consumer.odoo.json_text import fault_of, read_json, write_json
from bc_consumer.odoo.services import Params

PATH = "/jsonrpc"
NOT_FOUND = 404  # the only code that tells something: others are 200 on 17 and 18, 0 on 19


class JsonRpc:
    """The wire of JSON-RPC."""

    name = "jsonrpc"

    def request(self, service: str, method: str, params: Params) -> Request:
        """Write a call. Raises OdooProtocolError for values that JSON can't carry."""
        return Request(PATH, "application/json", write_json(_envelope(service, method, params())))

    def read(self, body: bytes) -> Any:
        """Read an answer. Raises Fault, MissingEndpoint, or OdooProtocolError.

        Errors are known by the exception's name, never by a text: texts are translated, and
        ``error.message`` is the brand's own (17, 18 and 19). A method that returns nothing
        leaves ``result`` out, or null in it.
        """
        answer = read_json(body)
        if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0":
            raise OdooProtocolError(_("Odoo's answer is JSON, and none of JSON-RPC"))
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        data = error.get("data") if isinstance(error, dict) else None
        if isinstance(data, dict):
            if error.get("code") == NOT_FOUND:
                raise MissingEndpoint(_("Odoo has closed %(path)s (it says 404 there)", path=PATH))
            fault = fault_of(data)
            if fault is not None:
                raise fault
        raise OdooProtocolError(_("Odoo's answer is an error without a name"))


def _envelope(service: str, method: str, params: Sequence[Any]) -> dict[str, Any]:
    arguments = {"service": service, "method": method, "args": list(params)}
    return {"jsonrpc": "2.0", "method": "call", "id": 1, "params": arguments}
