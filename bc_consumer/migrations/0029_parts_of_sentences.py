"""A column beside each stored sentence, for what it was made of; the next migration fills it."""

from django.db import migrations, models

# The default is also the database's: processes of the release before write rows meanwhile.
PARTS = models.TextField(db_default="", default="", editable=False)


class Migration(migrations.Migration):
    dependencies = [("bc_consumer", "0028_deletion_confirmed")]

    # Tables in the order in which workers lock them, so that neither waits for the other for ever.
    operations = [
        migrations.AddField("pace", "reason_parts", PARTS),
        migrations.AddField("pendingbc", "held_reason_parts", PARTS),
        migrations.AddField("pendingbc", "last_error_parts", PARTS),
        migrations.AddField("synclog", "notes_parts", PARTS),
        migrations.AddField("synclog", "error_parts", PARTS),
        migrations.AddField("journalentry", "error_parts", PARTS),
        migrations.AddField("alert", "subject_parts", PARTS),
        migrations.AddField("alert", "text_parts", PARTS),
        migrations.AddField("deadletter", "why_parts", PARTS),
    ]
