"""Rows and transactions.

Readers hold `Store.lock` for the length of one call, so that each call sees one snapshot. Writers
work in a `Transaction`, whose changes are invisible before the commit and whose `now` is its start,
as with PostgreSQL's now(). A row written by a transaction is locked until it ends; another writer
waits and must then start again (SerializationFailure), as in Odoo.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from odoo_simulator.bulk_orders import Block, Row, moment_text
from odoo_simulator.errors import SerializationFailure
from odoo_simulator.model_fields import Model

Key = tuple[str, int]
Changes = dict[str, dict[int, Row | None]]
LOCK_TIMEOUT = 60.0  # seconds; breaks a deadlock between two long transactions


class View(Protocol):
    """A source of rows: the committed state, or a transaction's own."""

    def get(self, model: str, record_id: int) -> Row | None: ...


class CommitStorage(Protocol):
    """Where commits are written through to (persistence.py)."""

    def write(self, changes: Changes, sequences: dict[str, int]) -> None: ...


class Table:
    """The committed rows of one model; None in `rows` hides a row of a block."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.rows: dict[int, Row | None] = {}
        self.blocks: list[Block] = []
        self.last_id = 0
        self._sorted: list[int] | None = None

    def get(self, record_id: int) -> Row | None:
        if record_id in self.rows:
            return self.rows[record_id]
        for block in self.blocks:
            if record_id in block.ids:
                return block.row(record_id)
        return None

    def set(self, record_id: int, row: Row | None) -> None:
        if record_id not in self.rows:
            self._sorted = None
        if row is None and not any(record_id in block.ids for block in self.blocks):
            self.rows.pop(record_id, None)
            self._sorted = None
        else:
            self.rows[record_id] = row
        self.last_id = max(self.last_id, record_id)

    def explicit(self, low: int, high: int) -> list[int]:
        """Return ids of stored rows with low <= id < high, ascending."""
        if self._sorted is None:
            self._sorted = sorted(self.rows)
        ids = self._sorted
        return ids[bisect_left(ids, low) : bisect_left(ids, high)]

    def ids(self) -> Iterator[int]:
        """Yield ids of all live rows, ascending within stored rows and within each block."""
        yield from (number for number, row in self.rows.items() if row is not None)
        for block in self.blocks:
            yield from (number for number in block.ids if number not in self.rows)

    def count(self) -> int:
        hidden = sum(1 for number in self.rows for block in self.blocks if number in block.ids)
        live = sum(1 for row in self.rows.values() if row is not None)
        return live + sum(len(block.ids) for block in self.blocks) - hidden


class Store:
    """The committed state of one simulated database."""

    def __init__(self, models: dict[str, Model]) -> None:
        self.lock = threading.RLock()
        self.tables = {name: Table(model) for name, model in models.items()}
        self.journal: CommitStorage | None = None
        self.on_commit: list[Callable[[Changes], None]] = []
        self.clock_offset = 0.0  # seconds added to the machine's clock
        self._unlocked = threading.Condition(self.lock)
        self._locks: dict[Key, Transaction] = {}
        self._commits = 0
        self._changed_at: dict[Key, int] = {}
        self._active: set[Transaction] = set()
        self._last_now = datetime(1970, 1, 1, tzinfo=UTC)

    def get(self, model: str, record_id: int) -> Row | None:
        return self.tables[model].get(record_id)

    def now(self) -> datetime:
        """Return Odoo's clock, never the same microsecond twice, to tell commits apart."""
        with self.lock:
            moment = datetime.now(UTC) + timedelta(seconds=self.clock_offset)
            if self._last_now >= moment > self._last_now - timedelta(milliseconds=1):
                moment = self._last_now + timedelta(microseconds=1)
            self._last_now = moment
            return moment

    def new_id(self, model: str) -> int:
        """Return the next id; as with PostgreSQL's sequences, a rollback does not return it."""
        with self.lock:
            table = self.tables[model]
            table.last_id += 1
            return table.last_id

    def begin(self) -> Transaction:
        with self.lock:
            transaction = Transaction(self, moment_text(self.now()), self._commits)
            self._active.add(transaction)
            return transaction

    def acquire(self, transaction: Transaction, keys: Iterable[Key]) -> None:
        """Lock rows. Raises SerializationFailure if one has changed since the transaction began."""
        deadline = time.monotonic() + LOCK_TIMEOUT
        with self.lock:
            for key in sorted(keys):
                while self._locks.get(key, transaction) is not transaction:
                    if not self._unlocked.wait(max(0.0, deadline - time.monotonic())):
                        raise SerializationFailure(f"{key[0]}({key[1]}) stayed locked")
                if self._changed_at.get(key, 0) > transaction.started_after:
                    raise SerializationFailure(
                        f"could not serialize access to {key[0]}({key[1]}) due to concurrent update"
                    )
                self._locks[key] = transaction

    def apply(self, transaction: Transaction) -> None:
        """Make a transaction's changes visible at once, and write them through."""
        changes = transaction.changes
        with self.lock:
            # Written through first: what can't be kept must not be seen.
            if self.journal is not None and changes:
                last_ids = {model: self.tables[model].last_id for model in changes}
                self.journal.write(changes, last_ids)
            self._commits += 1
            for model, rows in changes.items():
                table = self.tables[model]
                for record_id, row in rows.items():
                    table.set(record_id, row)
                    self._changed_at[(model, record_id)] = self._commits
            for listener in self.on_commit:
                listener(changes)
            self.forget(transaction)

    def forget(self, transaction: Transaction) -> None:
        """Release a transaction's locks, whether it was committed or not."""
        with self.lock:
            self._active.discard(transaction)
            for key in [key for key, holder in self._locks.items() if holder is transaction]:
                del self._locks[key]
            if not self._active:
                self._changed_at.clear()
            self._unlocked.notify_all()


class Transaction:
    """A unit of work; `now` is its start as text with microseconds, and becomes write_date."""

    def __init__(self, store: Store, now: str, started_after: int) -> None:
        self.store = store
        self.now = now
        self.started_after = started_after
        self.uid = 2
        self.changes: Changes = {}
        self.unrounded: dict[Key, Row] = {}
        self.after_commit: list[Callable[[], None]] = []
        self.finished = False

    def get(self, model: str, record_id: int) -> Row | None:
        own = self.changes.get(model)
        if own is not None and record_id in own:
            return own[record_id]
        with self.store.lock:
            return self.store.get(model, record_id)

    def need(self, model: str, record_id: int) -> Row:
        """Return the row. Raises KeyError if there is none; callers check existence first."""
        row = self.get(model, record_id)
        if row is None:
            raise KeyError(f"{model}({record_id})")
        return row

    def put(self, model: str, record_id: int, row: Row) -> None:
        self.changes.setdefault(model, {})[record_id] = row

    def delete(self, model: str, record_id: int) -> None:
        self.changes.setdefault(model, {})[record_id] = None

    def new_id(self, model: str) -> int:
        return self.store.new_id(model)

    def written(self) -> set[Key]:
        return {(model, number) for model, rows in self.changes.items() for number in rows}

    def commit(self) -> None:
        """Make the changes visible, then run what waited for the commit (19's webhooks)."""
        if self.finished:
            return
        self.finished = True
        try:
            self.store.apply(self)
        except BaseException:
            self.store.forget(self)
            raise
        for action in self.after_commit:
            action()

    def rollback(self) -> None:
        if not self.finished:
            self.finished = True
            self.store.forget(self)


def as_row(values: dict[str, Any]) -> Row:
    """Turn lists into tuples: snapshots share rows, which must not change."""
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
