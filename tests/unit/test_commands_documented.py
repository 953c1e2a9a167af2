"""docs/commands.md has every command, option and exit code, and the documents name no other."""

from __future__ import annotations

import argparse
import ast
import enum
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dramatiq.cli
import pytest
from django.core.management import find_commands, get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.utils import translation

import bench.__main__
import odoo_simulator.__main__
import tests.chaos.__main__
from tests import documents
from tests.documents import ROOT

COMMANDS = find_commands(str(ROOT / "bc_consumer/management"))
PROGRAMS = {
    "python -m odoo_simulator": odoo_simulator.__main__.parser,
    "python -m bench": bench.__main__.make_parser,
    "python -m tests.chaos": tests.chaos.__main__.make_parser,
}
PAGE = "commands.md"
CODE = re.compile(r"^ +(\d+)  \S", re.MULTILINE)
STORIES = {"odoo_rules": "bc_consumer/installation/rule_installation.py"}
"""Where a command ends that shares its story with the console."""
BY_ARGPARSE_AND_DJANGO = {0, 1, 2}
"""Success, CommandError or an unexpected error, and wrong options: no command says these itself."""
OTHERS = {
    # of ./test
    "--quick", "--keep",
    # of programs of others, which the documents tell people to call
    "--cov", "--disable-pip", "--fix", "--no-header", "--python-version", "--requirement",
    "--upgrade-package", "--with-demo", "--preload", "--scale", "--strict",
}  # fmt: skip


@cache
def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command of manage.py, or of one of our programs, in English."""
    if name in PROGRAMS:
        return PROGRAMS[name]()
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    with translation.override("en"):
        return command.create_parser("manage.py", name)


@cache
def common() -> argparse.ArgumentParser:
    """Return a parser with the options that Django gives to each command."""
    return BaseCommand().create_parser("manage.py", "any")


def words_of(action: argparse.Action) -> set[str]:
    """Return how the option, or the argument, is written."""
    if action.option_strings:
        return set(action.option_strings)
    return set(map(str, action.choices or [action.metavar or action.dest]))


def actions_of(parser: argparse.ArgumentParser, *, own: bool = True) -> dict[str, argparse.Action]:
    """Return options and arguments by how they are written; ``own``: without those of Django."""
    left_out = {_identity(action) for action in common()._actions} if own else set()
    return {
        word: action
        for action in parser._actions
        if _identity(action) not in left_out
        for word in words_of(action)
    }


def _identity(action: argparse.Action) -> object:
    """Tell the simulator's ``--version``, which takes a number, from Django's."""
    return type(action), tuple(action.option_strings)


def told(name: str, first: str) -> list[tuple[str, ...]]:
    """Return the rows of the section's table with this first column; none where it has no table."""
    text = documents.section(documents.page(PAGE), name)
    found = [table for table in documents.tables(text) if table.header[0] == first]
    assert len(found) <= 1, f"two tables {first!r} under {name}"
    return list(found[0].rows) if found else []


def told_options(name: str) -> dict[str, bool]:
    """Return each documented option, and whether a value is told to follow it."""
    return {
        span.split()[0]: len(span.split()) > 1
        for cell, *_ in told(name, "option")
        for span in documents.spans(cell)
    }


def told_codes(name: str) -> set[int]:
    return {int(cell.strip("`")) for cell, *_ in told(name, "exit code")}


def codes_in_help(name: str) -> set[int]:
    return {int(code) for code in CODE.findall(parser_of(name).epilog or "")}


def codes_in_code(name: str) -> set[int]:
    """Return what the command ends with by name; its table of codes does not count."""
    path = ROOT / STORIES.get(name, f"bc_consumer/management/commands/{name}.py")
    module = load_command_class("bc_consumer", name).__module__
    enums = {
        name: value
        for name, value in vars(importlib.import_module(module)).items()
        if isinstance(value, type) and issubclass(value, enum.IntEnum) and name.endswith("Exit")
    }
    found = set()
    for node in _outside_of_add_arguments(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("Exit"):
            found.add(int(enums[ast.unparse(node.value)][node.attr]))
    return found


def _outside_of_add_arguments(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.FunctionDef) and node.name == "add_arguments"):
            yield node
            yield from _outside_of_add_arguments(node)


# --- the page of commands -----------------------------------------------------------------------


