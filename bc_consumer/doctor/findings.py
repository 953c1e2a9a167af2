"""The types of checks and findings."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class Level(enum.Enum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"
    """Not checked, because a check that it depends on failed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found; ``fix`` says what to do, "" if nothing has to be done."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to check.

    ``name``: stable, for scripts. ``title``: for people, in the active language. ``needs``: names
    of checks without which this one could not run meaningfully. ``look`` returns the findings; none
    means that all is well.
    """

    name: str
    title: str
    look: Callable[[], Iterable[Finding]]
    needs: tuple[str, ...] = ()


def ok(text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, text)


def warning(text: str, fix: str = "") -> Finding:
    """Return a finding about what works now, but may not for long, or not as well as it could."""
    return Finding(Level.WARNING, text, fix)


def error(text: str, fix: str) -> Finding:
    """Return a finding about what does not work."""
    return Finding(Level.ERROR, text, fix)
