"""Orders that have failed: groups them by cause, alerts people, and replays them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q, QuerySet

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.translatable import Message, joined, ngettext, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable_field import said
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Lane, PendingBC
from bc_consumer.operations.alerts import alert, resolve_alert

KEY = "failed orders"
CAUSE = "replay"
GROUPS_TOLD = 5
AT_ONCE = 1000
"""Orders marked per statement."""
WAKE_UPS = 8
"""Messages that a replay sends: each worker thread that one wakes claims whole batches."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed orders that share a cause."""

    failure: str
    """The error without numbers."""
    error_class: str
    count: int
    first_at: datetime
    last_at: datetime
    example: int
    """The id of one of these orders."""
    example_error: Message


def failed() -> QuerySet[PendingBC]:
    """Return the rows of failed orders."""
    return PendingBC.objects.filter(failed_at__isnull=False)


def chosen(
    *,
    failure: str = "",
    odoo_ids: Collection[int] | None = None,
    error: str = "",
    since: datetime | None = None,
) -> QuerySet[PendingBC]:
    """Return the rows of the failed orders that meet all that is given; without any, all.

    ``failure``: of this cause. ``error``: with this class or text, see ``with_error_text``.
    ``since``: given up since then.
    """
    rows = failed()
    if failure:
        rows = rows.filter(failure=failure)
    if odoo_ids:
        rows = rows.filter(pk__in=sorted(odoo_ids))
    if error:
        rows = rows.filter(with_error_text(error))
    if since is not None:
        rows = rows.filter(failed_at__gte=since)
    return rows


def ids_of(rows: QuerySet[PendingBC]) -> list[int]:
    """Return the ids of these rows, ascending."""
    return list(rows.order_by("pk").values_list("pk", flat=True))


def groups(rows: QuerySet[PendingBC], limit: int | None = None) -> list[FailureGroup]:
    """Group failed rows by cause, the largest group first."""
    counted = (
        rows.order_by()
        .values("failure", "error_class")
        .annotate(
            count=Count("pk"), first=Min("first_failed_at"), last=Max("failed_at"), one=Min("pk")
        )
        .order_by("-count", "failure")[:limit]
    )
    found = list(counted)
    examples = PendingBC.objects.filter(pk__in=[group["one"] for group in found])
    errors = {row.pk: row.last_error for row in examples.only("last_error", "last_error_parts")}
    return [
        FailureGroup(
            group["failure"] or group["error_class"],
            group["error_class"],
            group["count"],
            group["first"] or group["last"],
            group["last"],
            group["one"],
            verbatim(errors.get(group["one"], "")),
        )
        for group in found
    ]


def with_error_text(text: str) -> Q:
    """Return a filter for rows whose error has this class, or contains this text.

    The text may be English or in the active language; translated, it is compared with one error of
    each cause.
    """
    wanted = text.casefold()
    causes = [
        one.failure for one in groups(failed()) if wanted in said(one.example_error).casefold()
    ]
    return (
        Q(error_class__iexact=text)
        | Q(last_error__icontains=text)
        | Q(failure__icontains=text)
        | Q(failure__in=causes)
    )


def send_alert() -> None:
    """Alert people to the failed orders; does nothing if there are none."""
    found = groups(failed(), GROUPS_TOLD)
    if not found:
        return
    count = failed().count()
    head = ngettext(
        "%(count)s order could not be copied. The others stay up to date.",
        "%(count)s orders could not be copied. The others stay up to date.",
        count,
    )
    causes = (joined(" × ", str(group.count), group.example_error) for group in found)
    advice = _("Once the cause is gone: manage.py replay")
    alert(KEY, _("orders could not be copied"), joined("\n", head, *causes, advice))


def resolve_alert_if_none_failed() -> None:
    """Resolve the alert when no failed order is left."""
    if not failed().exists():
        resolve_alert(
            KEY,
            _("no failed orders are left"),
            _("Every order that had failed has been read since."),
        )


def replay(odoo_ids: Sequence[int], tell: Callable[[int], None] | None = None) -> int:
    """Mark those of these orders again that have failed; return how many.

    They go into the bulk lane, behind everything more urgent, and are read in batches: thousands of
    them cost Odoo a few dozen calls. An order that is fine by now is read once more, and nothing
    changes. ``tell`` is called with the count after each statement, and may raise to end it there;
    what is marked stays marked.
    """
    count = 0
    for start in range(0, len(odoo_ids), AT_ONCE):
        # What was read or marked meanwhile is not replayed.
        ids = ids_of(failed().filter(pk__in=odoo_ids[start : start + AT_ONCE]))
        if ids:
            ledger.reopen(ids, ledger.Mark(cause=CAUSE, lane=Lane.BULK))
            if not count:
                publisher().wake(ids[:: max(len(ids) // WAKE_UPS, 1)])
            count += len(ids)
        if tell is not None:
            tell(count)
    process_state.wake.set()
    return count
