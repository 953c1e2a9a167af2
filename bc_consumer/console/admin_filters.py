"""The administration's filters; their choices cost nothing, or little, however big the tables."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from bc_consumer.console.figures import FAILED, HELD, OWED, WATCHING
from bc_consumer.console.formatting import shortened
from bc_consumer.console.labels import states
from bc_consumer.core.cached_value import CachedValue
from bc_consumer.core.translatable_field import said
from bc_consumer.ledger.error_fingerprint import kind
from bc_consumer.models import BC, PendingBC
from bc_consumer.operations import failed_orders

Choices = list[tuple[str, Any]]
ERRORS_SHOWN = 30
CAUSE_CHARACTERS = 90


def _companies() -> list[tuple[int, str]]:
    found = BC.objects.filter(company_id__isnull=False).order_by("company_name")
    return [
        (pk or 0, name) for pk, name in found.values_list("company_id", "company_name").distinct()
    ]


companies = CachedValue(_companies)


class PresenceFilter(admin.SimpleListFilter):
    """Orders that Odoo still has, or has not."""

    title = _("presence")
    parameter_name = "presence"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Give the three."""
        return [
            ("current", _("current")),
            ("archived", _("archived")),
            ("forbidden", _("no longer readable")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[BC]) -> QuerySet[BC]:
        """Narrow the list."""
        if self.value() == "current":
            return queryset.filter(archived_at__isnull=True, forbidden_at__isnull=True)
        if self.value() == "archived":
            return queryset.filter(archived_at__isnull=False)
        if self.value() == "forbidden":
            return queryset.filter(forbidden_at__isnull=False)
        return queryset


class OrderStateFilter(admin.SimpleListFilter):
    """Odoo's states; listing those in use would read the whole table."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Give the states that Odoo comes with."""
        return list(states().items())

    def queryset(self, _request: HttpRequest, queryset: QuerySet[BC]) -> QuerySet[BC]:
        """Narrow the list."""
        return queryset.filter(state=self.value()) if self.value() else queryset


class CompanyFilter(admin.SimpleListFilter):
    """The companies that have orders; not shown when there is only one."""

    title = _("company")
    parameter_name = "company"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Give the companies."""
        found = companies()
        return [(str(pk), name) for pk, name in found] if len(found) > 1 else []

    def queryset(self, _request: HttpRequest, queryset: QuerySet[BC]) -> QuerySet[BC]:
        """Narrow the list."""
        value = self.value()
        return queryset.filter(company_id=value) if value and value.isdecimal() else queryset


class StandingFilter(admin.SimpleListFilter):
    """What a pending row is."""

    title = _("standing")
    parameter_name = "standing"
    conditions = {"owed": OWED, "watching": WATCHING, "failed": FAILED, "held": HELD}

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Give the four."""
        return [
            ("owed", _("owed")),
            ("watching", _("watching")),
            ("failed", _("failed")),
            ("held", _("held")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[PendingBC]) -> QuerySet[PendingBC]:
        """Narrow the list."""
        condition = self.conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class ErrorFilter(admin.SimpleListFilter):
    """The kinds of error of the rows given up, most frequent first, with their number."""

    title = _("kind of error")
    parameter_name = "error"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Group the failed rows."""
        kinds = PendingBC.objects.filter(FAILED).order_by().values_list("error_class")
        counted = kinds.annotate(count=Count("pk")).order_by("-count", "error_class")
        return [(kind, f"{kind} ({count})") for kind, count in counted[:ERRORS_SHOWN]]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[PendingBC]) -> QuerySet[PendingBC]:
        """Narrow the list."""
        return queryset.filter(FAILED, error_class=self.value()) if self.value() else queryset


class FailureFilter(admin.SimpleListFilter):
    """The causes of the rows given up: errors that differ in numbers alone are one."""

    title = _("cause")
    parameter_name = "failure"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Group the failed rows."""
        groups = failed_orders.groups(failed_orders.failed(), ERRORS_SHOWN)
        return [
            (group.failure, f"{shortened(_cause(group), CAUSE_CHARACTERS)} ({group.count})")
            for group in groups
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[PendingBC]) -> QuerySet[PendingBC]:
        """Narrow the list."""
        return queryset.filter(FAILED, failure=self.value()) if self.value() else queryset


def _cause(group: failed_orders.Group) -> str:
    """Name a cause in the reader's language: the error of one of its orders, without numbers."""
    return kind(group.error_class, said(group.example_error))
