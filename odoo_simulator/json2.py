"""JSON-2 of Odoo 19: /json/2/<model>/<method>, API keys, real HTTP statuses.

Measured on 19; the names of its own errors, and that `create` returns a list of ids, are from 19's
source.
"""

from __future__ import annotations

import json
from typing import Any, Self

from odoo_simulator.errors import (
    AccessDenied,
    AccessError,
    MissingError,
    OdooError,
    PlainFault,
    ServerError,
    UnknownMethod,
    UnknownModel,
    UserError,
)
from odoo_simulator.http_server import Request, Response
from odoo_simulator.rpc_encodings import Invocation, error_data
from odoo_simulator.rpc_services import Service

_PREFIX = "/json/2/"
_REASONS = {
    200: "OK",
    400: "BAD REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT FOUND",
    415: "UNSUPPORTED MEDIA TYPE",
    422: "UNPROCESSABLE ENTITY",
    500: "INTERNAL SERVER ERROR",
}
# Methods decorated with @api.model: they take no ids.
_OF_THE_MODEL = frozenset(
    {
        "context_get",
        "create",
        "fields_get",
        "formatted_read_group",
        "name_search",
        "read_group",
        "search",
        "search_count",
        "search_read",
        "web_search_read",
    }
)
_NO_SUCH_PATH = "Did you mean POST /json/2/<model>/<method>?"
_NO_KEY = "User not authenticated, use an API Key with a Bearer Authorization header."


class BadRequest(OdooError):
    """The body is not JSON."""

    name = "werkzeug.exceptions.BadRequest"


class NotFound(OdooError):
    """A path, model or method that does not exist."""

    name = "werkzeug.exceptions.NotFound"


class Unprocessable(OdooError):
    """Arguments that do not fit the method."""

    name = "werkzeug.exceptions.UnprocessableEntity"


class WrongContentType(OdooError):
    """Reported in HTML, by werkzeug."""


class NoSuchDatabase(OdooError):
    """Reported in HTML, by werkzeug."""


class Json2:
    """One request to JSON-2."""

    def __init__(self, model: str, method: str) -> None:
        self.model = model
        self.method = method
        self.key = ""
        self.database: str | None = None

    @classmethod
    def at(cls, request: Request) -> Self | None:
        """Return the call that a path names; None for any path outside JSON-2."""
        if request.path in ("/web/version", "/json/version"):
            return cls("", "version")
        if not request.path.startswith(_PREFIX):
            return None
        parts = request.path.removeprefix(_PREFIX).split("/")
        return cls(*parts) if len(parts) == 2 and request.method == "POST" else cls("", "")

    def parse(self, request: Request) -> Invocation:
        if not self.method:
            raise NotFound(_NO_SUCH_PATH)
        if not self.model:
            return Invocation("common", "version", [])
        scheme, _space, key = request.headers.get("authorization", "").partition(" ")
        self.key = key.strip() if scheme.lower() == "bearer" else ""
        self.database = request.headers.get("x-odoo-database")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise WrongContentType
        try:
            content = json.loads(request.body or b"{}")
        except ValueError as error:
            raise BadRequest(f"could not parse the body as json: {error}") from None
        named = content if isinstance(content, dict) else {}  # an array is accepted and ignored
        return Invocation("object", "json2", ["", "", "", self.model, self.method, [], named])

    def run(self, service: Service, invocation: Invocation) -> Any:
        if not self.model:
            info = service.version_info()
            return {"version": info["server_version"], "version_info": info["server_version_info"]}
        if self.database is not None and self.database != service.database:
            raise NoSuchDatabase
        named = dict(invocation.params[6])
        if self.method in _OF_THE_MODEL:
            if named.pop("ids", None):
                raise Unprocessable(f"cannot call {self.model}.{self.method} with ids")
        elif named.get("ids") is None:
            named["ids"] = []
        try:
            found = service.execute_with_key(self.key, self.model, self.method, named)
        except UnknownModel:
            raise NotFound(f"the model '{self.model}' does not exist") from None
        except UnknownMethod as error:
            raise NotFound(error.text) from None
        except ServerError as error:
            if error.kind != "TypeError":
                raise
            raise Unprocessable(error.text) from None
        return [found] if self.method == "create" and isinstance(found, int) else found

    def result(self, invocation: Invocation, value: Any) -> Response:
        return _json(200, value)

    def error(self, invocation: Invocation, error: OdooError) -> Response:
        if isinstance(error, WrongContentType | NoSuchDatabase):
            status = 415 if isinstance(error, WrongContentType) else 404
            body = f"<!doctype html><title>{status} {_REASONS[status].title()}</title>".encode()
            return Response(status, _REASONS[status], {"Content-Type": "text/html"}, body)
        status = _status(error)
        data = error_data(error)
        if status == 401:
            data.update(name="werkzeug.exceptions.Unauthorized", message=_NO_KEY)
        if str(data["name"]).startswith("werkzeug."):
            data["arguments"] = [data["message"], status]
        return _json(status, data)


def _status(error: OdooError) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, PlainFault):
        return {2: 422, 3: 401, 4: 403}.get(error.fault_code, 500)
    for kinds, status in (
        ((BadRequest,), 400),
        ((AccessDenied,), 401),
        ((AccessError,), 403),
        ((MissingError, NotFound), 404),
        ((UserError, Unprocessable), 422),
    ):
        if isinstance(error, kinds):
            return status
    return 500


def _json(status: int, content: Any) -> Response:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = json.dumps(content, ensure_ascii=False).encode()
    return Response(status, _REASONS[status], headers, body)
