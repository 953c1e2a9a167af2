"""The brake on archivings: an Odoo pointed at the wrong database must not empty the copy.

It counts the archivings of an hour that Odoo's answers alone stand for, those of all processes. One
that the order's own «deleted» webhook announced has a second witness, one that an operator forced
was decided by a person: the brake neither holds nor counts them. What it holds back stays in the
ledger until the next run looks again, or a person lets it go.
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
from bc_consumer.core.translatable import Message, joined, ngettext, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import BC, Alert, Event, JournalEntry, PendingBC, SyncState
from bc_consumer.odoo import Missing
from bc_consumer.operations.alerts import alert, amend, over

PERIOD = timedelta(hours=1)
KEY = "brake"
GONE = "gone from Odoo"
"""The ``archived_reason`` of an order that Odoo no longer has."""
HELD = _("archivings held back")
NOTHING = verbatim("")
IDS_TOLD = 10
TOLD_ANEW = 5
"""How often a text is written anew because more was held, or let go, while it was written."""


class Held(Exception):
    """These orders must not be archived now; nothing was written."""

    def __init__(self, ids: Collection[int], reason: Message) -> None:
        super().__init__(reason)
        self.ids = frozenset(ids)
        self.reason = reason


def is_vouched_for(row: PendingBC, found: Missing) -> bool:
    """Whether more than Odoo's answer says that this order is to be archived."""
    if ledger.FORCE in row.causes.split(","):
        return True
    # Odoo says so by the pointed second look, and the webhook before, or after, said so too.
    return found is Missing.GONE and row.event == Event.DELETED


def without_witness(seen: Iterable[tuple[PendingBC, object]]) -> list[int]:
    """Return the orders that would be archived because Odoo's answer alone says so."""
    return [
        row.odoo_id
        for row, found in seen
        if isinstance(found, Missing) and found.means_archived and not is_vouched_for(row, found)
    ]


@dataclass(frozen=True, slots=True)
class DoubtfulArchivings:
    """Archivings to be decided about, with what can be found out before the transaction."""

    ids: frozenset[int]
    current: int
    """Orders that the copy has, and Odoo is said to have."""
    shows_any: bool
    """Odoo shows some order, whichever."""


def doubtful_archivings(
    odoo_ids: Collection[int], any_order: Callable[[], bool]
) -> DoubtfulArchivings | None:
    """Prepare the decision about orders that nobody vouches for; None where there is none.

    ``any_order`` asks Odoo whether it shows any order at all.
    """
    if not odoo_ids:
        return None
    current = BC.objects.current()
    ids = frozenset(current.filter(odoo_id__in=sorted(odoo_ids)).values_list("odoo_id", flat=True))
    if not ids:
        return None
    count = current.count()
    # The only order of a copy may well be deleted; of more, the database is the likelier cause.
    return DoubtfulArchivings(ids, count, count <= 1 or any_order())


def check(about: DoubtfulArchivings) -> None:
    """Raise Held when these archivings are too many, in the transaction that makes them.

    It locks the row of SyncState until the commit: who archives at the same time counts after us.
    What is held already counts along: looked at one by one, those would pass one by one.
    """
    _lock_archivings()
    held = PendingBC.objects.exclude(held_reason="").exclude(odoo_id__in=sorted(about.ids)).count()
    reason = _reason(len(about.ids) + held, about.current, shows_any=about.shows_any)
    if reason:
        raise Held(about.ids, reason)


def reason_to_stop(count: Callable[[], int], any_order: Callable[[], bool]) -> Message:
    """Say why a run that found unannounced orders gone must end; "" when it need not.

    ``count`` tells how many of them the copy still has as current. It is asked while the row of
    SyncState is locked, so that no order counts both as gone and as archived lately.
    """
    current = BC.objects.current().count()
    shows_any = current <= 1 or any_order()
    with transaction.atomic():
        _lock_archivings()
        return _reason(count(), current, shows_any=shows_any)


def unannounced(odoo_ids: Collection[int]) -> set[int]:
    """Leave out the orders whose own webhook said «deleted»; their look is still to come."""
    announced = PendingBC.objects.filter(event=Event.DELETED)
    return set(odoo_ids).difference(announced.values_list("odoo_id", flat=True))


