"""docs/upgrade.md: the version before goes on working while and after the new one's migrations run.

So a migration only adds what a process that knows nothing of it can leave out. What is taken away
is named here, by the first migration of a new MAJOR version.
"""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

FIRST = "0031"
"""Those before came before there was a promise."""
TAKEN_AWAY: dict[str, str] = {}
"""Migration → why it may take something away."""

LOADED = MigrationLoader(None, ignore_no_migrations=True)
PROMISED = sorted(
    name for app, name in LOADED.disk_migrations if app == "bc_consumer" and name >= FIRST
)
TAKE_AWAY = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.AlterModelTable,
)


def hinders(operation: Operation) -> str:
    """Say why a process of the version before can't work with this; empty if it can."""
    if isinstance(operation, TAKE_AWAY):
        return "takes away what it reads or writes"
    if isinstance(operation, migrations.AddField):
        field = operation.field
        left_out = field.null or field.many_to_many or field.db_default is not NOT_PROVIDED
        return "" if left_out else "it writes rows without this column: null, or db_default"
    if isinstance(operation, migrations.AddConstraint):
        return "its rows may break the constraint"
    return ""


@pytest.mark.parametrize("name", PROMISED)
def test_a_migration_hinders_no_process_of_the_version_before(name: str) -> None:
    found = [
        f"{operation.describe()}: {why}"
        for operation in LOADED.disk_migrations["bc_consumer", name].operations
        if (why := hinders(operation))
    ]
    assert found == [] or name in TAKEN_AWAY, found


def test_what_would_hinder_it_is_known() -> None:
    added = migrations.AddField("bc", "place", models.TextField(default=""))
    assert hinders(added) != ""
    assert hinders(migrations.RemoveField("bc", "name")) != ""
    fine = models.TextField(default="", db_default="")
    assert hinders(migrations.AddField("bc", "place", fine)) == ""
