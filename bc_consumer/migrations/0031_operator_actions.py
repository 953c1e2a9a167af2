"""What operators ask for in a browser, its permissions, and who asked a run to stop."""

import django.core.serializers.json
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0030_split_sentences_from_parts"),
    ]

    operations = [
        migrations.AddField(
            model_name="synclog",
            name="stop_asked_by",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The run ends as soon as it has seen this.",
                verbose_name="asked to stop by",
            ),
        ),
        migrations.AlterField(
            model_name="synclog",
            name="status",
            field=models.TextField(
                choices=[
                    ("running", "running"),
                    ("ok", "ok"),
                    ("partial", "partial"),
                    ("failed", "failed"),
                    ("refused", "refused"),
                    ("braked", "braked"),
                    ("stopped", "stopped"),
                ],
                default="running",
                verbose_name="status",
            ),
        ),
        migrations.CreateModel(
            name="OperatorAction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("compare", "compare an order with Odoo"),
                            ("read_again", "read orders again"),
                            ("replay", "replay failed orders"),
                            ("release", "release held orders"),
                            ("archive", "archive held orders"),
                            ("run", "reconcile"),
                            ("dry_run", "look for differences"),
                            ("mark_differences", "have differences read again"),
                            ("stop", "stop the run at work"),
                            ("unlock", "release the lock"),
                            ("doctor", "run the doctor"),
                            ("ping", "send a ping through the public address"),
                            ("test_alert", "send a test alert"),
                            ("acknowledge", "acknowledge an alert"),
                            ("delete_dead_letters", "delete dead letters"),
                            ("rules", "set up the rules in Odoo"),
                        ],
                        verbose_name="action",
                    ),
                ),
                ("asked_by", models.TextField(verbose_name="asked for by")),
                (
                    "user_id",
                    models.TextField(
                        blank=True,
                        help_text="Not a foreign key: the record outlasts the user. Empty for a command.",
                        verbose_name="user's key",
                    ),
                ),
                ("asked_at", models.DateTimeField(verbose_name="asked for at")),
                (
                    "parameters",
                    models.JSONField(blank=True, default=dict, verbose_name="parameters"),
                ),
                (
                    "fingerprint",
                    models.CharField(
                        help_text="Alike for the same action and parameters.",
                        max_length=64,
                        verbose_name="fingerprint",
                    ),
                ),
                (
                    "status",
                    models.TextField(
                        choices=[
                            ("asked", "asked for"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("refused", "refused"),
                            ("expired", "expired"),
                        ],
                        default="asked",
                        verbose_name="status",
                    ),
                ),
                ("started_at", models.DateTimeField(null=True, verbose_name="start")),
                ("ended_at", models.DateTimeField(null=True, verbose_name="end")),
                ("done", models.PositiveIntegerField(default=0, verbose_name="progress")),
                (
                    "total",
                    models.PositiveIntegerField(null=True, verbose_name="progress: of how many"),
                ),
                ("outcome", models.TextField(blank=True, verbose_name="outcome")),
                (
                    "result",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="result",
                    ),
                ),
                ("traceback", models.TextField(blank=True, verbose_name="traceback")),
                ("claim_token", models.UUIDField(null=True, verbose_name="claim")),
                ("lease_until", models.DateTimeField(null=True, verbose_name="lease ends")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("outcome_parts", models.TextField(db_default="", default="", editable=False)),
            ],
            options={
                "verbose_name": "operators' action",
                "verbose_name_plural": "operators' actions",
                "ordering": ("-id",),
                "permissions": (
                    ("ask_compare", "Can compare an order with Odoo"),
                    ("ask_read_again", "Can have orders read again"),
                    ("ask_replay", "Can replay failed orders"),
                    ("ask_release", "Can release held orders"),
                    ("ask_archive", "Can archive held orders"),
                    ("ask_run", "Can start a reconciliation"),
                    ("ask_dry_run", "Can start a dry run"),
                    ("ask_mark_differences", "Can have the differences of a dry run read again"),
                    ("ask_stop", "Can stop the run at work"),
                    ("ask_unlock", "Can release the lock of the reconciliation"),
                    ("ask_doctor", "Can run the doctor"),
                    ("ask_ping", "Can send a ping through the public address"),
                    ("ask_test_alert", "Can send a test alert"),
                    ("ask_acknowledge", "Can acknowledge an alert"),
                    ("ask_delete_dead_letters", "Can delete dead letters"),
                    ("ask_rules", "Can set up the rules in Odoo"),
                    ("ask_forced", "Can set the brake and the lock aside"),
                    ("see_tracebacks", "Can see tracebacks"),
                ),
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("status__in", ["asked", "running"])),
                        fields=["status", "id"],
                        name="action_unfinished",
                    ),
                    models.Index(fields=["asked_at"], name="action_asked_at"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status__in", ["asked", "running"])),
                        fields=("fingerprint",),
                        name="one_action_alike",
                    )
                ],
            },
        ),
    ]
