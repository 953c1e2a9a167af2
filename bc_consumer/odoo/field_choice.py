"""Which fields a model of this Odoo has, how each would be copied, and which are."""

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bc_consumer.fields.field import Field
from bc_consumer.fields.kinds import Kind, kind_of


class Way(enum.Enum):
    """How a field is copied, or would be."""

    COLUMN = "column"
    EXTRA = "extra"
    POSSIBLE = "possible"  # in extra, if the settings name it
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class FieldChoice:
    """One field of Odoo. ``kind`` is None where it can't be copied.

    ``columns``: those of the copy that hold it. ``stored``: whether Odoo keeps it; one that it
    works out at each read moves no write_date, so a change of it alone goes unnoticed.
    """

    name: str
    label: str
    type: str
    relation: str
    stored: bool
    kind: Kind | None
    way: Way
    columns: tuple[str, ...] = ()


def choices(
    table: Collection[Field], chosen: Collection[str], described: Mapping[str, Mapping[str, Any]]
) -> Iterator[FieldChoice]:
    """Tell of each field, by name. ``described``: what ``fields_get`` gave."""
    own = {odoo_name: field for field in table for odoo_name in field.odoo_names}
    for name in sorted(described):
        shown = described[name]
        kind = kind_of(shown)
        field = own.get(name)
        way = Way.POSSIBLE if kind else Way.IMPOSSIBLE
        columns: tuple[str, ...] = ()
        if field is not None and not field.extra:
            way, kind = Way.COLUMN, field.kind
            columns = _columns(field)
        elif field is not None or (name in chosen and kind is not None):
            way = Way.EXTRA
        elif name == "id":
            way, columns = Way.COLUMN, ("odoo_id",)
        yield FieldChoice(
            name=name,
            label=str(shown.get("string") or ""),
            type=str(shown.get("type") or ""),
            relation=str(shown.get("relation") or ""),
            stored=bool(shown.get("store", True)),
            kind=kind,
            way=way,
            columns=columns,
        )


def _columns(field: Field) -> tuple[str, ...]:
    """Give the columns of the copy that hold a field."""
    return {"order_id": ("bc",), "order_line": ("lines",)}.get(field.name, field.columns)
