"""Since when the brake holds an order."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def fill(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Give those that are held by now their last mark's time: when nearer is not known."""
    rows = apps.get_model("bc_consumer", "PendingBC").objects.exclude(held_reason="")
    rows.update(held_at=models.F("last_marked_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0018_hearts_by_number"),
    ]

    operations = [
        migrations.AddField(
            model_name="pendingbc",
            name="held_at",
            field=models.DateTimeField(
                help_text="Kept while a run looks again; empty once the order was read and not held.",
                null=True,
                verbose_name="held since",
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
