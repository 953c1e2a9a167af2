"""The application's name and its checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BCConsumerConfig(AppConfig):
    """The copy of Odoo's orders."""

    name = "bc_consumer"
    verbose_name = _("Copy of Odoo's orders")

    def ready(self) -> None:
        """Register the system checks."""
        from bc_consumer import checks  # noqa: F401
