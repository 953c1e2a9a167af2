"""What a webhook's request says: who sends it, and which orders it is about. No Django.

:func:`authorized` looks at the header. Odoo's webhook action cannot send headers of its own, but
credentials in its URL (``https://odoo:SECRET@host/odoo/webhook/``) arrive as HTTP Basic (measured
on 17, 18, 19). Other callers may send ``Authorization: Bearer SECRET``.

:func:`parse` reads the body: bytes → OrderEvent, or PayloadError.

The body is what Odoo 17, 18 and 19 send (measured): ``_model``, ``_id``, and the fields chosen in
the webhook action. It does not say what happened; the URL's query does.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bc_consumer.core.redactor import beginning

LARGEST_ID = 2**31 - 1
"""Odoo's ids are PostgreSQL integers, and XML-RPC carries no larger ones."""
MOST_IDS = 1000
"""In one batch body."""
KEPT_CHARACTERS = 2_048
"""Of a body, for operators."""
KEPT_OF_A_BATCH = 200
"""Of a body with many ids: each of these orders keeps it."""
ARRIVED = "bc_consumer.arrived"
"""The WSGI environment's key of the moment, of ``time.monotonic()``, at which the body was complete
and the wait for a thread began. ``server.py`` sets it; other servers do not."""
RETRY_AFTER_SECONDS = 5
"""What a refused caller is asked to wait."""
EVENTS = ("changed", "created", "deleted")
BLANKS = " \t\r\n"

_DECODER = json.JSONDecoder()


class PayloadError(Exception):
    """The body or the query cannot be understood; the message says what to change in Odoo."""


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Which orders an event is about, and whether they are going."""

    order_ids: tuple[int, ...]
    deleted: bool
    text: str
    """The body, as it came, without NUL characters."""
    kept: int
    """How many characters of it are kept. Nothing is cut off before secrets are hidden in it."""


def parse(body: bytes, event: str, order_model: str) -> OrderEvent:
    """Read one webhook body; ``event`` is the URL's query parameter, empty for changed.

    An event of a line is a change of its order, whatever happened to the line. Raises PayloadError.
    """
    event = event or "changed"
    if event not in EVENTS:
        raise PayloadError(
            f"unknown event {beginning(event, 40)!r}: use ?event= with one of {EVENTS}"
        )
    values = read_object(body)
    kept = KEPT_OF_A_BATCH if "ids" in values else KEPT_CHARACTERS
    text = body.decode("utf-8", "replace").replace("\0", "")
    model = values.get("_model")
    if model == order_model:
        ids = _batch(values["ids"]) if "ids" in values else (_id(values, "_id"),)
        return OrderEvent(ids, event == "deleted", text, kept)
    if model == f"{order_model}.line":
        if "ids" in values:
            raise PayloadError(f"the batch form takes {order_model} only")
        return OrderEvent((_order_of_line(values, order_model),), False, text, kept)
    raise PayloadError(
        f"_model is {beginning(str(model), 60)!r}; "
        f"this webhook takes {order_model} and {order_model}.line"
    )


def read_object(body: bytes) -> Mapping[str, object]:
    """Read a JSON object in UTF-8; raises PayloadError.

    ``json.loads`` looks for the blanks around it with an expression, in all of the body.
    """
    try:
        text = body.decode("utf-8-sig").strip(BLANKS)
        values, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise PayloadError("the body is not JSON") from error
    if end < len(text):
        raise PayloadError("the body is not JSON: something follows its end")
    if not isinstance(values, dict):
        raise PayloadError("the body is not a JSON object")
    return values


def _order_of_line(values: Mapping[str, object], order_model: str) -> int:
    if "order_id" not in values:
        raise PayloadError(
            f"a {order_model}.line event needs the field order_id: add «Order Reference "
            "(order_id)» to the fields of the webhook action in Odoo"
        )
    return _id(values, "order_id")


def _id(values: Mapping[str, object], key: str) -> int:
    if key not in values:
        raise PayloadError(f"{key} is missing")
    return _checked(values[key], key)


def _batch(ids: object) -> tuple[int, ...]:
    if not isinstance(ids, list) or not ids:
        raise PayloadError("ids must be a list of order ids, not empty")
    if len(ids) > MOST_IDS:
        raise PayloadError(f"{len(ids)} ids in one body; send {MOST_IDS} at most")
    return tuple(sorted({_checked(item, "ids") for item in ids}))


def _checked(value: object, key: str) -> int:
    # bool is an int to Python; Odoo's false means «empty».
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_ID:
        raise PayloadError(
            f"{key} is {beginning(str(value), 40)!r}, which is no id of an Odoo record"
        )
    return value


def authorized(header: str, secrets: Sequence[str]) -> bool:
    """Whether the ``Authorization`` header carries one of the secrets; compares in constant time.

    The user name of Basic credentials is not looked at. No secrets: nobody is authorized.
    """
    presented = hashlib.sha256(_presented(header)).digest()
    matches = [
        hmac.compare_digest(presented, hashlib.sha256(secret.encode()).digest())
        for secret in secrets
        if secret
    ]
    return any(matches)


def _presented(header: str) -> bytes:
    scheme, _, credentials = header.strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials.encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""
