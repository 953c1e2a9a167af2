"""The breaker: how long a deployment leaves Odoo alone after Odoo, or our access to it, failed.

It is the row that every claim has to take anyway (``Pace``), so it costs nothing while all is well.
During a pause nobody can claim. After it the first who claims gets a few orders, as a probe, and
the pause goes on for the others until the probe has told. Its success lets everybody go on.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from bc_consumer.core.redaction import redacted
from bc_consumer.core.sql_dialect import dialect
from bc_consumer.core.translatable import Message, verbatim
from bc_consumer.models import Pace

PACE_ID = 1
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
REFUSED_PAUSE_SECONDS = 60.0
"""Wrong credentials or missing rights need a person: asking often helps nobody."""
LONGEST_RETRY_AFTER_SECONDS = 300.0
"""A server that asks for more, by mistake or for a maintenance that ends sooner, is asked then."""
PROBE_MARGIN_SECONDS = 5.0
CLOCK_MARGIN_SECONDS = 2.0
"""What processes with other settings may wait longer."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to claim one batch now."""

    probing: bool
    """Odoo failed before: this batch is the only one, and finds out whether it is back."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Odoo is being left alone, by all workers of the deployment."""

    since: datetime
    refused: bool
    """It answers, and refuses us: a person has to correct something."""
    reason: Message
    """The latest error. It may name the account: not for everybody's eyes."""
    seconds: float
    """How long it has lasted."""
    pause: float
    """Seconds until somebody asks again."""


def pace_seconds() -> float:
    """Return the shortest time between two claims that are not full.

    With a limit of calls per second, of all claims: else full ones would queue up for their calls,
    and a webhook's order behind them.
    """
    rate = settings.ODOO_CALLS_PER_SECOND
    return max(float(settings.BATCH_PACE_SECONDS), 1 / rate if rate else 0.0)


def longest_wait(*, paused: bool) -> float:
    """Return how many seconds ahead the next claim may be; further, the clock was set back."""
    if not paused:
        return pace_seconds() + CLOCK_MARGIN_SECONDS
    return max(LONGEST_RETRY_AFTER_SECONDS, _probe_seconds()) + CLOCK_MARGIN_SECONDS


def _probe_seconds() -> float:
    """Return the longest time that a probe can take."""
    return float(2 * settings.ODOO_TIMEOUT_SECONDS + PROBE_MARGIN_SECONDS)


def take_turn() -> Turn | None:
    """Take the next turn to claim, if it is time for one.

    The following one comes ``BATCH_PACE_SECONDS`` later; when this one is a probe, after the
    longest time that a probe can take, should its worker be killed.
    """
    sql = dialect()
    table = Pace._meta.db_table
    later = sql.later.format("CASE WHEN paused_since IS NULL THEN %s ELSE %s END")
    statement = f"""
        UPDATE {table} SET next_claim_at = {later}
        WHERE id = %s AND (next_claim_at <= {sql.now} OR next_claim_at > {later})
        RETURNING paused_since"""
    longest = [longest_wait(paused=False), longest_wait(paused=True)]
    with connection.cursor() as cursor:
        cursor.execute(statement, [pace_seconds(), _probe_seconds(), PACE_ID, *longest])
        found = cursor.fetchone()
    return None if found is None else Turn(probing=found[0] is not None)


def give_turn_back() -> None:
    """Let the next turn come at once: this one made no use of it."""
    Pace.objects.filter(pk=PACE_ID).update(next_claim_at=Now())


def seconds_to_turn() -> float:
    """Return how long until somebody may claim; never 0."""
    row = Pace.objects.annotate(now=Now()).get(pk=PACE_ID)
    return max(_outage(row).pause, 0.001)


def record_failure(
    reason: Message, *, probing: bool, refused: bool = False, retry_after: float | None = None
) -> Outage:
    """Begin a pause, or make it longer when a probe failed; return what is known now.

    Calls that were under way when the first one failed, and fail too, change nothing: the pause
    doubles with each probe, not with each worker. ``retry_after``: seconds that Odoo, or what is in
    front of it, asked for.
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
        known = row.now + timedelta(seconds=_outage(row).pause)
        row.next_claim_at = until if probing else max(known, until)
        row.refused, row.reason = refused, redacted(reason)
        row.save()
        return _outage(row)


def record_success() -> Outage | None:
    """End the pause; return what it was, or None when somebody else ended it before."""
    with transaction.atomic():
        was = current_outage()
        ended = Pace.objects.filter(pk=PACE_ID, paused_since__isnull=False).update(
            next_claim_at=Now(), paused_since=None, pause_seconds=0.0, refused=False, reason=""
        )
    return was if ended else None


def probe_soon() -> None:
    """Let a probe be made at once: somebody has reason to think that Odoo is back."""
    Pace.objects.filter(pk=PACE_ID, paused_since__isnull=False).update(next_claim_at=Now())


def current_outage() -> Outage | None:
    """Return the outage that there is, or None."""
    paused = Pace.objects.filter(pk=PACE_ID, paused_since__isnull=False)
    row = paused.annotate(now=Now()).first()
    return None if row is None else _outage(row)


def _outage(row: Pace) -> Outage:
    now: datetime = row.now  # type: ignore[attr-defined]  # annotated above
    since = row.paused_since or now
    pause = max((row.next_claim_at - now).total_seconds(), 0.0)
    if pause > longest_wait(paused=row.paused_since is not None):
        pause = 0.0
    return Outage(
        since=since,
        refused=row.refused,
        reason=verbatim(row.reason),
        seconds=max((now - since).total_seconds(), 0.0),
        pause=pause,
    )
