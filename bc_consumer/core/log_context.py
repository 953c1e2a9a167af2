"""What log lines are about: facts that hold for a piece of work, and for every line within it.

They belong to the running thread or task. A thread that is started for the same piece of work
states them again. ``bc_consumer/redaction.py`` writes them into structured log lines.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

LONGEST_LIST = 20
"""Values of one fact that a line shows; a batch may have a thousand orders."""

Fact = str | int | Collection[int] | None
_facts: ContextVar[Mapping[str, Fact]] = ContextVar("log_facts", default=MappingProxyType({}))


@contextmanager
def logging_about(**facts: Fact) -> Iterator[None]:
    """Add these facts to each log line within the block; None removes one that holds outside."""
    token = _facts.set({**_facts.get(), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def current_facts() -> dict[str, str | int | list[int]]:
    """Return the facts that hold here; a long list is cut to its first values; a list of one
    becomes that value."""
    return {
        name: fact if isinstance(fact, str | int) else _one_or_first(fact)
        for name, fact in _facts.get().items()
        if fact
    }


def _one_or_first(values: Collection[int]) -> int | list[int]:
    ordered = sorted(values)
    return ordered[0] if len(ordered) == 1 else ordered[:LONGEST_LIST]
