"""What a check finds."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"
    """What it needs is not there: nothing can be told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found; ``fix`` says what to do, "" where nothing has to be done."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    ``name``: stable, for scripts. ``title``: for people, in the active language. ``needs``: names
    of checks without whose success this one can't tell anything. ``look`` gives what it found;
    nothing means that all is well.
    """

    name: str
    title: str
    look: Callable[[], Iterable[Finding]]
    needs: tuple[str, ...] = ()


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, text)


def warning(text: str, fix: str = "") -> Finding:
    """It works, and may not for long, or not as well as it could."""
    return Finding(Level.WARNING, text, fix)


def error(text: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(Level.ERROR, text, fix)
