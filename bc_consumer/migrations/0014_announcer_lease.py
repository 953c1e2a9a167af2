"""One announcer at a time, by a lease."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0013_call_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="announcedversion",
            name="leased_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="announcedversion",
            name="token",
            field=models.UUIDField(null=True),
        ),
    ]
