"""Brings due orders up to date: claim → fetch → map → apply → settle → tell applications.

Everybody who has a reason to think that work is due calls :func:`work_off`: the actor of a message,
the timer, a run's own threads. Who calls it, and how often, makes no difference to the result.

``work_off`` claims a batch of due rows from the ledger, and ``Batch.run`` takes it through:

1. renew the lease, and fetch the orders by one call (``_fetch_and_apply``);
2. map the snapshots to the columns of the copy (``_map``);
3. apply them and settle the claims in one transaction (``_apply``, see ``writer``), or one by one
   where an order may have made that fail;
4. tell applications what has changed (``tell_applications``).

If the call fails, ``_handle_fault`` finds out why: it reads an order known to be good, and splits
the batch until the bad order stands alone and fails. If Odoo, our database or this process is in
trouble, no order is at fault, and ``_give_back`` gives back what is left.
"""

import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import OperationalError, transaction

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.log_context import logging_about
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import joined, message_of, ngettext
from bc_consumer.ledger import call_slots, circuit_breaker
from bc_consumer.messaging import announcer
from bc_consumer.models import BC, JournalEntry, PendingBC
from bc_consumer.odoo import Fetched, Missing, OdooError, OdooUnavailable
from bc_consumer.operations import failed_orders, missing_fields
from bc_consumer.operations.alerts import alert, resolve_alert
from bc_consumer.refresh import archive_brake, look_counts, odoo_identity, run_counts
from bc_consumer.refresh.change_delay import Delay, OdooClock
from bc_consumer.refresh.error_policy import (
    NotReadable,
    Reaction,
    explanation,
    is_about_orders,
    reaction_to,
)
from bc_consumer.refresh.known_good_orders import check_known_good
from bc_consumer.refresh.mapping import map_orders
from bc_consumer.refresh.odoo_connection import odoo, sends_early
from bc_consumer.refresh.writer import (
    FetchedRow,
    LinesElsewhere,
    Result,
    apply,
    find_locked_by_others,
    journal_entry,
)
from bc_consumer.signals import bc_synced

logger = logging.getLogger(__name__)
Outcome = JournalEntry.Outcome

FAILED_LINE = "BC %d failed (%s), attempt %d of %d%s: %s"
HELD_LINE = "BC %s held: %s"
SPLIT_LINE = "A batch of %d orders failed and is split: %s"
AWAY_LINE = "Odoo is away. %s %s"
"""Log lines whose causes a command tells in its result."""

TURN_SECONDS = 60.0
"""One call works no longer than this, so that a message is acked long before any time limit."""
ELSEWHERE_SECONDS = 0.3
"""Delay before retrying an order whose lines the copy still has under one that another worker has
claimed."""
BROKEN_SECONDS = 15.0
"""Delay before retrying an order whose lines the copy still has under one that failed, or is held.
"""
OURS_SECONDS = 1.0
"""Delay before retrying orders after our own database refused (a deadlock, a lock held too long).
"""
LOCKED_SECONDS = 10.0
"""Delay before retrying an order whose row another session has locked; it is then read alone."""
LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's SQLSTATE once lock_timeout is over."""
SLOW_PARTS = 8
"""Orders that together exceed the deadline are split into this many parts: each try costs a whole
deadline, and halving would take more tries."""
MIGRATE = _('Has "manage.py migrate" been run? The orders wait meanwhile.')
LONGEST_WAIT_SECONDS = 1.0
"""The longest single wait for the turn to claim; then the ledger is asked again."""
SHORT_WAIT_SECONDS = 0.02
"""The longest wait for the turn that all threads of a process may spend side by side."""
AWAY, REFUSED, UNFIT_DATABASE = "odoo away", "odoo refuses", "database"
"""Keys of alerts."""
ACCEPTED = _("Odoo accepts our access again")
"""The subject of the message that the second one is over."""
UNKNOWN_LOGGED = 20
"""Ids in one line of the log, of orders that neither Odoo nor the copy has."""
ROUNDS = 4
"""How often one batch brings further orders along before it waits until Odoo's moves are over."""

FRESH_SECONDS = 1.0
"""A lease that is no older is not renewed before a call; a tenth of a short lease, at most."""

