"""Odoo's search domains: parsed into a tree, compiled into a predicate.

Comparisons with write_date differ between versions (measured): 17 and 18 compare with the stored
microseconds, 19 compares whole seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from odoo_simulator.bulk_orders import Row
from odoo_simulator.errors import ServerError
from odoo_simulator.model_fields import X2MANY_TYPES, Field, Model
from odoo_simulator.store import View

Predicate = Callable[[int, Row], bool]
_COMPARING = frozenset(["=", "!=", "in", "not in", "<", "<=", ">", ">=", "=?"])
_MATCHING = frozenset(["like", "ilike", "not like", "not ilike", "=like", "=ilike"])
_TREES = frozenset(["child_of", "parent_of"])
_OPERATORS = _COMPARING | _MATCHING | _TREES
_SYNONYMS = {"<>": "!=", "==": "="}


@dataclass(frozen=True, slots=True)
class Leaf:
    path: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    """`&` or `|` over two or more nodes, `!` over one."""

    operator: str
    children: tuple[Node, ...]


Node = Leaf | Group
ALL = Group("&", ())


def parse(domain: Sequence[Any]) -> Node:
    """Parse a domain in Odoo's prefix notation; top-level terms are joined by `&`."""
    items = list(domain or ())
    terms: list[Node] = []
    while items:
        terms.append(_take(items))
    return terms[0] if len(terms) == 1 else Group("&", tuple(terms))


def _take(items: list[Any]) -> Node:
    if not items:
        raise ServerError("ValueError", "Domain is malformed: an operator lacks its operand")
    item = items.pop(0)
    if item in ("&", "|"):
        first = _take(items)
        return Group(item, (first, _take(items)))
    if item == "!":
        return Group("!", (_take(items),))
    if not isinstance(item, (list, tuple)) or len(item) != 3:
        raise ServerError("ValueError", f"Invalid leaf {item!r}")
    path, operator, value = item
    if path in (1, 0):
        return ALL if path == value else Group("!", (ALL,))
    operator = _SYNONYMS.get(str(operator).lower(), str(operator).lower())
    if operator not in _OPERATORS:
        raise ServerError("ValueError", f"Invalid operator {operator!r} in leaf {item!r}")
    return Leaf(str(path), operator, value)


def conjuncts(node: Node) -> list[Node]:
    """Return the terms that must all hold."""
    if isinstance(node, Group) and node.operator == "&":
        return [term for child in node.children for term in conjuncts(child)]
    return [node]


def fields_of(node: Node) -> set[str]:
    """Return the fields of the searched model itself that a domain refers to."""
    if isinstance(node, Leaf):
        return {node.path.partition(".")[0]}
    return {name for child in node.children for name in fields_of(child)}


