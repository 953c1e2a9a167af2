"""Reads a webhook's request: who sends it, and which orders it is about. Uses no Django.

:func:`authorized` checks the ``Authorization`` header. Odoo's webhook action cannot set headers,
but credentials in its URL (``https://odoo:SECRET@host/odoo/webhook/``) arrive as HTTP Basic
(measured on Odoo 17, 18 and 19). Other callers may send ``Authorization: Bearer SECRET``.

:func:`parse` reads the body: bytes → OrderEvent, or PayloadError. Odoo 17, 18 and 19 send
``_model``, ``_id`` and the fields chosen in the webhook action (measured). The body does not say
what happened; the URL's query does.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.core.shortening import cut_between_words

MOST_IDS = 1000
"""Most ids in one batch body."""
KEPT_CHARACTERS = 2_048
"""Characters of a body that are kept for operators."""
KEPT_OF_A_BATCH = 200
"""The same for a body with several ids: fewer, because each of the orders keeps a copy."""
ARRIVED = "bc_consumer.arrived"
"""Key in the WSGI environment of the time at which the body was complete and the wait for a thread
began, as of ``time.monotonic()``. Only ``site_server.py`` sets it."""
RETRY_AFTER_SECONDS = 5
"""The Retry-After sent with a 503."""
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
"""Methods of HTTP whose body nobody reads."""
EVENTS = ("changed", "created", "deleted")
BLANKS = " \t\r\n"

_DECODER = json.JSONDecoder()


class PayloadError(Exception):
    """The body or the query is invalid; the message says what to change in Odoo."""


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """The orders that an event is about, and whether they are being deleted."""

    order_ids: tuple[int, ...]
    deleted: bool
    text: str
    """The whole body as received, without NUL characters."""
    kept: int
    """How many of its characters to keep, to be cut only after secrets have been redacted."""


def parse(body: bytes, event: str, order_model: str) -> OrderEvent:
    """Read one webhook body. ``event`` is the URL's query parameter; empty means "changed".

    An event of a line counts as a change of its order, whatever happened to the line. Raises
    PayloadError.
    """
    event = event or "changed"
    if event not in EVENTS:
        raise PayloadError(
            f"unknown event {cut_between_words(event, 40)!r}: use ?event= with one of {EVENTS}"
        )
    values = read_object(body)
    kept = KEPT_OF_A_BATCH if "ids" in values else KEPT_CHARACTERS
    text = body.decode("utf-8", "replace").replace("\0", "")
    model = values.get("_model")
    if model == order_model:
        ids = _read_ids(values["ids"]) if "ids" in values else (_read_id(values, "_id"),)
        return OrderEvent(ids, event == "deleted", text, kept)
    if model == f"{order_model}.line":
        if "ids" in values:
            raise PayloadError(f"a batch of ids may only be of {order_model}")
        return OrderEvent((_read_order_of_line(values, order_model),), False, text, kept)
    raise PayloadError(
        f"_model is {cut_between_words(str(model), 60)!r}; "
        f"this webhook accepts {order_model} and {order_model}.line"
    )


def read_object(body: bytes) -> Mapping[str, object]:
    """Return the JSON object in a UTF-8 body. Raises PayloadError.

    ``json.loads`` would search the whole body for surrounding whitespace with a regular expression.
    """
    try:
        text = body.decode("utf-8-sig").strip(BLANKS)
        values, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise PayloadError("the body is not JSON") from error
    if end < len(text):
        raise PayloadError("the body is not JSON: text follows after the object")
    if not isinstance(values, dict):
        raise PayloadError("the body is not a JSON object")
    return values


def _read_order_of_line(values: Mapping[str, object], order_model: str) -> int:
    if "order_id" not in values:
        raise PayloadError(
            f'a {order_model}.line event needs the field order_id: add "Order Reference '
            '(order_id)" to the fields of the webhook action in Odoo'
        )
    return _read_id(values, "order_id")


def _read_id(values: Mapping[str, object], key: str) -> int:
    if key not in values:
        raise PayloadError(f"{key} is missing")
    return _check_id(values[key], key)


def _read_ids(ids: object) -> tuple[int, ...]:
    if not isinstance(ids, list) or not ids:
        raise PayloadError("ids must be a list of order ids that is not empty")
    if len(ids) > MOST_IDS:
        raise PayloadError(f"{len(ids)} ids in one body; send {MOST_IDS} at most")
    return tuple(sorted({_check_id(item, "ids") for item in ids}))


def _check_id(value: object, key: str) -> int:
    # In Python a bool is an int; Odoo sends false for an empty field.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= HIGHEST_ID:
        raise PayloadError(
            f"{key} is {cut_between_words(str(value), 40)!r}, which is not the id of an Odoo record"
        )
    return value


def authorized(header: str, secrets: Sequence[str]) -> bool:
    """Return whether the ``Authorization`` header carries one of the secrets, in constant time.

    The user name of Basic credentials is ignored. Without secrets nobody is authorized.
    """
    presented = hashlib.sha256(_read_secret(header)).digest()
    matches = [
        hmac.compare_digest(presented, hashlib.sha256(secret.encode()).digest())
        for secret in secrets
        if secret
    ]
    return any(matches)


def _read_secret(header: str) -> bytes:
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
