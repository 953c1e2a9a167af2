from django.db import migrations, models


class Migration(migrations.Migration):
    """From when a delay is counted; which version a process runs; when Odoo was last heard of."""

    dependencies = [("bc_consumer", "0032_alert_states")]

    # Texts have their default in the database too: processes of the release before write rows
    # meanwhile. Tables in the order in which workers lock them.
    operations = [
        migrations.AddField(
            model_name="syncstate",
            name="webhook_at",
            field=models.DateTimeField(
                help_text="Noted every few seconds by the web processes' heartbeats.",
                null=True,
                verbose_name="last webhook",
            ),
        ),
        migrations.AlterField(
            model_name="journalentry",
            name="delay",
            field=models.FloatField(
                help_text="Seconds until the change was applied; none where nothing announced it.",
                null=True,
                verbose_name="delay (s)",
            ),
        ),
        migrations.AddField(
            model_name="journalentry",
            name="delay_from",
            field=models.TextField(
                blank=True,
                choices=[("mark", "webhook"), ("change", "change in Odoo")],
                db_default="",
                default="",
                help_text=(
                    "Empty: no delay, or one that an earlier version counted from the first mark."
                ),
                verbose_name="delay counted from",
            ),
        ),
        migrations.AlterField(
            model_name="heartbeat",
            name="kind",
            field=models.TextField(
                choices=[("worker", "worker"), ("scheduler", "scheduler"), ("web", "web")],
                verbose_name="kind",
            ),
        ),
        migrations.AddField(
            model_name="heartbeat",
            name="version",
            field=models.TextField(blank=True, db_default="", default="", verbose_name="version"),
        ),
        migrations.AddField(
            model_name="heartbeat",
            name="odoo_answered_at",
            field=models.DateTimeField(
                help_text="Empty: not since it was started.",
                null=True,
                verbose_name="Odoo last answered it",
            ),
        ),
    ]
