"""Whether a webhook gets from outside to this service: a ping through the public address.

It goes the way of Odoo's webhooks, with one of their secrets, and changes nothing.
"""

import time
from dataclasses import dataclass

from django.conf import settings

from bc_consumer.core.background_cache import BackgroundCache, Known
from bc_consumer.operations.public_ping import Ping, ping, webhook_endpoint

EVERY_SECONDS = 60.0
WAIT_SECONDS = 1.0
"""The longest that a page waits for a ping's answer; the ping itself goes on meanwhile."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What became of a ping, and after how many seconds."""

    ping: Ping
    seconds: float


def _ping() -> RoundTrip:
    began = time.monotonic()
    outcome = ping(webhook_endpoint(), settings.ODOO_WEBHOOK_SECRETS[0])
    return RoundTrip(outcome, time.monotonic() - began)


_known = BackgroundCache(_ping, every=EVERY_SECONDS, wait=WAIT_SECONDS)


def webhook_round_trip() -> Known[RoundTrip] | None:
    """Return what became of the latest ping, a minute old at most, and how old it is.

    None where no webhook can come, since PUBLIC_URL or ODOO_WEBHOOK_SECRETS is not set, and while
    the first ping is on its way.
    """
    if not settings.PUBLIC_URL or not settings.ODOO_WEBHOOK_SECRETS:
        return None
    return _known()


def forget() -> None:
    """Have a ping sent at the next call."""
    _known.forget()
