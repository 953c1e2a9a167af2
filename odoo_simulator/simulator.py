"""The simulated Odoo as a Python object: start it, change its orders, break it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from odoo_simulator import base_data
from odoo_simulator.automation import Automation
from odoo_simulator.bulk_creation import attach_bulk
from odoo_simulator.bulk_orders import EPOCH, Row
from odoo_simulator.call_log import Call, CallLog
from odoo_simulator.captured_orders import load_captured_orders
from odoo_simulator.company_access import seen
from odoo_simulator.control import Control
from odoo_simulator.faults import Faults
from odoo_simulator.http_server import HttpServer, Request, Response
from odoo_simulator.methods import Methods
from odoo_simulator.model_fields import Field, load_models, names_of
from odoo_simulator.order_changes import Operations
from odoo_simulator.persistence import SqliteCommitStorage
from odoo_simulator.reading import Reader
from odoo_simulator.request_dispatch import Transports
from odoo_simulator.rpc_services import Service, User
from odoo_simulator.rules import rules_for
from odoo_simulator.store import Store, Transaction
from odoo_simulator.webhooks import Delivery, WebhookSender
from odoo_simulator.writing import Records

T = TypeVar("T")
TIMINGS = ("early", "committed")


class SimulatedTransaction(Operations):
    """The same operations inside one transaction, invisible to others until it commits.

    If two transactions write one row, the second waits for the first and then raises
    SerializationFailure, as with PostgreSQL; begin it again.
    """

    def __init__(self, simulator: Simulator, transaction: Transaction) -> None:
        self.version = simulator.version
        self.order_model = simulator.order_model
        self.records = simulator.records
        self.transaction = transaction

    @property
    def started(self) -> str:
        """The new write_date: the transaction's start, with microseconds, in UTC."""
        return self.transaction.now

    def commit(self) -> None:
        self.transaction.commit()

    def rollback(self) -> None:
        self.transaction.rollback()

    def _do(self, work: Callable[[Transaction], T]) -> T:
        return work(self.transaction)


