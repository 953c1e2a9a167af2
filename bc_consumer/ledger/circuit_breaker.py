"""The circuit breaker: keeps all workers from calling Odoo after it, or our access to it, failed.

Its state is in the ``Pace`` row that every claim updates anyway (``claims.take_turn``), so it costs
nothing while Odoo works. During a pause no worker can claim. After the pause the first worker to
claim gets a single order as a probe, and the others wait for its result. If the probe succeeds, the
breaker closes and all workers continue.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.translatable import Message, verbatim
from bc_consumer.models import Pace

PACE_ID = 1
"""Primary key of the only ``Pace`` row."""
FIRST_PAUSE_SECONDS = 1.0
"""The pause after the first failure. Each failed probe doubles it, up to LONGEST_PAUSE_SECONDS."""
LONGEST_PAUSE_SECONDS = 15.0
REFUSED_PAUSE_SECONDS = 60.0
"""Wrong credentials or missing rights need a person: frequent retries do not help."""
LONGEST_RETRY_AFTER_SECONDS = 300.0
"""Cap on the Retry-After that is honoured. A server may send a longer one by mistake, or for a
maintenance that ends sooner."""
PROBE_MARGIN_SECONDS = 5.0
"""Added to the timeouts of a probe's calls, for everything else that a probe does."""
CLOCK_MARGIN_SECONDS = 2.0
"""Tolerance for processes whose settings allow a longer wait than this process's."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A pause during which no worker of the deployment calls Odoo."""

    since: datetime
    refused: bool
    """Odoo answers but refuses our requests (login, rights, fields): a person must act."""
    reason: Message
    """The latest error. It may name the account, so it is not shown to everybody."""
    seconds: float
    """Seconds since the outage began."""
    pause: float
    """Seconds until the next probe."""


def probe_seconds() -> float:
    """Return the longest time in seconds that a probe can take."""
    return float(2 * settings.ODOO_TIMEOUT_SECONDS + PROBE_MARGIN_SECONDS)


def longest_pause() -> float:
    """Return the greatest number of seconds that ``next_claim_at`` can lie ahead during an outage.

    If it lies further ahead, the database's clock was set back.
    """
    return max(LONGEST_RETRY_AFTER_SECONDS, probe_seconds()) + CLOCK_MARGIN_SECONDS


def record_failure(
    reason: Message, *, probing: bool, refused: bool = False, retry_after: float | None = None
) -> Outage:
    """Begin a pause, or double it when a probe failed; return the outage as it stands now.

    The pause doubles with each failed probe, not with each worker: calls that were already under
    way when the first one failed leave its length as it is. ``retry_after`` is the number of
    seconds that Odoo, or a proxy in front of it, asked for.
    """
    with transaction.atomic():
        row = Pace.objects.select_for_update().annotate(now=Now()).get(pk=PACE_ID)
        if row.paused_since is None or row.paused_since > row.now:
            row.paused_since, row.pause_seconds = row.now, FIRST_PAUSE_SECONDS
        elif probing:
            row.pause_seconds = min(row.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        pause = row.pause_seconds
        if retry_after is not None:
            pause = max(pause, min(retry_after, LONGEST_RETRY_AFTER_SECONDS))
        if refused:
            pause = max(pause, REFUSED_PAUSE_SECONDS)
        until = row.now + timedelta(seconds=pause)
        current_until = row.now + timedelta(seconds=_outage_of(row).pause)
        row.next_claim_at = until if probing else max(current_until, until)
        row.refused, row.reason = refused, redacted(reason)
        row.save()
        return _outage_of(row)


def record_success() -> Outage | None:
    """End the outage and return it, or None when another worker has ended it already."""
    with transaction.atomic():
        was = current_outage()
        ended = Pace.objects.filter(pk=PACE_ID, paused_since__isnull=False).update(
            next_claim_at=Now(), paused_since=None, pause_seconds=0.0, refused=False, reason=""
        )
    return was if ended else None


def probe_soon() -> None:
    """Allow a probe at once, because there is reason to believe that Odoo is back."""
    Pace.objects.filter(pk=PACE_ID, paused_since__isnull=False).update(next_claim_at=Now())


def current_outage() -> Outage | None:
    """Return the current outage, or None."""
    paused = Pace.objects.filter(pk=PACE_ID, paused_since__isnull=False)
    row = paused.annotate(now=Now()).first()
    return None if row is None else _outage_of(row)


def _outage_of(row: Pace) -> Outage:
    now: datetime = row.now  # type: ignore[attr-defined]  # annotated above
    since = row.paused_since or now
    pause = max((row.next_claim_at - now).total_seconds(), 0.0)
    if pause > longest_pause():
        pause = 0.0
    return Outage(
        since=since,
        refused=row.refused,
        reason=verbatim(row.reason),
        seconds=max((now - since).total_seconds(), 0.0),
        pause=pause,
    )
