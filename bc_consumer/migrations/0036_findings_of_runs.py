from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0035_metric_totals"),
    ]

    operations = [
        migrations.AddField(
            model_name="synclog",
            name="reread_recent",
            # Also in the database: workers of the release before begin runs meanwhile.
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text=(
                    "Orders read so soon after their last change that another may hide behind its "
                    "date."
                ),
                verbose_name="read again because recent",
            ),
        ),
        migrations.AddField(
            model_name="synclog",
            name="reread_failed",
            field=models.PositiveIntegerField(
                db_default=0, default=0, verbose_name="given up before, tried again"
            ),
        ),
        migrations.AddField(
            model_name="synclog",
            name="reread_mapping",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="Orders that were last read with other fields, or by another version.",
                verbose_name="read again for other fields",
            ),
        ),
    ]
