"""What a run held; since when an order waits; and a word that is true of what is counted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0020_held_since"),
    ]

    operations = [
        migrations.AddField(
            model_name="pendingbc",
            name="owed_since",
            field=models.DateTimeField(
                help_text="Its first mark, or when it was opened again after it had failed or was held.",
                null=True,
                verbose_name="waits since",
            ),
        ),
        migrations.AddField(
            model_name="synclog",
            name="held",
            # Also in the database: workers of the release before begin runs meanwhile.
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="held"),
        ),
        migrations.AlterField(
            model_name="synclog",
            name="bc_count",
            field=models.PositiveIntegerField(default=0, verbose_name="reads of orders"),
        ),
    ]
