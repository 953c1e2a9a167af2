"""A model field that keeps Odoo's numbers exactly as Odoo shows them."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ExactDecimalField(models.DecimalField):  # type: ignore[type-arg]
    """A Decimal without a fixed scale, stored without rounding.

    Odoo sends binary doubles; this field keeps the shortest text that denotes such a double (at
    most 17 significant digits). PostgreSQL's ``numeric`` without precision stores any of them
    unchanged. SQLite stores the double itself; Django's own DecimalField would round it to 15
    digits on reading, and every comparison with Odoo would then show a difference.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("max_digits", None)
        kwargs.pop("decimal_places", None)
        super().__init__(*args, **kwargs)

    def check(self, **kwargs: Any) -> list[Any]:
        """Run the general field checks without DecimalField's demand for digits and scale."""
        return models.Field.check(self, **kwargs)

    def get_internal_type(self) -> str:
        """Avoid Django's SQLite converter for decimals, which rounds to 15 digits."""
        return "FloatField"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return ``numeric`` on PostgreSQL and ``real`` (a double) on SQLite."""
        return "numeric" if connection.vendor == "postgresql" else "real"

    def from_db_value(self, value: Any, *_: object) -> Decimal | None:
        """Convert the driver's value (Decimal or double) to a Decimal."""
        if value is None or isinstance(value, Decimal):
            return value
        return Decimal(repr(value))
