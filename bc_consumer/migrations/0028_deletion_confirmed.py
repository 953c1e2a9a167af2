from django.db import migrations, models


class Migration(migrations.Migration):
    """A new outcome in the journal: an order that was archived before is told of as deleted."""

    dependencies = [("bc_consumer", "0027_language_of_names")]

    operations = [
        migrations.AlterField(
            model_name="journalentry",
            name="outcome",
            field=models.TextField(
                choices=[
                    ("created", "created"),
                    ("changed", "changed"),
                    ("archived", "archived"),
                    ("restored", "restored"),
                    ("forbidden", "access lost"),
                    ("confirmed", "deletion confirmed"),
                    ("unconfirmed", "unconfirmed"),
                    ("failed", "failed"),
                    ("held", "held"),
                ],
                verbose_name="outcome",
            ),
        ),
    ]
