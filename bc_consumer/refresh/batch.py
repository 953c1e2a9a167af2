"""Bring due orders up to date: claim → fetch → map → apply → settle.

Whoever has a reason to think that work is due calls :func:`work_off`: the actor for a message, the
timer, the reconciliation. Who does the work, and how often it is called, makes no difference.
"""

import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import joined, message_of, ngettext
from bc_consumer.ledger import call_slots, circuit_breaker
from bc_consumer.messaging import change_publisher
from bc_consumer.models import BC, JournalEntry, PendingBC
from bc_consumer.odoo import Fetched, Missing, OdooError, OdooUnavailable
from bc_consumer.operations import failed_orders, schema_watch
from bc_consumer.operations.alerts import alert, over
from bc_consumer.refresh import archive_brake, odoo_identity, run_counts
from bc_consumer.refresh.control_call import check_known_good
from bc_consumer.refresh.error_policy import (
    NotReadable,
    Reaction,
    explanation,
    is_about_orders,
    reaction_to,
)
from bc_consumer.refresh.mapping import MappingError, map_order
from bc_consumer.refresh.odoo_connection import odoo, sends_early
from bc_consumer.refresh.writer import FetchedRow, LinesElsewhere, Result, apply, journal_entry
from bc_consumer.signals import bc_synced

logger = logging.getLogger(__name__)
Outcome = JournalEntry.Outcome

TURN_SECONDS = 60.0
"""One call works no longer than this, so that a message is acked long before any time limit."""
ELSEWHERE_SECONDS = 0.3
"""Before trying again an order whose lines hang on one that another worker has."""
BROKEN_SECONDS = 15.0
"""Before trying again an order whose lines hang on one that failed, or is held."""
OURS_SECONDS = 1.0
"""Before trying again what our own database refused (a deadlock, a lock held too long)."""
SLOW_PARTS = 8
"""Orders that together took too long are read in so many parts: each try costs a deadline."""
MIGRATE = _("Has «manage.py migrate» been run? The orders wait meanwhile.")
LONGEST_WAIT_SECONDS = 1.0
"""At a time, for one's turn to claim."""
AWAY, REFUSED = "odoo away", "odoo refuses"
"""Keys of alerts."""
UNKNOWN_TOLD = 20
"""Ids, in one line of the log, of orders that nobody has."""
ROUNDS = 4
"""How often one batch brings further orders along before it waits for things to calm down."""


def work_off(turn: float = TURN_SECONDS, *, run: int | None = None) -> int:
    """Work through what is due, for ``turn`` seconds at most; return how many rows were looked at.

    Returns at once when nothing is due, when Odoo is in a pause, when the process is stopping, and
    when what is due is for the process's other threads, which are at it.
    ``run``: the reconciliation whose own crew this is; should it die, its claims are given back.
    Raises Django's database errors when our own database is away; what was in hand then is given
    back by the next call, or when its lease ends.
    """
    end = time.monotonic() + turn
    looked_at = 0
    _give_back_what_was_left()
    while not process_state.stopping.is_set() and time.monotonic() < end:
        if ledger.seconds_until_due() != 0.0:
            break
        with _leave_for_bulk() as bulk:
            token = ledger.new_token(run)
            claim = _claim(token, bulk=bulk)
            if claim.rows:
                Batch(token, claim).run()
        looked_at += len(claim.rows)
        if claim.wait:
            process_state.stopping.wait(min(claim.wait, LONGEST_WAIT_SECONDS))
        elif not claim.rows:
            break
    return looked_at


_left: set[uuid.UUID] = set()
"""Claims that this process could not give back, because the database was away."""


def _give_back_what_was_left() -> None:
    call_slots.give_back_what_was_left()
    for token in list(_left):
        ledger.free_claim(token)
        _left.discard(token)


def _claim(token: uuid.UUID, *, bulk: bool) -> ledger.Claim:
    try:
        return ledger.claim(settings.BATCH_SIZE, token, bulk=bulk)
    except (DatabaseError, InterfaceError):
        _left.add(token)  # the connection may have broken after the claim's commit
        raise


