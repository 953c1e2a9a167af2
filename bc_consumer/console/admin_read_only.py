"""What all lists and pages of the administration have in common: nothing can be edited."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from bc_consumer.models import OperatorAction
from bc_consumer.operations.rights import may, may_see_tracebacks

TRACEBACKS = ("traceback", "error_trace")
"""Columns that not every reader may see."""


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows every column and changes none; a number in the search box finds that order by index."""

    actions_on_bottom = True
    list_per_page = 50
    show_full_result_count = False
    id_field = "odoo_id"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under the name of what it lists; nothing can be selected to be changed."""
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Refuse: nothing is added by hand."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Refuse: nothing is changed by hand."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Refuse: nothing is deleted by hand."""
        return False

    def has_read_again_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may have orders read again."""
        return may(request.user, OperatorAction.Kind.READ_AGAIN)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may replay failed orders."""
        return may(request.user, OperatorAction.Kind.REPLAY)

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may delete dead letters."""
        return may(request.user, OperatorAction.Kind.DELETE_DEAD_LETTERS)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave tracebacks out for those who may not see them."""
        excluded = tuple(super().get_exclude(request, obj) or ())
        return excluded if may_see_tracebacks(request.user) else (*excluded, *TRACEBACKS)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave tracebacks out for those who may not see them."""
        shown = super().get_readonly_fields(request, obj)
        if may_see_tracebacks(request.user):
            return shown
        return [name for name in shown if name not in TRACEBACKS]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search the texts; a number, with or without "#", also finds the order with that id."""
        number = search_term.strip().removeprefix("#")
        if not number.isdecimal():
            return super().get_search_results(request, queryset, search_term)
        by_id = queryset.filter(**{self.id_field: int(number)})
        if search_term.strip().startswith("#") or not self.search_fields:
            return by_id, False
        by_text, doubles = super().get_search_results(request, queryset, search_term)
        return by_text | by_id, doubles
