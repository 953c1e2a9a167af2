"""docs/permissions.md has every permission, and what each group holds, and no other."""

from __future__ import annotations

import re

from django.apps import apps
from django.contrib.admin import site

from bc_consumer.installation.permissions import ADMINISTRATORS, MORE, OPERATORS, VIEWERS
from bc_consumer.models import OperatorAction, permission_for
from tests import documents

PAGE = "permissions.md"
COLUMNS = {"viewers": VIEWERS, "operators": OPERATORS, "administrators": ADMINISTRATORS}
WITHOUT_EFFECT = ("add_", "change_", "delete_")
"""Django's own permissions that permit nothing here; ``change_pendingbc`` apart."""


def told() -> dict[str, set[str]]:
    """Return which groups hold each permission, by the document's tables."""
    found: dict[str, set[str]] = {}
    for table in documents.tables(documents.page(PAGE)):
        if table.header[0] != "permission":
            continue
        for name, _what, *cells in table.rows:
            assert name.strip("`") not in found, f"{name} is there twice"
            marks = dict(zip(table.header[2:], cells, strict=True))
            assert set(marks.values()) <= {"", "✓"}
            found[name.strip("`")] = {COLUMNS[title] for title, mark in marks.items() if mark}
    return found


def in_code() -> dict[str, set[str]]:
    """Return which groups hold each permission of our models that permits something."""
    models = list(apps.get_app_config("bc_consumer").get_models())
    viewing = {f"view_{model._meta.model_name}" for model in models}
    more = {name for model in models for name, _what in model._meta.permissions}
    held = {name for names in MORE.values() for name in names}
    return {
        name: {group for group, names in MORE.items() if name in viewing or name in names}
        for name in viewing | more | held
    }


def test_every_permission_is_documented_with_its_groups_and_no_other() -> None:
    documented, code = told(), in_code()
    assert set(code) - set(documented) == set(), f"add these to docs/{PAGE}"
    assert set(documented) - set(code) == set(), "there are no such permissions"
    for name, groups in code.items():
        assert documented[name] == groups, f"docs/{PAGE}: who holds {name}?"


def test_permissions_to_edit_have_no_effect_but_one() -> None:
    assert {name for name in in_code() if name.startswith(WITHOUT_EFFECT)} == {"change_pendingbc"}


def test_each_action_has_its_permission() -> None:
    asking = {name for name in told() if name.startswith("ask_")} - {OperatorAction.FORCE}
    assert asking == {permission_for(kind) for kind in OperatorAction.Kind}


def test_the_groups_are_the_code_s() -> None:
    rows = documents.table_with(documents.page(PAGE), "group").rows
    assert [name.strip("`") for name, _whom in rows] == list(MORE)


def test_what_nobody_can_look_at_is_said_so() -> None:
    rows = {
        name.strip("`"): what
        for table in documents.tables(documents.page(PAGE))
        for name, what, *_ in table.rows
    }
    for model in apps.get_app_config("bc_consumer").get_models():
        what = rows[f"view_{model._meta.model_name}"]
        assert what.startswith("nothing") == (model not in site._registry), what


def test_documents_name_permissions_and_groups_that_there_are() -> None:
    names, groups = set(in_code()), set(MORE) | {"BC viewer", "BC operator"}
    for path in documents.everywhere():
        for span in documents.spans(path.read_text(encoding="utf-8")):
            if re.fullmatch(r"(ask|see)_[a-z_]+|change_pendingbc", span):
                assert span in names, f"{documents.place(path)}: there is no {span}"
            if re.fullmatch(r"BC [a-z]+", span):
                assert span in groups, f"{documents.place(path)}: there is no group {span}"
