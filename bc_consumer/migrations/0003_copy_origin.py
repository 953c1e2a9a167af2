"""What the copy is made of. A copy that exists already is one of purchase orders."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def tell_origin(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Until now there was no other order model."""
    if apps.get_model("bc_consumer", "BC").objects.exists():
        origins = apps.get_model("bc_consumer", "CopyOrigin").objects
        origins.get_or_create(key="bclinbc", defaults={"order_model": "purchase.order"})


class Migration(migrations.Migration):
    dependencies = [("bc_consumer", "0002_first_rows")]
    operations = [
        migrations.CreateModel(
            name="CopyOrigin",
            fields=[
                ("key", models.TextField(default="bclinbc", primary_key=True, serialize=False)),
                ("order_model", models.TextField(verbose_name="order model")),
                (
                    "seen_fields",
                    models.JSONField(
                        default=list,
                        help_text='"model.field": what this Odoo had at some time; what it '
                        "lacks has vanished.",
                        verbose_name="fields seen",
                    ),
                ),
            ],
            options={
                "verbose_name": "origin of the copy",
                "verbose_name_plural": "origin of the copy",
            },
        ),
        migrations.RunPython(tell_origin, migrations.RunPython.noop),
    ]
