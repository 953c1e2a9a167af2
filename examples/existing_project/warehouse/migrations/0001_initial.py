"""The application's tables."""

from django.db import migrations, models


def key() -> models.BigAutoField:
    """Return the primary key of each table."""
    return models.BigAutoField(
        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
    )


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", key()),
                ("odoo_id", models.BigIntegerField()),
                ("outcome", models.TextField()),
                ("cause", models.TextField()),
                ("version", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Expected",
            fields=[
                ("id", key()),
                ("odoo_id", models.BigIntegerField(unique=True)),
                ("supplier", models.TextField()),
                ("version", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Position",
            fields=[("id", key()), ("version", models.BigIntegerField(default=0))],
        ),
    ]
