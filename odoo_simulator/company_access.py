"""Which companies' records a call sees: the account's, or those requested in its context.

Without ``allowed_company_ids`` an account sees the records of all its companies; an id that is not
among them makes the call fail (measured on 17, 18 and 19). Internal calls (a test's, a rule's) see
all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from odoo_simulator.bulk_orders import Row
from odoo_simulator.errors import AccessError
from odoo_simulator.store import Store

_seen: ContextVar[frozenset[int] | None] = ContextVar("companies", default=None)


def seen() -> frozenset[int] | None:
    """Return the companies visible to the current call; None: all."""
    return _seen.get()


def belongs(row: Row, companies: frozenset[int]) -> bool:
    """Return whether a record belongs to one of these companies, or to none at all."""
    company = row.get("company_id", False)
    return not company or company in companies


@contextmanager
def as_seen_by(store: Store, user_id: int, context: Any) -> Iterator[None]:
    """Run the block as this account. Raises AccessError for a company it does not have."""
    asked: Sequence[int] = (context or {}).get("allowed_company_ids") or ()
    with store.lock:
        user = store.get("res.users", user_id) or {}
        every = frozenset(store.tables["res.company"].ids())
    own = frozenset(user.get("company_ids", ()))
    if not own.issuperset(asked):
        raise AccessError("Access to unauthorized or invalid companies.")
    companies = frozenset(asked) or own
    token = _seen.set(None if companies >= every else companies)
    try:
        yield
    finally:
        _seen.reset(token)
