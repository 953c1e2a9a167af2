"""The closed table of what is done about each error."""

import builtins
import inspect

import pytest
from django import db

from bc_consumer import odoo
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import error_fingerprint
from bc_consumer.odoo import errors
from bc_consumer.refresh import error_policy
from bc_consumer.refresh.error_policy import (
    POLICY,
    Reaction,
    explanation,
    is_about_orders,
    reaction_to,
)

OF_THE_GATEWAY = [
    member
    for _name, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, Exception)
]
OF_THE_DATABASE = [
    db.DatabaseError, db.DataError, db.IntegrityError, db.InterfaceError, db.InternalError,
    db.NotSupportedError, db.OperationalError, db.ProgrammingError,
]  # fmt: skip


@pytest.mark.parametrize("error", [*OF_THE_GATEWAY, *OF_THE_DATABASE])
def test_rule_6_every_known_error_is_in_the_table(error: type[Exception]) -> None:
    assert error in POLICY


def test_the_gateway_exports_what_the_table_names() -> None:
    assert {error.__name__ for error in OF_THE_GATEWAY} <= set(odoo.__all__)


class _Unheard(odoo.OdooUnavailable):
    """An error that somebody adds and does not put into the table."""


@pytest.mark.parametrize(
    "error",
    [_Unheard(verbatim("new")), ValueError("x"), KeyError("x"), TypeError("x"), RecursionError("x"),
     builtins.OSError("x")],
)  # fmt: skip
def test_rule_6_an_unknown_error_is_some_order_s_and_stops_nobody(error: Exception) -> None:
    assert reaction_to(error) is Reaction.DOUBT
    assert is_about_orders(error)


def test_rule_7_what_is_nobody_s_fault_is_no_order_s() -> None:
    for kind, decision in POLICY.items():
        if issubclass(kind, odoo.OdooRefused):
            assert decision is Reaction.REFUSED
    assert not is_about_orders(odoo.OdooUnavailable(verbatim("away")))
    assert not is_about_orders(odoo.OdooInterrupted(verbatim("stopping")))
    assert not is_about_orders(db.OperationalError("deadlock"))
    assert not is_about_orders(db.ProgrammingError("no such column"))


def test_a_lone_order_s_error_says_what_to_do() -> None:
    large = odoo.ResponseTooLarge(verbatim("cut off"), limit=2**20)
    assert "1 MiB (ODOO_MAX_RESPONSE_BYTES)" in explanation(large)
    assert "ODOO_TIMEOUT_SECONDS" in explanation(odoo.OdooTimeout(verbatim("30 s")))
    assert "someone" not in explanation(error_policy.NotReadable())
    assert "ODOO_COMPANY_IDS" in explanation(error_policy.NotReadable())
    assert explanation(ValueError()) == "ValueError"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Order 12, line 5: bad", "Order 7, line 31: bad"),
        ("orders [5, 6, 7]  vanished", "orders [9] vanished"),
        ("Record: purchase.order(999999,)", "Record: purchase.order(3,)"),
        ("at 12:30:05.25 on 2026-11-24", "at 01:00:00.00 on 2026-11-25"),
    ],
)
def test_failures_of_one_cause_are_of_one_kind(one: str, other: str) -> None:
    assert error_fingerprint.fingerprint("OdooFault", one) == error_fingerprint.fingerprint(
        "OdooFault", other
    )


def test_failures_of_different_causes_are_not() -> None:
    assert error_fingerprint.fingerprint("OdooFault", "bad name") != error_fingerprint.fingerprint(
        "OdooFault", "bad price"
    )
    assert error_fingerprint.fingerprint("OdooFault", "bad") != error_fingerprint.fingerprint(
        "MappingError", "bad"
    )
    assert len(error_fingerprint.fingerprint("OdooFault", "x" * 10_000)) < 300
