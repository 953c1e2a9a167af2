"""What each kind of action does. ``STEPS`` is the table; ``action_runner`` calls it.

A step gets the action in hand: its parameters, ``check`` and ``tell``. It returns how the action
ended, or raises: an error whose message was made for people becomes the outcome.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import dramatiq

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.shortening import cut_between_words
from bc_consumer.core.translatable import NOTHING, Message, joined, message_of, ngettext
from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.diagnosis import all_checks, diagnose
from bc_consumer.doctor.findings import Check, Level
from bc_consumer.doctor.webhook_checks import PING, URL, webhook_checks
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.publisher import FAILURES
from bc_consumer.models import OperatorAction, PendingBC, SyncLog
from bc_consumer.operations import action_claims, alerts, dead_letters, failed_orders
from bc_consumer.reconciliation.dry_run import Drift, DryRun
from bc_consumer.reconciliation.lock import AlreadyRunning, Interrupted
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.run_record import summary
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import odoo_identity
from bc_consumer.refresh.compare_order import OrderComparison, compare
from bc_consumer.refresh.odoo_connection import odoo
from bc_consumer.refresh.refresh_now import OrderOutcome, all_failed, refresh_now
from bc_consumer.refresh.refresh_now import summary as orders_told

logger = logging.getLogger(__name__)
Kind = OperatorAction.Kind
Status = OperatorAction.Status

LANES: Mapping[str, Collection[OperatorAction.Kind]] = {
    "runs": (Kind.RUN,),
    "dry runs": (Kind.DRY_RUN,),
    "orders": (Kind.READ_AGAIN, Kind.RELEASE, Kind.ARCHIVE),
    "replays": (Kind.REPLAY,),
    "quick": (
        Kind.COMPARE,
        Kind.DOCTOR,
        Kind.PING,
        Kind.TEST_ALERT,
        Kind.IMPORT_DEAD_LETTERS,
    ),
}
"""A process does one action of each lane at a time, so that nothing else waits for hours."""
DEADLINES: Mapping[OperatorAction.Kind, int] = {
    Kind.COMPARE: 120,
    Kind.READ_AGAIN: 600,
    Kind.REPLAY: 1800,
    Kind.RELEASE: 900,
    Kind.ARCHIVE: 900,
    Kind.RUN: 24 * 3600,
    Kind.DRY_RUN: 12 * 3600,
    Kind.DOCTOR: 600,
    Kind.PING: 120,
    Kind.TEST_ALERT: 120,
    Kind.IMPORT_DEAD_LETTERS: 600,
}
"""In seconds."""
ORDERS_SHOWN = 500
"""Differing orders in the result of a dry run."""
DIFFERENCES_SHOWN = 50
"""Differences of one of them."""
LONGEST_SHOWN = 500
"""Characters of one of its values."""
REFRESHED_AT_ONCE = 1000
"""Orders that are marked together and waited for."""
OUTCOMES_SHOWN = 200
"""Orders of which the result has the outcome; the sentence counts all of them."""
FOLLOWED_AT_ONCE = 5000
"""Orders that one statement looks for in the ledger, while a replay is followed."""
FOLLOW_SECONDS = 1.0
MARGIN_SECONDS = 30.0
"""A replay is followed, and dead letters are brought in, until so long before the deadline: it ends
with what it knows."""
LETTERS_AT_ONCE = 10_000
"""Dead letters that one action brings in."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How an action ended."""

    outcome: Message
    result: Mapping[str, Any] | None = None
    """None: what was told last stays."""
    status: OperatorAction.Status = Status.DONE
    traceback: str = ""


class InHand(Protocol):
    """The action as a step sees it."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Checked, see ``operations/action_parameters.py``."""

    def seconds_left(self) -> float:
        """Return the time until the deadline."""

    def check(self) -> None:
        """Raise if the action must end here."""

    def tell(
        self,
        done: int,
        total: int | None = None,
        result: Mapping[str, Any] | None = None,
        *,
        now: bool = False,
    ) -> None:
        """Check, and store how far it is."""

    def admit_another(self) -> None:
        """Let what is asked for alike from now on be another action: this one's orders are fixed.

        Called again it does nothing.
        """


# --- orders -------------------------------------------------------------------------------------


def _compare(action: InHand) -> Finished:
    found = compare(action.parameters["odoo_id"])
    status = Status.FAILED if found.error else Status.DONE
    return Finished(_comparison_told(found), {"order": found.plain()}, status)


