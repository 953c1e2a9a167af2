from typing import Any

from django.db import migrations, models


def forget_numbers(apps: Any, _schema_editor: object) -> None:
    """Let no worker of the release before be taken for dead: it can't beat any more.

    It gives its claims back when it ends; should it be killed, they end with their leases.
    """
    apps.get_model("bc_consumer", "Heartbeat").objects.update(number=None)


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0017_owner_of_a_call_slot"),
    ]

    operations = [
        # First, for it locks the table: a beat that waits for a row would hold this up.
        migrations.RemoveConstraint(model_name="heartbeat", name="one_heart_a_process"),
        migrations.RunPython(forget_numbers, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="heartbeat",
            constraint=models.UniqueConstraint(
                fields=["kind", "number"], name="one_heart_a_process"
            ),
        ),
    ]
