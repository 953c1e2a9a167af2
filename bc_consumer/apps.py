"""The application's configuration: name, system checks, defaults that depend on the database."""

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class BCConsumerConfig(AppConfig):
    """The copy of Odoo's orders."""

    name = "bc_consumer"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = _("Copy of Odoo's orders")

    def ready(self) -> None:
        """Register the system checks and fill in the defaults that depend on the database."""
        from bc_consumer.core.redacted_text import install_hooks
        from bc_consumer.installation import (  # noqa: F401
            project_checks,
            rules_action,
            setting_checks,
        )
        from bc_consumer.installation.permissions import make_groups

        install_hooks()
        post_migrate.connect(make_groups, sender=self, dispatch_uid="bc_consumer.groups")
        self._check_choice()
        self._name_columns()
        on_postgresql = connection.vendor == "postgresql"
        if not settings.BATCH_SIZE:
            # A batch is one transaction, and SQLite has one writer: a webhook must not wait long
            # for it.
            settings.BATCH_SIZE = 200 if on_postgresql else 50
        if not settings.WEBHOOK_ANSWER_SECONDS:
            settings.WEBHOOK_ANSWER_SECONDS = 0.8 if on_postgresql else 10.0

    def _name_columns(self) -> None:
        """Label columns as the copied order model does; migrations do not see the change."""
        from bc_consumer.fields.columns import columns_of
        from bc_consumer.fields.table import TABLES

        table = TABLES.get(settings.ODOO_ORDER_MODEL)
        if table is None:
            return  # reported by a system check
        for model, fields in (("BC", table.order), ("BCLine", table.line)):
            columns = columns_of(fields)
            for column in self.get_model(model)._meta.concrete_fields:
                if (name := column.name) in columns:
                    column.verbose_name = _(columns[name].label_of(name))

    def _check_choice(self) -> None:
        """Raise at start-up if the chosen orders or fields are impossible."""
        from bc_consumer.odoo import OdooRefused
        from bc_consumer.odoo.connection_settings import check_fields_and_domain

        fields = [*settings.ODOO_EXTRA_FIELDS, *settings.ODOO_EXTRA_LINE_FIELDS]
        try:
            check_fields_and_domain(fields, settings.ODOO_DOMAIN)
        except OdooRefused as error:
            raise ImproperlyConfigured(str(error)) from error