def _comparison_told(found: OrderComparison) -> Message:
    name = found.name
    if found.error:
        return joined(": ", name, found.error)
    if found.exists_in_odoo == "forbidden":
        return _("%(order)s: Odoo hides it from our account.", order=name)
    if not found.exists_in_odoo:
        return _("%(order)s: Odoo does not have it, or it is not copied.", order=name)
    if not found.exists_in_copy:
        return _("%(order)s: Odoo has it, and the copy does not.", order=name)
    if found.is_equal:
        return _("%(order)s: the copy equals Odoo.", order=name)
    return _("%(order)s: the copy differs from Odoo.", order=name)


def _read_again(action: InHand) -> Finished:
    return _refresh(action, action.parameters["odoo_ids"])


def _release(action: InHand) -> Finished:
    return _let_go(action, forced=False)


def _archive(action: InHand) -> Finished:
    return _let_go(action, forced=True)


def _let_go(action: InHand, *, forced: bool) -> Finished:
    """Have held orders looked at again; ``forced``: past the brake, as ``--bc ID --force``."""
    rows = PendingBC.objects.filter(failed_at__isnull=True).exclude(held_reason="")
    if not action.parameters.get("all"):
        rows = rows.filter(odoo_id__in=action.parameters["odoo_ids"])
    held = list(rows.order_by("odoo_id").values_list("odoo_id", flat=True))
    if not held:
        return Finished(_("None of these orders is on hold any more."), {}, Status.REFUSED)
    return _refresh(action, held, forced=forced, of_those_held=True)


def _refresh(
    action: InHand, odoo_ids: Collection[int], *, forced: bool = False, of_those_held: bool = False
) -> Finished:
    """Have the orders read, and tell the outcome of each.

    ``of_those_held``: they are those that were on hold at the beginning. What is held later belongs
    to another action, which may be asked for as soon as these are marked.
    """
    outcomes: Counter[str] = Counter()
    orders: list[OrderOutcome] = []
    marked = 0

    def check() -> None:
        """``refresh_now`` calls this once it has marked the orders, and while it waits for them."""
        if of_those_held and marked == len(odoo_ids):
            action.admit_another()
        action.check()

    for some in _slices(sorted(odoo_ids), REFRESHED_AT_ONCE):
        marked += len(some)
        for outcome in refresh_now(some, forced=forced, check=check):
            outcomes[outcome.outcome] += 1
            if len(orders) < OUTCOMES_SHOWN:
                orders.append(outcome)
            action.tell(outcomes.total(), len(odoo_ids), {"orders": orders})
    action.tell(outcomes.total(), outcomes.total(), now=True)
    status = Status.FAILED if all_failed(outcomes) else Status.DONE
    return Finished(orders_told(outcomes), {"orders": orders}, status)


# --- replay -------------------------------------------------------------------------------------


def _replay(action: InHand) -> Finished:
    """Mark failed orders again, and follow them until they are through."""
    wanted = action.parameters
    ids = failed_orders.ids_of(
        failed_orders.chosen(failure=wanted["failure"], odoo_ids=wanted["odoo_ids"])
    )
    if not ids:
        return Finished(_("No such failed orders."), {}, Status.REFUSED)

    def tell(count: int) -> None:
        action.tell(0, len(ids), {"replayed": count})

    replayed = failed_orders.replay(ids, tell)
    action.admit_another()
    counts, is_away = _follow(action, ids, replayed)
    facts = {"replayed": replayed, **counts}
    through = len(ids) - sum(counts.values())
    waiting, held, in_vain = counts["waiting"], counts["held"], counts["in_vain"]
    text = joined(
        " ",
        ngettext("%(count)s order was replayed.", "%(count)s orders were replayed.", replayed),
        _(
            "Succeeded: %(through)s, failed again: %(failed)s.",
            through=through,
            failed=counts["failed"],
        ),
        _("On hold: %(count)s.", count=held) if held else NOTHING,
        _("Waiting for another order that is stuck: %(count)s.", count=in_vain)
        if in_vain
        else NOTHING,
        _("Still waiting: %(count)s.", count=waiting) if waiting else NOTHING,
        _("Odoo is away: they are read once it is back.") if waiting and is_away else NOTHING,
    )
    return Finished(text, facts | {"through": through})


def _follow(action: InHand, ids: list[int], replayed: int) -> tuple[dict[str, int], bool]:
    """Tell how many are through until all are, time is up, or Odoo is away.

    It ends as well where another replay waits for this one: that one's orders are to be marked now,
    and these are read all the same. Return how many are not through, by reason, and whether Odoo is
    away. Those that are held, or wait for an order that is stuck, are not waited for: a person has
    to decide first.
    """
    while True:
        counts = _not_through(ids)
        waiting = counts["waiting"]
        if process_state.stopping.is_set():
            return counts, False  # other workers read what waits
        is_away = circuit_breaker.current_outage() is not None
        gives_way = action_claims.waits_in_vain(Kind.REPLAY)
        is_over = not waiting or is_away or gives_way or action.seconds_left() < MARGIN_SECONDS
        action.tell(
            len(ids) - waiting,
            len(ids),
            {"replayed": replayed, **counts},
            now=is_over,  # the next replay's length is estimated by this
        )
        if is_over:
            return counts, is_away and bool(waiting)
        process_state.stopping.wait(FOLLOW_SECONDS)


