"""The administration shows everything and edits nothing: Odoo holds the truth.

Its actions have orders read again, which marks them in the ledger like any other mark, and delete
dead letters that somebody has dealt with.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from bc_consumer import ledger
from bc_consumer.console import column_layout, filter_names, formatting, search
from bc_consumer.console.admin_filters import (
    CompanyFilter,
    ErrorFilter,
    FailureFilter,
    OrderStateFilter,
    PresenceFilter,
    StandingFilter,
)
from bc_consumer.console.admin_html import (
    changes_html,
    history_html,
    lines_html,
    preformatted,
    result_html,
)
from bc_consumer.console.admin_read_only import BoundedPaginator, ReadOnlyAdmin
from bc_consumer.console.order import odoo_url
from bc_consumer.console.replay_preview import PREVIEW_FROM, preview_of
from bc_consumer.core import translatable
from bc_consumer.core.translatable_field import said
from bc_consumer.ledger import Mark, error_fingerprint
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import (
    BC,
    Alert,
    BCLine,
    DeadLetter,
    JournalEntry,
    Lane,
    OperatorAction,
    PendingBC,
    SyncLog,
    SyncState,
)
from bc_consumer.operations import action_parameters, action_requests, failed_orders
from bc_consumer.operations.action_requests import record_done

MARKED_AT_ONCE = 10_000
"""The most orders that one action marks: it runs within one request."""


@admin.action(description=_("Read from Odoo again"), permissions=["read_again"])
def read_again(model_admin: ReadOnlyAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> None:
    """Mark the selected orders; workers read them from Odoo within moments."""
    ids = list(queryset.order_by().values_list("odoo_id", flat=True)[: MARKED_AT_ONCE + 1])
    if len(ids) > MARKED_AT_ONCE:
        most = formatting.number(MARKED_AT_ONCE)
        text = gettext("Select at most %(count)s orders at once.") % {"count": most}
        model_admin.message_user(request, text, messages.ERROR)
        return
    publisher().wake(ledger.mark(ids, Mark(cause="operator", lane=Lane.OPERATOR)))
    marked = translatable.ngettext(
        "%(count)s order is marked, and will be read from Odoo in a moment.",
        "%(count)s orders are marked, and will be read from Odoo in a moment.",
        len(ids),
    )
    record_done(OperatorAction.Kind.READ_AGAIN, request.user, {"odoo_ids": ids}, marked)
    text = ngettext(
        "%(count)s order will be read from Odoo again.",
        "%(count)s orders will be read from Odoo again.",
        len(ids),
    )
    count = formatting.number(len(ids))
    model_admin.message_user(request, text % {"count": count}, messages.SUCCESS)
    _warn_of_held(model_admin, request, ids)


@admin.action(description=_("Replay the failed ones"), permissions=["replay"])
def replay(
    model_admin: ReadOnlyAdmin, request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse | None:
    """Have the failed orders among the selected replayed by a worker; many lead to the preview."""
    failed = queryset.filter(failed_at__isnull=False)
    count = failed.count()
    if not count:
        text = gettext("None of these orders has failed.")
        model_admin.message_user(request, text, messages.WARNING)
        return None
    parameters = _choice(failed, count)
    if address := preview_of(request, OperatorAction.Kind.REPLAY, parameters):
        return HttpResponseRedirect(address)
    if count > PREVIEW_FROM:  # no address can name them
        text = gettext(
            "These are too many to be chosen one by one: select fewer, or replay them by cause on"
            " the page of failures."
        )
        model_admin.message_user(request, text, messages.ERROR)
        return None
    try:
        asked = action_requests.ask(OperatorAction.Kind.REPLAY, request.user, **parameters)
    except action_requests.TooManyActions as error:
        model_admin.message_user(request, said(error.args[0]), messages.ERROR)
        return None
    return HttpResponseRedirect(reverse("bc-action", args=[asked.pk]))


def _choice(failed: QuerySet[Any], count: int) -> dict[str, Any]:
    """Return how a replay names these failed orders: many as a cause, or as all, if they are."""
    if count > PREVIEW_FROM:
        causes = list(failed.order_by().values_list("failure", flat=True).distinct()[:2])
        if failed_orders.failed().count() == count:
            return {"all": "1"}
        if (
            len(causes) == 1
            and causes[0]
            and failed_orders.chosen(failure=causes[0]).count() == count
        ):
            return {"failure": causes[0]}
    return {"odoo_ids": failed_orders.ids_of(failed)[: action_parameters.CHOSEN_AT_ONCE]}


@admin.action(description=_("Delete: it has been dealt with"), permissions=["dismiss"])
def dismiss(model_admin: ReadOnlyAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> None:
    """Delete the selected dead letters."""
    keys = list(queryset.values_list("pk", flat=True)[: action_parameters.CHOSEN_AT_ONCE])
    asked = action_requests.ask(OperatorAction.Kind.DELETE_DEAD_LETTERS, request.user, letters=keys)
    model_admin.message_user(request, said(asked.outcome), messages.SUCCESS)


def _warn_of_held(model_admin: ReadOnlyAdmin, request: HttpRequest, ids: Sequence[int]) -> None:
    held = PendingBC.objects.filter(odoo_id__in=ids).exclude(held_reason="").count()
    if not held:
        return
    text = ngettext(
        "%(count)s of them is on hold; reading it again does not release it: run manage.py "
        "sync_BcLinbc --force.",
        "%(count)s of them are on hold; reading them again does not release them: run manage.py"
        " sync_BcLinbc --force.",
        held,
    )
    model_admin.message_user(request, text % {"count": formatting.number(held)}, messages.WARNING)


@admin.register(BC)
class BCAdmin(ReadOnlyAdmin):
    """Orders, searchable by reference, partner or id; each is shown with its lines and journal."""

    list_display = (
        "name_label", "partner_name", "partner_ref", "state", "total_label", "company_name",
        "write_date", "archived_at",
    )  # fmt: skip
    list_filter = (PresenceFilter, OrderStateFilter, CompanyFilter)
    search_fields = ("name", "partner_ref")
    search_help_text = _("Order, supplier, reference, product, or Odoo id")
    actions = (read_again,)
    fieldsets = (
        (None, {"fields": column_layout.admin_order()}),
        (_("Dates"), {"fields": column_layout.admin_dates()}),
        (_("Amounts"), {"fields": column_layout.admin_amounts()}),
        (_("Lines"), {"fields": ("lines_shown",)}),
        (_("Copy"), {"fields": (
            "version", "synced_at", "pending_link", "archived_at", "archived_reason",
            "forbidden_at", "history",
        )}),
        (_("Ids in Odoo, further fields"), {
            "classes": ("collapse",), "fields": column_layout.admin_ids(),
        }),
    )  # fmt: skip
    readonly_fields = (
        "odoo_link", "page_link", "pending_link", "history", "extra_shown", "lines_shown",
    )  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search as the list of orders does; "#" and a number is an id and nothing else."""
        words = search.readable(search_term)
        if not words or words.startswith("#"):
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(search.matching(words)), False

    @admin.display(description=pgettext_lazy("column of a list", "Order"), ordering="name")
    def name_label(self, bc: BC) -> str:
        """Return the order's name, or its id where it has none."""
        return str(bc)

    @admin.display(description=_("lines"))
    def lines_shown(self, bc: BC) -> SafeString | str:
        """Return the order's lines as a table."""
        return lines_html(bc)

    @admin.display(description=_("further fields"))
    def extra_shown(self, bc: BC) -> SafeString | str:
        """List the fields without a column under their labels in Odoo."""
        items = formatting.extra_fields(bc, sorted(bc.extra))
        return format_html_join(mark_safe("<br>"), "{}: {}", items) or formatting.NOTHING

    @admin.display(description=_("total"), ordering="amount_total")
    def total_label(self, bc: BC) -> str:
        """Return the total with its currency."""
        return f"{formatting.money(bc.amount_total)} {bc.currency_name}"

    @admin.display(description=_("in Odoo"))
    def odoo_link(self, bc: BC) -> SafeString | str:
        """Link to the order in Odoo."""
        url = odoo_url(bc.odoo_id)
        if not url:
            return formatting.NOTHING
        return format_html('<a href="{}" rel="noopener noreferrer">{}</a>', url, url)

    @admin.display(description=_("page"))
    def page_link(self, bc: BC) -> SafeString:
        """Link to the order's own page."""
        return order_link(bc.odoo_id)

    @admin.display(description=_("pending"))
    def pending_link(self, bc: BC) -> SafeString | str:
        """Link to the order's row in the ledger, if it has one."""
        if not PendingBC.objects.filter(pk=bc.odoo_id).exists():
            return str(_("up to date: nothing is pending"))
        url = reverse("admin:bc_consumer_pendingbc_change", args=[bc.odoo_id])
        return format_html('<a href="{}">{}</a>', url, _("Show the pending row"))

    @admin.display(description=_("journal"))
    def history(self, bc: BC) -> SafeString:
        """Return the latest journal entries as HTML."""
        return history_html(bc.odoo_id)


