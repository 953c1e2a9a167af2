"""A model field that keeps Odoo's numbers exactly as Odoo shows them."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ExactDecimalField(models.DecimalField):  # type: ignore[type-arg]
    """A Decimal without a fixed scale, stored without rounding.

    Odoo sends binary doubles; the shortest text that names such a double (at most 17 significant
    digits) is what this field keeps. PostgreSQL's ``numeric`` without precision stores any of them
    as it is. SQLite stores the double itself; Django's own DecimalField would cut it to 15 digits
    when reading it back, and then each comparison with Odoo would show a difference.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("max_digits", None)
        kwargs.pop("decimal_places", None)
        super().__init__(*args, **kwargs)

    def check(self, **kwargs: Any) -> list[Any]:
        """Skip DecimalField's demand for digits and scale; keep the general field checks."""
        return models.Field.check(self, **kwargs)

    def get_internal_type(self) -> str:
        """Keep Django's SQLite converter, which cuts to 15 digits, away from this column."""
        return "FloatField"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Give ``numeric`` on PostgreSQL and ``real`` (a double) on SQLite."""
        return "numeric" if connection.vendor == "postgresql" else "real"

    def from_db_value(self, value: Any, *_: object) -> Decimal | None:
        """Turn what the driver gives (Decimal or double) into a Decimal."""
        if value is None or isinstance(value, Decimal):
            return value
        return Decimal(repr(value))
