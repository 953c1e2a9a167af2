"""An application that has to know of orders."""

from django.apps import AppConfig


class WarehouseConfig(AppConfig):
    """Connects its receiver."""

    name = "warehouse"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Receivers are connected by importing them."""
        from warehouse import receivers  # noqa: F401
