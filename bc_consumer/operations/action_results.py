"""The result of an action as it is stored: JSON without secrets, of a bounded size.

Messages keep their parts, so that a page says them in its reader's language.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.translatable import Message, stored_message

MOST_BYTES = 200_000
LONGEST_TEXT = 10_000
"""Characters of one text."""
SENTENCE, PARTS = "sentence", "parts"
"""The keys of a stored message."""
CUT = "cut"
"""Key of the note in a result that was too large: how many entries the lists had that were cut."""


def make_storable(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result as it is stored: redacted, messages with their parts, not too large.

    Where it is larger, the list or table with most in it is cut in half until it fits, and ``CUT``
    says how many entries there were.
    """
    stored: dict[str, Any] = _plain(result)
    before: dict[str, int] = {}
    while _size(stored) > MOST_BYTES:
        path, longest = _largest(stored)
        if len(longest) <= 1:
            return {CUT: before | {"": 1}}
        before.setdefault(path, len(longest))
        _halve(longest)
        stored[CUT] = before
    return stored


def messages_in(stored: Any) -> Any:
    """Return a stored result with its messages as such, for ``said``."""
    if isinstance(stored, dict):
        if stored.keys() == {SENTENCE, PARTS}:
            return stored_message(str(stored[SENTENCE]), str(stored[PARTS]))
        return {name: messages_in(value) for name, value in stored.items()}
    return [messages_in(value) for value in stored] if isinstance(stored, list) else stored


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, but for what DjangoJSONEncoder writes (dates, decimals)."""
    if isinstance(value, Message):
        safe = redacted(value, LONGEST_TEXT)
        return {SENTENCE: str(safe), PARTS: safe.parts()} if safe.parts() else str(safe)
    if isinstance(value, str):
        return redacted(value, LONGEST_TEXT)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, Collection):
        return [_plain(one) for one in value]
    return value


def _size(stored: Any) -> int:
    return len(json.dumps(stored, cls=DjangoJSONEncoder, ensure_ascii=False).encode())


def _largest(stored: Any, path: str = "") -> tuple[str, list[Any] | dict[str, Any]]:
    """Return the innermost list or table that has more than half of all, and the way to it."""
    pairs = stored.items() if isinstance(stored, dict) else enumerate(stored)
    inner = [(_size(value), name, value) for name, value in pairs if _may_be_cut(name, value)]
    if inner:
        size, name, value = max(inner, key=lambda one: one[0])
        if size * 2 > _size(stored) or not path:
            return _largest(value, f"{path}.{name}".removeprefix("."))
    return path, stored


def _may_be_cut(name: object, value: object) -> bool:
    if name == CUT or not value:
        return False
    is_message = isinstance(value, dict) and value.keys() == {SENTENCE, PARTS}
    return isinstance(value, list | dict) and not is_message


def _halve(entries: list[Any] | dict[str, Any]) -> None:
    keep = len(entries) // 2
    if isinstance(entries, list):
        del entries[keep:]
    else:
        for name in list(entries)[keep:]:
            del entries[name]
