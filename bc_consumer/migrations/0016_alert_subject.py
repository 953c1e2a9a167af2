from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0015_a_process_s_claims"),
    ]

    operations = [
        migrations.AddField(
            model_name="alert",
            name="subject",
            # Also in the database: workers of the release before write alerts meanwhile.
            field=models.TextField(db_default="", default="", verbose_name="subject"),
        ),
    ]
