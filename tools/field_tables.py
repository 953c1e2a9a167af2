"""Makes what docs/metier.fr.md and docs/rules-by-hand.md list of copied fields, and the help page.

``python -m tools.field_tables`` tells what is out of date and ends with 1; with ``--write`` it puts
that right, as ``tools/messages`` does. Each table of docs/metier.fr.md stands between two marks.
Labels come from the compiled French catalogue, remarks from ``tools/field_remarks.py``. The help
page of the console is the whole document as HTML, so that no service needs a Markdown reader.
"""

from __future__ import annotations

import argparse
import gettext
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import django
import markdown
from django.conf import settings
from django.utils import translation

from bc_consumer.fields.field import Field
from bc_consumer.fields.table import (
    PURCHASE_ORDER,
    PURCHASE_ORDER_LINE,
    SALE_ORDER,
    SALE_ORDER_LINE,
)
from tools.field_remarks import FIRST, LINE, ORDER, OWN_LINE, OWN_ORDER, SALES, OwnColumn

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "bc_consumer/locale"
METIER, RULES = ROOT / "docs/metier.fr.md", ROOT / "docs/rules-by-hand.md"
HELP = ROOT / "bc_consumer/templates/bc_consumer/for_buyers_content.html"
HEAD = ("| champ | dans Odoo | ce qu’il dit |", "| --- | --- | --- |")
OWN = frozenset(OWN_ORDER) | frozenset(OWN_LINE)
"""Columns of the copy without a field in the table."""
NO_BREAK = "\N{NO-BREAK SPACE}"
OLDEST, LATEST = 17, 19
"""The oldest and latest version that the documents cover."""
VALUES = (
    "state",
    "invoice_status",
    "receipt_status",
    "priority",
    "display_type",
    "archived_reason",
)
"""Columns of which the document lists the values that Odoo, or the copy, gives them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 1 if something is out of date and was not to be written."""
    parser = argparse.ArgumentParser("python -m tools.field_tables", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write what is out of date")
    options = parser.parse_args(arguments)
    stale = 0
    for file, made in documents().items():
        if file.exists() and file.read_text(encoding="utf-8") == made:
            continue
        if options.write:
            file.write_text(made, encoding="utf-8")
        else:
            stale = 1
            print(f"{file.relative_to(ROOT)} is out of date: run tools/messages", file=sys.stderr)
    return stale


def documents() -> dict[Path, str]:
    """Return each file that is made, with what it should hold."""
    business = metier(METIER.read_text(encoding="utf-8"))
    return {
        METIER: business,
        RULES: rules(RULES.read_text(encoding="utf-8")),
        HELP: help_page(business),
    }


# --- docs/metier.fr.md --------------------------------------------------------------------------


def metier(text: str) -> str:
    """Return the business document with its tables made anew."""
    french = gettext.translation("django", LOCALE, ["fr"]).gettext
    for name, rows in {
        "order": _fields(PURCHASE_ORDER, ORDER, OWN_ORDER, french),
        "line": _fields(PURCHASE_ORDER_LINE, LINE, OWN_LINE, french),
        "values": _values(french),
        "sales": _sales(french),
    }.items():
        text = _between_marks(text, name, rows)
    return text


def marks(name: str) -> tuple[str, str]:
    """Return the marks before and after a table that is made."""
    return f"<!-- {name}: made by tools/field_tables.py -->", f"<!-- end of {name} -->"


def _between_marks(text: str, name: str, rows: Sequence[str]) -> str:
    first, last = marks(name)
    before, found, rest = text.partition(first)
    _old, end, after = rest.partition(last)
    if not (found and end):
        raise ValueError(f"{METIER} has no marks {first} and {last}")
    table = "\n".join(rows)
    return f"{before}{first}\n\n{table}\n\n{last}{after}"


def _fields(
    fields: Iterable[Field],
    remarks: Mapping[str, str],
    own: Mapping[str, OwnColumn],
    french: Callable[[str], str],
) -> list[str]:
    """Return a row for each column: our own that come first, the fields, our other ones."""
    ours = {
        column: f"| {told.label} (`{column}`) | {told.in_odoo} | {told.remark} |"
        for column, told in own.items()
    }
    return [
        *HEAD,
        *(row for column, row in ours.items() if column in FIRST),
        *(_row(field, remarks.get(field.name, ""), french) for field in fields if field.columns),
        *(row for column, row in ours.items() if column not in FIRST),
    ]


def _row(field: Field, remark: str, french: Callable[[str], str]) -> str:
    columns = ", ".join(f"`{column}`" for column in field.columns)
    label = french(field.label)
    return f"| {label} ({columns}) | {_in_odoo(field)} | {remark} |".replace("|  |", "| |")


def _values(french: Callable[[str], str]) -> list[str]:
    """Return a row for each value that pages show by a name of their own."""
    labels = {field.name: field.label for field in (*PURCHASE_ORDER, *PURCHASE_ORDER_LINE)}
    own = {**OWN_LINE, **OWN_ORDER}
    rows = ["| champ | valeur | affichée comme |", "| --- | --- | --- |"]
    for column, values in _labels_of_values().items():
        label = french(labels[column]) if column in labels else own[column].label
        rows += [f"| {label} | `{value}` | {shown} |" for value, shown in values.items()]
    return rows


def _labels_of_values() -> dict[str, dict[str, str]]:
    """Return the French labels of the values of these columns."""
    if not settings.configured:
        settings.configure(LOCALE_PATHS=[LOCALE], LANGUAGES=[("en", "en"), ("fr", "fr")])
        django.setup()
    from bc_consumer.console.labels import BY_FIELD

    with translation.override("fr"):
        return {
            column: {value: str(label) for value, label in BY_FIELD[column].items()}
            for column in VALUES
        }


def _sales(french: Callable[[str], str]) -> list[str]:
    """Return a row for each field of sales that has another origin or name, or no column."""
    rows = ["| donnée | dans la copie | dans Odoo (`sale.order`) |", "| --- | --- | --- |"]
    for fields, purchases in ((SALE_ORDER, PURCHASE_ORDER), (SALE_ORDER_LINE, PURCHASE_ORDER_LINE)):
        same = {(one.name, one.odoo_names, one.label) for one in purchases}
        for field in fields:
            if field.extra:
                place = f"`extra.{field.name}`"
                rows.append(f"| {SALES[field.name]} | {place} | {_in_odoo(field)} |")
            elif field.columns and (field.name, field.odoo_names, field.label) not in same:
                place = ", ".join(f"`{column}`" for column in field.columns)
                rows.append(f"| {french(field.label)} | {place} | {_in_odoo(field)} |")
    return rows


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


# --- the help page ------------------------------------------------------------------------------


def help_page(text: str) -> str:
    """Return the business document as the content of a page of the console.

    Tables scroll by themselves on a telephone; links lead within the page, for the other documents
    are not there.
    """
    text = re.sub(r"<!--.*?-->\n*", "", text)
    text = re.sub(r"(?<=[\w»)*]) (?=[:;?!])|(?<=«) | (?=»)", NO_BREAK, text)
    body = markdown.markdown(text, extensions=["tables", "toc"], output_format="html")
    body = re.sub(r'<a href="(?!#|https?:)[^"]*">(.*?)</a>', r"\1", body)
    tables = 0

    def scrolling(found: re.Match[str]) -> str:
        nonlocal tables
        tables += 1
        region = f'<div class="wide" tabindex="0" role="region" aria-label="Tableau {tables}">'
        return f'{region}<table class="rows">{found[1]}</table></div>'

    body = re.sub(r"<table>(.*?)</table>", scrolling, body, flags=re.DOTALL)
    body = body.replace("<th>", '<th scope="col">')
    made = "{# Made from docs/metier.fr.md: tools/messages makes it anew. #}"
    return f"{made}{{% verbatim %}}\n{body}\n{{% endverbatim %}}\n"


# --- docs/rules-by-hand.md ----------------------------------------------------------------------


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
    sys.exit(main())
