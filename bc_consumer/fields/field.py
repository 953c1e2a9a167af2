"""The declaration of a copied field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bc_consumer.fields.kinds import Kind

EXTRA = "extra."
"""Precedes the name of a field without a column in the changes of an order."""


@dataclass(frozen=True, slots=True)
class Field:
    """One copied field, by its canonical name.

    ``odoo_names``: its names in Odoo if they differ; the first that exists is used.
    ``renamed_in``: the version since which the last of these names holds.
    ``label``: its English label on pages; the catalogue has the French one.
    ``id_label``: of a many2one, the label of the column with its id.
    ``model``: of a many2one or many2many, the related model.
    ``required``: without it no order can be copied.
    ``derive``: where this Odoo lacks it, computes it from the record's other values, given by
    canonical name and as Odoo sent them.
    ``extra``: it has no column and goes into the copy's ``extra``; Odoo supplies its label.
    ``since``: the first version that has it, if a measured version lacks it whatever its apps.
    ``module``: of what an app brings along, Odoo's technical name of the module that does it.
    ``watched``: Odoo's automation rules fire when it changes.
    ``reported``: its changes are changes of the order for the journal and for applications; if
    False, it is only stored.
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
    module: str = ""
    watched: bool = True
    reported: bool = True

    def __post_init__(self) -> None:
        """Default ``odoo_names`` to the canonical name."""
        if not self.odoo_names:
            object.__setattr__(self, "odoo_names", (self.name,))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold it; none if it goes into ``extra`` or is a relation."""
        if self.extra or self.is_relation:
            return ()
        if self.kind is Kind.MANY2ONE:
            base = self.name.removesuffix("_id")
            return f"{base}_id", f"{base}_name"
        return (self.name,)

    @property
    def is_relation(self) -> bool:
        """Whether it only links lines with their order."""
        return self.name in {"order_line", "order_id"}

    def label_of(self, column: str) -> str:
        """Return the English label of one of its columns."""
        return self.id_label if self.id_label and column == self.columns[0] else self.label

    def name_in(self, version: int) -> str:
        """Return its name in a version of Odoo that has it."""
        renamed = self.renamed_in and version >= self.renamed_in
        return self.odoo_names[-1 if renamed else 0]


@dataclass(frozen=True, slots=True)
class Table:
    """The fields of an order model and of its line model."""

    order: tuple[Field, ...]
    line_model: str
    line: tuple[Field, ...]
