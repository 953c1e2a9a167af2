"""The copy is the same, byte for byte, whichever way writes it: whole batches, or order by order.

PostgreSQL takes whole batches (``refresh/unchanged_orders.py``); there, only what differs goes
order by order, as everything does on SQLite.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from bc_consumer import ledger
from bc_consumer.core import bulk_rows
from bc_consumer.models import BC, BCLine, JournalEntry, Lane, PendingBC, VersionCounter
from bc_consumer.odoo import OrderSnapshot
from bc_consumer.odoo.records import LineSnapshot
from bc_consumer.refresh import unchanged_orders
from bc_consumer.refresh.mapping import MappedOrder, map_order, map_orders
from bc_consumer.refresh.writer import FetchedRow, apply
from tests.unit.test_mapping import VERSIONS, real_orders, snapshot

pytestmark = [
    pytest.mark.usefixtures("single_rows"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one way of writing"),
]

RANDOM_ORDERS = 20_000
BATCH = 200
DUMP = {
    BC: "SELECT to_jsonb(bc) - '{id,synced_at}'::text[] FROM bc_consumer_bc bc ORDER BY odoo_id",
    BCLine: """
        SELECT to_jsonb(line) - '{id,bc_id}'::text[] || jsonb_build_object('order', bc.odoo_id)
        FROM bc_consumer_bcline line JOIN bc_consumer_bc bc ON bc.id = line.bc_id
        ORDER BY line.odoo_id""",
    JournalEntry: """
        SELECT jsonb_build_array(odoo_id, outcome, causes, event, marks, changes, version, run_id,
            error, error_parts) FROM bc_consumer_journalentry ORDER BY id""",
}
BLANK = snapshot()
TEXTS = (
    "",
    "Desk",
    "été «42»",
    "a\nb\tc",
    "'; DROP TABLE bc; --",
    '{"a": [1]}',
    "\\N \\u0041 %s",
    "😀 ☂",
    "   ",
)


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a series of batches has left, as PostgreSQL tells it."""

    tables: Mapping[str, Sequence[str]]
    results: Sequence[tuple[object, ...]]


def write(rounds: Iterable[Sequence[MappedOrder]]) -> World:
    """Write these orders into an empty copy, batch by batch, one round after the other."""
    for model in (BCLine, BC, JournalEntry, PendingBC):
        model._default_manager.all()._raw_delete("default")
    VersionCounter.objects.update(last=0)
    results: list[tuple[object, ...]] = []
    for orders in rounds:
        for start in range(0, len(orders), BATCH):
            results += _apply({order.odoo_id: order for order in orders[start : start + BATCH]})
    return World({model.__name__: _dump(statement) for model, statement in DUMP.items()}, results)


def _apply(orders: Mapping[int, MappedOrder]) -> Iterator[tuple[object, ...]]:
    ledger.mark(list(orders), ledger.Mark(cause="nightly", lane=Lane.BULK))
    token = ledger.new_token()
    claimed = ledger.claim(BATCH, token).rows
    assert len(claimed) == len(orders)
    rows = [FetchedRow(row, orders[row.odoo_id]) for row in claimed]
    for one in apply(token, rows, early=False, identity_checked=True):
        yield (
            one.odoo_id,
            one.outcome,
            one.lines_written,
            one.lines_deleted,
            one.changes,
            one.version,
        )


