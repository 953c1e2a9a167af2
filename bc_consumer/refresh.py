"""Bring due orders up to date: claim → fetch → map → apply → settle.

Whoever has a reason to think that work is due calls :func:`work_off`: the actor for a message, the
timer, the reconciliation. Who does the work, and how often it is called, makes no difference.
"""

import logging
import time
import uuid
from collections.abc import Collection, Iterable, Sequence

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from bc_consumer import brake, field_watch, ledger, outage, process
from bc_consumer.alerts import alert, over
from bc_consumer.apply import LinesElsewhere, Result, Seen, apply, journal_entry
from bc_consumer.database_clock import database_now
from bc_consumer.mapping import MappingError, map_order
from bc_consumer.models import BC, JournalEntry
from bc_consumer.odoo import (
    Fetched,
    Missing,
    OdooError,
    OdooInterrupted,
    OdooRefused,
    OdooTimeout,
    OdooUnavailable,
)
from bc_consumer.odoo_connection import odoo, sends_early
from bc_consumer.telling import tell

logger = logging.getLogger(__name__)
Outcome = JournalEntry.Outcome

TURN_SECONDS = 60.0
"""One call works no longer than this, so that a message is acked long before any time limit."""
ELSEWHERE_SECONDS = 0.3
"""Before trying again an order whose lines hang on one that another worker has."""
BROKEN_SECONDS = 15.0
"""Before trying again an order whose lines hang on one that failed, or is held."""
DATABASE_SECONDS = 1.0
"""Before trying again what our own database refused (a deadlock, a lock held too long)."""
LONGEST_WAIT_SECONDS = 1.0
"""At a time, for one's turn to claim."""
AWAY, REFUSED = "odoo away", "odoo refuses"
"""Keys of alerts."""
ROUNDS = 4
"""How often one batch brings further orders along before it waits for things to calm down."""