_unreleased: set[uuid.UUID] = set()
"""Tokens of claims that this process could not give back because the database was away."""


def work_off(turn: float = TURN_SECONDS, *, run: int | None = None) -> int:
    """Work off due rows for ``turn`` seconds at most; return how many rows were looked at.

    Returns at once when nothing is due, when Odoo is in a pause, when the process is stopping, and
    when the process's other threads are already at what is due: one of them waits for its turn to
    claim, or two work on bulk batches.

    ``run``: the key of the reconciliation whose own thread this is. The tokens then begin with that
    key, so that a killed run's claims can be given back.

    Raises Django's database errors when our own database is away; the rows in hand are then given
    back by the next call, or when their lease ends.
    """
    end = time.monotonic() + turn
    looked_at = 0
    _free_unreleased_claims()
    has_waited = False
    while not process_state.stopping.is_set():
        # Who waited for the turn still takes it: others have left because of that. Once.
        is_over = time.monotonic() >= end
        if is_over and not has_waited:
            break
        has_waited = False
        if process_state.turn_awaited.is_ahead or ledger.seconds_until_due() != 0.0:
            break
        with _acquire_bulk_permit() as bulk:
            token = ledger.new_token(run)
            claim = _claim(token, bulk=bulk)
            if claim.rows:
                Batch(token, claim).run()
        looked_at += len(claim.rows)
        if claim.wait:
            if is_over or not _wait_for_turn(min(claim.wait, LONGEST_WAIT_SECONDS)):
                break
            has_waited = True
        elif not claim.rows:
            break
    return looked_at


def _wait_for_turn(seconds: float) -> bool:
    """Wait until orders may be claimed; return False at once if another thread waits already.

    Every thread waits for a turn that is about to come: full batches follow one upon the other.
    """
    if seconds > SHORT_WAIT_SECONDS:
        if process_state.turn_awaited.is_ahead:
            return False
        process_state.turn_awaited.set(seconds)
    process_state.stopping.wait(seconds)
    return True


def _free_unreleased_claims() -> None:
    call_slots.give_back_what_was_left()
    for token in list(_unreleased):
        ledger.free_claim(token)
        _unreleased.discard(token)


def _claim(token: uuid.UUID, *, bulk: bool) -> ledger.Claim:
    try:
        return ledger.claim(settings.BATCH_SIZE, token, bulk=bulk)
    except DatabaseFailure:
        _unreleased.add(token)  # the connection may have broken after the claim's commit
        raise


@contextmanager
def _acquire_bulk_permit() -> Iterator[bool]:
    """Yield whether this thread may take a large batch; the others stay free for events."""
    permitted = process_state.bulk_batches.acquire(blocking=False)
    try:
        yield permitted
    finally:
        if permitted:
            process_state.bulk_batches.release()


