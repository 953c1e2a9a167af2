"""Odoo's labels of the fields that have no column, as last read from Odoo."""

from django.db import models

from bc_consumer.core.cached_value import CachedValue
from bc_consumer.models import BCLine, CopyOrigin


def _labels() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] | None
    found = CopyOrigin.objects.values_list("labels", flat=True).first()
    return found or {}


known_labels = CachedValue(_labels)


def extra_label(model: type[models.Model], name: str) -> str:
    """Return the label of a field in ``extra``, or its technical name if the label is unknown."""
    table = "line" if model is BCLine else "order"
    return known_labels().get(table, {}).get(name, name)
