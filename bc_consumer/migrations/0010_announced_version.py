"""How far changes have been announced on the exchange."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0009_failures"),
    ]

    operations = [
        migrations.CreateModel(
            name="AnnouncedVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "announced version",
                "verbose_name_plural": "announced versions",
            },
        ),
    ]
