"""The orders that have a product are found by an index alone; it takes the place of another one."""

from importlib import import_module

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import RemoveIndex
from django.db.migrations.state import ProjectState

AddIndexMeanwhile = import_module(
    "bc_consumer.migrations.0034_indexes_of_figures"
).AddIndexMeanwhile


class RemoveIndexMeanwhile(RemoveIndexConcurrently):
    """Removes an index without keeping writers out, where the database can; SQLite can't."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Remove the index."""
        if schema_editor.connection.vendor != "postgresql":
            RemoveIndex.database_forwards(self, app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute("SET lock_timeout = 0")
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.execute("RESET lock_timeout")

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create the index."""
        if schema_editor.connection.vendor != "postgresql":
            RemoveIndex.database_backwards(self, app_label, schema_editor, from_state, to_state)
            return
        super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("bc_consumer", "0039_journal_by_outcome")]
    operations = [
        AddIndexMeanwhile(
            model_name="bcline",
            index=models.Index(fields=["product_id", "bc"], name="bcline_product_order"),
        ),
        RemoveIndexMeanwhile(model_name="bcline", name="bcline_product"),
    ]
