"""XML-RPC: /xmlrpc/2/common and /xmlrpc/2/object."""

from typing import Any

from bc_consumer.odoo.http import Request
from bc_consumer.odoo.marshalling import read_response, write_call
from bc_consumer.odoo.services import Params


class XmlRpc:
    """The wire of XML-RPC."""

    name = "xmlrpc"

    def request(self, service: str, method: str, params: Params) -> Request:
        """Write a call. Raises OdooProtocolError for values that XML-RPC can't carry."""
        return Request(f"/xmlrpc/2/{service}", "text/xml", write_call(method, params()))

    def read(self, body: bytes) -> Any:
        """Read an answer. Raises Fault, or OdooProtocolError."""
        return read_response(body)
