"""The brake on archivings: an Odoo pointed at the wrong database must not empty the copy.

The brake counts the archivings of one hour, those of all processes, that rest on Odoo's answers
alone. It neither holds nor counts an order whose own «deleted» webhook announced its deletion,
which is a second witness, nor one that an operator forced. What it holds back stays in the ledger
until the next run looks again, or an operator releases it.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from bc_consumer import ledger
from bc_consumer.core.translatable import NOTHING, Message, joined, ngettext, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import BC, Alert, Event, JournalEntry, PendingBC, SyncState
from bc_consumer.models.ledger import has_cause
from bc_consumer.odoo import Missing
from bc_consumer.operations.alerts import alert, amend, resolve_alert

PERIOD = timedelta(hours=1)
"""Over which archivings are counted together; the settings BRAKE_… are limits for this time."""
KEY = "brake"
"""The key of the alert."""
GONE = "gone from Odoo"
"""The ``archived_reason`` of an order that Odoo no longer has."""
HELD = _("archiving on hold")
"""The subject of the alert about held orders."""
STOPPED = _("a reconciliation was stopped")
"""The subject of the same alert when it is about a run that was stopped."""
NONE_HELD = _("no order is on hold any more")
"""The subject of the message that the alert is over."""
IDS_SHOWN = 10
"""Held orders whose ids the alert names."""
REWRITES = 5
"""How often the alert's text is rewritten because orders were held or released meanwhile."""


class Held(Exception):
    """The brake holds these orders back: they must not be archived now; nothing was written."""

    def __init__(self, ids: Collection[int], reason: Message) -> None:
        super().__init__(reason)
        self.ids = frozenset(ids)
        self.reason = reason


def is_vouched_for(row: PendingBC, found: Missing) -> bool:
    """Return whether more than Odoo's answer says that this order is to be archived."""
    if has_cause(row.causes, ledger.FORCE):
        return True
    # Odoo confirmed it when asked for this id alone, and a webhook announced the deletion too.
    return found is Missing.GONE and row.event == Event.DELETED


def without_witness(fetched: Iterable[tuple[PendingBC, object]]) -> list[int]:
    """Return the orders that would be archived on the strength of Odoo's answer alone."""
    return [
        row.odoo_id
        for row, found in fetched
        if isinstance(found, Missing) and found.means_archived and not is_vouched_for(row, found)
    ]


@dataclass(frozen=True, slots=True)
class DoubtfulArchivings:
    """Archivings that the brake has to decide about, and what is known before the transaction."""

    ids: frozenset[int]
    current: int
    """How many orders the copy has that Odoo should have too."""
    shows_any: bool
    """Whether Odoo shows any order at all."""


def find_doubtful_archivings(
    odoo_ids: Collection[int], any_order: Callable[[], bool]
) -> DoubtfulArchivings | None:
    """Prepare the decision about orders that nobody vouches for; return None where there is none.

    ``any_order`` asks Odoo whether it shows any order at all. Raises what that call raises.
    """
    if not odoo_ids:
        return None
    current = BC.objects.current()
    ids = frozenset(current.filter(odoo_id__in=sorted(odoo_ids)).values_list("odoo_id", flat=True))
    if not ids:
        return None
    count = current.count()
    # A copy's only order may well be deleted; when more are gone, a wrong database is likelier.
    return DoubtfulArchivings(ids, count, count <= 1 or any_order())


def hold_if_too_many(doubtful: DoubtfulArchivings) -> None:
    """Raise Held when these archivings are too many. Call it in the transaction that makes them.

    It locks the row of SyncState until the commit, so that concurrent archivings are counted one
    after the other. Orders that are held already are counted too: otherwise they would slip through
    when they are looked at one by one.
    """
    _lock_archivings()
    held = (
        PendingBC.objects.exclude(held_reason="").exclude(odoo_id__in=sorted(doubtful.ids)).count()
    )
    reason = _find_reason(len(doubtful.ids) + held, doubtful.current, shows_any=doubtful.shows_any)
    if reason:
        raise Held(doubtful.ids, reason)


def find_reason_to_stop(count: Callable[[], int], any_order: Callable[[], bool]) -> Message:
    """Return why a run that found unannounced orders gone must end; "" when it need not.

    ``count`` returns how many of them are still current in the copy. It is called while the row of
    SyncState is locked, so that no order counts both as gone and as archived lately.
    """
    current = BC.objects.current().count()
    shows_any = current <= 1 or any_order()
    with transaction.atomic():
        _lock_archivings()
        return _find_reason(count(), current, shows_any=shows_any)


def unannounced(odoo_ids: Collection[int]) -> set[int]:
    """Return the orders whose own webhook has not said «deleted».

    The others are left out because the look that their webhook asked for is still to come.
    """
    announced = PendingBC.objects.filter(event=Event.DELETED)
    return set(odoo_ids).difference(announced.values_list("odoo_id", flat=True))


