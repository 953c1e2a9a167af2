"""Which companies' records a call sees: the account's, or those that its context asks for.

Without ``allowed_company_ids`` an account sees the records of all its companies; with an id that it
has not, the call fails (measured on 17, 18 and 19). Calls from inside (a test's, a rule's) see all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from odoo_simulator.blocks import Row
from odoo_simulator.errors import AccessError
from odoo_simulator.store import Store

_seen: ContextVar[frozenset[int] | None] = ContextVar("companies", default=None)


def seen() -> frozenset[int] | None:
    """The companies of the call under way; None: all."""
    return _seen.get()


def belongs(row: Row, companies: frozenset[int]) -> bool:
    """Whether a record is of one of these companies; one without a company is everybody's."""
    company = row.get("company_id", False)
    return not company or company in companies


@contextmanager
def as_seen_by(store: Store, user_id: int, context: Any) -> Iterator[None]:
    """Do what follows as this account; raises AccessError for a company that it has not."""
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
