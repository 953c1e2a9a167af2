from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0021_figures_of_runs"),
    ]

    operations = [
        migrations.AddField(
            model_name="synclog",
            name="asked_for",
            # Also in the database: workers of the release before begin runs meanwhile.
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="A scan, with digest, because an event was missed or may have been.",
                verbose_name="asked for",
            ),
        ),
        migrations.AlterField(
            model_name="syncstate",
            name="scan_due_at",
            field=models.DateTimeField(
                help_text="Set when an event was missed, or may have been: scans are due soon.",
                null=True,
                verbose_name="scan wanted",
            ),
        ),
        migrations.AddField(
            model_name="copyorigin",
            name="sample",
            field=models.JSONField(
                help_text="Some of the oldest and newest, and when they were created.",
                null=True,
                verbose_name="orders that tell the database again",
            ),
        ),
    ]
