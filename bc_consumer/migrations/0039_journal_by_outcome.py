"""An index for the journal's list of one outcome, of all but the most frequent one.

An entry that tells of a change, as nearly all do, costs nothing more to write.
"""

from importlib import import_module

from django.db import migrations, models
from django.db.models import Q

AddIndexMeanwhile = import_module(
    "bc_consumer.migrations.0034_indexes_of_figures"
).AddIndexMeanwhile


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("bc_consumer", "0038_alerts_in_one_message")]
    operations = [
        AddIndexMeanwhile(
            model_name="journalentry",
            index=models.Index(
                fields=["outcome", "-id"],
                condition=~Q(outcome="changed"),
                name="journal_outcome",
            ),
        ),
    ]