def test_every_command_and_program_has_a_section_and_no_other() -> None:
    text = documents.page(PAGE)
    found = set(re.findall(r"^##+ ([a-z]\S*(?: -m \S+)?)$", text, re.MULTILINE))
    assert found == {*COMMANDS, *PROGRAMS, "rundramatiq"}
    linked = {
        documents.spans(cell)[0]
        for _to, cell in documents.table_with(text, "to …").rows
        for cell in cell.split(", ")
    }
    assert linked >= {*COMMANDS, "rundramatiq"}


@pytest.mark.parametrize("name", [*COMMANDS, *PROGRAMS])
def test_every_option_is_documented_and_no_other(name: str) -> None:
    actions, options = actions_of(parser_of(name)), told_options(name)
    assert set(actions) - set(options) == set(), f"add these to docs/{PAGE}, {name}"
    assert set(options) - set(actions) == set(), f"{name} does not know these"
    for word, action in actions.items():
        if word.startswith("-"):
            assert options[word] == (action.nargs != 0), f"{name} {word}: with a value, or without?"


def test_the_options_of_rundramatiq_that_are_documented_are_there() -> None:
    assert set(told_options("rundramatiq")) - set(actions_of(parser_of("rundramatiq"))) == set()


def test_the_options_of_every_command_are_documented() -> None:
    assert set(told_options("Options of every command")) == set(actions_of(common(), own=False))
    for name in COMMANDS:
        lacking = set(actions_of(common(), own=False)) - set(actions_of(parser_of(name), own=False))
        assert lacking == ({"--skip-checks"} if name in {"doctor", "odoo_rules"} else set()), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_in_the_help(name: str) -> None:
    silent = {word for word, action in actions_of(parser_of(name)).items() if not action.help}
    assert not silent, f"{name} has no help for these"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_exit_code_is_documented_and_no_other(name: str) -> None:
    assert told_codes(name) == codes_in_help(name), f"docs/{PAGE} and {name} --help differ"
    assert codes_in_code(name) - codes_in_help(name) == set(), f"add these to {name} --help"
    unused = codes_in_help(name) - codes_in_code(name) - BY_ARGPARSE_AND_DJANGO
    assert not unused, f"{name} never ends with these: remove them from its --help"
    assert codes_in_help(name) >= BY_ARGPARSE_AND_DJANGO


def test_the_exit_codes_of_workers_are_dramatiq_s() -> None:
    codes = {code for name, code in vars(dramatiq.cli).items() if name.startswith("RET_")}
    assert told_codes("rundramatiq") == codes


@pytest.mark.parametrize("name", [*COMMANDS, *PROGRAMS, "rundramatiq"])
def test_the_examples_are_right(name: str) -> None:
    lines = [
        shlex.split(line, comments=True)
        for block in documents.fences(documents.section(documents.page(PAGE), name))
        for line in block.splitlines()
    ]
    assert lines, f"{name} has no example"
    for words in lines:
        start = len(name.split()) if name in PROGRAMS else 2
        begins = name if name in PROGRAMS else f"manage.py {name}"
        assert " ".join(words[:start]) == begins
        parser_of(name).parse_args(words[start:])


def test_the_programs_of_the_table_are_there() -> None:
    for cell, *_ in documents.table_with(documents.page(PAGE), "program").rows:
        (name,) = documents.spans(cell)
        assert name in PROGRAMS or (ROOT / name).is_file()


# --- all documents ------------------------------------------------------------------------------


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands of manage.py that a text names, with the words behind them."""
    lines = [line for block in documents.fences(text) for line in _joined(block).splitlines()]
    for code in [*documents.spans(text), *lines]:
        for piece in re.split(r"[|&;]|  +# ", code):
            if found := re.search(r"manage\.py ([a-z]\w*)(.*)", piece):
                yield found[1], found[2].split()
            elif (words := piece.split()) and words[0] in COMMANDS:
                yield words[0], words[1:]


def _joined(block: str) -> str:
    return re.sub(r"\s*\\\n\s*", " ", block)


@pytest.mark.parametrize("path", documents.everywhere(), ids=documents.place)
def test_documents_name_commands_and_options_that_there_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name, words in calls(text):
        if name == "follow_orders":  # of examples/existing_project
            continue
        assert name in get_commands(), f"there is no manage.py {name}"
        known = actions_of(parser_of(name), own=False)
        for word in words:
            option = re.match(r"--?[a-z][a-z-]*", word)
            assert not option or option[0] in known, f"{name} has no option {word}"
    everything = OTHERS.union(
        *(actions_of(parser_of(name), own=False) for name in [*COMMANDS, *PROGRAMS, "rundramatiq"])
    )
    for span in documents.spans(text):
        if option := re.match(r"--[a-z][a-z-]*", span):
            assert option[0] in everything, f"no command has {span}"
