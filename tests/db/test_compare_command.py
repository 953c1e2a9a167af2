"""One order compared with Odoo: as the writer would, field by field, and nothing is written."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.utils import translation

from bc_consumer import ledger
from bc_consumer.console.formatting import read_changes
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import BC, BCLine, CallSlot, JournalEntry, Pace
from bc_consumer.odoo import Missing, OdooUnavailable, WrongCredentials
from bc_consumer.refresh import compare_order, odoo_connection, odoo_identity
from bc_consumer.refresh.compare_order import compare
from bc_consumer.refresh.odoo_identity import AnotherDatabase
from odoo_simulator import Simulator
from tests.db.conftest import refresh

pytestmark = pytest.mark.usefixtures("odoo")

LINES = [
    {"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1},
    {"name": "Gift", "product_qty": 1, "price_unit": 0.0},
]


@dataclass(frozen=True, slots=True)
class Said:
    """What one run of the command came to."""

    code: int
    out: str
    err: str


def compare_command(*arguments: str) -> Said:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        with translation.override("en"):
            call_command("compare", *arguments, stdout=out, stderr=err)
    except SystemExit as left:
        code = int(left.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def copied(simulator: Simulator, **values: Any) -> int:
    order_id = simulator.create_order(lines=LINES, **values)
    refresh(order_id)
    return order_id


def line_ids(simulator: Simulator, order_id: int) -> list[int]:
    order = simulator.order(order_id)
    assert order is not None
    return [line["id"] for line in order["order_line"]]


def dump() -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, but for those that calls to Odoo take turns by."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config("bc_consumer").get_models()
        if model not in {CallSlot, Pace}
    }


def changed_everywhere(simulator: Simulator) -> int:
    """Return an order that differs in a field, in a line's field, and by a line on each side."""
    order_id = copied(simulator)
    desk, gift = line_ids(simulator, order_id)
    simulator.write_order(order_id, partner_ref="REF-8")
    simulator.write_line(desk, product_qty=3)
    simulator.delete_line(gift)
    simulator.add_line(order_id, name="Lamp", product_qty=1, price_unit=5)
    return order_id


# --- the comparison -----------------------------------------------------------------------------


def test_the_differences_are_those_that_the_journal_tells_after_the_order_was_read(
    simulator: Simulator,
) -> None:
    order_id = changed_everywhere(simulator)
    before = dump()
    comparison = compare(order_id)
    assert dump() == before
    refresh(order_id)
    entry = JournalEntry.objects.filter(odoo_id=order_id).latest("id")
    assert (comparison.outcome, comparison.changes) == (entry.outcome, entry.changes)
    assert entry.changes["fields"]["partner_ref"] == ["", "REF-8"]
    assert {"added", "changed", "deleted"} == entry.changes["lines"].keys()
    assert read_changes(comparison.changes).summary()
    after = compare(order_id)
    assert (after.is_equal, after.outcome, after.changes) == (True, "", {})


def test_an_order_is_in_the_copy_in_odoo_or_kept_from_us(simulator: Simulator) -> None:
    same, gone, known, hidden, new = (copied(simulator) for _ in range(5))
    BC.objects.filter(odoo_id=new).delete()
    simulator.delete_order([gone, known])
    refresh(known)
    simulator.faults.forbid([hidden])
    before = dump()

    def told(odoo_id: int) -> tuple[bool, object, Missing | None, str]:
        one = compare(odoo_id)
        return one.exists_in_copy, one.exists_in_odoo, one.missing, one.outcome

    assert told(same) == (True, True, None, "")
    assert told(gone) == (True, False, Missing.GONE, "archived")
    assert told(known) == (True, False, Missing.GONE, "")
    assert told(hidden) == (True, "forbidden", Missing.FORBIDDEN, "forbidden")
    assert told(new) == (False, True, None, "created")
    assert told(987654) == (False, False, Missing.GONE, "")
    assert compare(known).archived_reason == "gone from Odoo"
    assert dump() == before


def test_an_order_outside_the_domain_exists_and_is_not_to_be_copied(
    simulator: Simulator, settings: LazySettings
) -> None:
    order_id = copied(simulator)
    settings.ODOO_DOMAIN = [["state", "=", "purchase"]]
    odoo_connection.odoo.cache_clear()
    comparison = compare(order_id)
    assert comparison.missing is Missing.OUTSIDE_DOMAIN
    assert (comparison.exists_in_odoo, comparison.outcome) == (True, "archived")


def test_an_order_that_is_archived_here_and_back_in_odoo_would_be_restored(
    simulator: Simulator,
) -> None:
    order_id = copied(simulator)
    BC.objects.update(archived_at=database_now(), archived_reason="gone from Odoo")
    assert compare(order_id).outcome == "restored"
    assert BC.objects.get().archived_at is not None


def test_a_line_that_odoo_moved_from_another_order_is_missing_here(simulator: Simulator) -> None:
    one, other = copied(simulator), copied(simulator)
    moved = line_ids(simulator, other)
    simulator.merge([other], one)
    added = compare(one).changes["lines"]["added"]
    assert added.keys() == set(map(str, moved))
    assert BCLine.objects.filter(bc__odoo_id=other).count() == len(moved)


