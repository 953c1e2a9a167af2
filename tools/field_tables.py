"""Writes the lists of copied fields in docs/metier.fr.md and docs/rules-by-hand.md.

Labels come from the compiled French catalogue; remarks in the documents are kept.
``tools/messages`` calls it; ``python -m tools.field_tables`` runs it alone.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bc_consumer.fields.field import Field
from bc_consumer.fields.table import PURCHASE_ORDER, PURCHASE_ORDER_LINE

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "bc_consumer/locale"
METIER, RULES = ROOT / "docs/metier.fr.md", ROOT / "docs/rules-by-hand.md"
HEAD = "| champ | dans Odoo | remarque |\n| --- | --- | --- |\n"
SECTIONS = (
    ("## Les champs d'un BC", PURCHASE_ORDER),
    ("## Les champs d'une ligne", PURCHASE_ORDER_LINE),
)
OWN = frozenset({
    "odoo_id", "bc", "synced_at", "archived_at", "forbidden_at", "version", "mapping_version",
    "extra",
})  # fmt: skip
"""Columns of the copy without a field in the table: their rows are written by hand."""
OLDEST, LATEST = 17, 19
"""The oldest and latest version that the documents cover."""


def main() -> None:
    """Rewrite both documents."""
    METIER.write_text(metier(METIER.read_text()))
    RULES.write_text(rules(RULES.read_text()))


def metier(text: str) -> str:
    """Return the business document with its tables of fields regenerated."""
    french = gettext.translation("django", LOCALE, ["fr"]).gettext
    for heading, fields in SECTIONS:
        before, found, after = text.partition(heading)
        intro, head, rest = after.partition(HEAD)
        if not (found and head):
            raise ValueError(f"{METIER} has no table of fields under {heading!r}")
        table, end, more = rest.partition("\n\n")
        rows = "\n".join(_rows(table.splitlines(), fields, french))
        text = "".join((before, found, intro, head, rows, end, more))
    return text


def _rows(old: Sequence[str], fields: Iterable[Field], french: Callable[[str], str]) -> list[str]:
    """Return the rows: existing ones in their order, each new field's after its predecessor's."""
    remarks = {_column(row): row.split("|")[3].strip() for row in old}
    wanted = {field.columns[0]: field for field in fields if field.columns}
    order = [column for column in remarks if column in wanted or column in OWN]
    previous = ""
    for column in wanted:
        if column not in order:
            order.insert(order.index(previous) + 1 if previous else 0, column)
        previous = column
    by_hand = {_column(row): row for row in old}
    return [
        _row(wanted[column], remarks.get(column, ""), french)
        if column in wanted
        else by_hand[column]
        for column in order
    ]


def _column(row: str) -> str:
    """Return the first column that a row names."""
    return row.split("|")[1].split("`")[1]


def _row(field: Field, remark: str, french: Callable[[str], str]) -> str:
    columns = ", ".join(f"`{column}`" for column in field.columns)
    label = french(field.label)
    return f"| {label} ({columns}) | {_in_odoo(field)} | {remark} |".replace("|  |", "| |")


def _in_odoo(field: Field) -> str:
    if field.renamed_in:
        until = _versions(range(OLDEST, field.renamed_in))
        since = _versions(range(field.renamed_in, LATEST + 1))
        return f"`{field.odoo_names[0]}` en {until}, `{field.odoo_names[-1]}` en {since}"
    if field.since > OLDEST:
        return f"`{field.odoo_names[0]}` en {_versions(range(field.since, LATEST + 1))}"
    return f"`{field.odoo_names[0]}`"


def _versions(numbers: Iterable[int]) -> str:
    return " et ".join(map(str, numbers))


def rules(text: str) -> str:
    """Return the page on rules made by hand with its lists of watched fields regenerated."""
    both = (PURCHASE_ORDER, PURCHASE_ORDER_LINE)
    first = " | ".join(", ".join(_watched(fields, OLDEST)) for fields in both)
    last = " | ".join(_differing(fields) for fields in both)
    text, count = re.subn(r"(?m)^\| 17 and 18 \|.*$", f"| 17 and 18 | {first} |", text)
    text, also = re.subn(r"(?m)^\| 19 \|.*$", f"| 19 | {last} |", text)
    if (count, also) != (1, 1):
        raise ValueError(f"{RULES} has no lists of watched fields")
    return text


def _watched(fields: Iterable[Field], version: int) -> list[str]:
    there = (field for field in fields if field.watched and field.since <= version)
    return [f"`{field.name_in(version)}`" for field in there]


def _differing(fields: Sequence[Field]) -> str:
    """Describe how the latest version's watched fields differ."""
    watched = [field for field in fields if field.watched]
    renamed = [field for field in watched if field.name_in(OLDEST) != field.name_in(LATEST)]
    instead = [f"`{one.name_in(LATEST)}` instead of `{one.name_in(OLDEST)}`" for one in renamed]
    besides = [f"`{one.name_in(LATEST)}`" for one in watched if one.since > OLDEST]
    said = f"the same, but {' and '.join(instead)}" if instead else "the same"
    return f"{said}, and {' and '.join(besides)} besides" if besides else said


if __name__ == "__main__":
    main()
