"""Orders that were copied before there were versions get theirs, in the order of their keys.

Piece by piece, each in a transaction of its own: a big table is not locked for long, workers may
go on, and a migration that was interrupted goes on where it was.
"""

from django.apps.registry import Apps
from django.db import migrations, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

AT_ONCE = 5_000


def give_versions(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Number every order that has no version."""
    alias = editor.connection.alias
    bcs = apps.get_model("bc_consumer", "BC").objects.using(alias)
    counters = apps.get_model("bc_consumer", "VersionCounter").objects.using(alias)
    table = bcs.model._meta.db_table
    last_key = 0
    while True:
        with transaction.atomic(using=alias):
            # The orders first, then the counter, as whoever applies changes does.
            locked = bcs.select_for_update().filter(pk__gt=last_key, version=0).order_by("pk")
            keys = list(locked.values_list("pk", flat=True)[:AT_ONCE])
            if not keys:
                return
            before = counters.select_for_update().get(pk=1).last
            statement = f"""
                UPDATE {table} SET version = %s + numbered.place
                FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM {table}
                    WHERE version = 0 AND id BETWEEN %s AND %s) AS numbered
                WHERE {table}.id = numbered.id"""
            with editor.connection.cursor() as cursor:
                cursor.execute(statement, [before, keys[0], keys[-1]])
                counters.filter(pk=1).update(last=before + cursor.rowcount)
        last_key = keys[-1]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("bc_consumer", "0006_versions")]
    operations = [
        migrations.RunPython(give_versions, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="bc", index=models.Index(fields=["version"], name="bc_version")
        ),
    ]
