"""Who took an alert, who looks after it, until when it is muted, and whether it is resolved."""

from django.db import migrations, models

# The default is also the database's: processes of the release before write rows meanwhile.
PARTS = models.TextField(db_default="", default="", editable=False)


class Migration(migrations.Migration):
    dependencies = [("bc_consumer", "0031_operator_actions")]

    operations = [
        migrations.AddField("alert", "sent", models.JSONField(db_default={}, default=dict)),
        migrations.AddField("alert", "tried_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "alert",
            "acknowledged_at",
            models.DateTimeField(null=True, verbose_name="acknowledged"),
        ),
        migrations.AddField(
            "alert",
            "acknowledged_by",
            models.TextField(db_default="", default="", verbose_name="acknowledged by"),
        ),
        migrations.AddField(
            "alert", "muted_until", models.DateTimeField(null=True, verbose_name="muted until")
        ),
        migrations.AddField(
            "alert",
            "muted_by",
            models.TextField(db_default="", default="", verbose_name="muted by"),
        ),
        migrations.AddField(
            "alert", "resolved_at", models.DateTimeField(null=True, verbose_name="resolved")
        ),
        migrations.AddField("alert", "over_subject", models.TextField(db_default="", default="")),
        migrations.AddField("alert", "over_subject_parts", PARTS),
        migrations.AddField("alert", "over_text", models.TextField(db_default="", default="")),
        migrations.AddField("alert", "over_text_parts", PARTS),
        migrations.AlterField(
            "alert", "mailed_at", models.DateTimeField(null=True, verbose_name="sent")
        ),
    ]
