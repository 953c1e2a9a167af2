"""Versions of orders and of journal entries, and the counter that they come from."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def add_counter(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Begin with 0."""
    apps.get_model("bc_consumer", "VersionCounter").objects.get_or_create(
        pk=1, defaults={"last": 0}
    )


class Migration(migrations.Migration):
    dependencies = [("bc_consumer", "0005_heartbeats")]
    operations = [
        migrations.CreateModel(
            name="VersionCounter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("last", models.BigIntegerField()),
            ],
            options={"verbose_name": "version counter", "verbose_name_plural": "version counters"},
        ),
        migrations.RunPython(add_counter, migrations.RunPython.noop),
        migrations.AddField(
            model_name="bc",
            name="version",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="Grows with each applied change, archivings included; see docs/applications.md.",
                verbose_name="version",
            ),
        ),
        migrations.AddField(
            model_name="journalentry",
            name="version",
            field=models.BigIntegerField(
                help_text="The order's, of this change; none where none was.",
                null=True,
                verbose_name="version",
            ),
        ),
        migrations.AddIndex(
            model_name="journalentry",
            index=models.Index(
                condition=models.Q(("version__isnull", False)),
                fields=["version"],
                name="journal_version",
            ),
        ),
    ]
