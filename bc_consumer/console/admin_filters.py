"""The administration's filters. Listing their choices stays cheap, however large the tables."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from bc_consumer.console import filter_names
from bc_consumer.console.figures import FAILED, HELD, OWED, WATCHING
from bc_consumer.console.formatting import shortened
from bc_consumer.console.labels import states
from bc_consumer.core.translatable_field import said
from bc_consumer.ledger.error_fingerprint import fingerprint
from bc_consumer.models import BC, PendingBC
from bc_consumer.operations import failed_orders

Choices = list[tuple[str, Any]]
ERRORS_SHOWN = 30
CAUSE_CHARACTERS = 90


class PresenceFilter(admin.SimpleListFilter):
    """Filters orders by whether Odoo still shows them."""

    title = _("presence")
    parameter_name = "presence"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the three choices."""
        return [
            ("current", _("current")),
            ("archived", _("archived")),
            ("forbidden", _("access lost")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[BC]) -> QuerySet[BC]:
        """Return the orders of the chosen kind."""
        if self.value() == "current":
            return queryset.filter(archived_at__isnull=True, forbidden_at__isnull=True)
        if self.value() == "archived":
            return queryset.filter(archived_at__isnull=False)
        if self.value() == "forbidden":
            return queryset.filter(forbidden_at__isnull=False)
        return queryset


class OrderStateFilter(admin.SimpleListFilter):
    """Filters by Odoo's standard states; listing the states in use would read the whole table."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return Odoo's standard states."""
        return list(states().items())

    def queryset(self, _request: HttpRequest, queryset: QuerySet[BC]) -> QuerySet[BC]:
        """Return the orders in the chosen state."""
        return queryset.filter(state=self.value()) if self.value() else queryset


class CompanyFilter(admin.SimpleListFilter):
    """Filters by company; hidden while there is only one."""

    title = _("company")
    parameter_name = "company"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the companies that have orders."""
        found = filter_names.companies()
        return [(str(one.odoo_id), one.name) for one in found] if len(found) > 1 else []

    def queryset(self, _request: HttpRequest, queryset: QuerySet[BC]) -> QuerySet[BC]:
        """Return the chosen company's orders."""
        value = self.value()
        return queryset.filter(company_id=value) if value and value.isdecimal() else queryset


class StandingFilter(admin.SimpleListFilter):
    """Filters ledger rows by their state: owed, watching, held or failed."""

    title = pgettext_lazy("pending order", "status")
    parameter_name = "standing"
    conditions = {"owed": OWED, "watching": WATCHING, "failed": FAILED, "held": HELD}

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the four states."""
        return [
            ("owed", _("to fetch")),
            ("watching", _("confirming")),
            ("failed", _("failed")),
            ("held", _("held")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[PendingBC]) -> QuerySet[PendingBC]:
        """Return the rows in the chosen state."""
        condition = self.conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class ErrorFilter(admin.SimpleListFilter):
    """Filters failed rows by the class of their error, the most frequent first, with counts."""

    title = _("kind of error")
    parameter_name = "error"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the error classes with their counts."""
        kinds = PendingBC.objects.filter(FAILED).order_by().values_list("error_class")
        counted = kinds.annotate(count=Count("pk")).order_by("-count", "error_class")
        return [(kind, f"{kind} ({count})") for kind, count in counted[:ERRORS_SHOWN]]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[PendingBC]) -> QuerySet[PendingBC]:
        """Return the rows with the chosen error class."""
        return queryset.filter(FAILED, error_class=self.value()) if self.value() else queryset


class FailureFilter(admin.SimpleListFilter):
    """Filters failed rows by cause: errors that differ only in numbers share one."""

    title = _("cause")
    parameter_name = "failure"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the causes with their counts."""
        groups = failed_orders.groups(failed_orders.failed(), ERRORS_SHOWN)
        return [
            (group.failure, f"{shortened(_cause(group), CAUSE_CHARACTERS)} ({group.count})")
            for group in groups
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[PendingBC]) -> QuerySet[PendingBC]:
        """Return the rows with the chosen cause."""
        return queryset.filter(FAILED, failure=self.value()) if self.value() else queryset


def _cause(group: failed_orders.FailureGroup) -> str:
    """Describe a cause in the reader's language: one of its orders' errors, without numbers."""
    return fingerprint(group.error_class, said(group.example_error))
