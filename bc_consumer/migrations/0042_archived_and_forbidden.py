"""Indexes by which archived and forbidden orders are counted without reading the whole table."""

from importlib import import_module

from django.db import migrations, models
from django.db.models import Q

AddIndexMeanwhile = import_module(
    "bc_consumer.migrations.0034_indexes_of_figures"
).AddIndexMeanwhile


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("bc_consumer", "0041_cancelled_actions")]
    operations = [
        AddIndexMeanwhile(
            model_name="bc",
            index=models.Index(
                fields=["archived_at"], condition=Q(archived_at__isnull=False), name="bc_archived"
            ),
        ),
        AddIndexMeanwhile(
            model_name="bc",
            index=models.Index(
                fields=["forbidden_at"],
                condition=Q(forbidden_at__isnull=False),
                name="bc_forbidden",
            ),
        ),
    ]
