"""Finds the regular expressions of the product by itself, and plays hostile texts against them.

What is measured is the CPU time of this process, so that a busy machine changes little; what would
run for ever is broken off by a timer of the same clock (Python's ``re`` looks at signals).
"""

from __future__ import annotations

import ast
import importlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from tests.quick import some

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bc_consumer", "odoo_webhook", "project")
SIZES = (1024, 4096, 16_384, 65_536)
BUDGET_SECONDS = 1.0
"""For one text. The slowest honest one takes some 50 ms."""
NOTHING_SECONDS = 0.02
"""Less tells nothing of how it grows, and is quick anyway: 64 kB squared would take seconds."""
GENEROUS = 3.0
"""How much more than in proportion to the length; a square grows by four times too much."""

MENTIONED = re.compile(r"\b(re|regex)\b")

READERS = (
    "_markupbase", "email.message", "email.utils", "html", "html.parser", "http.cookies",
    "json.decoder", "urllib.parse",
    "django.core.handlers.wsgi", "django.http.request", "django.middleware.csrf",
    "django.utils.dateparse", "django.utils.html", "django.utils.http", "django.utils.text",
    "django.utils.translation.trans_real",
)  # fmt: skip
"""Modules of others that read what callers and Odoo send."""

PUMPS = (
    "'", '"', "\\", "\\\\", ":", "://", "[", "]", "{", "}", "(", ")", "<", ">", "%41", "%5C", "%",
    "@", " ", "\t", "\n", "\r", "\xa0", "a", "A", "_", "0", ".", ",", "=", "#", "/", "-", "«", "\0",
    "'a", '"a', "\\'", '\\"', "a.", "a ", "0.", "0,", "# ", "a:", "a@", ":@", "a=", "'\\", "::",
)  # fmt: skip


class TooSlow(AssertionError):
    """It was broken off."""


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """Break off what takes more CPU time; in the main thread only."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds} s of CPU")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def seconds_of(what: Callable[[str], object], text: str, times: int = 1) -> float:
    """Return the CPU time that it takes with this text: the shortest of several runs."""
    taken = []
    for _ in range(times):
        with budget(BUDGET_SECONDS):
            began = time.process_time()
            what(text)
            taken.append(time.process_time() - began)
    return min(taken)


def assert_linear(what: Callable[[str], object], text_of: Callable[[int], str]) -> None:
    """Assert that the time grows in proportion to the text, from 1 to 64 kB."""
    try:
        if seconds_of(what, text_of(SIZES[-1])) <= NOTHING_SECONDS:
            return
        seconds = [seconds_of(what, text_of(size), times=3) for size in SIZES]
    except TooSlow as error:
        raise AssertionError(f"{text_of(60)!r}: {error}") from None
    for (shorter, before), (longer, after) in zip(
        zip(SIZES, seconds, strict=True), list(zip(SIZES, seconds, strict=True))[1:], strict=False
    ):
        if after > NOTHING_SECONDS:
            # Of a time too short to be measured, the shortest that tells something.
            allowed = max(before, NOTHING_SECONDS / 8) * (longer / shorter) * GENEROUS
            assert after <= allowed, f"{text_of(60)!r}: {seconds} s for {SIZES}"


def worst_of(
    what: Callable[[str], object], beginnings: tuple[str, ...], size: int, most: int
) -> list[tuple[str, str, str]]:
    """Return the texts that take longest at this size, each as beginning, pump and end."""
    found = []
    for beginning in beginnings:
        for pump in some(PUMPS):
            for repeated in {pump, beginning + pump}:
                first = beginning if repeated == pump else ""
                shape = (first, repeated, "!")
                found.append((seconds_of(what, text_of(shape, size)), shape))
    found.sort(reverse=True)
    return [shape for _seconds, shape in found[:most]]


def text_of(shape: tuple[str, str, str], size: int) -> str:
    first, pump, last = shape
    return (first + pump * (size // len(pump) + 1))[: size - len(last)] + last


# --- the patterns of the product -----------------------------------------------------------------


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Give name and tree of each module in whose text ``re``, or ``regex``, occurs as a word."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            if "migrations" not in path.parts and MENTIONED.search(text):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield name.removesuffix(".__init__"), ast.parse(text)


def is_of_re(node: ast.AST) -> bool:
    """Tell a call of one of re's functions."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr != "escape"
    )


def named_patterns() -> dict[str, re.Pattern[Any]]:
    """Return each pattern that stands at a module's top, under a name."""
    found: dict[str, re.Pattern[Any]] = {}
    for name, tree in sources():
        for node in tree.body:
            if isinstance(node, ast.Assign) and is_of_re(node.value):
                target = node.targets[0]
                assert isinstance(target, ast.Name)
                found[f"{name}.{target.id}"] = getattr(importlib.import_module(name), target.id)
    return found


def patterns_of_others() -> dict[str, re.Pattern[Any]]:
    """Return the patterns at the top of the modules that read for us, under their names."""
    return {
        f"{name}.{attribute}": value
        for name in READERS
        for attribute, value in vars(importlib.import_module(name)).items()
        if isinstance(value, re.Pattern)
    }


def calls_elsewhere() -> set[str]:
    """Return where else re is used than to make a pattern that has a name."""
    found = set()
    for name, tree in sources():
        named = {id(node.value) for node in tree.body if isinstance(node, ast.Assign)}
        for node in ast.walk(tree):
            if is_of_re(node) and id(node) not in named:
                found.add(name)
            if isinstance(node, ast.ImportFrom) and node.module in {"re", "regex"}:
                found.add(name)
            if isinstance(node, ast.Import) and any(one.name == "regex" for one in node.names):
                found.add(name)
    return found


def patterns_of_addresses() -> dict[str, re.Pattern[str]]:
    """Return what Django matches paths with."""

    def walk(resolver: URLResolver) -> Iterator[tuple[str, re.Pattern[str]]]:
        for entry in resolver.url_patterns:
            pattern = entry.pattern
            compiled = getattr(pattern, "regex", None)
            if isinstance(compiled, re.Pattern):
                yield compiled.pattern, compiled
            if isinstance(entry, URLResolver):
                yield from walk(entry)
            else:
                assert isinstance(entry, URLPattern)

    return dict(walk(get_resolver()))


def uses(pattern: re.Pattern[Any]) -> Iterator[tuple[str, Callable[[str], object]]]:
    """Give what can be done with a pattern."""

    def given(text: str) -> Any:
        return text.encode() if isinstance(pattern.pattern, bytes) else text

    yield "search", lambda text: pattern.search(given(text))
    yield "fullmatch", lambda text: pattern.fullmatch(given(text))
    yield "sub", lambda text: pattern.sub(lambda _found: given("#"), given(text))


def beginnings_of(pattern: re.Pattern[Any]) -> tuple[str, ...]:
    """Return near-misses: what its literal parts say, one after the other, each cut short too."""
    text = str(pattern.pattern)
    literal = re.sub(r"\(\?[^)]*?[>:=!]|[\[\]{}()|*+?^$]|\\[a-zA-Z]", " ", text).replace("\\", "")
    words = [word for word in literal.split() if len(word) > 1][:6]
    whole = " ".join(words)
    return tuple(dict.fromkeys(("", *words, whole, "".join(words))))