def still_current(odoo_ids: Collection[int]) -> set[int]:
    """Return those that are not archived yet, and so are not among the recent archivings."""
    rows = BC.objects.current().filter(odoo_id__in=sorted(odoo_ids))
    return set(rows.values_list("odoo_id", flat=True))


def _lock_archivings() -> None:
    """Block every other archiving that the brake decides about until this transaction ends."""
    list(SyncState.objects.select_for_update().filter(key=SyncState.KEY))


def _find_reason(count: int, current: int, *, shows_any: bool) -> Message:
    if not shows_any:
        return _(
            "Odoo shows no order at all, but the copy has %(current)s. Is ODOO_DATABASE the right "
            "one, and may the account still read orders?",
            current=current,
        )
    recent = archived_lately()
    allowed = max(settings.BRAKE_ARCHIVINGS, int(settings.BRAKE_SHARE * (current + recent)))
    if count and recent + count > allowed:
        return _(
            "Archiving paused: %(recent)s orders were archived within an hour and %(more)s more"
            " would follow, but the limit is %(allowed)s (BRAKE_ARCHIVINGS, BRAKE_SHARE). Is "
            "ODOO_DATABASE the right one, and may the account still read all orders?",
            recent=recent,
            more=count,
            allowed=allowed,
        )
    return NOTHING


def archived_lately() -> int:
    """Return how many orders that nobody vouched for were archived within PERIOD."""
    entries = JournalEntry.objects.filter(
        odoo_id=OuterRef("odoo_id"), at__gte=OuterRef("archived_at")
    )
    archived = entries.filter(outcome=JournalEntry.Outcome.ARCHIVED)
    # The webhook may have come after another look had already found the order gone.
    witnesses = (JournalEntry.Outcome.ARCHIVED, JournalEntry.Outcome.CONFIRMED)
    witnessed = entries.filter(outcome__in=witnesses, event=Event.DELETED)
    announced = Q(Exists(witnessed), archived_reason=GONE)
    forced = Q(Exists(archived.filter(causes__regex=rf"(^|,){ledger.FORCE}(,|$)")))
    # A date in the future was written before the clock was set back.
    lately = BC.objects.filter(archived_at__range=(Now() - PERIOD, Now()))
    return lately.exclude(announced).exclude(forced).count()


@dataclass(frozen=True, slots=True)
class HeldOrders:
    """The orders that are held now, or were held and have not been fetched again yet."""

    count: int
    since: datetime | None = None
    ids: tuple[int, ...] = ()
    """The first IDS_SHOWN."""
    reason: Message = NOTHING
    """Why the order held last was held."""

    def text(self) -> Message:
        """Return the text of the alert; "" when no order is held."""
        if self.since is None:
            return NOTHING
        ids = ", ".join(str(odoo_id) for odoo_id in self.ids)
        held = ngettext(
            "%(count)s order has been on hold since %(since)s, and is shown as current: BC"
            " %(ids)s.",
            "%(count)s orders have been on hold since %(since)s, and are shown as current: BC"
            " %(ids)s.",
            self.count,
            since=f"{timezone.localtime(self.since):%Y-%m-%d %H:%M}",
            ids=ids if self.count <= len(self.ids) else f"{ids} …",
        )
        advice = _("If they are really gone: manage.py sync_BcLinbc --force")
        return joined(" ", held, self.reason, advice)


def held_orders() -> HeldOrders:
    """Read from the ledger which orders are held now."""
    rows = PendingBC.objects.filter(held_at__isnull=False, failed_at__isnull=True)
    found = rows.aggregate(count=Count("pk"), since=Min("held_at"))
    if not found["count"]:
        return HeldOrders(0)
    ids = rows.order_by("odoo_id").values_list("odoo_id", flat=True)[:IDS_SHOWN]
    latest = rows.exclude(held_reason="").order_by("-held_at").first()
    reason = "" if latest is None else latest.held_reason
    return HeldOrders(found["count"], found["since"], tuple(ids), verbatim(reason))


def update_alert(*, more: bool) -> None:
    """Bring the alert up to date; ``more``: orders were just held, otherwise some may be released.

    The alert ends when no order is held, unless it is about a run that was stopped: that one ends
    with the next good run.
    """
    held = held_orders()
    for attempt in range(REWRITES):
        if not held.count:
            # By its beginning: a process of the release before still stores the parts behind it.
            if Alert.objects.filter(key=KEY).exclude(subject__startswith=str(STOPPED)).exists():
                resolve_alert(KEY, NONE_HELD)
        elif more and attempt == 0:
            alert(KEY, HELD, held.text())
        else:
            amend(KEY, HELD, held.text())
        shown, held = held, held_orders()
        if shown == held:
            break
