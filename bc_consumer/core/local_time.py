"""Times of day in the project's time zone (``TIME_ZONE``), as moments in UTC."""

import itertools
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone


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
