"""docs/operations/runbook.md has a section for every alert: what it means, and what to do.

Each says what to press in the console, and which command does the same: buttons and commands that
are there.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from bc_consumer.operations import alert_channels, alerts
from tests import documents
from tests.documents import pages, running_text, sections

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = "docs/operations/runbook.md"
HEADING = re.compile(r"`(?P<key>[a-z ]+)(?:: …)?`")
ROW = re.compile(r"^\| \[`(?P<key>[^`]+)`\]\(#[\w-]+\) \| [^|]{20,} \|$", re.MULTILINE)
PARTS = ("What it means.", "What to press.", "By command.")
KEY = re.compile(r"[a-z][a-z ]+:?")
MESSAGE = re.compile(r'^msgid ((?:"(?:[^"\\]|\\.)*"\n)+)', re.MULTILINE)
BUTTON = re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")
CATALOGUE = "bc_consumer/locale/fr/LC_MESSAGES/django.po"
IN_A_COMMAND = re.compile(r"--(?:acknowledge|mute|unmute) '([^']+)'")
COMMAND = re.compile(r"`manage\.py (\w+)([^`]*)`")


def alert_sections() -> dict[str, str]:
    """Return the section of each alert by its key, without what stands behind a colon."""
    found = {}
    for heading, text in sections(pages()[RUNBOOK]).items():
        match = HEADING.fullmatch(heading)
        if match is not None:
            found[match["key"]] = " ".join(text.split())
    return found


def documented() -> set[str]:
    return {"fields lack:" if key == "fields lack" else key for key in alert_sections()}


def part(key: str, title: str) -> str:
    """Return what stands behind this title in an alert's section, up to the next one."""
    rest = alert_sections()[key].partition(f"**{title}**")[2]
    return re.split(r"\*\*|```", rest)[0]


@cache
def keys_in_code() -> frozenset[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "bc_consumer").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for call in calls_of_alert(function):
                    keys = set(keys_of(call.args[0], function, module_of(path)))
                    assert keys, f"{path}:{call.lineno}: which key?"
                    found |= keys
    return frozenset(found)


@cache
def messages() -> frozenset[str]:
    """Return every English sentence of the catalogue."""
    return frozenset(
        ast.literal_eval("(" + text.replace("\n", " ") + ")")
        for text in MESSAGE.findall((ROOT / CATALOGUE).read_text("utf-8"))
    )


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
    assert keys_in_code() - documented() == set(), f"add sections to {RUNBOOK}"
    assert documented() - keys_in_code() == set(), "nothing raises these any more"


def test_examples_name_alerts_that_there_are() -> None:
    keys, named = keys_in_code(), 0
    for path in documents.everywhere():
        for block in documents.fences(path.read_text(encoding="utf-8")):
            for key in (*re.findall(r"\bALERT ([a-z ]+):", block), *IN_A_COMMAND.findall(block)):
                assert {key, f"{key}:"} & keys, f"{documents.place(path)}: no alert {key!r}"
                named += 1
    assert named > 3, "the search for alerts finds hardly any: has it broken?"


def test_the_list_leads_to_each_section() -> None:
    listed = {match["key"].removesuffix(": …") for match in ROW.finditer(pages()[RUNBOOK])}
    assert listed == set(alert_sections())


@pytest.mark.parametrize("key", sorted(alert_sections()))
def test_each_says_what_it_means_what_to_press_and_the_command(key: str) -> None:
    for title in PARTS:
        assert len(part(key, title)) > len("Nothing."), f"{key}: **{title}** is missing"


@pytest.mark.parametrize("key", sorted(alert_sections()))
def test_the_buttons_are_the_console_s(key: str) -> None:
    shown = messages()
    for button in BUTTON.findall(part(key, "What to press.")):
        assert button in shown, f"{key}: the console has no «{button}»"


@pytest.mark.parametrize("key", sorted(alert_sections()))
def test_the_commands_are_there_with_these_options(key: str) -> None:
    commands = COMMAND.findall(part(key, "By command."))
    assert commands, f"{key} names no command"
    for name, arguments in commands:
        app = get_commands()[name]
        assert isinstance(app, str)
        parser = load_command_class(app, name).create_parser("manage.py", name)
        options = {text for action in parser._actions for text in action.option_strings}
        for option in re.findall(r"--[\w-]+", arguments):
            assert option in options, f"{key}: {name} has no {option}"


def test_each_alert_of_prometheus_leads_to_a_section() -> None:
    rules = yaml.safe_load((ROOT / "docs/monitoring/alert-rules.yml").read_text())
    wanted = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    told = sections(pages()[RUNBOOK])["Alerts of Prometheus"]
    names = [name for row in told.splitlines() for name in re.findall(r"`(BC\w+)`", row)]
    assert sorted(names) == sorted(wanted)


def test_the_figures_told_are_the_code_s() -> None:
    text = running_text()
    assert f"together have {alert_channels.SECONDS:g} s" in text
    assert f"{alerts.LONGEST_MUTE.days} days at most" in text
    minutes = alerts.TRY_AGAIN_AFTER.total_seconds() / 60
    hours = alerts.TRIED_FOR.total_seconds() / 3600
    assert (minutes, hours) == (1, 1)
    assert "each minute within the next hour" in text
