"""Which fields a model of this Odoo has, and how each is copied, or would be (odoo_fields)."""

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
    POSSIBLE = "possible"  # would be copied to extra, if the settings named it
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class FieldChoice:
    """One field of Odoo. ``kind`` is None where it can't be copied.

    ``columns``: the columns of the copy that hold it. ``stored``: whether Odoo stores it. One that
    Odoo computes at each read changes no write_date, so a change of it alone goes unnoticed.
    """

    name: str
    label: str
    type: str
    relation: str
    stored: bool
    kind: Kind | None
    way: Way
    columns: tuple[str, ...] = ()


def list_field_choices(
    table: Collection[Field], chosen: Collection[str], described: Mapping[str, Mapping[str, Any]]
) -> Iterator[FieldChoice]:
    """Yield each field of a model, sorted by name. ``described``: the answer of ``fields_get``."""
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
    """Return the columns of the copy that hold a field."""
    return {"order_id": ("bc",), "order_line": ("lines",)}.get(field.name, field.columns)