class Compiler:
    """Compiles domains into predicates over the rows of one view."""

    def __init__(
        self,
        models: dict[str, Model],
        version: int,
        view: View,
        label: Callable[[str, int], str],
    ) -> None:
        self.models = models
        self.version = version
        self.view = view
        self.label = label

    def compile(self, model: str, node: Node) -> Predicate:
        if isinstance(node, Leaf):
            return self._leaf(model, node)
        tests = [self.compile(model, child) for child in node.children]
        if node.operator == "!":
            negated = tests[0]
            return lambda number, row: not negated(number, row)
        if node.operator == "|":
            return lambda number, row: any(test(number, row) for test in tests)
        if len(tests) == 1:
            return tests[0]
        return lambda number, row: all(test(number, row) for test in tests)

    def _leaf(self, model: str, leaf: Leaf) -> Predicate:
        head, _dot, rest = leaf.path.partition(".")
        field = self.models[model].fields.get(head)
        if field is None:
            raise ServerError(
                "ValueError",
                f"Invalid field {model}.{head} in leaf "
                f"({leaf.path!r}, {leaf.operator!r}, {leaf.value!r})",
            )
        if rest:
            return self._through(field, Leaf(rest, leaf.operator, leaf.value))
        if leaf.operator in _TREES:
            return self._tree(model if head == "id" else field.relation, field, leaf)
        if field.name == "id":
            return self._numbers(leaf)
        if field.type in X2MANY_TYPES:
            return self._many(field, leaf)
        if field.type == "many2one" and _is_textual(leaf):
            return self._labelled(field, leaf)
        if field.name == "display_name":
            test = _text_test(leaf)
            return lambda number, _row: test(self.label(model, number))
        return self._scalar(field, leaf)

    def _through(self, field: Field, rest: Leaf) -> Predicate:
        """Compile `partner_id.name` and the like: true if it holds for any related record."""
        inner = self.compile(field.relation, rest)
        name, relation, view = field.name, field.relation, self.view

        def test(_number: int, row: Row) -> bool:
            value = row.get(name, False)
            for number in value if isinstance(value, tuple) else (value,):
                target = view.get(relation, number) if number else None
                if target is not None and inner(number, target):
                    return True
            return False

        return test

    def _tree(self, relation: str, field: Field, leaf: Leaf) -> Predicate:
        """Compile `child_of` (these records and those below) or `parent_of` (and those above)."""
        wanted = frozenset(leaf.value if isinstance(leaf.value, (list, tuple)) else [leaf.value])
        name = field.name
        if leaf.operator == "parent_of":
            wanted = frozenset(up for number in wanted for up in self._upwards(relation, number))

        def test(number: int, row: Row) -> bool:
            value = number if name == "id" else row.get(name, False)
            if leaf.operator == "parent_of":
                return value in wanted
            return not wanted.isdisjoint(self._upwards(relation, value))

        return test

    def _upwards(self, model: str, number: Any) -> list[int]:
        """Return a record's id and those of its ancestors."""
        found: list[int] = []
        while number and number not in found:
            found.append(number)
            number = (self.view.get(model, number) or {}).get("parent_id", False)
        return found

    def _numbers(self, leaf: Leaf) -> Predicate:
        test = _comparison(leaf.operator, leaf.value, 0)
        return lambda number, _row: test(number)

    def _many(self, field: Field, leaf: Leaf) -> Predicate:
        name = field.name
        if _is_textual(leaf):
            match, relation = _text_test(leaf), field.relation
            return lambda _number, row: any(
                match(self.label(relation, other)) for other in row.get(name, ())
            )
        wanted = leaf.value if isinstance(leaf.value, (list, tuple)) else [leaf.value]
        numbers = frozenset(number for number in wanted if number is not False)
        empty = False in wanted
        if leaf.operator in ("=", "in"):
            return lambda _number, row: (
                not numbers.isdisjoint(row.get(name, ())) or (empty and not row.get(name, ()))
            )
        if leaf.operator in ("!=", "not in"):
            return lambda _number, row: (
                numbers.isdisjoint(row.get(name, ())) and not (empty and not row.get(name, ()))
            )
        raise ServerError("ValueError", f"Invalid operator {leaf.operator!r} for {name}")

    def _labelled(self, field: Field, leaf: Leaf) -> Predicate:
        match, name, relation = _text_test(leaf), field.name, field.relation

        def test(_number: int, row: Row) -> bool:
            value = row.get(name, False)
            return match(self.label(relation, value) if value else False)

        return test

    def _scalar(self, field: Field, leaf: Leaf) -> Predicate:
        name, default = field.name, field.default
        if leaf.operator == "=?" and leaf.value in (False, None):
            return lambda _number, _row: True
        if "like" in leaf.operator:
            match = _text_test(leaf)
            return lambda _number, row: match(row.get(name, default))
        if field.type == "datetime":
            return self._moment(name, leaf)
        test = _comparison(leaf.operator.replace("=?", "="), leaf.value, default)
        return lambda _number, row: test(row.get(name, default))

    def _moment(self, name: str, leaf: Leaf) -> Predicate:
        value = leaf.value
        values = [self.moment(item) for item in value] if isinstance(value, (list, tuple)) else None
        test = _comparison(
            leaf.operator.replace("=?", "="),
            self.moment(value) if values is None else values,
            False,
        )
        if self.version >= 19:
            return lambda _number, row: test((row.get(name) or "")[:19] or False)
        return lambda _number, row: test(row.get(name, False))

    def moment(self, value: Any) -> Any:
        """Convert a datetime operand to stored text: 19 cuts it to seconds and rejects ISO's Z."""
        if not isinstance(value, str):
            return value
        if self.version >= 19:
            if value.endswith("Z"):
                raise ServerError("ValueError", f"Invalid isoformat string: {value!r}")
            return _padded(value)[:19]
        text = _padded(value.removesuffix("Z").replace("T", " "))
        whole, _dot, fraction = text.partition(".")
        fraction = fraction.ljust(6, "0")
        return f"{whole}.{fraction}" if fraction.strip("0") else whole


def _padded(text: str) -> str:
    """Extend a bare date to its midnight."""
    return f"{text} 00:00:00" if len(text) == 10 else text


def _is_textual(leaf: Leaf) -> bool:
    if "like" in leaf.operator:
        return True
    values = leaf.value if isinstance(leaf.value, (list, tuple)) else (leaf.value,)
    return any(isinstance(value, str) for value in values)


def _text_test(leaf: Leaf) -> Callable[[Any], bool]:
    operator = leaf.operator
    if "like" not in operator:
        return _comparison(operator, leaf.value, False)
    pattern = str(leaf.value or "")
    if not operator.startswith("="):
        pattern = f"%{pattern}%"
    flags = re.DOTALL | (re.IGNORECASE if "ilike" in operator else 0)
    shape = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
    matches = re.compile(shape, flags).fullmatch
    if operator.startswith("not "):
        return lambda value: not value or matches(value) is None
    return lambda value: bool(value) and matches(value) is not None


def _comparison(operator: str, wanted: Any, empty: Any) -> Callable[[Any], bool]:
    """Return one comparison; a missing value (False) equals only False and is below anything."""
    if operator in ("in", "not in"):
        values = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        allowed = frozenset(empty if value in (False, None) else value for value in values)
        if operator == "in":
            return lambda value: value in allowed
        return lambda value: value not in allowed
    target = empty if wanted is None or (wanted is False and empty is not False) else wanted
    if operator == "=":
        return lambda value: bool(value == target)
    if operator == "!=":
        return lambda value: bool(value != target)
    return _ordering(operator, target)


def _ordering(operator: str, target: Any) -> Callable[[Any], bool]:
    def present(value: Any) -> bool:
        return value is not False and target is not False

    if operator == "<":
        return lambda value: present(value) and value < target
    if operator == "<=":
        return lambda value: present(value) and value <= target
    if operator == ">":
        return lambda value: present(value) and value > target
    return lambda value: present(value) and value >= target