class Simulator(Operations):
    """A simulated Odoo.

    `webhook_timing`: "early" (inside the transaction: 17, 18) or "committed" (19); None: the
    version's own. `port` 0: a free one. `data_file`: keeps everything between starts. `languages`:
    codes of the active ones; a database created in French alone has ("fr_FR",) (measured).
    """

    def __init__(
        self,
        version: int = 17,
        webhook_timing: str | None = None,
        *,
        database: str = "odoo",
        login: str = "admin",
        password: str = "admin",  # noqa: S107 - the simulator's own, as a fresh Odoo's
        port: int = 0,
        data_file: str | Path | None = None,
        keep_alive: bool = False,
        order_model: str = "purchase.order",
        api_keys: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        languages: Sequence[str] = base_data.IN_USE,
    ) -> None:
        timing = webhook_timing or ("committed" if version >= 19 else "early")
        if timing not in TIMINGS:
            raise ValueError(f"webhook_timing must be one of {TIMINGS}, not {webhook_timing!r}")
        self.version = version
        self.database, self.login, self.password = database, login, password
        self._languages = languages
        self.order_model = order_model
        self.models = load_models(version)
        self.store = Store(self.models)
        self.webhooks = WebhookSender()
        self.automation = Automation(self.store, self.models, version, timing, self.webhooks)
        self.records = Records(self.store, self.models, version, self.automation)
        self.reader = Reader(self.store, self.models, version)
        self.faults = Faults(self.models)
        self.call_log = CallLog()
        methods = Methods(self.store, self.models, version, self.reader, self.records)
        users = [User(base_data.ADMINISTRATOR, login, password)]
        self.service = Service(version, database, users, methods, self.faults)
        for key in api_keys:
            self.service.keys.add(base_data.ADMINISTRATOR, key)
        self._transports = Transports(self.service, self.faults, self.call_log)
        self._control = Control(self)
        self._server = HttpServer(host, port, self._answer, keep_alive)
        # A second server, so that a simulator that refuses connections can still be controlled.
        self._control_server = HttpServer(host, 0, self._answer)
        self._journal = SqliteCommitStorage(Path(data_file)) if data_file is not None else None
        self._stopped = threading.Event()
        self._wire(methods)
        self._load()

    # --- life ---

    def start(self) -> Self:
        """Listen; return itself."""
        # First, because whoever finds the server may use the control at once.
        self._control_server.listen()
        self._server.listen()
        return self

    def stop(self) -> None:
        """Close all sockets and the data file."""
        self._server.close()
        self._control_server.close()
        self._stopped.set()
        if self._journal is not None:
            with self.store.lock:
                self.store.journal = None
                self._journal.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        return f"http://{self._server.host}:{self._server.port}"

    @property
    def control_url(self) -> str:
        return f"http://{self._control_server.host}:{self._control_server.port}"

    # --- transactions ---

    @contextmanager
    def transaction(self, hold: float | None = None) -> Iterator[SimulatedTransaction]:
        """Open a transaction that others see only after it ends, `hold` seconds after the block.

        An exception, or `rollback()` inside the block, rolls all of it back.
        """
        handle = self.begin()
        try:
            yield handle
        except BaseException:
            handle.rollback()
            raise
        if hold and not handle.transaction.finished:
            time.sleep(hold)
        handle.commit()

    def begin(self) -> SimulatedTransaction:
        """Begin a transaction, to be ended by `commit()` or `rollback()`."""
        return SimulatedTransaction(self, self.store.begin())

    def _do(self, work: Callable[[Transaction], T]) -> T:
        return self.records.run(work)

    # --- many orders, captured orders, rules ---

    def bulk_create(
        self, count: int, lines_per_order: int = 5, spread_days: float = 0.0, seed: int = 1
    ) -> range:
        """Create orders by the million, without webhooks, with write_dates in the last days.

        With a spread of 0 all have the same write_date, as if from one transaction. Returns the
        ids.
        """
        now = self.store.now()
        start = now - timedelta(days=spread_days)
        step = int(spread_days * 86_400_000_000 / count) if count else 0
        start_microseconds = (start - EPOCH) // timedelta(microseconds=1)
        bulk = attach_bulk(
            self.store,
            self.order_model,
            self.version,
            count=count,
            lines=lines_per_order,
            start=start_microseconds,
            step=step,
            seed=seed,
        )
        if spread_days:
            self._age_related_records(start)
        if self._journal is not None:
            self._journal.add_bulk(bulk)
        return range(bulk.first_order, bulk.first_order + bulk.count)

    def _age_related_records(self, start: datetime) -> None:
        """Have what the orders point to written before them, as in an Odoo that has grown.

        Otherwise each of the next nights compares all names.
        """
        written = start.strftime("%Y-%m-%d %H:%M:%S.%f")
        with self.store.lock:
            for model, table in self.store.tables.items():
                if model in (self._shape.order, self._shape.line):
                    continue
                for row in filter(None, table.rows.values()):
                    if row.get("write_date", "") > written:
                        row["write_date"] = written

    def load_demo_orders(self, source: str | Path | dict[str, Any]) -> list[int]:
        """Serve captured orders exactly as captured; return their ids."""
        return load_captured_orders(self, source)

    def install_rules(self, url: str, secret: str | None = None) -> list[int]:
        """Install four rules (order and line, changed and deleted) for `url`; return their ids."""
        target = _with_secret(url, secret) if secret is not None else url
        rules = rules_for(self.store, self.models, self._shape, target)
        return [self.create("base.automation", rule) for rule in rules]

    def generate_api_key(
        self, days: float | None = None, user_id: int = base_data.ADMINISTRATOR
    ) -> str:
        """Create an account's API key, valid for `days`; it also works as a password."""
        return self.service.keys.add(user_id, days=days)

    def revoke_api_key(self, key: str) -> None:
        self.service.keys.revoke(key)

    def add_field(
        self,
        model: str,
        name: str,
        kind: str,
        *,
        string: str = "",
        relation: str = "",
        selection: Sequence[tuple[str, str]] = (),
        digits: tuple[int, int] | None = None,
    ) -> None:
        """Add a stored, writable custom field (`x_…`), which is gone after the next start."""
        choices = tuple((key, label) for key, label in selection)
        places = (digits[0], digits[1]) if digits else None
        field = Field(name, kind, string or name, True, relation, choices, places)
        self.models.restore(model, field)
        with self.store.lock:
            models = self.store.tables["ir.model"].rows
            model_id = next(
                number for number, row in models.items() if row and row["model"] == model
            )
        described: Row = {"name": name, "model": model, "model_id": model_id, "ttype": kind}
        described |= {
            "field_description": field.string,
            "store": True,
            "relation": relation or False,
        }
        self.create("ir.model.fields", described)

    def remove_field(self, model: str, name: str) -> None:
        """Remove a field, as an upgrade does: it can be neither read nor searched."""
        self.models.drop(model, name)
        with self.store.lock:
            rows = self.store.tables["ir.model.fields"].rows
            gone = [
                n for n, row in rows.items() if row and (row["model"], row["name"]) == (model, name)
            ]
        self.unlink("ir.model.fields", gone)

    def add_company(self, name: str, currency_id: int = base_data.EUR) -> int:
        """Add a company, also to the administrator's, as when created in Odoo; return its id."""
        company = self.create("res.company", {"name": name, "currency_id": currency_id})
        self.set_companies(
            base_data.ADMINISTRATOR, [*self._companies_of(base_data.ADMINISTRATOR), company]
        )
        return company

    def add_user(
        self, login: str, password: str, company_ids: Sequence[int], api_keys: Sequence[str] = ()
    ) -> int:
        """Add an account that sees these companies' orders; return its id."""
        user = self.create("res.users", {"name": login, "login": login})
        self.set_companies(user, company_ids)
        self.service.users[user] = User(user, login, password)
        for key in api_keys:
            self.service.keys.add(user, key)
        return user

    def set_companies(self, user_id: int, company_ids: Sequence[int]) -> None:
        """Let an account see these companies' records and no others."""
        companies = {"company_id": company_ids[0], "company_ids": [(6, 0, list(company_ids))]}
        self.write("res.users", user_id, companies)

    def _companies_of(self, user_id: int) -> list[int]:
        with self.store.lock:
            return list((self.store.get("res.users", user_id) or {}).get("company_ids", ()))

    def remove_rules(self) -> None:
        with self.store.lock:
            rules = list(self.store.tables["base.automation"].ids())
        if rules:
            self.unlink("base.automation", rules)

    # --- looking ---

    def order(self, order_id: int) -> Row | None:
        """Return one order with its lines under `order_line`; None if it is gone.

        Fields have this version's names and are as `web_search_read` shows them, except that a
        many2one is a bare id.
        """
        with self.store.lock:
            row = self.store.get(self.order_model, order_id)
            if row is None:
                return None
            # What hides records is part of the layout; where nothing does, all have the same.
            hides = seen() is not None or any(self.faults.state.forbidden.values())
            lay_out = self._layout_of_order() if hides else self._layout
            return lay_out(order_id, row)

    def _layout_of_order(self) -> Callable[[int, Row], Row]:
        spec: dict[str, Any] = {name: {} for name in self.models[self.order_model].fields}
        line_fields: Row = {name: {} for name in self.models[self._shape.line].fields}
        spec["order_line"] = {"fields": line_fields}
        return self.reader.shape(self.order_model, spec)

    @cached_property
    def _layout(self) -> Callable[[int, Row], Row]:
        return self._layout_of_order()

    def order_ids(self) -> list[int]:
        with self.store.lock:
            return sorted(self.store.tables[self.order_model].ids())

    def last_order_id(self) -> int:
        """Return the highest order id assigned so far, even if that order is gone; 0 if none."""
        with self.store.lock:
            return self.store.tables[self.order_model].last_id

    def line_ids(self) -> list[int]:
        with self.store.lock:
            return sorted(self.store.tables[self._shape.line].ids())

    def display_name(self, model: str, record_id: int) -> str:
        with self.store.lock:
            return self.reader.label(model, record_id)

    def count(self, model: str | None = None) -> int:
        with self.store.lock:
            return self.store.tables[model or self.order_model].count()

    @property
    def calls(self) -> list[Call]:
        """The calls answered so far, oldest first."""
        return self.call_log.all()

    def calls_clear(self) -> None:
        self.call_log.clear()

    def webhook_counters(self) -> dict[str, float]:
        """Return how many webhooks succeeded (below 400) and failed, and the answers' seconds."""
        return self.webhooks.counters()

    def webhook_deliveries(self) -> list[Delivery]:
        """Return the latest webhooks, oldest first."""
        return self.webhooks.all()

    def webhooks_clear(self) -> None:
        self.webhooks.clear()

    def clock(self) -> datetime:
        """Return Odoo's current time, UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.store.clock_offset)

    # --- inside ---

    def _wire(self, methods: Methods) -> None:
        self.faults.on_refuse = self._server.close
        self.faults.on_accept = self._listen_again
        self.faults.on_webhooks = self._set_webhook_faults
        self.records.commit_delay = lambda: self.faults.state.slow_commit
        self.faults.on_clock = self._set_clock
        self.reader.hidden = lambda model: self.faults.state.forbidden.get(model, frozenset())
        methods.is_empty = lambda: self.faults.state.empty
        self._server.clock_offset = lambda: self.store.clock_offset

    def _listen_again(self) -> None:
        # Only what refuse() closed: not before start(), and not after stop().
        if self._control_server.listening:
            self._server.listen()

    def _set_webhook_faults(self, loss: float, doubling: float) -> None:
        self.webhooks.loss, self.webhooks.doubling = loss, doubling

    def _set_clock(self, offset: float) -> None:
        self.store.clock_offset = offset

    def _load(self) -> None:
        found = self._journal is not None and self._journal.load(
            self.store, names_of(self.version), self.version
        )
        if not found:
            self.store.journal = self._journal
            base_data.fill(self.store, self.models, self.login, self._languages)
        self.store.journal = self._journal
        self.automation.reload()

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/simulator"):
            return self._control.answer(request)
        return self._transports.answer(request)


def _with_secret(url: str, secret: str) -> str:
    """Return the URL with Basic credentials `odoo:SECRET`, in the form Odoo accepts."""
    parts = urlsplit(url)
    host = f"odoo:{quote(secret, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=host))