class Batch:
    """The rows of one claim, on their way through fetch, map and apply."""

    def __init__(self, token: uuid.UUID, claim: ledger.Claim) -> None:
        self.token = token
        self.rows = {row.odoo_id: row for row in claim.rows}
        self.probing = claim.probing
        """Odoo was away, and all workers wait for this batch, the probe, to ask it again."""
        self._fresh_until = time.monotonic() + min(FRESH_SECONDS, settings.LEASE_SECONDS / 10)
        self.open = set(self.rows)
        """Rows that are not yet settled, failed or given back."""
        self.failed: set[int] = set()
        self.results: list[Result] = []
        """Of the looks that are committed."""
        self._odoo_clock: OdooClock | None = None
        """As the latest fetch showed it."""
        self.parts: deque[Collection[int]] = deque(_split_by_limit(claim.rows))
        """What is fetched together, one part after the other. Halves of a part that failed go to
        the end, so that good orders don't wait for the search for the bad one."""

    def run(self) -> None:
        """Look at each row once; whatever happens, no row stays claimed.

        Raises only errors that no reaction is defined for.
        """
        with _logging_about(self.rows.values()):
            self._run()

    def _run(self) -> None:
        try:
            while self.parts:
                self._fetch_and_apply(self.parts.popleft())
            if self.open:
                self._release(0.0, "other orders could not be brought along")
        except Exception as error:  # noqa: BLE001 (raised again if it is not foreseen)
            self._give_back(error)
        finally:
            if self.open:
                _unreleased.add(self.token)
            if self.probing:
                ledger.give_turn_back()
            # Only now: the batch's lease must not run out because a receiver is slow.
            tell_applications(self.results)
        if any(row.held_at for row in self.rows.values()):
            archive_brake.update_alert(more=False)
        if self.failed:
            failed_orders.send_alert()
        elif any(row.first_failed_at for row in self.rows.values()):
            failed_orders.resolve_alert_if_none_failed()

    # --- one part: fetch, map, apply ----------------------------------------------------------

    def _fetch_and_apply(self, odoo_ids: Iterable[int], rounds: int = ROUNDS) -> None:
        """Fetch these orders by one call and apply them; handle the fault if that fails."""
        ids = self._renew(odoo_ids)
        if not ids:
            return
        with self._logging_about(ids):
            if self.probing:
                odoo().ping()  # so that a pause costs one call while Odoo is away
            began = time.monotonic()
            try:
                fetched = odoo().fetch(ids)
            except Exception as error:
                if not (is_about_orders(error) or self._answers_for_others(ids, error)):
                    raise
                self._handle_fault(ids, error)
            else:
                seconds = time.monotonic() - began
                self._odoo_clock = OdooClock(fetched.began_at, began, seconds)
                self._confirm_odoo()
                missing_fields.alert_to_missing_fields(odoo())
                self._apply(self._map(fetched), rounds)

    def _renew(self, odoo_ids: Iterable[int]) -> list[int]:
        """Renew the lease of the whole batch; return those of these orders that are still ours.

        A call to Odoo may take longer than what is left of the lease.
        """
        if not self.open:
            return []
        if time.monotonic() < self._fresh_until:
            return sorted(self.open.intersection(odoo_ids))
        ours = ledger.renew(self.token, self.open)
        self._drop_lost(self.open - ours)
        return sorted(ours.intersection(odoo_ids))

    def _drop_lost(self, odoo_ids: Collection[int]) -> None:
        self.open.difference_update(odoo_ids)
        for odoo_id in sorted(odoo_ids):
            with self._logging_about([odoo_id]):
                logger.warning("BC %d: our lease ran out; another worker has taken it", odoo_id)

    def _confirm_odoo(self) -> None:
        """Odoo has answered: check that it is our database, and end the outage if we probed."""
        # During an outage a backup may have been restored, or Odoo moved to another server.
        odoo_identity.require_same_database_now_and_then(odoo(), in_doubt=self.probing)
        if not self.probing:
            return
        self.probing = False
        ended = circuit_breaker.record_success()
        if ended is not None:
            text = _(
                "The outage lasted %(seconds)s s; the orders that waited are being read now.",
                seconds=f"{ended.seconds:.0f}",
            )
            logger.warning("Odoo answers again. %s", text)
            resolve_alert(AWAY, _("Odoo answers again"), text)
            resolve_alert(REFUSED, ACCEPTED, text)

    def _map(self, fetched: Fetched) -> list[FetchedRow]:
        """Map what was fetched, and fail the orders that cannot be mapped or read.

        When no order at all can be mapped, a control call decides whether the orders are at fault.
        """
        fetched_rows = []
        unreadable = self._find_hidden(fetched)
        for odoo_id, missing in fetched.missing.items():
            if odoo_id not in unreadable:
                fetched_rows.append(FetchedRow(self.rows[odoo_id], missing))
            elif settings.ODOO_COMPANY_IDS:
                # Automation rules announce the orders of all companies, but our account reads
                # only its own. Where companies are configured, another one's order is no failure.
                logger.info("BC %d is hidden from us: it belongs to another company", odoo_id)
                fetched_rows.append(FetchedRow(self.rows[odoo_id], Missing.OUTSIDE_COMPANIES))
            else:
                self._fail(odoo_id, NotReadable())
        mapped, unfit = map_orders(list(fetched.orders.values()))
        fetched_rows += (FetchedRow(self.rows[i], order) for i, order in mapped.items())
        if len(unfit) == len(fetched.orders) > 0:
            self._check_known_good(next(iter(unfit.values())), list(unfit))
        for odoo_id, misfit in unfit.items():
            self._fail(odoo_id, misfit)
        return fetched_rows

    def _find_hidden(self, fetched: Fetched) -> set[int]:
        """Return the orders that Odoo hides from our account and the copy has never had."""
        forbidden = {i for i, why in fetched.missing.items() if why is Missing.FORBIDDEN}
        if not forbidden:
            return forbidden
        known = BC.objects.filter(odoo_id__in=sorted(forbidden))
        return forbidden.difference(known.values_list("odoo_id", flat=True))

    def _apply(
        self, fetched_rows: list[FetchedRow], rounds: int, *, identity_checked: bool = False
    ) -> None:
        """Apply these rows together; on failure one by one, so that a bad order harms only itself.

        ``rounds``: how often further orders may still be brought along. ``identity_checked``: Odoo
        was just asked, and is the database that was copied.
        """
        if not fetched_rows:
            return
        doubtful = None
        if any(isinstance(row.found, Missing) for row in fetched_rows):
            doubtful = archive_brake.find_doubtful_archivings(
                archive_brake.without_witness((row.claimed, row.found) for row in fetched_rows),
                odoo().listing.any_order,
            )
        try:
            results = apply(
                self.token,
                fetched_rows,
                sends_early(),
                odoo().may_lag,
                doubtful,
                identity_checked=identity_checked,
                odoo_clock=self._odoo_clock,
            )
        except odoo_identity.CreatedOtherwise as different:
            odoo_identity.require_same_database_now_and_then(odoo(), in_doubt=True)
            logger.warning("%s It is still the same Odoo: a backup was restored there.", different)
            self._apply(fetched_rows, rounds, identity_checked=True)
        except ledger.LeaseLost as lost:
            self._drop_lost(lost.ids)
            left = [row for row in fetched_rows if row.claimed.odoo_id not in lost.ids]
            self._apply(left, rounds, identity_checked=identity_checked)
        except LinesElsewhere as elsewhere:
            self._bring_along(fetched_rows, elsewhere, rounds)
        except archive_brake.Held as held:
            self._hold(held, fetched_rows)
            left = [row for row in fetched_rows if row.claimed.odoo_id not in held.ids]
            self._apply(left, rounds, identity_checked=identity_checked)
        except OperationalError as error:
            locked = self._find_locked(fetched_rows, error)
            self._release(LOCKED_SECONDS, "another session has locked their rows", locked, 1)
            left = [row for row in fetched_rows if row.claimed.odoo_id not in locked]
            self._apply(left, rounds, identity_checked=identity_checked)
        except Exception as error:
            if not is_about_orders(error):
                raise
            if len(fetched_rows) == 1:
                self._fail(fetched_rows[0].claimed.odoo_id, error)
                return
            logger.warning(
                "%d orders failed together and are applied one by one: %s", len(fetched_rows), error
            )
            for row in fetched_rows:
                self._apply([row], rounds, identity_checked=identity_checked)
        else:
            self._finish(results)

    def _find_locked(self, rows: Iterable[FetchedRow], error: OperationalError) -> set[int]:
        """Return the orders for whose rows PostgreSQL waited in vain; raise if it was not that."""
        if getattr(error.__cause__, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise error
        locked = find_locked_by_others({row.claimed.odoo_id for row in rows})
        if not locked:
            raise error
        logger.warning("BC %s: another session has locked their rows", sorted(locked))
        return locked

    def _hold(self, held: archive_brake.Held, fetched_rows: Iterable[FetchedRow]) -> None:
        """Hold back archivings that look like a wrong database, and journal them."""
        rows = [self.rows[i] for i in sorted(held.ids)]
        with transaction.atomic():
            runs = {i: run.key for i, run in run_counts.runs_of(rows).items()}
            run_counts.lock(runs.values())
            ids = ledger.hold(self.token, rows, held.reason)
            now, outcome = database_now(), JournalEntry.Outcome.HELD
            JournalEntry.objects.bulk_create(
                journal_entry(self.rows[i], outcome, now, run=runs.get(i), error=held.reason)
                for i in sorted(ids)
            )
            counted = Counter(runs[i] for i in ids if i in runs)
            gone_ids = {row.claimed.odoo_id for row in fetched_rows if row.found is Missing.GONE}
            gone_counts = Counter(runs[i] for i in ids & gone_ids if i in runs)
            run_counts.add(
                {run: Counter(held=count, gone=gone_counts[run]) for run, count in counted.items()}
            )
        self.open.difference_update(held.ids)
        look_counts.count_held(len(ids))
        if ids:
            logger.warning(HELD_LINE, sorted(ids), held.reason)
            archive_brake.update_alert(more=True)

    def _bring_along(
        self, fetched_rows: list[FetchedRow], elsewhere: LinesElsewhere, rounds: int
    ) -> None:
        """Read and apply both sides of a move together: Odoo has moved lines between orders."""
        others = elsewhere.ids
        ids = {row.claimed.odoo_id for row in fetched_rows}
        wanted = set(others) - self.open
        broken = wanted.intersection(self.failed) | ledger.stuck(wanted)
        if broken:
            waiting = elsewhere.waiting_for(broken)
            self._put_off_blocked(broken, waiting)
            self._apply([row for row in fetched_rows if row.claimed.odoo_id not in waiting], rounds)
            return
        if wanted:
            claimed = ledger.claim_also(wanted, "moved lines", self.token)
            self.rows.update({row.odoo_id: row for row in claimed})
            self.open.update(row.odoo_id for row in claimed)
        if rounds > 0 and self.open.issuperset(others):
            self._fetch_and_apply(ids.union(others), rounds - 1)
        elif len(fetched_rows) > 1:
            for row in fetched_rows:
                self._fetch_and_apply([row.claimed.odoo_id], rounds)
        else:
            self._release(ELSEWHERE_SECONDS, f"lines of BC {sorted(others)} are being moved", ids)

    def _put_off_blocked(self, broken: Collection[int], ids: Collection[int]) -> None:
        """Give back orders whose lines the copy has under others that failed, or are held."""
        why = _(
            "its lines are still under BC %(ids)s, which can't be read or is on hold",
            ids=f"{sorted(broken)}",
        )
        ledger.put_off(self.token, ids, BROKEN_SECONDS, why)
        logger.info("BC %s go back to the ledger: %s", sorted(ids), why)
        self.open -= set(ids)

    def _finish(self, results: Sequence[Result]) -> None:
        self.results.extend(results)
        look_counts.count_looks(results)
        unknown = [result.odoo_id for result in results if result.unknown]
        if unknown:
            logger.info(
                "%d reported orders are neither in Odoo nor in the copy; scans look for the orders"
                " that were meant. The first: BC %s",
                len(unknown),
                unknown[:UNKNOWN_LOGGED],
            )
        forbidden = [result.odoo_id for result in results if result.outcome is Outcome.FORBIDDEN]
        if forbidden:
            alert(
                "forbidden",
                _("orders that may no longer be read"),
                _(
                    "Odoo has these orders but hides them from ODOO_LOGIN: %(ids)s. They stay as"
                    " they were, and no longer count. Was a right, a record rule or a company"
                    " changed?",
                    ids=f"{forbidden}",
                ),
            )
        for result in results:
            self.open.discard(result.odoo_id)
            with self._logging_about([result.odoo_id]):
                _log_result(result)

    def _logging_about(self, odoo_ids: Iterable[int]) -> AbstractContextManager[None]:
        """State these orders, their causes and runs in each log line within the block."""
        return _logging_about(self.rows[i] for i in odoo_ids if i in self.rows)

    # --- whose fault an error is ---------------------------------------------------------------

    def _handle_fault(self, ids: Sequence[int], error: Exception) -> None:
        """Find out which of these orders is at fault, if any; raise when none is."""
        alone = len(ids) == 1
        if alone or reaction_to(error) is not Reaction.SMALLER:
            self._check_known_good(error, ids)
        if alone:
            self._fail(ids[0], error)
        elif reaction_to(error) is Reaction.SLOW:
            self._put_off_slow(ids, error)
        else:
            logger.warning(SPLIT_LINE, len(ids), error)
            middle = len(ids) // 2
            self.parts.extend((ids[:middle], ids[middle:]))
        if reaction_to(error) is Reaction.SLOW:
            # The others have waited for a whole deadline; another worker may take them now.
            self._release(0.0, "one of them took too long")

    def _answers_for_others(self, ids: Sequence[int], error: Exception) -> bool:
        """Return whether Odoo breaks off this very call, or answers it by 5xx, and works otherwise.

        A worker of Odoo that one order kills, and a proxy that gives up on a long answer, look like
        an Odoo that is away. One that has just restarted does, too: an order that stands alone is
        therefore read twice, with a known good one in between.
        """
        if not _may_be_the_call(error):
            return False
        alone = len(ids) == 1
        try:
            odoo().ping()
            if alone:
                check_known_good(error, ids)
        except OdooError:
            return False
        if not alone:
            return True
        try:
            odoo().fetch(ids)
        except OdooError as again:
            return is_about_orders(again) or _may_be_the_call(again)
        return False

    def _check_known_good(self, error: Exception, ids: Sequence[int]) -> None:
        """Raise what is wrong when it is not one of these orders.

        The control calls take time too, so the lease is renewed first.
        """
        ledger.renew(self.token, self.open)
        check_known_good(error, ids)
        self._confirm_odoo()

    def _put_off_slow(self, ids: Sequence[int], error: Exception) -> None:
        """Leave these to whoever claims next, in smaller parts; the ledger keeps the limit."""
        limit = max(len(ids) // SLOW_PARTS, 1)
        if all(self.rows[odoo_id].batch_limit == 1 for odoo_id in ids):
            # Each had to be read alone already, and moved lines force them together: no smaller
            # part is left.
            for odoo_id in ids:
                self._fail(odoo_id, error)
            return
        logger.warning("%d orders are read %d at a time from now on: %s", len(ids), limit, error)
        self._release(0.0, "reading them together takes too long", ids, batch_limit=limit)

    def _fail(self, odoo_id: int, error: Exception) -> None:
        row, text = self.rows[odoo_id], explanation(error)
        hopeless = reaction_to(error) is Reaction.HOPELESS
        try:
            with transaction.atomic():
                runs = {i: run.key for i, run in run_counts.runs_of([row]).items()}
                run_counts.lock(runs.values())
                last = ledger.fail(self.token, row, error, text, hopeless=hopeless)
                if last:
                    failed, run = JournalEntry.Outcome.FAILED, runs.get(odoo_id)
                    journal_entry(row, failed, database_now(), run=run, error=text).save()
                    run_counts.add({} if run is None else {run: Counter(error_count=1)})
        except ledger.LeaseLost:
            self._drop_lost([odoo_id])
            return
        self.open.discard(odoo_id)
        self.failed.add(odoo_id)
        look_counts.count_failure(given_up=last)
        with self._logging_about([odoo_id]):
            logger.log(
                logging.ERROR if last else logging.WARNING,
                FAILED_LINE,
                odoo_id,
                row.causes,
                row.attempts + 1,
                settings.MAX_ATTEMPTS,
                ", given up until it is marked again or replayed" if last else "",
                text,
            )

    # --- when no order is at fault --------------------------------------------------------------

    def _give_back(self, error: Exception) -> None:
        """Give back what is left after an error that is no order's. Raises one not foreseen."""
        match reaction_to(error):
            case Reaction.STOP:
                self._release(0.0, "the process is stopping")
            case Reaction.PAUSE | Reaction.SLOW | Reaction.REFUSED:
                self._pause(error)
            case Reaction.OURS:
                logger.warning("A batch is put off: %s", error)
                self._release(OURS_SECONDS, "a problem on our side")
            case Reaction.BROKEN:
                self._release(circuit_breaker.REFUSED_PAUSE_SECONDS, "the database does not fit")
                text = joined(" ", message_of(error), MIGRATE)
                alert(UNFIT_DATABASE, _("the database does not fit this version"), text)
            case _ if isinstance(error, OdooError):
                self._pause(error)  # it did not come from reading orders: no order's fault
            case _:
                self._release(circuit_breaker.REFUSED_PAUSE_SECONDS, "an unexpected internal error")
                raise error

    def _pause(self, error: Exception) -> None:
        """Make all workers leave Odoo alone for a while; alert people once, where needed."""
        refused = reaction_to(error) is Reaction.REFUSED
        known = circuit_breaker.record_failure(
            message_of(error),
            probing=self.probing,
            refused=refused,
            retry_after=error.retry_after if isinstance(error, OdooUnavailable) else None,
        )
        self.probing = False
        self._release(0.0, "Odoo rejects our access" if refused else "Odoo is away")
        retry = _("Next attempt in %(seconds)s s.", seconds=f"{known.pause:.0f}")
        if refused:
            alert(REFUSED, _("Odoo rejects our access"), joined(" ", retry, message_of(error)))
            return
        logger.warning(AWAY_LINE, retry, error)
        if known.seconds >= settings.ALERT_ODOO_AWAY_SECONDS:
            minutes = round(known.seconds / 60)
            lasted = ngettext(
                "Odoo has been away for %(count)s minute. Nothing is lost meanwhile.",
                "Odoo has been away for %(count)s minutes. Nothing is lost meanwhile.",
                minutes,
            )
            alert(AWAY, _("Odoo is away"), joined(" ", lasted, message_of(error)))

    def _release(
        self, delay: float, why: str, ids: Collection[int] | None = None, batch_limit: int = 0
    ) -> None:
        given_back = self.open if ids is None else self.open.intersection(ids)
        if not given_back:
            return
        ledger.release(self.token, given_back, delay, batch_limit)
        logger.info(
            "%d orders go back to the ledger (%s): BC %s", len(given_back), why, sorted(given_back)
        )
        self.open = self.open - given_back


def _logging_about(rows: Iterable[PendingBC]) -> AbstractContextManager[None]:
    given = list(rows)
    causes = dict.fromkeys(cause for row in given for cause in row.causes.split(","))
    runs = {row.run_id for row in given if row.run_id is not None}
    return logging_about(
        order=[row.odoo_id for row in given], cause=",".join(causes), run=runs or None
    )


def _may_be_the_call(error: Exception) -> bool:
    return isinstance(error, OdooUnavailable) and error.may_be_the_call


def _log_result(result: Result) -> None:
    if result.outcome is None:
        logger.debug("BC %d unchanged (%s)", result.odoo_id, result.causes)
        return
    logger.info(
        "BC %d %s (%s): %d lines written, %d deleted%s",
        result.odoo_id,
        result.outcome.value,
        result.causes,
        result.lines_written,
        result.lines_deleted,
        _delay_text(result.delay),
    )


def _delay_text(delay: Delay | None) -> str:
    if delay is None:
        return ""
    return f", {delay.seconds:.2f} s after the {delay.counted_from.value}"


def _split_by_limit(rows: Iterable[PendingBC]) -> list[list[int]]:
    """Return what to fetch together: first the rows without a limit, then smaller parts."""
    by_limit: dict[int, list[int]] = {}
    for row in rows:
        by_limit.setdefault(row.batch_limit, []).append(row.odoo_id)
    parts = [by_limit.pop(0)] if 0 in by_limit else []
    for limit in sorted(by_limit, reverse=True):
        ids = by_limit[limit]
        parts.extend(ids[start : start + limit] for start in range(0, len(ids), limit))
    return parts


# --- tell applications --------------------------------------------------------------------------


def tell_applications(results: Sequence[Result]) -> None:
    """Wake the announcer, and send ``bc_synced`` for each applied change; errors are only logged.

    Without a receiver the database is not read.
    """
    applied = [result for result in results if result.version is not None]
    if applied:
        announcer.wake()
    if not applied or not bc_synced.has_listeners(BC):
        return
    ids = sorted({result.odoo_id for result in applied})
    try:
        bcs = BC.objects.in_bulk(ids, field_name="odoo_id")
    except DatabaseFailure as error:
        logger.error("The database failed, so no signal was sent for BC %s: %s", ids, error)
        return
    for result in applied:
        if bc := bcs.get(result.odoo_id):
            _send_signal(bc, result)


def _send_signal(bc: BC, result: Result) -> None:
    answers = bc_synced.send_robust(
        BC,
        bc=bc,
        created=result.outcome is JournalEntry.Outcome.CREATED,
        outcome=result.outcome,
        changed=result.changes,
        cause=result.causes,
        version=result.version,
    )
    for receiver, error in answers:
        if isinstance(error, Exception):
            logger.error(
                "BC %d: the receiver %s failed on version %d (%s): %r. The copy is not affected; "
                "django.dispatch has logged the traceback.",
                bc.odoo_id,
                getattr(receiver, "__qualname__", repr(receiver)),
                result.version,
                result.outcome,
                error,
            )
