"""search and search_count over a table; ids and dates narrow the candidate rows first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from odoo_simulator.bulk_orders import Block, Row, microseconds_of_text
from odoo_simulator.domains import Compiler, Group, Leaf, Node, conjuncts, fields_of
from odoo_simulator.errors import ServerError, UserError
from odoo_simulator.model_fields import X2MANY_TYPES, Model
from odoo_simulator.store import Store, Table

ENDLESS = 1 << 62
Visible = Callable[[int], bool]


@dataclass(slots=True)
class Plan:
    """What a domain's top level says about id and write_date; `whole` if it says nothing else."""

    numbers: list[int] | None = None
    low: int = 0
    high: int = ENDLESS
    since: int | None = None  # µs since 1970, included
    before: int | None = None  # µs since 1970, excluded
    undated: bool = False  # only rows without a write_date
    whole: bool = True


def plan_of(node: Node, compiler: Compiler) -> Plan:
    plan = Plan()
    for term in conjuncts(node):
        if isinstance(term, Group) and not term.children:
            continue
        if not (isinstance(term, Leaf) and (_by_id(plan, term) or _by_date(plan, term, compiler))):
            plan.whole = False
    return plan


def _by_id(plan: Plan, leaf: Leaf) -> bool:
    if leaf.path != "id":
        return False
    if leaf.operator in ("in", "=") and plan.numbers is None:
        values = leaf.value if isinstance(leaf.value, (list, tuple)) else [leaf.value]
        plan.numbers = sorted({value for value in values if type(value) is int})
        return True
    if type(leaf.value) is not int:
        return False
    if leaf.operator in (">", ">="):
        plan.low = max(plan.low, leaf.value + (leaf.operator == ">"))
        return True
    if leaf.operator in ("<", "<="):
        plan.high = min(plan.high, leaf.value + (leaf.operator == "<="))
        return True
    return False


def _by_date(plan: Plan, leaf: Leaf, compiler: Compiler) -> bool:
    if leaf.path == "write_date" and leaf.operator == "=" and leaf.value is False:
        plan.undated = True
        return True
    if leaf.path != "write_date" or leaf.operator not in (">", ">=", "<", "<="):
        return False
    if not isinstance(leaf.value, str):
        return False
    # The smallest difference that this version sees: a second on 19, a microsecond before.
    unit = 1_000_000 if compiler.version >= 19 else 1
    try:
        moment = microseconds_of_text(compiler.moment(leaf.value))
    except ValueError:
        raise ServerError("ValueError", f"Invalid datetime {leaf.value!r}") from None
    if leaf.operator in (">", ">="):
        edge = moment + (unit if leaf.operator == ">" else 0)
        plan.since = edge if plan.since is None else max(plan.since, edge)
    else:
        edge = moment + (unit if leaf.operator == "<=" else 0)
        plan.before = edge if plan.before is None else min(plan.before, edge)
    return True


def block_range(block: Block, plan: Plan) -> range:
    """Return the ids of a block that the plan leaves. Each row of a block has a write_date."""
    if plan.undated:
        return range(0)
    low, high = max(plan.low, block.ids.start), min(plan.high, block.ids.stop)
    if plan.since is not None:
        low = max(low, block.first_written_since(plan.since))
    if plan.before is not None:
        high = min(high, block.first_written_since(plan.before))
    return range(low, max(low, high))


