"""The hours in which people work, as a setting writes them: "mon-fri 8-18"."""

import re
from dataclasses import dataclass
from datetime import date, time

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(?P<days>\S+)\s+(?P<begin>\d{1,2}(:\d\d)?)-(?P<end>\d{1,2}(:\d\d)?)")


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """The same hours on each of some days of the week."""

    days: frozenset[int]
    """0: Monday … 6: Sunday."""
    begin: time
    end: time

    def has(self, day: date) -> bool:
        """Return whether people work on this day of the week."""
        return day.weekday() in self.days


def read_working_hours(text: str) -> WorkingHours:
    """Return the hours that are written like "mon-fri 8-18" or "mon,wed,sat 7:30-12".

    Raises ValueError for anything else, and for hours that do not end after they begin.
    """
    form = _FORM.fullmatch(text.strip().lower())
    if form is None:
        raise ValueError(text)
    begin, end = _time(form["begin"]), _time(form["end"])
    if begin >= end:
        raise ValueError(text)
    days = frozenset(day for part in form["days"].split(",") for day in _days(part))
    return WorkingHours(days, begin, end)


def _time(text: str) -> time:
    hour, _, minute = text.partition(":")
    # A day ends at 24, for which Python has no time.
    return time.max if (hour, minute or "00") == ("24", "00") else time(int(hour), int(minute or 0))


def _days(part: str) -> range | list[int]:
    first, dash, last = part.partition("-")
    begin = DAYS.index(first)
    if not dash:
        return [begin]
    end = DAYS.index(last)
    return range(begin, end + 1) if begin <= end else [*range(begin, 7), *range(end + 1)]