def work_off(turn: float = TURN_SECONDS, *, run: int | None = None) -> int:
    """Work through what is due, for ``turn`` seconds at most; return how many rows were looked at.

    Returns at once when nothing is due, when Odoo is in a pause, and when the process is stopping.
    ``run``: the reconciliation whose own crew this is; should it die, its claims are given back.
    Raises Django's database errors when our own database is away; claims then run out.
    """
    end = time.monotonic() + turn
    looked_at = 0
    while not process.stopping.is_set() and time.monotonic() < end:
        if ledger.seconds_until_due() != 0.0:
            break
        token = ledger.new_token(run)
        claim = ledger.claim(settings.BATCH_SIZE, token)
        if claim.wait:
            process.stopping.wait(min(claim.wait, LONGEST_WAIT_SECONDS))
        elif not claim.rows:
            break
        else:
            Batch(token, claim).run()
            looked_at += len(claim.rows)
    return looked_at


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

    def run(self) -> None:
        """Look at each row once; whatever happens, no row stays claimed."""
        try:
            self._look(odoo_id for odoo_id, row in self.rows.items() if not row.suspect)
            for odoo_id, row in list(self.rows.items()):
                if row.suspect:
                    self._look([odoo_id])
            if self.open:
                self._release(0.0, "they were brought along in vain")
        except OdooInterrupted:
            self._release(0.0, "the process is stopping")
        except (OdooRefused, OdooUnavailable) as error:
            self._pause(error)
        except OperationalError as error:
            logger.warning("The database refused a batch: %s", error)
            self._release(DATABASE_SECONDS, "the database refused it")
        finally:
            if self.probing:
                outage.give_turn_back()
            # Not before: a slow receiver must not let the rest of the batch's lease run out.
            tell(self.results)

    def _pause(self, error: OdooError) -> None:
        """Let all workers leave Odoo alone for a while; tell people, once, when that is needed."""
        refused = isinstance(error, OdooRefused)
        known = outage.failed(
            str(error),
            probing=self.probing,
            refused=refused,
            retry_after=error.retry_after if isinstance(error, OdooUnavailable) else None,
        )
        self.probing = False
        self._release(0.0, "Odoo refuses us" if refused else "Odoo is away")
        again = f"Asked again in {known.pause:.0f} s."
        if refused:
            alert(REFUSED, "Odoo refuses us", f"{error} {again}")
            return
        logger.warning("Odoo is away. %s %s", again, error)
        if known.seconds >= settings.ALERT_ODOO_AWAY_SECONDS:
            lasted = f"Odoo has been away for {known.seconds / 60:.0f} minutes."
            alert(AWAY, "Odoo is away", f"{lasted} Nothing is lost meanwhile. {error}")

    def _odoo_works(self) -> None:
        """Odoo has answered: if this was the probe, everybody goes on."""
        if not self.probing:
            return
        self.probing = False
        ended = outage.succeeded()
        if ended is not None:
            text = f"It did not for {ended.seconds:.0f} s; what has waited is being worked off."
            logger.warning("Odoo answers again. %s", text)
            over(AWAY, "Odoo answers again", text)
            over(REFUSED, "Odoo lets us in again", text)

    def _look(self, odoo_ids: Iterable[int], rounds: int = ROUNDS) -> None:
        """Fetch these orders together and apply them; split on a fault."""
        ids = self._renewed(odoo_ids)
        if not ids:
            return
        try:
            fetched = odoo().fetch(ids)
        except (OdooInterrupted, OdooRefused):
            raise
        except OdooTimeout as error:
            self._faulted(ids, error)
        except OdooUnavailable:
            raise
        except OdooError as error:
            self._faulted(ids, error)
        else:
            self._odoo_works()
            field_watch.watch(odoo())
            self._apply(self._mapped(fetched), rounds)

    def _renewed(self, odoo_ids: Iterable[int]) -> list[int]:
        """Renew the whole batch's lease, for a call may take long; return those still ours."""
        ours = ledger.renew(self.token, self.open)
        self._lost(self.open - ours)
        return sorted(ours.intersection(odoo_ids))

    def _lost(self, odoo_ids: Collection[int]) -> None:
        self.open.difference_update(odoo_ids)
        for odoo_id in sorted(odoo_ids):
            logger.warning("BC %d: our lease ran out; another worker has it", odoo_id)

    def _faulted(self, ids: Sequence[int], error: OdooError) -> None:
        """Odoo answered with an error: is it ill, or is one of these orders?

        A cheap control call decides. It fails too: nobody's failure. It passes: the batch is split
        until the bad order stands alone.
        """
        try:
            odoo().ping()
        except (OdooRefused, OdooUnavailable):
            raise
        except OdooError as ill:
            raise OdooUnavailable(f"the control call fails as well: {ill}") from error
        self._odoo_works()
        if len(ids) == 1:
            self._fail(ids[0], error)
            return
        logger.warning("A batch of %d orders failed and is split: %s", len(ids), error)
        middle = len(ids) // 2
        self._look(ids[:middle])
        self._look(ids[middle:])

    def _mapped(self, fetched: Fetched) -> list[Seen]:
        seen = [Seen(self.rows[odoo_id], missing) for odoo_id, missing in fetched.missing.items()]
        for odoo_id, snapshot in fetched.orders.items():
            try:
                seen.append(Seen(self.rows[odoo_id], map_order(snapshot)))
            except MappingError as error:
                self._fail(odoo_id, error)
        return seen

    def _apply(self, seen: list[Seen], rounds: int) -> None:
        """Apply together; when that fails, one by one, so that a bad order harms only itself."""
        seen = self._braked(seen)
        if not seen:
            return
        try:
            results = apply(self.token, seen, sends_early(), odoo().may_lag)
        except ledger.LeaseLost as lost:
            self._lost(lost.ids)
            self._apply([one for one in seen if one.claimed.odoo_id not in lost.ids], rounds)
        except LinesElsewhere as elsewhere:
            self._bring_along(seen, elsewhere.ids, rounds)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not harm other orders)
            if len(seen) == 1:
                self._fail(seen[0].claimed.odoo_id, error)
                return
            logger.warning("A batch of %d orders is applied one by one: %s", len(seen), error)
            for one in seen:
                self._apply([one], rounds)
        else:
            self._done(results)

    def _braked(self, seen: list[Seen]) -> list[Seen]:
        """Hold back archivings that look like a wrong database; return the rest."""
        gone = [
            one.claimed.odoo_id
            for one in seen
            if isinstance(one.found, Missing)
            and one.found.means_archived
            and ledger.FORCE not in one.claimed.causes.split(",")
        ]
        if not gone:
            return seen
        current = BC.objects.current().filter(odoo_id__in=gone)
        held = set(current.values_list("odoo_id", flat=True))
        reason = brake.reason_to_hold(len(held), odoo().listing.any_order) if held else ""
        if not reason:
            return seen
        ledger.hold(self.token, held, reason)
        self.open.difference_update(held)
        now = database_now()
        outcome = JournalEntry.Outcome.HELD
        JournalEntry.objects.bulk_create(
            journal_entry(self.rows[i], outcome, now, error=reason) for i in sorted(held)
        )
        alert(
            "brake",
            "archivings held back",
            f"{reason} Orders held: {sorted(held)}. If they are really gone: "
            "manage.py sync_BcLinbc --force",
        )
        return [one for one in seen if one.claimed.odoo_id not in held]

    def _bring_along(self, seen: list[Seen], others: Collection[int], rounds: int) -> None:
        """Odoo moved lines between orders: read and apply both sides in one go."""
        ids = {one.claimed.odoo_id for one in seen}
        wanted = set(others) - self.open
        broken = wanted.intersection(self.failed) | ledger.given_up(wanted)
        if wanted and not broken:
            claimed = ledger.claim_also(wanted, "moved lines", self.token)
            self.rows.update({row.odoo_id: row for row in claimed})
            self.open.update(row.odoo_id for row in claimed)
        if rounds > 0 and self.open.issuperset(others):
            self._look(ids.union(others), rounds - 1)
        elif len(seen) > 1:
            for one in seen:
                self._look([one.claimed.odoo_id], rounds)
        elif broken:
            why = f"lines of theirs are still under BC {sorted(broken)}, which can't be read"
            self._release(BROKEN_SECONDS, why, ids)
        else:
            self._release(ELSEWHERE_SECONDS, f"lines of BC {sorted(others)} are on the move", ids)

    def _done(self, results: Sequence[Result]) -> None:
        self.results.extend(results)
        forbidden = [one.odoo_id for one in results if one.outcome is Outcome.FORBIDDEN]
        if forbidden:
            alert(
                "forbidden",
                "orders that may no longer be read",
                f"Odoo has these orders and keeps them from ODOO_LOGIN: {forbidden}. They stay as"
                " they were, and count no more. Was a right, a record rule or a company changed?",
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
        row = self.rows[odoo_id]
        try:
            with transaction.atomic():
                last = ledger.fail(self.token, row, error)
                if last:
                    failed = JournalEntry.Outcome.FAILED
                    journal_entry(row, failed, database_now(), error=str(error)).save()
        except ledger.LeaseLost:
            self._lost([odoo_id])
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
            ", given up until it is marked again" if last else "",
            error,
        )

    def _release(self, delay: float, why: str, ids: Collection[int] | None = None) -> None:
        given_back = self.open if ids is None else self.open.intersection(ids)
        ledger.release(self.token, given_back, delay)
        logger.info("%d orders given back: %s: BC %s", len(given_back), why, sorted(given_back))
        self.open = self.open - given_back
