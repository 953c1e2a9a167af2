"""docs/operations/actions.md has each kind of operators' action, who may ask, and its command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import load_command_class

from bc_consumer.models import OperatorAction

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/operations/actions.md"
ROW = re.compile(r"\| `(?P<kind>\w+)` \| (?P<who>[^|]+) \| (?P<commands>[^|]+) \|")
COMMAND = re.compile(r"`manage\.py (\w+)([^`]*)`")
Kind = OperatorAction.Kind


def rows() -> dict[str, tuple[str, list[tuple[str, list[str]]]]]:
    """By kind: who, and the commands with their arguments."""
    part = (ROOT / PAGE).read_text()
    return {
        row["kind"]: (
            row["who"].strip(),
            [(name, more.split()) for name, more in COMMAND.findall(row["commands"])],
        )
        for row in ROW.finditer(part)
    }


def test_each_kind_has_a_row_and_no_other() -> None:
    assert list(rows()) == [kind.value for kind in Kind]


@pytest.mark.parametrize("kind", Kind)
def test_the_row_says_who_may(kind: OperatorAction.Kind) -> None:
    who, _commands = rows()[kind.value]
    told = "operators" if kind in OperatorAction.FOR_OPERATORS else "administrators"
    assert who.startswith(told)


@pytest.mark.parametrize("kind", Kind)
def test_each_command_exists_and_has_these_options(kind: OperatorAction.Kind) -> None:
    _who, commands = rows()[kind.value]
    assert commands, f"{kind} has no command"
    for name, arguments in commands:
        parser = load_command_class("bc_consumer", name).create_parser("manage.py", name)
        options = {text for action in parser._actions for text in action.option_strings}
        choices = {one for action in parser._actions for one in action.choices or ()}
        for argument in arguments:
            assert argument in options | choices, f"{name} has no {argument}"
