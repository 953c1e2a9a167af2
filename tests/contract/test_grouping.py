"""Counts and sums by day, by which a reconciliation compares without reading."""

from typing import Any

import pytest

from bc_consumer.odoo import OdooFault
from tests.contract.target import ORDER, Target


def by_day(target: Target, domain: list[Any]) -> list[dict[str, Any]]:
    """Ask as each version wants to be asked: rows with count, sum of ids, first moment of day."""
    context = {"tz": "UTC"}
    if target.major >= 19:
        rows = target.call(
            ORDER,
            "formatted_read_group",
            domain,
            groupby=["write_date:day"],
            aggregates=["__count", "id:sum"],
            context=context,
        )
        return [
            {"count": row["__count"], "sum": row["id:sum"], "from": row["write_date:day"][0]}
            for row in rows
        ]
    # Up to 16 an aggregate that is called id is left out (measured on 14 and 16).
    name, asked = ("id", "id:sum") if target.major >= 17 else ("ids", "ids:sum(id)")
    rows = target.call(
        ORDER, "read_group", domain, [asked], ["write_date:day"], lazy=False, context=context
    )
    return [
        {
            "count": row["__count"],
            "sum": row[name],
            "from": row["__range"]["write_date:day"]["from"],
        }
        for row in rows
    ]


def test_counts_and_id_sums_by_day(target: Target) -> None:
    ids = [target.create() for _ in range(4)]
    rows = by_day(target, [("id", "in", ids)])
    assert sum(row["count"] for row in rows) == 4
    assert sum(row["sum"] for row in rows) == sum(ids)
    written = {target.read(number, "write_date")["write_date"][:10] for number in ids}
    assert {row["from"] for row in rows} == {f"{day} 00:00:00" for day in written}


def test_the_day_s_bounds_select_what_the_group_counted(target: Target) -> None:
    ids = [target.create() for _ in range(3)]
    for row in by_day(target, [("id", "in", ids)]):
        day = row["from"][:10]
        # 16 to 18 compare microseconds too, 19 whole seconds (measured).
        end = f"{day} 23:59:59" if target.major >= 19 else f"{day} 23:59:59.999999"
        bounds = [("write_date", ">=", f"{day} 00:00:00"), ("write_date", "<=", end)]
        assert target.call(ORDER, "search_count", [("id", "in", ids), *bounds]) == row["count"]


def test_grouping_an_empty_domain_gives_no_rows(target: Target) -> None:
    assert by_day(target, [("id", "=", 0)]) == []


def test_an_unknown_aggregate_is_a_fault(target: Target) -> None:
    with pytest.raises(OdooFault):
        target.call(ORDER, "read_group", [], ["x_nope:sum"], ["write_date:day"], lazy=False)
