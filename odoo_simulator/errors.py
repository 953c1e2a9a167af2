"""The errors Odoo raises, with the fault code each has on /xmlrpc/2 (measured on 17, 18, 19).

OdooError
├── UserError        2   a business rule said no; MissingError, ValidationError, UnknownModel
├── AccessDenied     3   wrong uid or password
├── AccessError      4   no right on the model, or a record rule
└── ServerError      1   any other Python exception; the text is a whole traceback
SerializationFailure     two transactions wrote the same row: the call is tried again
"""

from __future__ import annotations

from typing import ClassVar


class OdooError(Exception):
    """An exception as Odoo reports it to the caller; `name` is the one in JSON answers."""

    code: ClassVar[int] = 1
    name: ClassVar[str] = "builtins.Exception"

    @property
    def text(self) -> str:
        return str(self)


class UserError(OdooError):
    code = 2
    name = "odoo.exceptions.UserError"


class ValidationError(UserError):
    name = "odoo.exceptions.ValidationError"


class MissingError(UserError):
    name = "odoo.exceptions.MissingError"


class UnknownModel(UserError):
    def __init__(self, model: str) -> None:
        super().__init__(f"Object {model} doesn't exist")


class AccessDenied(OdooError):
    code = 3
    name = "odoo.exceptions.AccessDenied"

    def __init__(self) -> None:
        super().__init__("Access Denied")


class AccessError(OdooError):
    code = 4
    name = "odoo.exceptions.AccessError"


class ServerError(OdooError):
    """Any Python exception inside Odoo: `kind` is its class, e.g. ValueError."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class UnknownMethod(ServerError):
    def __init__(self, model: str, method: str) -> None:
        super().__init__("AttributeError", f"The method '{model}.{method}' does not exist")


class PlainFault(OdooError):
    """A fault ordered by a test: any code, any text."""

    def __init__(self, fault_code: int, message: str) -> None:
        super().__init__(message)
        self.fault_code = fault_code


class SerializationFailure(Exception):
    """Could not serialize access due to concurrent update: roll back and start again."""


def fault_code(error: OdooError) -> int:
    """Return the integer faultCode of /xmlrpc/2."""
    return error.fault_code if isinstance(error, PlainFault) else error.code


def error_name(error: OdooError) -> str:
    """Return the exception's full name, as in JSON answers."""
    if isinstance(error, ServerError):
        return error.kind if "." in error.kind else f"builtins.{error.kind}"
    if isinstance(error, PlainFault):
        known = {2: UserError.name, 3: AccessDenied.name, 4: AccessError.name}
        return known.get(error.fault_code, error.name)
    return error.name


def missing(model: str, record_id: int, uid: int = 2) -> MissingError:
    return MissingError(
        f"Record does not exist or has been deleted.\n(Record: {model}({record_id},), User: {uid})"
    )


def traceback_text(error: ServerError) -> str:
    """Return faultString for fault 1: a traceback whose last line is the error."""
    return (
        "Traceback (most recent call last):\n"
        '  File "/opt/odoo/odoo/http.py", line 389, in dispatch_rpc\n'
        "    return dispatch(method, params)\n"
        '  File "/opt/odoo/odoo/service/model.py", line 37, in dispatch\n'
        "    res = execute_kw(db, uid, *params[3:])\n"
        '  File "/opt/odoo/odoo/service/model.py", line 133, in retrying\n'
        "    result = func()\n"
        f"{error.kind}: {error.text}\n"
    )