def _not_through(ids: list[int]) -> dict[str, int]:
    counts = dict.fromkeys(("waiting", "failed", "held", "in_vain"), 0)
    for some in _slices(ids, FOLLOWED_AT_ONCE):
        rows = PendingBC.objects.filter(pk__in=some)
        counts["failed"] += rows.filter(failed_at__isnull=False).count()
        counts["held"] += rows.filter(failed_at__isnull=True).exclude(held_reason="").count()
        counts["waiting"] += rows.filter(ledger.owed()).exclude(ledger.in_vain()).count()
        counts["in_vain"] += rows.filter(ledger.owed()).filter(ledger.in_vain()).count()
    return counts


def _slices(ids: list[int], size: int) -> Iterable[list[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _import_dead_letters(action: InHand) -> Finished:
    """Bring in what RabbitMQ keeps aside, as ``replay --dead-letters`` does, but a share at once.

    Other quick actions wait meanwhile.
    """

    def go_on(done: int) -> bool:
        action.tell(done)
        return done < LETTERS_AT_ONCE and action.seconds_left() > MARGIN_SECONDS

    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        text = _("There is no RabbitMQ here, so there are no dead letters.")
        return Finished(text, {}, Status.REFUSED)
    try:
        brought = dead_letters.bring_in(broker, go_on)
    except FAILURES as error:
        logger.warning("dead letters could not be brought in: %r", error)
        text = _("RabbitMQ is away. What was not brought in is still there: try again later.")
        return Finished(text, {}, Status.FAILED)
    finally:
        broker.drop_connection()
        process_state.wake.set()
    result = {"orders": brought.orders, "kept": brought.kept, "left": brought.left}
    return Finished(brought.outcome(), result)


# --- runs ---------------------------------------------------------------------------------------


def _run(action: InHand) -> Finished:
    """Reconcile here and now, as the command does."""
    wanted = action.parameters
    request = RunRequest(
        SyncLog.Cause.COMMAND,
        full=wanted["full"],
        since=_since(wanted),
        forced=wanted["force"],
    )
    progress = _RunProgress(action)
    try:
        run = reconcile(request, progress)
    except AlreadyRunning as running:
        text = _(
            "Another run is at work: %(run)s. Wait until it is over, or stop it.",
            run=message_of(running),
        )
        return Finished(text, {}, Status.REFUSED)
    except Interrupted:
        if progress.reason is None:
            raise
        raise progress.reason from None
    went_well = run.status in {*SyncLog.GOOD, SyncLog.Status.STOPPED}
    return Finished(
        summary(run), {"run": run.pk, "status": run.status}, Status.DONE if went_well
        else Status.FAILED,
    )  # fmt: skip


class _RunProgress:
    """Tells of the run, and interrupts it where the action must end."""

    def __init__(self, action: InHand) -> None:
        self._action = action
        self._is_told = False
        self.reason: Exception | None = None

    def __call__(self, run: SyncLog, outstanding: int) -> None:
        facts = {"run": run.pk, "phase": run.phase, "outstanding": outstanding}
        found = run.found_by_window + run.found_by_digest + run.found_by_names
        try:
            self._action.tell(found, None, facts, now=not self._is_told)
        except Exception as reason:
            self.reason = reason
            raise Interrupted(message_of(reason)) from reason
        self._is_told = True


def _since(wanted: Mapping[str, Any]) -> datetime | None:
    return datetime.fromisoformat(wanted["since"]) if wanted["since"] else None


def _until(wanted: Mapping[str, Any]) -> datetime | None:
    until = wanted.get("until")  # an action of the release before has none
    return datetime.fromisoformat(until) if until else None


def _dry_run(action: InHand) -> Finished:
    """Look for differences and keep those of the first orders."""
    report = _DriftReport()

    def tell(scan: DryRun) -> None:
        action.tell(scan.compared, None, {"phase": scan.phase, "found": scan.found})

    wanted = action.parameters
    scan = DryRun(
        odoo(), full=wanted["full"], since=_since(wanted), until=_until(wanted), tell=tell
    )
    for drift in scan.drifts():
        report.add(drift)
    facts = {
        "full": scan.full,
        "compared": scan.compared,
        "found": scan.found,
        "differing_orders": report.count,
        "pending": report.pending,
        "gone": scan.gone,
        "unreadable": scan.unreadable,
        "notes": scan.notes,
        "would_stop_a_run": _obstacle(scan),
        "orders": report.orders,
    }
    if not scan.found:
        return Finished(_("No difference in %(count)s orders.", count=scan.compared), facts)
    text = _(
        "Differences: %(found)s, in orders: %(orders)s. Compared: %(compared)s.",
        found=scan.found,
        orders=report.count,
        compared=scan.compared,
    )
    return Finished(text, facts)


def _obstacle(scan: DryRun) -> Message:
    """Return what would keep a run from putting these differences right, if anything would."""
    try:
        odoo_identity.require_same_database(scan.odoo)
    except odoo_identity.AnotherDatabase as another:
        return message_of(another)
    return scan.find_reason_to_stop()


@dataclass(slots=True)
class _DriftReport:
    """The differences by order; of the first orders they are kept."""

    orders: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    pending: int = 0
    _last: int | None = None

    def add(self, drift: Drift) -> None:
        """Count a difference, and keep it while there is room."""
        if drift.order_id != self._last:
            self._last = drift.order_id
            self.count += 1
            self.pending += drift.pending
            if len(self.orders) < ORDERS_SHOWN:
                self.orders.append(
                    {
                        "odoo_id": drift.order_id,
                        "name": drift.name,
                        "pending": drift.pending,
                        "standing": drift.standing,
                        "count": 0,
                        "differences": [],
                    }
                )
        if self.count > len(self.orders):
            return
        order = self.orders[-1]
        order["count"] += 1
        if order["count"] <= DIFFERENCES_SHOWN:
            order["differences"].append(
                {
                    "kind": drift.kind.value,
                    "line_id": drift.line_id,
                    "field": drift.field,
                    "odoo": _shortened(drift.theirs),
                    "here": _shortened(drift.ours),
                }
            )


def _shortened(value: object) -> object:
    """Return a value for the report: thousands of long texts would not fit into memory."""
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        return cut_between_words(value, LONGEST_SHOWN)
    return value


# --- what is wrong ------------------------------------------------------------------------------


def _doctor(action: InHand) -> Finished:
    return _diagnose(action, all_checks(round_trip=action.parameters["round_trip"]))


def _ping(action: InHand) -> Finished:
    checks = [check for check in webhook_checks(True) if check.name in {URL, PING}]
    return _diagnose(action, checks)


def _diagnose(action: InHand, checks: list[Check]) -> Finished:
    found: list[dict[str, Any]] = []
    counts = dict.fromkeys(Level, 0)
    for diagnosis in diagnose(checks):
        for finding in diagnosis.findings:
            counts[finding.level] += 1
        found.append(
            {
                "name": diagnosis.check.name,
                "title": diagnosis.check.title,
                "level": diagnosis.level.value,
                "findings": [
                    {"level": finding.level.value, "text": finding.text, "fix": finding.fix}
                    for finding in diagnosis.findings
                ],
            }
        )
        action.tell(len(found), len(checks), {"checks": found})
    action.tell(len(found), len(checks), now=True)
    if counts[Level.ERROR] or counts[Level.WARNING]:
        text = _(
            "Errors: %(errors)d, warnings: %(warnings)d.",
            errors=counts[Level.ERROR],
            warnings=counts[Level.WARNING],
        )
    else:
        text = _("All is in order.")
    return Finished(text, {"checks": found})


def _test_alert(_action: InHand) -> Finished:
    results = alerts.send_test_alert()
    if not results:
        text = _("Alerts reach nobody: set ALERT_EMAILS or ALERT_URLS.")
        return Finished(text, {}, Status.REFUSED)
    facts = {"channels": [{"name": one.label, "error": one.error} for one in results]}
    if all(one.taken for one in results):
        return Finished(_("A test alert was sent. Has it arrived?"), facts)
    return Finished(_("Not every channel accepted it."), facts, Status.FAILED)


STEPS: Mapping[OperatorAction.Kind, Callable[[InHand], Finished]] = {
    Kind.COMPARE: _compare,
    Kind.READ_AGAIN: _read_again,
    Kind.REPLAY: _replay,
    Kind.RELEASE: _release,
    Kind.ARCHIVE: _archive,
    Kind.RUN: _run,
    Kind.DRY_RUN: _dry_run,
    Kind.DOCTOR: _doctor,
    Kind.PING: _ping,
    Kind.TEST_ALERT: _test_alert,
    Kind.IMPORT_DEAD_LETTERS: _import_dead_letters,
}
"""The kinds that workers do."""
