"""docs/metier.fr.md says of fields, outcomes, causes, buttons and groups what the code has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.utils import translation

from bc_consumer.console.labels import CAUSE
from bc_consumer.fields.field import Field
from bc_consumer.fields.table import (
    PURCHASE_ORDER,
    PURCHASE_ORDER_LINE,
    SALE_ORDER,
    SALE_ORDER_LINE,
)
from bc_consumer.installation.permissions import MORE
from bc_consumer.models import BC, BCLine, JournalEntry
from tests import documents
from tests.documents import ROOT
from tools import field_remarks, field_tables
from tools.field_remarks import OwnColumn

PAGE = "metier.fr.md"
CATALOGUE = ROOT / "bc_consumer/locale/fr/LC_MESSAGES/django.po"
NOT_TOLD = {"id", "odoo_id", "bc"}


def column_of(title: str, number: int = 0) -> list[str]:
    """Return a column of the table whose first column has this title."""
    return [row[number] for row in documents.table_with(documents.page(PAGE), title).rows]


def test_a_stale_table_is_told_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("METIER", "RULES", "HELP"):
        copy = tmp_path / name
        copy.write_text(getattr(field_tables, name).read_text(encoding="utf-8"), encoding="utf-8")
        monkeypatch.setattr(field_tables, name, copy)
    monkeypatch.setattr(field_tables, "ROOT", tmp_path)
    assert field_tables.main([]) == 0
    right = field_tables.METIER.read_text(encoding="utf-8")
    assert "| fournisseur (" in right
    field_tables.METIER.write_text(right.replace("| fournisseur (", "| vendeur ("))
    assert field_tables.main([]) == 1
    assert "METIER is out of date" in capsys.readouterr().err
    assert field_tables.main(["--write"]) == 0
    assert field_tables.METIER.read_text(encoding="utf-8") == right
    assert field_tables.main([]) == 0


def test_a_table_without_its_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="no marks"):
        field_tables.metier("# Nothing\n")


@pytest.mark.parametrize(
    ("fields", "remarks"),
    [(PURCHASE_ORDER, field_remarks.ORDER), (PURCHASE_ORDER_LINE, field_remarks.LINE)],
)
def test_remarks_belong_to_fields(fields: tuple[Field, ...], remarks: Mapping[str, str]) -> None:
    known = {field.name for field in fields if field.columns}
    assert set(remarks) - known == set(), "these are no fields: correct tools/field_remarks.py"
    assert all(remarks.values())


def test_fields_of_sales_without_a_column_have_a_remark_each() -> None:
    extras = {field.name for field in (*SALE_ORDER, *SALE_ORDER_LINE) if field.extra}
    assert set(field_remarks.SALES) == extras, "tools/field_remarks.py, SALES"


@pytest.mark.parametrize(
    ("model", "fields", "own"),
    [
        (BC, PURCHASE_ORDER, field_remarks.OWN_ORDER),
        (BCLine, PURCHASE_ORDER_LINE, field_remarks.OWN_LINE),
    ],
)
def test_columns_of_the_copy_itself_are_told_by_their_labels(
    model: type[BC | BCLine], fields: tuple[Field, ...], own: Mapping[str, OwnColumn]
) -> None:
    copied = {column for field in fields for column in field.columns}
    with translation.override("fr"):
        labels = {
            column.name: str(column.verbose_name)
            for column in model._meta.concrete_fields
            if column.name not in copied | {"id"}
        }
    assert {column: told.label for column, told in own.items()} == labels


def test_the_journal_s_outcomes_and_causes_are_told_and_no_other() -> None:
    with translation.override("fr"):
        outcomes = [str(outcome.label) for outcome in JournalEntry.Outcome]
        causes = [str(label) for label in CAUSE.values()]
    assert column_of("issue") == outcomes
    assert sorted(column_of("cause")) == sorted(causes)


def test_buttons_are_called_as_the_pages_call_them() -> None:
    catalogue = CATALOGUE.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    texts = set(re.findall(r'^msgstr "(.+)"$', catalogue, re.MULTILINE))
    cells = column_of("quand", 2)
    assert len(cells) > 8
    for cell in cells:
        (button,) = re.findall(r"\*\*(.+?)\*\*", cell)
        assert button in texts, f"no button is called « {button} »"


def test_the_groups_are_named() -> None:
    named = {span for span in documents.spans(documents.page(PAGE)) if span.startswith("BC ")}
    assert named == set(MORE)


def test_links_lead_within_the_page() -> None:
    """The help page has no other documents beside it."""
    text, page = documents.page(PAGE), field_tables.HELP.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        assert link.startswith("#"), link
        assert f'id="{link[1:]}"' in page, f"{link} leads nowhere"


def test_the_glossary_is_in_order() -> None:
    words = column_of("mot")
    assert len(words) > 15
    plain = [word.lower().translate(str.maketrans("éè", "ee")) for word in words]
    assert plain == sorted(plain)


def test_typography() -> None:
    text = re.sub(r"`[^`]*`|<[^>]*>", "", documents.page(PAGE))
    assert re.findall(r"\w'\w", text) == [], "apostrophes are ’"
    assert re.findall(r"«\S|\S»|\w[:;?!] ", text) == [], "spaces inside « » and before : ; ? !"
