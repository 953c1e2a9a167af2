"""How values and changes read, in both languages."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.utils import translation

from bc_consumer.console import formatting, labels
from bc_consumer.models import BC, BCLine

NB = "\xa0"


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (None, "—", "—"),
        (0.0804, "80 ms", "80 ms"),
        (2.44, "2.4 s", "2,4 s"),
        (59.4, "59 s", "59 s"),
        (185, "3 min", "3 min"),
        (3 * 3600 + 5, "3 h", "3 h"),
        (3 * 86400, "3 d", "3 j"),
    ],
)
def test_duration(seconds: float | None, english: str, french: str) -> None:
    with translation.override("en"):
        assert formatting.duration(seconds) == english
    with translation.override("fr"):
        assert formatting.duration(seconds) == french


@pytest.mark.parametrize(
    ("value", "english", "french"),
    [
        (Decimal("1234567.50"), "1,234,567.50", f"1{NB}234{NB}567,50"),
        (Decimal("12.5"), "12.50", "12,50"),
        (Decimal(5000), "5,000", f"5{NB}000"),
        (Decimal("1.234"), "1.234", "1,234"),
        ("12.5", "12.50", "12,50"),
        (None, "—", "—"),
        ("odd", "odd", "odd"),
    ],
)
def test_money(value: Any, english: str, french: str) -> None:
    with translation.override("en"):
        assert formatting.money(value) == english
    with translation.override("fr"):
        assert formatting.money(value) == french


@pytest.mark.parametrize(
    ("value", "expected"),
    [("21.000", "21"), ("1000.0", "1,000"), ("0.250", "0.25"), ("0", "0"), (None, "—")],
)
def test_quantity(value: Any, expected: str) -> None:
    with translation.override("en"):
        assert formatting.quantity(value) == expected


@override_settings(TIME_ZONE="Europe/Paris")
def test_times_are_in_the_projects_time_zone() -> None:
    late = datetime(2026, 11, 23, 23, 30, 5, tzinfo=UTC)
    with time_machine.travel(datetime(2026, 11, 24, 9, tzinfo=UTC), tick=False):
        assert formatting.clock(late) == "00:30:05"
    with time_machine.travel(datetime(2026, 11, 25, 9, tzinfo=UTC), tick=False):
        with translation.override("en"):
            assert formatting.clock(late) == "2026-11-24 00:30:05"
            assert formatting.moment(late) == "2026-11-24 00:30"
        with translation.override("fr"):
            assert formatting.clock(late) == "24/11/2026 00:30:05"
            assert formatting.moment(late) == "24/11/2026 00:30"


def test_values_are_shown_by_their_column() -> None:
    with translation.override("fr"):
        assert formatting.show(BC, "state", "purchase") == "bon de commande"
        assert formatting.show(BC, "state", "of_a_module") == "of_a_module"
        assert formatting.show(BC, "locked", True) == "oui"
        assert formatting.show(BC, "amount_total", "1.5") == "1,50"
        assert formatting.show(BC, "date_order", "2026-11-24T09:00:00Z") == "24/11/2026 09:00"
        assert formatting.show(BC, "notes", "<p>One &amp; two</p>") == "One & two"
        assert formatting.show(BC, "partner_ref", "") == "—"
        assert formatting.show(BCLine, "taxes", [{"id": 1, "name": "TVA 20 %"}]) == "TVA 20 %"
        assert formatting.show(BC, "unknown_column", "x") == "x"


def test_long_html_is_cut_before_it_is_read() -> None:
    """Python's parser takes time in proportion to the square of what never ends."""
    paragraph = "<p>One &amp; two</p>"
    text = formatting.show(BC, "notes", paragraph * 1_000)
    assert text.startswith("One & twoOne & two")
    assert text.endswith("…")
    assert 1_000 < len(text) < formatting.LONGEST_HTML
    assert "<" not in text, "nor is it cut within a tag"
    assert formatting.plain_text("a < b, " * 2_000).startswith("a < b, a < b")
    exact = "<p>" + "x" * (formatting.LONGEST_HTML - 7) + "</p>"
    assert formatting.plain_text(exact) == "x" * (formatting.LONGEST_HTML - 7)


