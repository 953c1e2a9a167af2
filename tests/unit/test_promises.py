"""docs/promises.md: each promise stands where people read it, and has a test that is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.documents import pages

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| (?P<promise>.+) \| (?P<tests>`\S+::\w+`(?:, `\S+::\w+`)*) \|")
TEST = re.compile(r"`(?P<file>\S+)::(?P<function>\w+)`")
HEADINGS = ("| promise |", "| --- |")


def rows() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each promise with its tests, as (file, function)."""
    found = []
    for line in (ROOT / "docs/promises.md").read_text().splitlines():
        if not line.startswith("|") or line.startswith(HEADINGS):
            continue
        row = ROW.fullmatch(line)
        assert row is not None, f"not a promise and its tests: {line}"
        found.append((row["promise"], TEST.findall(row["tests"])))
    return found


def plain(text: str) -> str:
    """As it reads: without line breaks, emphasis, and the addresses of links."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text.replace("*", ""))
    return " ".join(text.split()).casefold()


@cache
def read() -> str:
    return " ".join(map(plain, pages().values()))


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_there_are_promises() -> None:
    assert len(rows()) > 50


@pytest.mark.parametrize("promise", [promise for promise, _tests in rows()])
def test_each_promise_stands_in_the_readme_or_on_a_page(promise: str) -> None:
    assert plain(promise) in read()


@pytest.mark.parametrize("test", sorted({test for _promise, tests in rows() for test in tests}))
def test_each_test_is_there(test: tuple[str, str]) -> None:
    file, function = test
    assert function.startswith("test_")
    assert function in functions(file)
