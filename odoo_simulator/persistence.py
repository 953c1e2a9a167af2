"""Keeps a simulated database between starts, safely even against kill -9.

Each commit is written through to SQLite (WAL) as one transaction. A bulk is stored as the few
numbers that describe it; its changed rows are stored like any other row.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

from odoo_simulator.bulk_creation import show_bulk
from odoo_simulator.bulk_orders import Bulk
from odoo_simulator.model_fields import Names
from odoo_simulator.store import Changes, Store, as_row

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    model TEXT NOT NULL, id INTEGER NOT NULL, data TEXT, PRIMARY KEY (model, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequence (model TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS bulk (data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_LABELLED = ("partners", "products")


class SqliteCommitStorage:
    """One data file. Only used under the store's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # NORMAL survives the end of the process; only a power cut could lose the last commits.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def load(self, store: Store, names: Names, version: int) -> bool:
        """Fill the store; False if the file was empty. Raises ValueError for another version's."""
        kept = self._connection.execute("SELECT value FROM about WHERE name = 'version'").fetchone()
        if kept is None:
            self._connection.execute("INSERT INTO about VALUES ('version', ?)", (str(version),))
            return False
        if kept[0] != str(version):
            raise ValueError(
                f"{self.path} holds an Odoo {kept[0]}: start with --version {kept[0]}, or remove it"
            )
        for (data,) in self._connection.execute("SELECT data FROM bulk"):
            show_bulk(store, "purchase.order", _bulk(json.loads(data)), names, version)
        for model, number, data in self._connection.execute("SELECT model, id, data FROM record"):
            if model in store.tables:
                row = None if data is None else as_row(json.loads(data))
                store.tables[model].set(number, row)
        for model, last in self._connection.execute("SELECT model, last FROM sequence"):
            if model in store.tables:
                store.tables[model].last_id = max(store.tables[model].last_id, last)
        return bool(store.tables["res.company"].rows)

    def write(self, changes: Changes, sequences: dict[str, int]) -> None:
        rows = [
            (model, number, None if row is None else json.dumps(row, ensure_ascii=False))
            for model, numbers in changes.items()
            for number, row in numbers.items()
        ]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", rows)
        self._connection.executemany(
            "INSERT OR REPLACE INTO sequence VALUES (?, ?)", list(sequences.items())
        )
        self._connection.execute("COMMIT")

    def add_bulk(self, bulk: Bulk) -> None:
        self._connection.execute("INSERT INTO bulk VALUES (?)", (json.dumps(asdict(bulk)),))

    def close(self) -> None:
        self._connection.close()


def _bulk(data: dict[str, Any]) -> Bulk:
    labelled = {key: tuple((number, name) for number, name in data[key]) for key in _LABELLED}
    return Bulk(**{**data, **labelled, "users": tuple(data["users"])})