@pytest.mark.parametrize("html", ["<p>a</p><![x]>", "<![", "<![if>b", "<!" * 9 + ">", "<" * 999])
def test_html_that_nobody_can_read_is_shown_as_it_stands(html: str) -> None:
    formatting.plain_text(html)
    assert formatting.show(BC, "notes", "<p>a</p><![x]>") == "<p>a</p><![x]>"


def test_long_values_of_a_change_are_cut() -> None:
    fields = {name: ["old " * 9_000, "new " * 9_000] for name in ("notes", "origin", "partner_ref")}
    for change in formatting.read_changes({"fields": fields}).fields:
        assert change.old.startswith("old old")
        assert change.new.endswith("…")
        assert max(len(change.old), len(change.new)) <= formatting.LONGEST_OF_A_CHANGE + 1
    taxes = [{"id": number, "name": "TVA 20 %"} for number in range(900)]
    lines = {"added": {"7": "x" * 9_000}, "changed": {"8": {"taxes": [[], taxes]}}}
    added, changed = formatting.read_changes({"lines": lines}).lines
    assert len(added.name) == len(changed.fields[0].new) == formatting.LONGEST_OF_A_CHANGE + 1


CHANGES = {
    "fields": {
        "partner_id": [1, 2],
        "partner_name": ["Supplier 001", "Supplier 002"],
        "amount_untaxed": ["10.00", "20.00"],
        "write_date": ["2026-11-24T09:00:00Z", "2026-11-24T09:01:00Z"],
        "amount_total": ["12.00", "24.00"],
    },
    "lines": {
        "added": {"7": "Desk", "8": "#8"},
        "changed": {"9": {"product_qty": ["1.0", "2.0"]}},
        "deleted": {"10": "Chair"},
    },
}


def test_changes_are_told_in_a_line() -> None:
    with translation.override("en"):
        assert formatting.read_changes(CHANGES).summary() == (
            "Supplier: Supplier 001 → Supplier 002 · Total: 12.00 → 24.00 · "
            "2 lines added · 1 line changed · 1 line deleted"
        )
    with translation.override("fr"):
        assert formatting.read_changes(CHANGES).summary() == (
            f"Fournisseur{NB}: Supplier 001 → Supplier 002 · Total{NB}: 12,00 → 24,00 · "
            "2 lignes ajoutées · 1 ligne modifiée · 1 ligne supprimée"
        )


def test_changes_are_told_in_full() -> None:
    with translation.override("en"):
        changes = formatting.read_changes(CHANGES)
        assert [change.label for change in changes.fields] == [
            "Supplier", "Untaxed amount", "Changed in Odoo", "Total",
        ]  # fmt: skip
        assert [(line.kind, line.name) for line in changes.lines] == [
            ("added", "#7 Desk"),
            ("added", "#8"),
            ("changed", "#9"),
            ("deleted", "#10 Chair"),
        ]
        assert changes.lines[2].fields == (formatting.FieldChange("Quantity", "1", "2"),)


def test_a_mere_write_is_told_when_there_is_nothing_else() -> None:
    written = {"write_date": ["2026-11-24T09:00:00Z", "2026-11-24T09:01:00Z"]}
    with translation.override("en"):
        told = formatting.read_changes({"fields": written}).summary()
        assert told == "Changed in Odoo: 2026-11-24 09:00 → 2026-11-24 09:01"
        told = formatting.read_changes(
            {"fields": written, "lines": {"added": {"7": "x"}}}
        ).summary()
        assert told == "1 line added"


def test_both_sides_of_an_amount_are_shown_alike() -> None:
    yen = {"fields": {"amount_total": ["76795.0", "72865"]}}
    with translation.override("en"):
        assert formatting.read_changes(yen).summary() == "Total: 76,795 → 72,865"


def test_a_long_summary_is_cut() -> None:
    fields = {name: ["", "x" * 500] for name in ("origin", "partner_ref", "user_name", "notes")}
    with translation.override("en"):
        summary = formatting.read_changes({"fields": fields}).summary()
    assert len(summary) < 300
    assert summary.endswith("1 more field")


def test_a_new_order_tells_its_lines() -> None:
    with translation.override("en"):
        assert formatting.read_changes({"lines": {"count": 1}}).summary() == "1 line"
        assert formatting.read_changes({}).summary() == ""


def test_causes_are_named() -> None:
    with translation.override("fr"):
        assert labels.causes("webhook,nightly,other") == "webhook, passage de nuit, other"
