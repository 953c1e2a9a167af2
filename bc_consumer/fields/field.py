"""All that is told of a field that is copied."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bc_consumer.fields.kinds import Kind


@dataclass(frozen=True, slots=True)
class Field:
    """One field, by its canonical name.

    ``odoo_names``: its names in Odoo where they are others; the first that exists counts.
    ``renamed_in``: the version from which on the last of them holds. ``label``: what pages call
    it, in English; its French is in the catalogue. ``id_label`` and ``model``, of a many2one: what
    the column of its id is called, and the model it leads to; ``model`` of a many2many too.
    ``required``: without it no order can be copied. ``derive``: how it follows from the other
    values of the record where this Odoo lacks it (canonical values, as Odoo sent them). ``extra``:
    it has no column of its own and goes into the copy's ``extra``; Odoo tells its label.
    ``since``: the first version that has it, where one that was measured lacks it whatever its
    apps. ``watched``: the automation rules in Odoo fire when it changes. ``told``: a change of it
    is a change of the order, for the journal and for applications; else it is only kept.
    """

    name: str
    kind: Kind
    odoo_names: tuple[str, ...] = ()
    renamed_in: int = 0
    label: str = ""
    id_label: str = ""
    model: str = ""
    required: bool = False
    derive: Callable[[Mapping[str, object]], object] | None = None
    extra: bool = False
    since: int = 0
    watched: bool = True
    told: bool = True

    def __post_init__(self) -> None:
        """Take the canonical name for Odoo's, where none is given."""
        if not self.odoo_names:
            object.__setattr__(self, "odoo_names", (self.name,))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold it; none where it goes into ``extra`` or is a relation of ours."""
        if self.extra or self.is_relation:
            return ()
        if self.kind is Kind.MANY2ONE:
            base = self.name.removesuffix("_id")
            return f"{base}_id", f"{base}_name"
        return (self.name,)

    @property
    def is_relation(self) -> bool:
        """Whether it only says which line belongs to which order."""
        return self.name in {"order_line", "order_id"}

    def label_of(self, column: str) -> str:
        """Give the English label of one of its columns."""
        return self.id_label if self.id_label and column == self.columns[0] else self.label

    def name_in(self, version: int) -> str:
        """Give its name in a version of Odoo that has it."""
        renamed = self.renamed_in and version >= self.renamed_in
        return self.odoo_names[-1 if renamed else 0]


@dataclass(frozen=True, slots=True)
class Table:
    """The fields of an order model and of its lines."""

    order: tuple[Field, ...]
    line_model: str
    line: tuple[Field, ...]
