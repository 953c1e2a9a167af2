"""Odoo called as a short script would call it: the standard library and nothing of the product.

The baselines read through it, and benches create, change and remove their own orders with it.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import xmlrpc.client
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from bc_consumer.fields.kinds import Kind
from bc_consumer.fields.table import TABLES

ORDER, LINE = "purchase.order", "purchase.order.line"
TIMEOUT_SECONDS = 300.0
LONGEST_TEXT = 300
"""Characters of Odoo's own text that an error repeats."""
POSITIONAL = ("vals_list", "vals")
"""Arguments that ``execute_kw`` does not accept by name in every version."""


class CallFailed(RuntimeError):
    """Odoo refused a call or failed at it; the text is Odoo's own, in one line."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split())[:LONGEST_TEXT].rstrip("."))


class OdooCalls(Protocol):
    """One account's calls by one protocol. For one thread."""

    received_bytes: int

    def call(self, model: str, method: str, ids: Sequence[int] | None = None, **named: Any) -> Any:
        """Call a method, on these records if any are given, and return its result.

        Raises CallFailed.
        """


def connect(transport: str, url: str, database: str, login: str, password: str) -> OdooCalls:
    """Return calls by this protocol, logged in."""
    if transport == "json2":
        return Json2Calls(url, database, password)
    if transport == "jsonrpc":
        return JsonRpcCalls(url, database, login, password)
    return XmlRpcCalls(url, database, login, password)


def major_version(url: str) -> int:
    """Return the server's version: 17 for "17.0" and for "saas~17.2"."""
    common = xmlrpc.client.ServerProxy(f"{url}/xmlrpc/2/common")
    answer: Any = common.version()
    return int(re.findall(r"\d+", answer["server_version"])[0])


class XmlRpcCalls:
    """XML-RPC by ``xmlrpc.client``."""

    def __init__(self, url: str, database: str, login: str, password: str) -> None:
        self.received_bytes = 0
        self._transport = _CountingTransport(url.startswith("https"))
        self._account = (database, password)
        self._objects = self._proxy(f"{url}/xmlrpc/2/object")
        common = self._proxy(f"{url}/xmlrpc/2/common")
        self._uid = common.authenticate(database, login, password, {})
        if not self._uid:
            raise CallFailed(f"{url} does not accept the login {login}")

    def call(self, model: str, method: str, ids: Sequence[int] | None = None, **named: Any) -> Any:
        """Call a method by ``execute_kw``."""
        database, password = self._account
        values, kwargs = _positional(ids, named)
        before = self._transport.received_bytes
        result: Any = None
        try:
            result = self._objects.execute_kw(
                database, self._uid, password, model, method, values, kwargs
            )
        except xmlrpc.client.Fault as fault:
            # The method did its work, and returned nothing: XML-RPC can't carry that.
            if "cannot marshal None" not in str(fault.faultString):
                raise CallFailed(str(fault.faultString).strip().rpartition("\n")[2]) from None
        self.received_bytes += self._transport.received_bytes - before
        return result

    def _proxy(self, address: str) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy(address, transport=self._transport, allow_none=True)


class _CountingTransport(xmlrpc.client.SafeTransport):
    """``xmlrpc.client``'s own transport, by HTTP or HTTPS, which counts what comes back."""

    accept_gzip_encoding = False

    def __init__(self, secure: bool) -> None:
        super().__init__()
        self.received_bytes = 0
        self._secure = secure

    def make_connection(self, host: Any) -> http.client.HTTPSConnection:
        """Return a connection; its type is what both kinds have in common here."""
        if self._secure:
            return super().make_connection(host)
        plain: Any = xmlrpc.client.Transport.make_connection(self, host)
        return plain  # type: ignore[no-any-return]

    def parse_response(self, response: Any) -> Any:
        """Parse an answer by its parts, as the base class does, and count its bytes."""
        parser, target = self.getparser()
        while part := response.read(65536):
            self.received_bytes += len(part)
            parser.feed(part)
        parser.close()
        return target.close()


