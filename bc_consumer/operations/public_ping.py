"""The address at which Odoo reaches this service, and a ping that proves it leads here.

A ping is a webhook that changes nothing. Its answer contains a proof that only a process with our
SECRET_KEY can compute, so that another copy at the same address is not mistaken for this one.
"""

import enum
import hmac
import json
import secrets
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.crypto import salted_hmac

from bc_consumer.core.http_probe import NoAnswer, ProbeAnswer, Trouble, ask
from bc_consumer.core.translatable import NOTHING, Message
from bc_consumer.core.translatable import gettext as _

PING = "ping"
"""The event's name in the URL's query."""
LONGEST_NONCE = 100


class PingArrival(enum.Enum):
    """Where a ping arrived."""

    HERE = "here"
    """This service answered and accepted the secret."""
    SECRET_REFUSED = "secret refused"  # noqa: S105 (no secret)
    REDIRECTED = "redirected"
    ELSEWHERE = "elsewhere"
    """Another copy of this software answered and accepted the secret."""
    NOT_US = "not us"
    """Something else answered."""
    NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class Ping:
    """The outcome of a ping; ``detail``: a redirect's target, an HTTP status, or an error's text.

    ``trouble``: why there was no answer, otherwise None.
    """

    arrival: PingArrival
    detail: str = ""
    trouble: Trouble | None = None


def webhook_endpoint(public_url: str = "") -> str:
    """Return the webhook's address without secret and query; "" while PUBLIC_URL is not set.

    It ends in a slash, because some proxies redirect an address without one, and Odoo would then
    turn its POST into a GET (measured on Odoo 17, 18 and 19).
    """
    base = (public_url or settings.PUBLIC_URL).rstrip("/")
    if not base:
        return ""
    path = reverse("odoo-webhook").rstrip("/")
    return f"{base.removesuffix(path)}{path}/"


def address_error(url: str) -> Message:
    """Return what is wrong with a public URL; "" if nothing is."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return _("it is not an address like https://copy.example.com")
    if "@" in parts.netloc or parts.query or parts.fragment:
        return _("it must contain no credentials, no query and no fragment")
    return NOTHING


def proof(nonce: str) -> str:
    """Return the answer to this ping, which only a process with our SECRET_KEY can compute."""
    return salted_hmac("bc_consumer.public_address.ping", nonce, algorithm="sha256").hexdigest()


def ping(endpoint: str, secret: str) -> Ping:
    """Send a ping to the webhook as Odoo would send an event; it changes nothing."""
    nonce = secrets.token_urlsafe(16)
    credentials = b64encode(f"odoo:{secret}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"}
    body = json.dumps({PING: nonce}).encode()
    try:
        answer = ask(f"{endpoint}?event={PING}", "POST", body, headers)
    except NoAnswer as error:
        return Ping(PingArrival.NO_ANSWER, str(error), error.trouble)
    return _read(answer, nonce)


def _read(answer: ProbeAnswer, nonce: str) -> Ping:
    if 300 <= answer.status < 400:
        return Ping(PingArrival.REDIRECTED, _shown(answer.redirects_to))
    if answer.status == 401 and "odoo webhook" in answer.headers.get("www-authenticate", ""):
        return Ping(PingArrival.SECRET_REFUSED)
    pong = _pong(answer.body) if answer.status == 200 else None
    if pong is None:
        return Ping(PingArrival.NOT_US, f"HTTP {answer.status}")
    if not hmac.compare_digest(pong.encode(), proof(nonce).encode()):
        return Ping(PingArrival.ELSEWHERE)
    return Ping(PingArrival.HERE)


def _pong(body: bytes) -> str | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    pong = value.get("pong") if isinstance(value, dict) else None
    return pong if isinstance(pong, str) else None


def _shown(url: str) -> str:
    """Return an address without credentials and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if url else "?"
