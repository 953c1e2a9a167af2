"""The hours in which people work, as a setting writes them: "mon-fri 8-18"."""

from dataclasses import dataclass
from datetime import date, time

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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
    days, hours = text.lower().split()
    first, last = hours.split("-")
    begin, end = _time(first), _time(last)
    if begin >= end:
        raise ValueError(text)
    return WorkingHours(
        frozenset(day for part in days.split(",") for day in _days(part)), begin, end
    )


def _time(text: str) -> time:
    hour, colon, minute = text.partition(":")
    if colon and not minute:
        raise ValueError(text)
    # A day ends at 24, for which Python has no time.
    return time.max if text in {"24", "24:00"} else time(int(hour), int(minute or 0))


def _days(part: str) -> range | list[int]:
    first, dash, last = part.partition("-")
    begin = DAYS.index(first)
    if not dash:
        return [begin]
    end = DAYS.index(last)
    return range(begin, end + 1) if begin <= end else [*range(begin, 7), *range(end + 1)]
