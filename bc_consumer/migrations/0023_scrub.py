from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0022_asked_for_scans_and_the_sample"),
    ]

    operations = [
        migrations.AddField(
            model_name="synclog",
            name="scrubbed",
            # Also in the database: workers of the release before begin runs meanwhile.
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="Orders whose content was compared although nothing spoke of a change.",
                verbose_name="looked at by the scrub",
            ),
        ),
        migrations.AddField(
            model_name="synclog",
            name="same_date",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="Of those: orders that differed, and no date of theirs had moved.",
                verbose_name="differences under the same date",
            ),
        ),
    ]
