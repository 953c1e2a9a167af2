from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0040_orders_of_a_product"),
    ]

    operations = [
        migrations.AddField(
            model_name="operatoraction",
            name="cancel_asked_by",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text=(
                    "Who asked for its end; the worker that has it in hand sees it within 10 s."
                ),
                verbose_name="cancelled by",
            ),
        ),
        migrations.AlterField(
            model_name="operatoraction",
            name="status",
            field=models.TextField(
                choices=[
                    ("asked", "asked for"),
                    ("running", "running"),
                    ("done", "done"),
                    ("failed", "failed"),
                    ("refused", "refused"),
                    ("expired", "expired"),
                    ("cancelled", "cancelled"),
                ],
                default="asked",
                verbose_name="status",
            ),
        ),
    ]
