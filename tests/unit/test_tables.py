"""How commands lay their output out: columns, long lines, values that differ late."""

from __future__ import annotations

import io

import pytest
from django.utils import translation

from bc_consumer.console.formatting import read_changes
from bc_consumer.management.changes_text import changes_told, side_by_side
from bc_consumer.management.tables import aligned, cut_pair, width_of, wrapped


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_stand_below_each_other_and_numbers_end_there() -> None:
    rows = [("Applied", "12"), ("Bytes from Odoo", "1,234")]
    assert aligned(rows, right={1}, margin="  ") == [
        "  Applied             12",
        "  Bytes from Odoo  1,234",
    ]
    assert aligned([]) == []


@pytest.mark.parametrize("width", [60, 40])
def test_the_widest_columns_are_cut_but_for_those_that_must_be_whole(width: int) -> None:
    rows = [("x" * 20, "y" * 40, "z" * 30), ("a", "b", "c")]
    first, second = aligned(rows, width=width, whole={0})
    assert first.startswith("x" * 20 + "  yyy")
    assert "…  z" in first
    assert first.endswith("…")
    assert second.split() == ["a", "b", "c"]
    assert len(first) <= max(width, 20 + 2 * 14)


def test_nothing_is_cut_or_wrapped_for_a_file() -> None:
    text = "word " * 100
    assert wrapped(text, io.StringIO()) == text
    assert width_of(io.StringIO()) is None
    assert len(aligned([("x" * 500, "y")], width=None)[0]) == 503


@pytest.mark.parametrize(("columns", "longest"), [(80, 80), (250, 100)])
def test_long_lines_of_a_terminal_are_wrapped_below_their_own_beginning(
    monkeypatch: pytest.MonkeyPatch, columns: int, longest: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    told = wrapped("short\n    " + "word " * 100, Terminal()).split("\n")
    assert told[0] == "short"
    assert {line[:8] for line in told[1:]} == {"    word"}
    assert longest - 5 < max(map(len, told)) <= longest


@pytest.mark.parametrize(
    ("one", "other"),
    [("same " * 30 + "end", "same " * 30 + "END"), ("short", "x" * 100), ("a" * 90, "b" * 90)],
)
def test_two_values_that_are_cut_still_show_that_they_differ(one: str, other: str) -> None:
    first, second = cut_pair(one, other, 20)
    assert first != second
    assert max(len(first), len(second)) <= 20


CHANGES = {
    "fields": {
        "partner_ref": ["", "REF-8"],
        "write_date": ["2026-11-24T09:00:01Z", "2026-11-24T09:00:07Z"],
        "notes": ["<p>a b</p>", "<p>a <b>b</b></p>"],
    },
    "lines": {
        "added": {"7": "Desk\twith\nlamp"},
        "changed": {"9": {"product_qty": ["1.0", "2.0"]}},
        "deleted": {"10": "Chair"},
    },
}


def test_changes_are_told_field_by_field() -> None:
    with translation.override("en"):
        assert list(changes_told(read_changes(CHANGES), None)) == [
            "    Supplier's reference  — → REF-8",
            "    Changed in Odoo       2026-11-24 09:00:01 → 2026-11-24 09:00:07",
            "    Terms and conditions  <p>a b</p> → <p>a <b>b</b></p>",
            "    Line added: #7 Desk with lamp",
            "    Line changed: #9",
            "        Quantity  1 → 2",
            "    Line deleted: #10 Chair",
        ]


def test_differences_stand_side_by_side() -> None:
    with translation.override("en"):
        assert list(side_by_side(read_changes(CHANGES), None)) == [
            "field                 here                 Odoo",
            "Supplier's reference  —                    REF-8",
            "Changed in Odoo       2026-11-24 09:00:01  2026-11-24 09:00:07",
            "Terms and conditions  <p>a b</p>           <p>a <b>b</b></p>",
            "Line #7               —                    Desk with lamp",
            "Line #9",
            "  Quantity            1                    2",
            "Line #10              Chair                —",
        ]


@pytest.mark.parametrize("width", [60, 100])
def test_long_values_fit_a_terminal(width: int) -> None:
    same = "the same beginning " * 20
    changes = read_changes(
        {
            "fields": {"origin": [f"{same}old", f"{same}new"], "partner_ref": ["x" * 300, ""]},
            "lines": {"added": {"7": same}, "changed": {"9": {"name": [same, f"{same}new"]}}},
        }
    )
    with translation.override("fr"):
        for told in (changes_told(changes, width), side_by_side(changes, width)):
            lines = list(told)
            assert max(map(len, lines)) <= width
            assert any("old" in line and "new" in line for line in lines)
