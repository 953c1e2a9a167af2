"""When fields appear in Odoo, orders read before are read again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bc_consumer", "0007_versions_of_copied_orders")]
    operations = [
        migrations.AddField(
            model_name="copyorigin",
            name="fields_changed_at",
            field=models.DateTimeField(
                help_text="Orders last read before then are read again by the next run.",
                null=True,
                verbose_name="fields appeared",
            ),
        ),
        migrations.AddField(
            model_name="copyorigin",
            name="present_fields",
            field=models.JSONField(default=list, verbose_name="fields there"),
        ),
    ]