@admin.register(BCLine)
class BCLineAdmin(ReadOnlyAdmin):
    """Lines, searchable by product or their own id; no index supports a search in descriptions."""

    list_display = ("odoo_id", "bc", "short_name", "product_qty", "price_unit", "price_subtotal")
    list_select_related = ("bc",)
    ordering = ("-odoo_id",)
    search_fields = ("odoo_id",)
    search_help_text = _("Product, or Odoo id of the line")

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find lines by the names of their products, which are known, or by their own id."""
        words = search.readable(search_term)
        if not words:
            return queryset, False
        if (number := search.odoo_id_in(words)) is not None:
            return queryset.filter(odoo_id=number), False
        products = filter_names.ids_like(filter_names.products(), words)
        return queryset.filter(product_id__in=products), False

    @admin.display(description=_("description"), ordering="name")
    def short_name(self, line: BCLine) -> str:
        """Return the beginning of the description."""
        return formatting.shortened(line.name or line.product_name, 120)


class LedgerPaginator(BoundedPaginator):
    """The ledger's actions concern all rows that are counted."""

    most = 100_000


@admin.register(PendingBC)
class PendingBCAdmin(ReadOnlyAdmin):
    """The ledger: which orders are owed, watched, held or failed, and why."""

    list_display = (
        "odoo_id", "standing", "short_error", "lane", "causes", "marks", "first_marked_at",
        "due_at", "attempts", "error_class",
    )  # fmt: skip
    paginator = LedgerPaginator
    list_filter = (StandingFilter, FailureFilter, ErrorFilter, "lane", "event")
    ordering = ("odoo_id",)
    search_fields = ("last_error",)
    search_help_text = _("Odoo id, or words of the error")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search the errors both as stored and as the reader sees them."""
        found, doubles = super().get_search_results(request, queryset, search_term)
        words = search_term.strip()
        if not words or words.removeprefix("#").isdecimal():
            return found, doubles
        return found | queryset.filter(failed_orders.with_error_text(words)), doubles

    actions = (replay, read_again)
    fieldsets = (
        (None, {"fields": (
            "order_link", "standing", "error_text", "held_because", "error_class", "cause",
            "attempts", "first_failed_at", "failed_at", "held_at",
        )}),
        (_("What is to be done"), {"fields": (
            "lane", "causes", "event", "marks", "early", "first_marked_at", "last_marked_at",
            "owed_since", "due_at", "run",
        )}),
        (_("For developers"), {"classes": ("collapse",), "fields": (
            "error_trace", "payload", "generation", "fetched_generation", "run_generation",
            "shown_at", "sent_at", "claim_token", "claimed_until", "batch_limit",
        )}),
    )  # fmt: skip
    readonly_fields = (
        "standing", "held_because", "error_text", "cause", "error_trace", "payload", "order_link",
    )  # fmt: skip

    @admin.display(description=pgettext_lazy("pending order", "status"))
    def standing(self, row: PendingBC) -> str:
        """Return which of the four states the row is in."""
        if row.failed_at is not None:
            return str(_("failed"))
        if row.held_reason:
            return str(_("held"))
        owed = row.generation > row.fetched_generation
        return str(_("to fetch")) if owed else str(_("confirming"))

    @admin.display(description=_("error"))
    def short_error(self, row: PendingBC) -> str:
        """Return the beginning of the error."""
        return formatting.shortened(said(row.last_error), 80)

    @admin.display(description=_("error"))
    def error_text(self, row: PendingBC) -> SafeString | str:
        """Return the whole error."""
        return preformatted(said(row.last_error))

    @admin.display(description=_("cause"))
    def cause(self, row: PendingBC) -> str:
        """Return the error without numbers, which is the same for all orders with one cause."""
        text = said(row.last_error)
        return error_fingerprint.fingerprint(row.error_class, text) if text else formatting.NOTHING

    @admin.display(description=_("held because"))
    def held_because(self, row: PendingBC) -> str:
        """Return why the archiving brake holds the order."""
        return said(row.held_reason) or formatting.NOTHING

    @admin.display(description=_("traceback"))
    def error_trace(self, row: PendingBC) -> SafeString | str:
        """Return the traceback with its line breaks."""
        return preformatted(row.traceback)

    @admin.display(description=_("last payload"))
    def payload(self, row: PendingBC) -> SafeString | str:
        """Return what Odoo sent."""
        return preformatted(row.last_payload)

    @admin.display(description=_("order"))
    def order_link(self, row: PendingBC) -> SafeString:
        """Link to the order's own page."""
        return order_link(row.odoo_id)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """Alerts that were sent and are not resolved."""

    list_display = (
        "about", "text_shown", "first_at", "last_at", "count", "mailed_at", "acknowledged_by",
        "muted_until",
    )  # fmt: skip
    exclude = (
        "subject", "text", "sent", "tried_at", "waits_since", "resolved_at", "over_subject",
        "over_text",
    )  # fmt: skip
    readonly_fields = ("about", "text_shown")

    @admin.display(description=_("about"), ordering="key")
    def about(self, alert: Alert) -> str:
        """Return the alert's subject."""
        return said(alert.subject) or alert.key

    @admin.display(description=_("text"))
    def text_shown(self, alert: Alert) -> str:
        """Return the alert's text."""
        return said(alert.text)


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages from RabbitMQ that could not be read, or that concern no order."""

    list_display = ("last_at", "queue", "why_shown", "beginning", "count")
    list_filter = ("queue",)
    actions = (dismiss,)
    exclude = ("body", "digest", "why")
    readonly_fields = ("why_shown", "whole")

    @admin.display(description=_("why"))
    def why_shown(self, letter: DeadLetter) -> str:
        """Return why the message could not be read."""
        return said(letter.why)

    @admin.display(description=_("body"))
    def beginning(self, letter: DeadLetter) -> str:
        """Return the beginning of the message."""
        return formatting.shortened(letter.text, 80)

    @admin.display(description=_("body"))
    def whole(self, letter: DeadLetter) -> SafeString | str:
        """Return the whole message."""
        return preformatted(letter.text)


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """What happened to which order, newest first."""

    list_display = (
        "at",
        "odoo_id",
        "outcome",
        "causes",
        "marks",
        "delay_label",
        "summary",
    )
    list_filter = ("outcome",)
    search_fields = ("odoo_id",)
    search_help_text = _("Odoo id of the order")
    fields = readonly_fields = (
        "at", "order_link", "outcome", "error_text", "changes_label", "causes", "event", "marks",
        "first_marked_at", "last_marked_at", "delay_label", "delay_from", "version", "run",
    )  # fmt: skip

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find entries by their order's id; no index supports a search in texts."""
        number = search_term.strip().removeprefix("#")
        if number.isdecimal():
            return queryset.filter(odoo_id=int(number)), False
        return (queryset.none() if number else queryset), False

    @admin.display(description=_("order"))
    def order_link(self, entry: JournalEntry) -> SafeString:
        """Link to the order's own page."""
        return order_link(entry.odoo_id)

    @admin.display(description=_("delay"))
    def delay_label(self, entry: JournalEntry) -> str:
        """Return the delay in a suitable unit."""
        return formatting.duration(entry.delay)

    @admin.display(description=_("changes"))
    def summary(self, entry: JournalEntry) -> str:
        """Return the changes in one line."""
        return formatting.read_changes(entry.changes).summary()

    @admin.display(description=_("changes"))
    def changes_label(self, entry: JournalEntry) -> SafeString:
        """Return all changes as HTML."""
        return changes_html(entry.changes)

    @admin.display(description=_("error"))
    def error_text(self, entry: JournalEntry) -> str:
        """Return why nothing was applied."""
        return said(entry.error) or formatting.NOTHING


