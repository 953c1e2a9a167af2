from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0023_scrub"),
    ]

    operations = [
        migrations.AddField(
            model_name="copyorigin",
            name="language",
            # Also in the database: workers of the release before write this row meanwhile.
            field=models.TextField(db_default="", default="", verbose_name="language of names"),
        ),
        migrations.AlterField(
            model_name="copyorigin",
            name="fields_changed_at",
            field=models.DateTimeField(
                help_text="Orders last read before then are read again by the next run.",
                null=True,
                verbose_name="fields or language changed",
            ),
        ),
    ]
