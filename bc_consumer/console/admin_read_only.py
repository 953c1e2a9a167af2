"""What all lists and pages of the administration have in common: nothing can be edited."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from bc_consumer.console import admin_values, formatting
from bc_consumer.models import OperatorAction
from bc_consumer.operations.rights import may, may_see_tracebacks

TRACEBACKS = ("traceback", "error_trace")
"""Columns that not every reader may see."""


COUNTED = 10_000
"""Rows that a list counts, and that can be leafed through; the search finds those beyond."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to ``most`` rows: a page of a list of millions costs no more than of thousands."""

    most = COUNTED

    @cached_property
    def counted(self) -> int:
        """Return how many rows there are; more than ``most`` is told as one more."""
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by()[: self.most + 1].count()

    @property
    def count(self) -> int:
        """Return how many rows can be leafed through."""
        return min(self.counted, self.most)

    @property
    def is_cut(self) -> bool:
        """Whether there are more."""
        return self.counted > self.most


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows every column and changes none; a number in the search box finds that order by index."""

    actions_on_bottom = True
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count the table once for each value of each filter
    paginator = BoundedPaginator
    empty_value_display = formatting.NOTHING
    id_field = "odoo_id"

    def __init__(self, model: Any, admin_site: Any) -> None:
        super().__init__(model, admin_site)
        self._columns = frozenset(field.name for field in self.opts.concrete_fields)
        for field in self.opts.concrete_fields:
            setattr(self, admin_values.PREFIX + field.name, admin_values.display_of(field))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under the name of what it lists; nothing can be selected to be changed."""
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the record under the name of what it is."""
        title = {"title": capfirst(self.opts.verbose_name)}
        return super().change_view(request, object_id, form_url, title | (extra_context or {}))

    def get_list_display(self, _request: HttpRequest) -> Any:
        """Show each column as the pages do."""
        return self._shown(self.list_display)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show each column as the pages do; leave tracebacks out for those who may not see them."""
        may_see = may_see_tracebacks(request.user)
        return [
            (
                title,
                {
                    **options,
                    "fields": self._shown(
                        name
                        for name in options["fields"]
                        if may_see or not isinstance(name, str) or name not in TRACEBACKS
                    ),
                },
            )
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _shown(self, names: Iterable[Any]) -> tuple[Any, ...]:
        """Return the displays of these columns; names of other displays are left as they are."""
        return tuple(
            admin_values.PREFIX + name if name in self._columns else name for name in names
        )

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
