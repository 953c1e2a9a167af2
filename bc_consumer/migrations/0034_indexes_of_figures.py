"""Indexes that the first page's figures are read from.

PostgreSQL builds them while workers go on writing. If that was interrupted, an invalid index is
left; the next attempt removes it first.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex
from django.db.migrations.state import ProjectState
from django.db.models import Q


class AddIndexMeanwhile(AddIndexConcurrently):
    """Adds an index without keeping writers out, where the database can; SQLite can't."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create the index."""
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_forwards(self, app_label, schema_editor, from_state, to_state)
            return
        # It waits for every transaction that is open, however long that takes: it locks nobody out.
        schema_editor.execute("SET lock_timeout = 0")
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.index.name}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.execute("RESET lock_timeout")

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Remove the index."""
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_backwards(self, app_label, schema_editor, from_state, to_state)
            return
        super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("bc_consumer", "0033_honest_delay")]
    operations = [
        AddIndexMeanwhile(
            model_name="synclog",
            index=models.Index(
                fields=["started_at"], condition=Q(digest=True), name="synclog_with_digest"
            ),
        ),
        AddIndexMeanwhile(
            model_name="journalentry",
            index=models.Index(
                fields=["at", "delay_from", "delay"],
                condition=~Q(delay_from=""),
                name="journal_delays",
            ),
        ),
    ]
