"""The methods of models that can be called remotely."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from odoo_simulator.errors import ServerError, UnknownMethod, UserError, missing
from odoo_simulator.grouping import Grouping
from odoo_simulator.model_fields import Model
from odoo_simulator.reading import Reader, access_error
from odoo_simulator.store import Store, Transaction
from odoo_simulator.writing import Records

Method = Callable[..., Any]
# Methods on a record set: their first argument is ids.
_BUTTONS = {
    "button_confirm": "confirm",
    "action_confirm": "confirm",
    "button_cancel": "cancel",
    "action_cancel": "cancel",
    "button_draft": "to_draft",
    "action_draft": "to_draft",
    "button_done": "lock",
    "button_lock": "lock",
    "action_lock": "lock",
    "button_unlock": "unlock",
    "action_unlock": "unlock",
}
_SEARCHING = frozenset({"search", "search_read", "search_count", "web_search_read"})
# They return None, which XML-RPC cannot carry: fault 1, although all is committed (measured).
_RETURNS_NONE = frozenset({"button_cancel", "action_lock", "action_unlock", "button_done"})


class Methods:
    """Dispatches one call. Reads hold the store's lock, so that each call sees one snapshot."""

    def __init__(
        self, store: Store, models: dict[str, Model], version: int, reader: Reader, records: Records
    ) -> None:
        self.store = store
        self.models = models
        self.version = version
        self.reader = reader
        self.records = records
        self.grouping = Grouping(store, models, version, reader)
        self.is_empty: Callable[[], bool] = lambda: False
        self._reading: dict[str, Method] = {
            "read": self.read,
            "search": self.search,
            "search_read": self.search_read,
            "search_count": self.search_count,
            "web_search_read": self.web_search_read
            if version >= 17
            else self.web_search_read_of_16,
            "fields_get": self.fields_get,
            "exists": self.exists,
            "name_search": self.name_search,
            "read_group": self.read_group,
        }
        if version >= 17:
            self._reading["web_read"] = self.web_read
        if version >= 19:
            self._reading["formatted_read_group"] = self.formatted_read_group
        self._writing: dict[str, Method] = {
            "create": self.create,
            "write": self.write,
            "unlink": self.unlink,
        }
        if version >= 17:
            self._writing["web_save"] = self.web_save

    def call(self, model: str, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if name in _SEARCHING and "active" in self.models[model].fields:
            args, kwargs = _without_archived(args, kwargs)
        kwargs = {key: value for key, value in kwargs.items() if key != "context"}
        if name in self._reading:
            with self.store.lock:
                return self._reading[name](model, *args, **kwargs)
        if name in self._writing:
            return self._writing[name](model, *args, **kwargs)
        if model in self.records.workflows:
            if name in _BUTTONS:
                return self.button(model, name, *args, **kwargs)
            if name == "action_merge" and self.version >= 18:
                return self.action_merge(model, *args, **kwargs)
        raise UnknownMethod(model, name)

    # --- reading ---

    def read(
        self, model: str, ids: Any, fields: Any = None, load: str | None = "_classic_read"
    ) -> Any:
        numbers = _numbers(ids)
        return self.reader.read(model, [] if self._none(model) else numbers, fields or [], load)

    def search(  # noqa: PLR0917 - the order of arguments is Odoo's
        self,
        model: str,
        domain: Any = (),
        offset: int = 0,
        limit: int | None = None,
        order: str | None = None,
        count: bool = False,
    ) -> Any:
        if count:
            return self.search_count(model, domain)
        if self._none(model):
            return []
        return self.reader.search(model, domain, order or "", offset or 0, limit or 0)

    def search_count(self, model: str, domain: Any = (), limit: int | None = None) -> int:
        if self._none(model):
            return 0
        found = self.reader.count(model, domain)
        return min(found, limit) if limit else found

    def search_read(  # noqa: PLR0917 - the order of arguments is Odoo's
        self,
        model: str,
        domain: Any = (),
        fields: Any = None,
        offset: int = 0,
        limit: int | None = None,
        order: str | None = None,
        load: str | None = "_classic_read",
    ) -> Any:
        numbers = self.search(model, domain or (), offset, limit, order)
        return self.reader.read(model, numbers, fields or [], load)

    def read_group(self, model: str, *args: Any, **kwargs: Any) -> list[Any]:
        return [] if self._none(model) else self.grouping.read_group(model, *args, **kwargs)

    def formatted_read_group(self, model: str, *args: Any, **kwargs: Any) -> list[Any]:
        found = self.grouping.formatted_read_group
        return [] if self._none(model) else found(model, *args, **kwargs)

    def web_read(self, model: str, ids: Any, specification: dict[str, Any]) -> Any:
        return self.reader.web_read(model, _numbers(ids), specification)

    def web_search_read(  # noqa: PLR0917 - the order of arguments is Odoo's
        self,
        model: str,
        domain: Any = (),
        specification: dict[str, Any] | None = None,
        offset: int = 0,
        limit: int | None = None,
        order: str | None = None,
        count_limit: int | None = None,
    ) -> Any:
        numbers = self.search(model, domain, offset, limit, order)
        length = len(numbers) + (offset or 0)
        if limit and len(numbers) == limit and not (count_limit and count_limit <= length):
            length = self.search_count(model, domain, count_limit)
        lay_out = self.reader.shape(model, specification or {})
        rows = ((number, self.store.get(model, number)) for number in numbers)
        records = [lay_out(number, row) for number, row in rows if row is not None]
        return {"length": length, "records": records}

    def web_search_read_of_16(
        self, model: str, domain: Any = (), fields: Any = None, **options: Any
    ) -> Any:
        """Serve 16's method: it takes a list of fields and returns lines as ids (measured)."""
        if unknown := sorted(options.keys() - {"offset", "limit", "order", "count_limit"}):
            told = f"Base.web_search_read() got an unexpected keyword argument '{unknown[0]}'"
            raise ServerError("TypeError", told)
        options.pop("count_limit", None)
        return {
            "length": self.search_count(model, domain),
            "records": self.search_read(model, domain, fields, **options),
        }

    def fields_get(self, model: str, allfields: Any = None, attributes: Any = None) -> Any:
        shown = {}
        for name, field in self.models[model].fields.items():
            if allfields and name not in allfields:
                continue
            described = field.described()
            shown[name] = (
                {key: value for key, value in described.items() if key in attributes}
                if attributes
                else described
            )
        return shown

    def exists(self, model: str, ids: Any) -> list[int]:
        return [number for number in _numbers(ids) if self.store.get(model, number) is not None]

    def name_search(
        self, model: str, name: str = "", args: Any = (), operator: str = "ilike", limit: int = 100
    ) -> list[list[Any]]:
        domain = [*(args or ()), ["name", operator, name]] if name else list(args or ())
        numbers = self.search(model, domain, limit=limit)
        return [[number, self.reader.label(model, number)] for number in numbers]

    # --- writing ---

    def create(self, model: str, vals_list: Any) -> Any:
        many = vals_list if isinstance(vals_list, list) else [vals_list]

        def work(tx: Transaction) -> list[int]:
            return [self.records.create(tx, model, dict(item)) for item in many]

        numbers = self.records.run(work)
        return numbers if isinstance(vals_list, list) else numbers[0]

    def write(self, model: str, ids: Any, vals: dict[str, Any]) -> bool:
        numbers = self._allowed(model, ids)
        self.records.run(lambda tx: self.records.write(tx, model, numbers, vals))
        return True

    def unlink(self, model: str, ids: Any) -> bool:
        numbers = self._allowed(model, ids)
        self.records.run(lambda tx: self.records.unlink(tx, model, numbers))
        return True

    def web_save(self, model: str, ids: Any, vals: dict[str, Any], specification: Any) -> Any:
        if ids:
            self.write(model, ids, vals)
        else:
            ids = [self.create(model, vals)]
        with self.store.lock:
            return self.web_read(model, ids, specification)

    def button(self, model: str, name: str, ids: Any) -> Any:
        numbers = _numbers(ids)
        workflow = self.records.workflows[model]
        press = getattr(workflow, _BUTTONS[name])
        self.records.run(lambda tx: self.records.act(tx, lambda events: press(tx, numbers, events)))
        return None if name in _RETURNS_NONE else True

    def action_merge(self, model: str, ids: Any) -> Any:
        """Move all lines to the oldest order (18 and later)."""
        numbers = sorted(_numbers(ids))
        if len(numbers) < 2:
            raise UserError("Please select at least two purchase orders to merge.")
        workflow = self.records.workflows[model]

        def work(tx: Transaction) -> None:
            for number in numbers:
                if tx.get(model, number) is None:
                    raise missing(model, number)
            self.records.act(tx, lambda events: workflow.merge(tx, numbers[1:], numbers[0], events))

        self.records.run(work)
        return {"type": "ir.actions.client", "tag": "display_notification"}

    def orders_touched(self, model: str, args: list[Any], result: Any) -> set[int]:
        """Return the orders that a call reads or names, also through their lines (for poison)."""
        numbers = set(_answered(result))
        if args and isinstance(args[0], (list, int)):
            numbers |= {number for number in _flat(args[0]) if type(number) is int}
        shape = self.records.shapes.get(model)
        if shape is None:
            return set()
        if model == shape.order:
            return numbers
        with self.store.lock:
            rows = [self.store.get(model, number) for number in numbers]
        return {int(row["order_id"]) for row in rows if row is not None}

    def _allowed(self, model: str, ids: Any) -> list[int]:
        numbers = _numbers(ids)
        if not all(self.reader.may_see(model, number) for number in numbers):
            raise access_error(self.models[model])
        return numbers

    def _none(self, model: str) -> bool:
        return self.is_empty() and model in self.records.shapes


def _without_archived(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Exclude archived records from a search whose domain and context do not mention them."""
    domain = list((args[0] if args else kwargs.get("domain")) or ())
    told = any(isinstance(term, (list, tuple)) and term[0] == "active" for term in domain)
    if told or (kwargs.get("context") or {}).get("active_test") is False:
        return args, kwargs
    active = [("active", "=", True), *domain]
    return ([active, *args[1:]], kwargs) if args else (args, {**kwargs, "domain": active})


def _numbers(ids: Any) -> list[int]:
    return [ids] if isinstance(ids, int) else [int(number) for number in ids or ()]


def _flat(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _answered(result: Any) -> Iterable[int]:
    """Yield the ids of the records in an answer, including plain ids from search."""
    records = result.get("records", ()) if isinstance(result, dict) else result
    if not isinstance(records, list):
        return ()
    return [
        record["id"] if isinstance(record, dict) else record
        for record in records
        if type(record) is int or (isinstance(record, dict) and type(record.get("id")) is int)
    ]
