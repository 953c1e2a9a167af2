"""When a time of day was last, in the project's time zone."""

import itertools
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone


def last_time(now: datetime, at: time) -> datetime:
    """Return the latest moment not after ``now`` at which it was this time of day.

    Everything that asks when the nightly run was due uses this: leave a day out here, and none is
    due then.
    """
    today = timezone.localtime(now).date()
    days = (today - timedelta(days=ago) for ago in itertools.count())
    moments = (_to_utc(day, at) for day in days)
    return next(moment for moment in moments if moment <= now)


def _to_utc(day: date, at: time) -> datetime:
    """Return this time of this day in UTC.

    In a zone whose clocks skip or repeat it, Python takes it as equal to no moment of another zone
    (PEP 495). A skipped moment counts as if the clocks had not been changed; of a repeated one the
    first counts.
    """
    return timezone.make_aware(datetime.combine(day, at)).astimezone(UTC)