class JsonRpcCalls:
    """JSON-RPC by ``http.client`` and ``json``."""

    def __init__(self, url: str, database: str, login: str, password: str) -> None:
        self.received_bytes = 0
        self._poster = _Poster(url)
        self._account = (database, password)
        self._uid = self._send("common", "authenticate", [database, login, password, {}])
        if not self._uid:
            raise CallFailed(f"{url} does not accept the login {login}")

    def call(self, model: str, method: str, ids: Sequence[int] | None = None, **named: Any) -> Any:
        """Call a method by ``execute_kw``."""
        database, password = self._account
        values, kwargs = _positional(ids, named)
        arguments = [database, self._uid, password, model, method, values, kwargs]
        return self._send("object", "execute_kw", arguments)

    def _send(self, service: str, method: str, arguments: Sequence[Any]) -> Any:
        params = {"service": service, "method": method, "args": arguments}
        body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
        answer = self._poster.post("/jsonrpc", body, {})
        self.received_bytes = self._poster.received_bytes
        if "error" in answer:
            data = answer["error"].get("data") or {}
            raise CallFailed(str(data.get("message") or answer["error"].get("message")))
        return answer.get("result")


class Json2Calls:
    """JSON-2 of Odoo 19 by ``http.client`` and ``json``; the password is an API key."""

    def __init__(self, url: str, database: str, key: str) -> None:
        self.received_bytes = 0
        self._poster = _Poster(url)
        self._headers = {"Authorization": f"Bearer {key}", "X-Odoo-Database": database}

    def call(self, model: str, method: str, ids: Sequence[int] | None = None, **named: Any) -> Any:
        """Call a method by its path; all arguments are named."""
        body = named if ids is None else {"ids": list(ids), **named}
        result = self._poster.post(f"/json/2/{model}/{method}", body, self._headers)
        self.received_bytes = self._poster.received_bytes
        return result


class _Poster:
    """Posts JSON to one server and keeps the connection where the server does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.received_bytes = 0
        self._path = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.netloc, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)

    def post(self, path: str, content: Any, headers: dict[str, str]) -> Any:
        """Send one request. Raises CallFailed for an answer that is not 200."""
        sent = {"Content-Type": "application/json", **headers}
        try:
            self._connection.request("POST", self._path + path, json.dumps(content), sent)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # The server has closed the kept connection meanwhile.
            self._connection.close()
            self._connection.request("POST", self._path + path, json.dumps(content), sent)
            response = self._connection.getresponse()
        body = response.read()
        self.received_bytes += len(body)
        if response.status != 200:
            raise CallFailed(f"{path}: HTTP {response.status}: {body.decode(errors='replace')}")
        return json.loads(body)


def _positional(
    ids: Sequence[int] | None, named: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    values: list[Any] = [] if ids is None else [list(ids)]
    values.extend(named[name] for name in POSITIONAL if name in named)
    return values, {name: value for name, value in named.items() if name not in POSITIONAL}


def specification(odoo: OdooCalls) -> dict[str, Any]:
    """Return what ``web_search_read`` has to read so that it answers the copied fields."""
    table = TABLES[ORDER]
    wanted = _fields(odoo, ORDER, table.order)
    wanted["currency_id"] = {"fields": {"display_name": {}, "decimal_places": {}}}
    wanted["order_line"] = {"fields": _fields(odoo, LINE, table.line)}
    return wanted


def field_names(odoo: OdooCalls, model: str) -> dict[str, str]:
    """Return the copied fields that this Odoo has: the copy's name → Odoo's name."""
    table = TABLES[ORDER]
    fields = table.order if model == ORDER else table.line
    present = set(odoo.call(model, "fields_get", attributes=["type"]))
    found = {}
    for field in fields:
        name = next((name for name in field.odoo_names if name in present), None)
        if name is not None:
            found[field.name] = name
    return found


def _fields(odoo: OdooCalls, model: str, fields: Sequence[Any]) -> dict[str, Any]:
    names = field_names(odoo, model)
    related = {Kind.MANY2ONE, Kind.MANY2MANY}
    return {
        names[field.name]: {"fields": {"display_name": {}}} if field.kind in related else {}
        for field in fields
        if field.name in names
    }
