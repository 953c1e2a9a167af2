"""The types of checks and findings. Their texts are messages: whoever shows them says them."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bc_consumer.core.translatable import NOTHING, Message, verbatim


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
    text: Message
    fix: Message = NOTHING


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to check.

    ``name``: stable, for scripts. ``title``: a message. ``needs``: names of checks without which
    this one could not run meaningfully. ``look`` returns the findings; none means that all is well.
    """

    name: str
    title: str
    look: Callable[[], Iterable[Finding]]
    needs: tuple[str, ...] = ()


def ok(text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, verbatim(text))


def warning(text: str, fix: str = "") -> Finding:
    """Return a finding about what works now, but may not for long, or not as well as it could."""
    return Finding(Level.WARNING, verbatim(text), verbatim(fix))


def error(text: str, fix: str) -> Finding:
    """Return a finding about what does not work."""
    return Finding(Level.ERROR, verbatim(text), verbatim(fix))
