from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bc_consumer", "0034_indexes_of_figures"),
    ]

    operations = [
        migrations.CreateModel(
            name="MetricTotal",
            fields=[
                (
                    "series",
                    models.TextField(primary_key=True, serialize=False, verbose_name="series"),
                ),
                ("value", models.FloatField(verbose_name="total")),
            ],
            options={
                "verbose_name": "metric total",
                "verbose_name_plural": "metric totals",
            },
        ),
    ]