def test_what_was_only_on_its_way_is_no_difference(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = copied(simulator)
    simulator.write_order(order_id, partner_ref="on its way")
    looks: list[float] = []

    def arrive(seconds: float) -> bool:
        looks.append(seconds)
        refresh(order_id)
        return False

    monkeypatch.setattr(process_state.stopping, "wait", arrive)
    assert compare(order_id).is_equal
    assert looks == [compare_order.SECOND_LOOK_SECONDS]


def test_an_order_that_odoo_cannot_read_says_why(simulator: Simulator) -> None:
    bad, good = copied(simulator), copied(simulator)
    simulator.faults.poison(bad, code=1, text="ValueError: cannot compute")
    comparison = compare(bad)
    assert "cannot compute" in comparison.error
    assert (comparison.exists_in_odoo, comparison.is_equal) == (None, False)
    assert compare(good).is_equal


def test_odoo_being_away_refusing_us_or_another_one_is_raised(
    simulator: Simulator, settings: LazySettings
) -> None:
    order_id = copied(simulator)
    simulator.faults.fault_all(1, "OperationalError: no")
    with pytest.raises(OdooUnavailable):
        compare(order_id)
    simulator.faults.clear()
    simulator.faults.fault_all(3, "Access Denied")
    with pytest.raises(WrongCredentials):
        compare(order_id)
    simulator.faults.clear()
    odoo_identity.forget()
    simulator.update_sql("purchase.order", order_id, {"create_date": "2020-01-01 00:00:00"})
    with pytest.raises(AnotherDatabase):
        compare(order_id)


def test_a_comparison_is_plain_json_with_these_names(simulator: Simulator) -> None:
    plain = compare(changed_everywhere(simulator)).plain()
    assert json.loads(json.dumps(plain)) == plain
    assert plain.keys() == {
        "id", "name", "exists_in_copy", "exists_in_odoo", "missing", "outcome", "changes",
        "archived_reason", "forbidden_in_copy", "synced_at", "pending", "error",
    }  # fmt: skip


# --- the command --------------------------------------------------------------------------------


def test_equal_orders_exit_with_0_by_id_or_reference(simulator: Simulator) -> None:
    order_id = copied(simulator)
    for name in (str(order_id), f"#{order_id}", f"P{order_id:05}"):
        said = compare_command(name)
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(f"P{order_id:05} (#{order_id}): equal. The copy is as of 20")


def test_differences_exit_with_7_and_stand_side_by_side(simulator: Simulator) -> None:
    order_id = changed_everywhere(simulator)
    said = compare_command(f"P{order_id:05}")
    assert said.code == 7
    lines = said.out.splitlines()
    assert ": different. The copy is as of " in lines[0]
    assert lines[1].split() == ["field", "here", "Odoo"]
    cells = [tuple(filter(None, map(str.strip, line.split("  ")))) for line in lines]
    desk, gift = sorted(BCLine.objects.values_list("odoo_id", flat=True))
    for wanted in (
        ("Supplier's reference", "—", "REF-8"),
        ("Quantity", "2", "3"),
        (f"Line #{gift}", "Gift", "—"),
        (f"Line #{max(line_ids(simulator, order_id))}", "—", "Lamp"),
        (f"Line #{desk}",),
    ):
        assert wanted in cells
    assert (
        lines[-1] == f"Nothing was changed. To read it now: manage.py sync_BcLinbc --bc {order_id}"
    )
    ledger.mark([order_id], ledger.Mark(cause="webhook"))
    assert "The order is pending: a worker will read it." in compare_command(str(order_id)).out


@pytest.mark.parametrize(
    ("fate", "code", "words"),
    [
        ("gone", 7, "Odoo has no such order. The copy does not show that yet."),
        ("archived", 0, "Odoo has no such order. The copy shows that."),
        ("hidden", 7, "Odoo hides it from our account. The copy does not show that yet."),
        ("new", 7, "it is missing from the copy."),
        ("back", 7, "Odoo has it, but the copy has it as archived or not readable."),
        ("nobody's", 3, "Odoo has no such order."),
    ],
)
def test_each_state_has_its_sentence_and_exit_code(
    simulator: Simulator, fate: str, code: int, words: str
) -> None:
    order_id = copied(simulator)
    if fate in {"gone", "archived", "nobody's"}:
        simulator.delete_order(order_id)
    if fate == "archived":
        refresh(order_id)
    if fate == "hidden":
        simulator.faults.forbid([order_id])
    if fate in {"new", "nobody's"}:
        BC.objects.all().delete()
    if fate == "back":
        BC.objects.update(archived_at=database_now())
    said = compare_command(str(order_id))
    assert (said.code, said.err) == (code, "")
    assert said.out.splitlines()[0].endswith(words)


def test_json_is_one_object_whatever_happens(simulator: Simulator) -> None:
    order_id = changed_everywhere(simulator)
    said = compare_command(str(order_id), "--json")
    told = json.loads(said.out)
    assert (told["status"], told["exit_code"], told["outcome"]) == ("drift", 7, "changed")
    assert told["changes"]["fields"]["partner_ref"] == ["", "REF-8"]
    told = json.loads(compare_command("P99999", "--json").out)
    assert (told["status"], told["exit_code"]) == ("usage", 2)
    assert "P99999" in told["error"]
    simulator.faults.fault_all(3, "Access Denied")
    assert json.loads(compare_command(str(order_id), "--json").out)["exit_code"] == 6


def test_an_order_that_cannot_be_read_exits_with_3_and_an_odoo_that_is_away_with_1(
    simulator: Simulator,
) -> None:
    order_id = copied(simulator)
    simulator.faults.poison(order_id, code=1, text="ValueError: cannot compute")
    said = compare_command(str(order_id))
    assert said.code == 3
    assert "it could not be compared" in said.out
    assert "cannot compute" in said.err
    simulator.faults.clear()
    simulator.faults.fault_all(1, "OperationalError: no")
    said = compare_command(str(order_id))
    assert said.code == 1
    assert "Odoo could not be asked" in said.err


def test_wrong_options_are_refused() -> None:
    for arguments in ([], ["0"], ["1", "2"]):
        with pytest.raises(CommandError, match="Error"):
            compare_command(*arguments)
