"""The single rows of the pace and of the synchronisation state."""

from datetime import UTC, datetime

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def add_rows(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Add both, unless they are there."""
    apps.get_model("bc_consumer", "Pace").objects.get_or_create(
        pk=1, defaults={"next_claim_at": datetime(2000, 1, 1, tzinfo=UTC)}
    )
    apps.get_model("bc_consumer", "SyncState").objects.get_or_create(key="bclinbc")


class Migration(migrations.Migration):
    dependencies = [("bc_consumer", "0001_initial")]
    operations = [migrations.RunPython(add_rows, migrations.RunPython.noop)]