@contextmanager
def _leave_for_bulk() -> Iterator[bool]:
    """Tell whether this thread may take up a large batch; the others stay free for events."""
    leave = process_state.bulk_batches.acquire(blocking=False)
    try:
        yield leave
    finally:
        if leave:
            process_state.bulk_batches.release()


class Batch:
    """One claim's rows on their way through fetch and apply."""

    def __init__(self, token: uuid.UUID, claim: ledger.Claim) -> None:
        self.token = token
        self.rows = {row.odoo_id: row for row in claim.rows}
        self.probing = claim.probing
        """Odoo failed before, and everybody waits for this batch to tell how it is now."""
        self.open = set(self.rows)
        """Rows that are neither settled nor failed nor given back."""
        self.failed: set[int] = set()
        self.results: list[Result] = []
        """What was applied and committed."""
        self.parts: deque[Collection[int]] = deque(_parts(claim.rows))
        """What is looked at together, one after the other. Halves of a part that failed come last,
        so that the good ones among the others don't wait for the search for the bad one."""

    def run(self) -> None:
        """Look at each row once; whatever happens, no row stays claimed."""
        try:
            while self.parts:
                self._look(self.parts.popleft())
            if self.open:
                self._release(0.0, "they were brought along in vain")
        except Exception as error:  # noqa: BLE001 (sorted out there, and raised if nobody foresaw it)
            self._give_back_because(error)
        finally:
            if self.open:
                _left.add(self.token)
            if self.probing:
                circuit_breaker.give_turn_back()
            # Not before: a slow receiver must not let the rest of the batch's lease run out.
            tell_applications(self.results)
        if any(row.held_at for row in self.rows.values()):
            archive_brake.update_alert(more=False)
        if self.failed:
            failed_orders.tell()
        elif any(row.first_failed_at for row in self.rows.values()):
            failed_orders.tell_if_over()

    def _give_back_because(self, error: Exception) -> None:
        """Give back what is left, for a reason that is no order's. Raises what nobody foresaw."""
        match reaction_to(error):
            case Reaction.STOP:
                self._release(0.0, "the process is stopping")
            case Reaction.PAUSE | Reaction.SLOW | Reaction.REFUSED:
                self._pause(error)
            case Reaction.OURS:
                logger.warning("A batch is put off: %s", error)
                self._release(OURS_SECONDS, "our own trouble")
            case Reaction.BROKEN:
                self._release(circuit_breaker.REFUSED_PAUSE_SECONDS, "the database does not fit")
                told = joined(" ", message_of(error), MIGRATE)
                alert("database", _("the database does not fit this version"), told)
            case _ if isinstance(error, OdooError):
                self._pause(error)  # not of a read of orders: nobody's fault
            case _:
                self._release(circuit_breaker.REFUSED_PAUSE_SECONDS, "an error of our own")
                raise error

    def _pause(self, error: Exception) -> None:
        """Let all workers leave Odoo alone for a while; tell people, once, when that is needed."""
        refused = reaction_to(error) is Reaction.REFUSED
        known = circuit_breaker.record_failure(
            message_of(error),
            probing=self.probing,
            refused=refused,
            retry_after=error.retry_after if isinstance(error, OdooUnavailable) else None,
        )
        self.probing = False
        self._release(0.0, "Odoo refuses us" if refused else "Odoo is away")
        again = _("Asked again in %(seconds)s s.", seconds=f"{known.pause:.0f}")
        if refused:
            alert(REFUSED, _("Odoo refuses us"), joined(" ", message_of(error), again))
            return
        logger.warning("Odoo is away. %s %s", again, error)
        if known.seconds >= settings.ALERT_ODOO_AWAY_SECONDS:
            minutes = round(known.seconds / 60)
            lasted = ngettext(
                "Odoo has been away for %(count)s minute. Nothing is lost meanwhile.",
                "Odoo has been away for %(count)s minutes. Nothing is lost meanwhile.",
                minutes,
            )
            alert(AWAY, _("Odoo is away"), joined(" ", lasted, message_of(error)))

    def _odoo_works(self) -> None:
        """Odoo has answered: if it is our database, and this was the probe, everybody goes on."""
        # An outage may have been somebody's restoring of a backup, or a move to another server.
        odoo_identity.ensure(odoo(), again=self.probing)
        if not self.probing:
            return
        self.probing = False
        ended = circuit_breaker.record_success()
        if ended is not None:
            text = _(
                "It did not for %(seconds)s s; what has waited is being worked off.",
                seconds=f"{ended.seconds:.0f}",
            )
            logger.warning("Odoo answers again. %s", text)
            over(AWAY, _("Odoo answers again"), text)
            over(REFUSED, _("Odoo lets us in again"), text)

    def _look(self, odoo_ids: Iterable[int], rounds: int = ROUNDS) -> None:
        """Fetch these orders together and apply them; split on a fault."""
        ids = self._renew(odoo_ids)
        if not ids:
            return
        try:
            fetched = odoo().fetch(ids)
        except Exception as error:
            if not is_about_orders(error):
                raise
            self._handle_fault(ids, error)
        else:
            self._odoo_works()
            schema_watch.watch(odoo())
            self._apply(self._map(fetched), rounds)

    def _renew(self, odoo_ids: Iterable[int]) -> list[int]:
        """Renew the whole batch's lease, for a call may take long; return those still ours."""
        if not self.open:
            return []
        ours = ledger.renew(self.token, self.open)
        self._drop_lost(self.open - ours)
        return sorted(ours.intersection(odoo_ids))

    def _drop_lost(self, odoo_ids: Collection[int]) -> None:
        self.open.difference_update(odoo_ids)
        for odoo_id in sorted(odoo_ids):
            logger.warning("BC %d: our lease ran out; another worker has it", odoo_id)

    def _handle_fault(self, ids: Sequence[int], error: Exception) -> None:
        """Find out whether it is one of these orders, and which; or stop, if it is none."""
        alone = len(ids) == 1
        if alone or reaction_to(error) is not Reaction.SMALLER:
            self._control(error, ids)
        if alone:
            self._fail(ids[0], error)
        elif reaction_to(error) is Reaction.SLOW:
            self._put_off(ids, error)
        else:
            logger.warning("A batch of %d orders failed and is split: %s", len(ids), error)
            middle = len(ids) // 2
            self.parts.extend((ids[:middle], ids[middle:]))
        if reaction_to(error) is Reaction.SLOW:
            # It has held the others up for a whole deadline; another worker may take them now.
            self._release(0.0, "one of them took too long")

    def _put_off(self, ids: Sequence[int], error: Exception) -> None:
        """Leave these to whoever claims next, in smaller parts that the ledger remembers."""
        limit = max(len(ids) // SLOW_PARTS, 1)
        if all(self.rows[odoo_id].batch_limit == 1 for odoo_id in ids):
            # Each may be read alone, and they must come together: no smaller part is left.
            for odoo_id in ids:
                self._fail(odoo_id, error)
            return
        logger.warning("%d orders are read in parts of %d from now on: %s", len(ids), limit, error)
        self._release(0.0, "together they take too long", ids, batch_limit=limit)

    def _control(self, error: Exception, ids: Sequence[int]) -> None:
        """Raise what is wrong when no order of these is; the lease has to last for that too."""
        ledger.renew(self.token, self.open)
        check_known_good(error, ids)
        self._odoo_works()

    def _map(self, fetched: Fetched) -> list[FetchedRow]:
        seen = []
        unreadable = self._never_seen(fetched)
        for odoo_id, missing in fetched.missing.items():
            if odoo_id not in unreadable:
                seen.append(FetchedRow(self.rows[odoo_id], missing))
            elif settings.ODOO_COMPANY_IDS:
                # Odoo's rules tell us of all companies' orders, and Odoo of no company's that the
                # account has not: with a choice of companies, another company's is no failure.
                logger.info("BC %d is kept from our account: another company's", odoo_id)
                seen.append(FetchedRow(self.rows[odoo_id], Missing.OUTSIDE_COMPANIES))
            else:
                self._fail(odoo_id, NotReadable())
        unfit: dict[int, MappingError] = {}
        for odoo_id, snapshot in fetched.orders.items():
            try:
                seen.append(FetchedRow(self.rows[odoo_id], map_order(snapshot)))
            except MappingError as error:
                unfit[odoo_id] = error
        if len(unfit) == len(fetched.orders) > 0:
            self._control(next(iter(unfit.values())), list(unfit))
        for odoo_id, misfit in unfit.items():
            self._fail(odoo_id, misfit)
        return seen

    def _never_seen(self, fetched: Fetched) -> set[int]:
        """Return the orders that Odoo keeps from us and the copy has never had."""
        forbidden = {i for i, why in fetched.missing.items() if why is Missing.FORBIDDEN}
        if not forbidden:
            return forbidden
        known = BC.objects.filter(odoo_id__in=sorted(forbidden))
        return forbidden.difference(known.values_list("odoo_id", flat=True))

    def _apply(self, seen: list[FetchedRow], rounds: int, *, ours: bool = False) -> None:
        """Apply together; when that fails, one by one, so that a bad order harms only itself."""
        if not seen:
            return
        doubt = None
        if any(isinstance(one.found, Missing) for one in seen):
            doubt = archive_brake.doubtful_archivings(
                archive_brake.without_witness((one.claimed, one.found) for one in seen),
                odoo().listing.any_order,
            )
        try:
            results = apply(self.token, seen, sends_early(), odoo().may_lag, doubt, ours=ours)
        except odoo_identity.CreatedOtherwise as others:
            odoo_identity.ensure(odoo(), again=True)
            logger.warning("%s Odoo is ours: a backup was restored there.", others)
            self._apply(seen, rounds, ours=True)
        except ledger.LeaseLost as lost:
            self._drop_lost(lost.ids)
            left = [one for one in seen if one.claimed.odoo_id not in lost.ids]
            self._apply(left, rounds, ours=ours)
        except LinesElsewhere as elsewhere:
            self._bring_along(seen, elsewhere, rounds)
        except archive_brake.Held as held:
            self._hold(held, seen)
            left = [one for one in seen if one.claimed.odoo_id not in held.ids]
            self._apply(left, rounds, ours=ours)
        except Exception as error:
            if not is_about_orders(error):
                raise
            if len(seen) == 1:
                self._fail(seen[0].claimed.odoo_id, error)
                return
            logger.warning("A batch of %d orders is applied one by one: %s", len(seen), error)
            for one in seen:
                self._apply([one], rounds, ours=ours)
        else:
            self._done(results)

    def _hold(self, held: archive_brake.Held, seen: Iterable[FetchedRow]) -> None:
        """Hold back archivings that look like a wrong database."""
        rows = [self.rows[i] for i in sorted(held.ids)]
        with transaction.atomic():
            runs = run_counts.runs_of(rows)
            run_counts.lock(runs.values())
            ids = ledger.hold(self.token, rows, held.reason)
            now, outcome = database_now(), JournalEntry.Outcome.HELD
            JournalEntry.objects.bulk_create(
                journal_entry(self.rows[i], outcome, now, run=runs.get(i), error=held.reason)
                for i in sorted(ids)
            )
            counted = Counter(runs[i] for i in ids if i in runs)
            really = {one.claimed.odoo_id for one in seen if one.found is Missing.GONE}
            gone = Counter(runs[i] for i in ids & really if i in runs)
            run_counts.add(
                {run: Counter(held=count, gone=gone[run]) for run, count in counted.items()}
            )
        self.open.difference_update(held.ids)
        if ids:
            logger.warning("BC %s held: %s", sorted(ids), held.reason)
            archive_brake.update_alert(more=True)

    def _bring_along(self, seen: list[FetchedRow], elsewhere: LinesElsewhere, rounds: int) -> None:
        """Odoo moved lines between orders: read and apply both sides in one go."""
        others = elsewhere.ids
        ids = {one.claimed.odoo_id for one in seen}
        wanted = set(others) - self.open
        broken = wanted.intersection(self.failed) | ledger.given_up(wanted)
        if broken:
            waiting = elsewhere.waiting_for(broken)
            self._wait_for(broken, waiting)
            self._apply([one for one in seen if one.claimed.odoo_id not in waiting], rounds)
            return
        if wanted:
            claimed = ledger.claim_also(wanted, "moved lines", self.token)
            self.rows.update({row.odoo_id: row for row in claimed})
            self.open.update(row.odoo_id for row in claimed)
        if rounds > 0 and self.open.issuperset(others):
            self._look(ids.union(others), rounds - 1)
        elif len(seen) > 1:
            for one in seen:
                self._look([one.claimed.odoo_id], rounds)
        else:
            self._release(ELSEWHERE_SECONDS, f"lines of BC {sorted(others)} are on the move", ids)

    def _wait_for(self, broken: Collection[int], ids: Collection[int]) -> None:
        why = _(
            "its lines are still under BC %(ids)s, which can't be read, or is held",
            ids=f"{sorted(broken)}",
        )
        ledger.put_off(self.token, ids, BROKEN_SECONDS, why)
        logger.info("BC %s given back: %s", sorted(ids), why)
        self.open -= set(ids)

    def _done(self, results: Sequence[Result]) -> None:
        self.results.extend(results)
        unknown = [one.odoo_id for one in results if one.unknown]
        if unknown:
            logger.info(
                "%d orders that were named are neither in Odoo nor in the copy; scans look for what"
                " may have been meant. The first: BC %s",
                len(unknown),
                unknown[:UNKNOWN_TOLD],
            )
        forbidden = [one.odoo_id for one in results if one.outcome is Outcome.FORBIDDEN]
        if forbidden:
            alert(
                "forbidden",
                _("orders that may no longer be read"),
                _(
                    "Odoo has these orders and keeps them from ODOO_LOGIN: %(ids)s. They stay as"
                    " they were, and count no more. Was a right, a record rule or a company"
                    " changed?",
                    ids=f"{forbidden}",
                ),
            )
        for result in results:
            self.open.discard(result.odoo_id)
            if result.outcome is None:
                logger.debug("BC %d unchanged (%s)", result.odoo_id, result.causes)
            else:
                logger.info(
                    "BC %d %s (%s): %d lines written, %d deleted%s",
                    result.odoo_id,
                    result.outcome.value,
                    result.causes,
                    result.lines_written,
                    result.lines_deleted,
                    "" if result.delay is None else f", {result.delay:.2f} s after its first mark",
                )

    def _fail(self, odoo_id: int, error: Exception) -> None:
        row, text = self.rows[odoo_id], explanation(error)
        hopeless = reaction_to(error) is Reaction.HOPELESS
        try:
            with transaction.atomic():
                runs = run_counts.runs_of([row])
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
        logger.log(
            logging.ERROR if last else logging.WARNING,
            "BC %d failed (%s), attempt %d of %d%s: %s",
            odoo_id,
            row.causes,
            row.attempts + 1,
            settings.MAX_ATTEMPTS,
            ", given up until it is marked again or replayed" if last else "",
            text,
        )

    def _release(
        self, delay: float, why: str, ids: Collection[int] | None = None, batch_limit: int = 0
    ) -> None:
        given_back = self.open if ids is None else self.open.intersection(ids)
        if not given_back:
            return
        ledger.release(self.token, given_back, delay, batch_limit)
        logger.info("%d orders given back: %s: BC %s", len(given_back), why, sorted(given_back))
        self.open = self.open - given_back


def _parts(rows: Iterable[PendingBC]) -> list[list[int]]:
    """Return what is looked at together: first all that may be, then ever smaller parts."""
    by_limit: dict[int, list[int]] = {}
    for row in rows:
        by_limit.setdefault(row.batch_limit, []).append(row.odoo_id)
    parts = [by_limit.pop(0)] if 0 in by_limit else []
    for limit in sorted(by_limit, reverse=True):
        ids = by_limit[limit]
        parts.extend(ids[start : start + limit] for start in range(0, len(ids), limit))
    return parts


def tell_applications(results: Sequence[Result]) -> None:
    """Wake the announcer, and send ``bc_synced`` for each applied change; errors are logged.

    When nobody listens the database is not asked.
    """
    applied = [result for result in results if result.version is not None]
    if applied:
        change_publisher.wake()
    if not applied or not bc_synced.has_listeners(BC):
        return
    ids = sorted({result.odoo_id for result in applied})
    try:
        bcs = BC.objects.in_bulk(ids, field_name="odoo_id")
    except (DatabaseError, InterfaceError) as error:
        logger.error("The signal of BC %s was not sent, the database failed: %s", ids, error)
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
