"""DEVELOPERS.md, «Where do I change …?»: the files are there, and have what the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bc_consumer import management
from bc_consumer.installation import permissions
from bc_consumer.models import OperatorAction, permission_for
from bc_consumer.operations import action_parameters, action_requests
from bc_consumer.workers import action_steps

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| (?P<what>[^|]+) \| `(?P<file>[^`|]+)` \| (?P<names>`[^|]+`) \|")


def rows() -> list[tuple[str, str, list[str]]]:
    text = (ROOT / "DEVELOPERS.md").read_text()
    part = text.partition("## Where do I change …?")[2].partition("\n## ")[0]
    return [
        (row["what"], row["file"], re.findall(r"`([^`]+)`", row["names"]))
        for row in ROW.finditer(part)
    ]


def start(what: str) -> tuple[str, list[str]]:
    """Return the file and the names of the row that begins like this."""
    ((file, names),) = {(f, tuple(n)) for asked, f, n in rows() if asked.startswith(what)}
    return file, list(names)


def test_what_newcomers_ask_for_is_there() -> None:
    asked = " ".join(what for what, _file, _names in rows())
    for word in (
        "field", "another page", "alerts", "nightly", "protocol", "version", "error", "setting",
        "text",
    ):  # fmt: skip
        assert word in asked


@pytest.mark.parametrize(("what", "file", "names"), rows(), ids=[what for what, *_ in rows()])
def test_each_file_has_what_is_said(what: str, file: str, names: list[str]) -> None:
    text = (ROOT / file).read_text()
    for name in names:
        assert name in text, f"{what}: {file} has no {name}; correct the table in DEVELOPERS.md"
        if name.isupper() and file.endswith(".py"):  # a constant: it is made there, and not used
            assert re.search(rf"^ *{name}\b[^=\n]* = ", text, re.MULTILINE), f"{what}: {file}"


def test_one_place_answers_one_question() -> None:
    places = [(file, *names) for _what, file, names in rows()]
    twice = {place for place in places if places.count(place) > 1}
    assert twice <= {("bc_consumer/fields/table.py", "Field(")}


def test_a_command_starts_where_its_room_says() -> None:
    file, _names = start("a command")
    assert file.removeprefix("bc_consumer/management/") in str(management.__doc__)


def test_the_rows_of_actions_lead_to_what_decides() -> None:
    actions = "bc_consumer/operations"
    assert start("what operators may ask for") == (f"{actions}/action_parameters.py", ["READERS"])
    asked = action_parameters.READERS.keys()
    assert start("what a button does that takes a moment")[1] == ["STEPS"]
    assert start("what a button does at once")[1] == ["AT_ONCE"]
    assert asked == action_steps.STEPS.keys() | action_requests.AT_ONCE.keys()
    assert not action_steps.STEPS.keys() & action_requests.AT_ONCE.keys()


def test_the_rows_of_rights_lead_to_what_decides() -> None:
    assert start("which actions operators") == ("bc_consumer/models/actions.py", ["FOR_OPERATORS"])
    for kind in OperatorAction.Kind:
        given = permission_for(kind) in permissions.FOR_OPERATORS
        assert given == (kind in OperatorAction.FOR_OPERATORS)
    assert start("who may ask for an action")[0] == "bc_consumer/operations/rights.py"
