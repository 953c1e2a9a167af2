"""The address that a webhook action calls: made, taken apart, and shown without its secret.

Odoo's webhook action sends no headers of its own, and its body does not say what happened
(measured on Odoo 17, 18 and 19). So the secret travels as the URL's credentials, which arrive as
HTTP Basic, and the event and the model in its query.
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
    """A webhook's address taken apart. ``endpoint``: what comes before the query, normalised."""

    endpoint: str
    secret: str = field(repr=False)
    query: Mapping[str, str] = field(repr=False)

    @property
    def event(self) -> str:
        """What the address says has happened: changed, deleted, or "" for neither."""
        return self.query.get("event", "")

    @property
    def model(self) -> str:
        """The model that the address names; only addresses of our own making have it."""
        return self.query.get("model", "")


def compose(endpoint: str, secret: str, event: str, model: str) -> str:
    """Put the address together: ``https://odoo:SECRET@host/path/?event=…&model=…``."""
    scheme, _, rest = endpoint.partition("://")
    credentials = f"{USER}:{quote(secret, safe='')}@"
    return f"{scheme}://{credentials}{rest}?{urlencode({'event': event, 'model': model})}"


def take_apart(url: str) -> WebhookUrl:
    """Read any address that may stand in a webhook action; what can't be read gives "" parts."""
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


def masked(url: str) -> str:
    """Show an address without what may be secret in it: credentials, unknown query values."""
    parts = take_apart(url)
    if not parts.endpoint:
        return HIDDEN
    scheme, _, rest = parts.endpoint.partition("://")
    credentials = f"{USER}:{HIDDEN}@" if parts.secret else ""
    query = "&".join(
        f"{name}={value if name in SHOWN_QUERY else HIDDEN}" for name, value in parts.query.items()
    )
    return f"{scheme}://{credentials}{rest}" + (f"?{query}" if query else "")
