"""Times of day in the project's time zone (``TIME_ZONE``), and moments that somebody typed."""

import itertools
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing in Odoo is older, and the first years of the calendar have no other time zones."""


def last_moment(now: datetime, at: time) -> datetime:
    """Return the latest moment not after ``now`` at which it was this time of day.

    Everything that asks when the nightly run was due uses this, or ``next_moment``: to skip a day,
    skip it in both functions.
    """
    moments = (moment_of(local_day(now) - timedelta(days=ago), at) for ago in itertools.count())
    return next(moment for moment in moments if moment <= now)


def next_moment(now: datetime, at: time) -> datetime:
    """Return the earliest moment after ``now`` at which it is this time of day."""
    moments = (moment_of(local_day(now) + timedelta(days=later), at) for later in itertools.count())
    return next(moment for moment in moments if moment > now)


def local_day(moment: datetime) -> date:
    """Return the day of this moment in the project's time zone."""
    return timezone.localtime(moment).date()


def moment_of(day: date, at: time) -> datetime:
    """Return this time of this day in UTC.

    In a zone whose clocks skip or repeat it, Python takes it as equal to no moment of another zone
    (PEP 495). A skipped moment counts as if the clocks had not been changed; of a repeated one the
    first counts.
    """
    return timezone.make_aware(datetime.combine(day, at)).astimezone(UTC)


def parse_moment(text: str) -> datetime | None:
    """Read «2026-11-24» or «2026-11-24T06:00»; TIME_ZONE applies without an offset.

    Returns None for any other text, and ``OLDEST`` for a moment before that.
    """
    text = text.strip()
    try:
        day = parse_date(text)
        moment = parse_datetime(text) if day is None else datetime.combine(day, time())
    except ValueError:  # the form is right, but no calendar has such a day
        return None
    if moment is None:
        return None
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    return max(moment, OLDEST)