def still_current(odoo_ids: Collection[int]) -> set[int]:
    """Return those that are not archived yet, and so not counted either."""
    rows = BC.objects.current().filter(odoo_id__in=sorted(odoo_ids))
    return set(rows.values_list("odoo_id", flat=True))


def _lock_archivings() -> None:
    """Let no archiving that the brake decides about be committed before this transaction ends."""
    list(SyncState.objects.select_for_update().filter(key=SyncState.KEY))


def _reason(count: int, current: int, *, shows_any: bool) -> Message:
    if not shows_any:
        return _(
            "Odoo shows no order at all, and the copy has %(current)s. Is ODOO_DATABASE the right "
            "one, and may the account still read orders?",
            current=current,
        )
    recent = archived_lately()
    allowed = max(settings.BRAKE_ARCHIVINGS, int(settings.BRAKE_SHARE * (current + recent)))
    if count and recent + count > allowed:
        return _(
            "%(recent)s orders were archived within an hour and %(more)s more would be; "
            "%(allowed)s are allowed (BRAKE_ARCHIVINGS, BRAKE_SHARE). Is ODOO_DATABASE the right "
            "one, and may the account still read all orders?",
            recent=recent,
            more=count,
            allowed=allowed,
        )
    return NOTHING


def archived_lately() -> int:
    """Count the archivings of the last hour that nobody vouched for; the journal tells which."""
    told = JournalEntry.objects.filter(odoo_id=OuterRef("odoo_id"), at__gte=OuterRef("archived_at"))
    archived = told.filter(outcome=JournalEntry.Outcome.ARCHIVED)
    # Its webhook may have come after somebody else had found it gone.
    witnesses = (JournalEntry.Outcome.ARCHIVED, JournalEntry.Outcome.CONFIRMED)
    witnessed = told.filter(outcome__in=witnesses, event=Event.DELETED)
    announced = Q(Exists(witnessed), archived_reason=GONE)
    forced = Q(Exists(archived.filter(causes__regex=rf"(^|,){ledger.FORCE}(,|$)")))
    # What lies ahead was archived before the clock was set back.
    lately = BC.objects.filter(archived_at__range=(Now() - PERIOD, Now()))
    return lately.exclude(announced).exclude(forced).count()


@dataclass(frozen=True, slots=True)
class HeldOrders:
    """What is held now, or was and has not been looked at again yet."""

    count: int
    since: datetime | None = None
    ids: tuple[int, ...] = ()
    """The first ones."""
    reason: Message = NOTHING
    """Why the latest was held."""

    def text(self) -> Message:
        """Say it; "" when none is held."""
        if self.since is None:
            return NOTHING
        ids = ", ".join(str(odoo_id) for odoo_id in self.ids)
        held = ngettext(
            "%(count)s order is held, since %(since)s, and shown as current: BC %(ids)s.",
            "%(count)s orders are held, since %(since)s, and shown as current: BC %(ids)s.",
            self.count,
            since=f"{timezone.localtime(self.since):%Y-%m-%d %H:%M}",
            ids=ids if self.count <= len(self.ids) else f"{ids} …",
        )
        advice = _("If they are really gone: manage.py sync_BcLinbc --force")
        return joined(" ", held, self.reason, advice)


def held_orders() -> HeldOrders:
    """Return what is held now."""
    rows = PendingBC.objects.filter(held_at__isnull=False, failed_at__isnull=True)
    found = rows.aggregate(count=Count("pk"), since=Min("held_at"))
    if not found["count"]:
        return HeldOrders(0)
    ids = rows.order_by("odoo_id").values_list("odoo_id", flat=True)[:IDS_TOLD]
    latest = rows.exclude(held_reason="").order_by("-held_at").first()
    reason = "" if latest is None else latest.held_reason
    return HeldOrders(found["count"], found["since"], tuple(ids), verbatim(reason))


def update_alert(*, more: bool) -> None:
    """Have the alert tell what is held now; ``more``: some came, else some may have been let go.

    It ends when none is held, unless it tells of a run that was stopped: that ends with a good one.
    """
    now = held_orders()
    for attempt in range(TOLD_ANEW):
        if not now.count:
            if Alert.objects.filter(key=KEY, subject=HELD).exists():
                over(KEY)
        elif more and attempt == 0:
            alert(KEY, HELD, now.text())
        else:
            amend(KEY, HELD, now.text())
        told, now = now, held_orders()
        if told == now:
            break