class Search:
    """One search: a table, a domain, and who may see what. Use it under the store's lock."""

    def __init__(
        self, store: Store, compiler: Compiler, model: str, node: Node, visible: Visible | None
    ) -> None:
        self.table: Table = store.tables[model]
        self.compiler = compiler
        self.model = model
        self.plan = plan_of(node, compiler)
        self.predicate = compiler.compile(model, node)
        self.looked_at = fields_of(node)
        self.visible = visible

    def ascending(self) -> Iterator[int]:
        """Yield the ids of all matches, ascending."""
        found: Iterator[int]
        if self.plan.numbers is not None:
            found = (number for number in self.plan.numbers if self._matches(number))
        else:
            parts = [self._stored(), *(self._in_block(block) for block in self.table.blocks)]
            found = parts[0] if len(parts) == 1 else heapq.merge(*parts)
        if self.visible is None:
            return found
        visible = self.visible
        return (number for number in found if visible(number))

    def count(self) -> int:
        if self.by_range:
            return self._count_whole()
        return sum(1 for _number in self.ascending())

    def ids(self, order: str, offset: int = 0, limit: int | None = None) -> list[int]:
        keys = parse_order(self.compiler.models[self.model], order)
        if keys and keys[0] == ("id", False):
            return _slice(self.ascending(), offset, limit)
        found = list(self.ascending())
        for name, descending in reversed(keys):
            found.sort(key=self._sort_key(name), reverse=descending)
        return found[offset:] if not limit else found[offset : offset + limit]

    def _matches(self, number: int) -> bool:
        row = self.table.get(number)
        return row is not None and self.predicate(number, row)

    def _stored(self) -> Iterator[int]:
        rows = self.table.rows
        for number in self.table.explicit(self.plan.low, self.plan.high):
            row = rows[number]
            if row is not None and self.predicate(number, row):
                yield number

    def _in_block(self, block: Block) -> Iterator[int]:
        rows, whole = self.table.rows, self.plan.whole
        row_of = block.light if self.looked_at <= block.cheap else block.row
        for number in block_range(block, self.plan):
            if number in rows:
                continue
            if whole or self.predicate(number, row_of(number)):
                yield number

    @property
    def by_range(self) -> bool:
        """Whether all rows in a block's planned ranges match, so that none need be checked."""
        return self.visible is None and self.plan.whole and self.plan.numbers is None

    def stored(self) -> Iterator[int]:
        """Yield the matches among stored rows only (the others are in the blocks' ranges)."""
        return self._stored()

    def _count_whole(self) -> int:
        total = sum(1 for _number in self._stored())
        for block in self.table.blocks:
            chosen = block_range(block, self.plan)
            changed = self.table.explicit(chosen.start, chosen.stop)
            total += len(chosen) - len(changed)
        return total

    def _sort_key(self, name: str) -> Callable[[int], Any]:
        if name == "id":
            return lambda number: number
        if name == "write_date":
            return self._written
        field = self.compiler.models[self.model].fields[name]
        default, get = field.default, self.table.get
        label = self.compiler.label

        def key(number: int) -> Any:
            value = (get(number) or {}).get(name, default)
            if field.relation in ("purchase.order", "sale.order"):
                return -value  # in the model's default order: newest first
            if field.type == "many2one":
                return label(field.relation, value) if value else "\uffff"
            # PostgreSQL sorts NULLs last, as the greatest value.
            return (value is False and field.type != "boolean", value if value is not None else 0)

        return key

    def _written(self, number: int) -> str:
        row: Row | None = self.table.rows.get(number)
        if row is not None:
            return str(row.get("write_date") or "")
        for block in self.table.blocks:
            if number in block.ids:
                return block.written_text(number)
        return ""


def parse_order(model: Model, order: str) -> list[tuple[str, bool]]:
    """Parse `write_date desc, id` into [(name, descending)]."""
    keys = []
    for part in (order or model.order).split(","):
        words = part.split()
        if not words:
            continue
        name = words[0]
        field = model.fields.get(name)
        if field is None:
            raise ServerError("ValueError", f"Invalid field {name!r} on model {model.name!r}")
        if field.type in X2MANY_TYPES or not field.store:
            raise UserError(f"Cannot order by {name!r}: it is not stored")
        keys.append((name, len(words) > 1 and words[1].lower() == "desc"))
    return keys


def _slice(found: Iterator[int], offset: int, limit: int | None) -> list[int]:
    result: list[int] = []
    for position, number in enumerate(found):
        if position < offset:
            continue
        result.append(number)
        if limit and len(result) >= limit:
            break
    return result