def _dump(statement: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [row for (row,) in cursor.fetchall()]


def write_both_ways(
    rounds: Sequence[Sequence[MappedOrder]], monkeypatch: pytest.MonkeyPatch
) -> World:
    """Write them each way, and return what both have left; it is the same."""
    together = write(rounds)
    with monkeypatch.context() as patch:
        patch.setattr(bulk_rows, "is_possible", lambda: False)
        one_by_one = write(rounds)
    for name, rows in one_by_one.tables.items():
        for theirs, ours in zip(rows, together.tables[name], strict=True):
            assert theirs == ours
    assert together.results == one_by_one.results
    return together


@pytest.mark.parametrize("version", VERSIONS)
def test_captured_orders_become_the_same_rows(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [map_order(snapshot) for _given, snapshot in real_orders(version)]
    world = write_both_ways([orders, orders], monkeypatch)
    assert len(world.tables["BC"]) == len(orders) > 5
    assert len(world.tables["JournalEntry"]) == len(orders)  # the second round changes nothing


@pytest.mark.slow("writes 35,000 rows four times, twice of it row by row")
def test_random_orders_become_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(20_000)
    snapshots = [random_order(dice, number) for number in range(1, RANDOM_ORDERS + 1)]
    later = [changed(dice, one) if dice.random() < 0.1 else one for one in snapshots]
    mapped, misfits = map_orders(snapshots)
    assert not misfits
    assert all(map_order(one) == mapped[one.id] for one in snapshots[:2_000])
    again, misfits = map_orders(later)
    assert not misfits
    world = write_both_ways([list(mapped.values()), list(again.values())], monkeypatch)
    outcomes = [json.loads(entry)[1] for entry in world.tables["JournalEntry"]]
    assert outcomes.count("created") == RANDOM_ORDERS
    assert 1_000 < outcomes.count("changed") < 3_000


def test_what_is_unchanged_is_told_apart_from_the_smallest_difference() -> None:
    """Each column of an order and of a line, and each line more or less, is seen."""
    dice = random.Random(7)
    order = map_order(random_order(dice, 1, lines=2))
    write([[order]])
    assert unchanged_orders.find_unchanged([order]) == {1}
    first, *others = order.lines
    for name, value in order.fields.items():
        fields = {**order.fields, name: another(name, value)}
        assert not unchanged_orders.find_unchanged([replace(order, fields=fields)]), name
    for name, value in first.fields.items():
        line = replace(first, fields={**first.fields, name: another(name, value)})
        assert not unchanged_orders.find_unchanged([replace(order, lines=(line, *others))]), name
    fewer, other = replace(order, lines=order.lines[1:]), replace(first, odoo_id=10_000)
    more, instead = (
        replace(order, lines=(*order.lines, other)),
        replace(order, lines=(other, *others)),
    )
    for differing in (fewer, more, instead, replace(order, mapping_version=9)):
        assert not unchanged_orders.find_unchanged([differing])
    BCLine.objects.filter(odoo_id=first.odoo_id).update(name="changed by hand")
    assert not unchanged_orders.find_unchanged([order])


def another(name: str, value: object) -> object:
    """Return another value for this column that differs as little as can be."""
    if value is None and not name.startswith(("date", "effective", "create", "write")):
        return 0
    if value is None or isinstance(value, datetime):
        return (value or datetime(2026, 1, 1, tzinfo=UTC)) + timedelta(seconds=1)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value} "
    if isinstance(value, list):
        return [*value, {"id": 99, "name": "x"}]
    assert isinstance(value, int | Decimal)
    return value + 1


def random_order(dice: random.Random, number: int, lines: int | None = None) -> OrderSnapshot:
    """Return an order with up to four lines; any value may be odd, or absent."""
    count = dice.choice((0, 0, 1, 2)) if lines is None else lines
    own = [
        LineSnapshot(number * 10 + place, random_values(dice, BLANK.fields.line.present))
        for place in range(count)
    ]
    values = random_values(dice, BLANK.fields.order.present)
    return replace(BLANK, id=number, values=values, lines=tuple(own))


def changed(dice: random.Random, order: OrderSnapshot) -> OrderSnapshot:
    """Return the order with other values here and there, without a line, or with one more."""
    lines = [
        replace(line, values={**line.values, **one_of(dice, BLANK.fields.line.present)})
        for line in order.lines
        if dice.random() < 0.8
    ]
    if dice.random() < 0.3:
        lines.append(
            LineSnapshot(order.id * 10 + 9, random_values(dice, BLANK.fields.line.present))
        )
    values = {**order.values, **one_of(dice, BLANK.fields.order.present)}
    return replace(order, values=values, lines=tuple(lines))


def one_of(dice: random.Random, present: Sequence[tuple[Any, str]]) -> dict[str, object]:
    return random_values(dice, [dice.choice(present)])


def random_values(dice: random.Random, present: Sequence[tuple[Any, str]]) -> dict[str, object]:
    return {field.name: random_value(dice, field.kind.value) for field, _name in present}


def random_value(dice: random.Random, kind: str) -> object:
    if kind == "boolean":
        return dice.random() < 0.5
    if kind == "integer":
        return dice.choice((0, 1, -1, 2**63 - 1, dice.randrange(10**6)))
    if dice.random() < 0.15:
        return False
    related = {"id": dice.randrange(1, 10**6), "display_name": dice.choice(TEXTS)}
    number = dice.choice((0.0, -0.0, 1.0, 0.1, 1e15, 1e-7, 12.345, -2.675, dice.random() * 1e4, 3))
    moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(10**8))
    return {
        "text": dice.choice(TEXTS) + str(dice.randrange(100)),
        "html": f"<p>{dice.choice(TEXTS)}</p>",
        "many2one": related,
        "many2many": [related] * dice.randrange(3),
        "datetime": dice.choice((f"{moment:%Y-%m-%d %H:%M:%S}", "26-01-02 03:04:05")),
        "date": f"{moment:%Y-%m-%d}",
    }.get(kind, number)
