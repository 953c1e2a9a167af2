"""The documents tell of every alert: its key, what it means, and what to do; and of no other.

An alert has a row of a table whose first column is «key», or a heading that is its key.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from bc_consumer.operations import alert_channels, alerts
from tests.unit import documents

ROOT = Path(__file__).resolve().parents[2]
KEY = re.compile(r"[a-z][a-z ]+:?")
HEADING = re.compile(r"`[a-z][a-z ]+(: .*)?`")
IN_A_COMMAND = re.compile(r"--(?:acknowledge|mute|unmute) '([^']+)'")


def documented() -> set[str]:
    """Return the keys that have a row or a heading; what follows a colon differs each time."""
    found = set()
    for path in documents.pages():
        text = path.read_text(encoding="utf-8")
        for table in documents.tables(text):
            if table.header[0] in {"key", "alert"}:
                for key, *told in table.rows:
                    assert min(map(len, told)) >= 10, f"{key}: what it means, and what to do?"
                    found.add(kind(key.strip("`")))
        found |= {kind(one[1:-1]) for one in documents.headings(text) if HEADING.fullmatch(one)}
    return found


def kind(key: str) -> str:
    return re.sub(r": .*", ":", key)


def keys_in_code() -> set[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "bc_consumer").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for call in calls_of_alert(function):
                    keys = set(keys_of(call.args[0], function, module_of(path)))
                    assert keys, f"{path}:{call.lineno}: which key?"
                    found |= keys
    return found


def calls_of_alert(function: ast.FunctionDef) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "alert":
            yield node


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def keys_of(node: ast.expr, function: ast.FunctionDef, module: ModuleType) -> Iterator[str]:
    """Yield the texts that look like a key, of which the expression is made."""
    if isinstance(node, ast.IfExp):
        yield from keys_of(node.body, function, module)
        yield from keys_of(node.orelse, function, module)
    elif isinstance(node, ast.BinOp):
        yield from keys_of(node.left, function, module)
    elif isinstance(node, ast.Constant) and KEY.fullmatch(str(node.value)):
        yield str(node.value)
    elif isinstance(node, ast.Name | ast.Attribute):
        name = ast.unparse(node)
        value: object = module
        for step in name.split("."):
            value = getattr(value, step, None)
        if isinstance(value, str):
            yield value.strip()
        for assigned in ast.walk(function):
            if isinstance(assigned, ast.Assign) and name in map(ast.unparse, assigned.targets):
                yield from keys_of(assigned.value, function, module)


def test_the_search_finds_keys_however_they_are_written() -> None:
    assert keys_in_code() >= {"odoo away", "run failed", "fields lack:", "forbidden", "brake"}


def test_every_alert_is_documented_and_no_other() -> None:
    assert keys_in_code() - documented() == set(), "add these to the table of alerts in docs/"
    assert documented() - keys_in_code() == set(), "nothing raises these any more"


def test_examples_name_alerts_that_there_are() -> None:
    keys, named = keys_in_code(), 0
    for path in documents.pages():
        for block in documents.fences(path.read_text(encoding="utf-8")):
            for key in (*re.findall(r"\bALERT ([a-z ]+):", block), *IN_A_COMMAND.findall(block)):
                assert {key, f"{key}:"} & keys, f"{documents.place(path)}: no alert {key!r}"
                named += 1
    assert named > 3, "the search for alerts finds hardly any: has it broken?"


def test_the_figures_told_are_the_code_s() -> None:
    text = " ".join(" ".join(path.read_text().split()) for path in documents.pages())
    assert f"together have {alert_channels.SECONDS:g} s" in text
    assert f"{alerts.LONGEST_MUTE.days} days at most" in text
    minutes = alerts.TRY_AGAIN_AFTER.total_seconds() / 60
    hours = alerts.TRIED_FOR.total_seconds() / 3600
    assert (minutes, hours) == (1, 1)
    assert "each minute within the next hour" in text
