"""Stored sentences and what they were made of stand in two columns, where they were glued in one.

Piece by piece, each in a transaction of its own: a big table is not locked for long, workers may
go on, and a migration that was interrupted goes on where it was. Backwards they are glued again.
"""

from collections.abc import Iterator
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import Concat, Left, StrIndex, Substr

BETWEEN = "\x1e"
AT_ONCE = 5_000
COLUMNS = (
    ("Pace", "reason"),
    ("PendingBC", "held_reason"),
    ("PendingBC", "last_error"),
    ("SyncLog", "notes"),
    ("SyncLog", "error"),
    ("JournalEntry", "error"),
    ("Alert", "subject"),
    ("Alert", "text"),
    ("DeadLetter", "why"),
)


def split(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Move what stands behind the separator into the column of its own."""
    for model, name in COLUMNS:
        rows = apps.get_model("bc_consumer", model).objects.using(editor.connection.alias)
        place = StrIndex(name, Value(BETWEEN))
        values = {name: Left(name, place - 1), f"{name}_parts": Substr(name, place + 1)}
        for some in _pieces(rows):
            _update(some.filter(**{f"{name}__contains": BETWEEN}), values)


def glue(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Put it back behind the sentence."""
    for model, name in COLUMNS:
        rows = apps.get_model("bc_consumer", model).objects.using(editor.connection.alias)
        parts = f"{name}_parts"
        values = {name: Concat(name, Value(BETWEEN, TextField()), parts), parts: Value("")}
        for some in _pieces(rows):
            _update(some.exclude(**{parts: ""}), values)


def _pieces(rows: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    """Give a table's rows by their keys, which an index has, and not by what is in them."""
    rest = rows
    while keys := list(rest.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        yield rows.filter(pk__gte=keys[0], pk__lte=keys[-1])
        rest = rows.filter(pk__gt=keys[-1])


def _update(rows: QuerySet[Any], values: dict[str, Any]) -> None:
    """Update these rows, locked by ascending keys first, as every statement of the ledger does."""
    with transaction.atomic(using=rows.db):
        if list(rows.select_for_update().order_by("pk").values_list("pk", flat=True)):
            rows.update(**values)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("bc_consumer", "0029_parts_of_sentences")]
    operations = [migrations.RunPython(split, glue)]