@admin.register(SyncState)
class SyncStateAdmin(ReadOnlyAdmin):
    """Up to which moment the copy is known to be complete, and who is reconciling."""

    list_display = ("key", "last_sync", "is_syncing", "owner", "lease_until", "scan_due_at")


@admin.register(SyncLog)
class SyncLogAdmin(ReadOnlyAdmin):
    """Reconciliation runs."""

    list_display = (
        "started_at", "ended_at", "status", "cause", "bc_count", "line_count", "error_count",
    )  # fmt: skip
    list_filter = ("status", "cause")
    fieldsets = (
        (None, {"fields": (
            "page_link", "status", "error", "notes", "cause", "started_at", "ended_at", "full",
            "forced", "window_since", "window_until", "phase", "stop_asked_by",
        )}),
        (_("What it found and did"), {"fields": (
            "found_by_window", "found_by_digest", "found_by_names", "reread_recent",
            "reread_failed", "reread_mapping", "gone", "missed_by_webhooks", "scrubbed",
            "same_date", "bc_count", "applied", "unchanged", "archived", "held", "error_count",
            "line_count", "lines_deleted", "odoo_calls", "odoo_bytes",
        )}),
        (_("For developers"), {"classes": ("collapse",), "fields": (
            "traceback", "digest", "asked_for", "cursor",
        )}),
    )  # fmt: skip
    readonly_fields = ("page_link",)

    @admin.display(description=_("page"))
    def page_link(self, run: SyncLog) -> SafeString:
        """Link to the run's own page."""
        return format_html('<a href="{}">#{}</a>', reverse("bc-run", args=[run.pk]), run.pk)


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """Who asked for what, when, and what came of it."""

    list_display = ("asked_at", "asked_by", "kind", "status", "outcome_begins", "ended_at")
    list_filter = ("kind", "status")
    search_fields = ("asked_by",)
    search_help_text = _("User who asked")
    id_field = "pk"
    fieldsets = (
        (None, {"fields": (
            "page_link", "kind", "status", "outcome", "asked_by", "asked_at", "started_at",
            "ended_at", "done", "total", "parameters",
        )}),
        (_("For developers"), {"classes": ("collapse",), "fields": (
            "result_shown", "traceback", "attempts",
        )}),
    )  # fmt: skip
    readonly_fields = ("page_link", "result_shown")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperatorAction]:
        """Leave the large columns of lists in the database."""
        return super().get_queryset(request).defer("result", "traceback")

    @admin.display(description=_("page"))
    def page_link(self, action: OperatorAction) -> SafeString:
        """Link to the action's own page."""
        return format_html(
            '<a href="{}">#{}</a>', reverse("bc-action", args=[action.pk]), action.pk
        )

    @admin.display(description=_("outcome"))
    def outcome_begins(self, action: OperatorAction) -> str:
        """Return the beginning of the outcome."""
        return formatting.shortened(said(action.outcome), 120) or formatting.NOTHING

    @admin.display(description=_("result"))
    def result_shown(self, action: OperatorAction) -> SafeString | str:
        """Return what the action found, as it is stored."""
        return result_html(action.result)


def order_link(odoo_id: int) -> SafeString:
    """Link to an order's own page, which exists for any order in copy, ledger or journal."""
    url = reverse("bc-order", args=[odoo_id])
    return format_html('<a href="{}">#{}</a>', url, odoo_id)


def _without_task_admin() -> None:
    """Unregister django_dramatiq's task list: nothing fills it without its AdminMiddleware.

    It also shows message arguments unescaped (measured with 0.15.0).
    """
    from django_dramatiq import admin as _registers_it  # noqa: F401
    from django_dramatiq.models import Task

    middleware: Iterable[str] = settings.DRAMATIQ_BROKER.get("MIDDLEWARE", ())
    if "django_dramatiq.middleware.AdminMiddleware" not in middleware:
        admin.site.unregister(Task)


_without_task_admin()
