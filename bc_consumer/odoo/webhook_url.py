"""The address that a webhook action calls: composes it, parses it, and masks its secret.

Odoo's webhook action sends no headers of its own, and its body does not say what happened
(measured on Odoo 17, 18 and 19). So the secret is in the URL's credentials, which arrive as HTTP
Basic, and the event and the model are in its query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

USER = "odoo"
"""The credentials' user name; the receiver does not look at it."""
HIDDEN = "***"
SHOWN_QUERY = frozenset({"event", "model"})
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """The parts of a webhook's address. ``endpoint``: normalised, without credentials and query."""

    endpoint: str
    secret: str = field(repr=False)
    query: Mapping[str, str] = field(repr=False)

    @property
    def event(self) -> str:
        """The event in the query: "changed", "deleted", or "" if there is none."""
        return self.query.get("event", "")

    @property
    def model(self) -> str:
        """The model in the query, "" if there is none: only addresses that we composed have it."""
        return self.query.get("model", "")


def compose_webhook_url(endpoint: str, secret: str, event: str, model: str) -> str:
    """Return ``https://odoo:SECRET@host/path/?event=…&model=…``."""
    scheme, _, rest = endpoint.partition("://")
    credentials = f"{USER}:{quote(secret, safe='')}@"
    return f"{scheme}://{credentials}{rest}?{urlencode({'event': event, 'model': model})}"


def parse_webhook_url(url: str) -> WebhookUrl:
    """Parse the address of any webhook action; all parts are "" if it can't be parsed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a port that is no number, a broken IPv6 address
        return WebhookUrl("", "", {})
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    return WebhookUrl(
        endpoint=f"{parts.scheme}://{host}{parts.path.rstrip('/')}/",
        secret=unquote(parts.password or ""),
        query=dict(parse_qsl(parts.query)),
    )


def mask_url(url: str) -> str:
    """Return an address with its credentials and unknown query values replaced by "***"."""
    parts = parse_webhook_url(url)
    if not parts.endpoint:
        return HIDDEN
    scheme, _, rest = parts.endpoint.partition("://")
    credentials = f"{USER}:{HIDDEN}@" if parts.secret else ""
    query = "&".join(
        f"{name}={value if name in SHOWN_QUERY else HIDDEN}" for name, value in parts.query.items()
    )
    return f"{scheme}://{credentials}{rest}" + (f"?{query}" if query else "")
