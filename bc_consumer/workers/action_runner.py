"""Does what operators ask for, in a worker process: one action of each lane at a time.

One thread looks for asked actions twice a second, and at once where they are asked for in this very
process. It renews the leases of those in hand, and gives each its deadline. What an action does is
in ``action_steps``.
"""

import logging
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.translatable import Message, joined, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import OperatorAction
from bc_consumer.operations import action_claims
from bc_consumer.workers.action_steps import DEADLINES, LANES, STEPS, Finished
from bc_consumer.workers.guarded_step import run_guarded

logger = logging.getLogger(__name__)
Status = OperatorAction.Status

LOOK_SECONDS = 0.5
AFTER_FAILURE_SECONDS = 2.0
RENEW_SECONDS = action_claims.LEASE.total_seconds() / 4
TELL_SECONDS = 1.0
"""Between two statements about the progress of one action."""
END_SECONDS = 60.0
"""How long the end of an action is tried to be stored while the database is away."""
AFTER_DEADLINE_SECONDS = 60.0
"""An action that does not end by itself so long after its deadline is given up: its row is closed,
and its thread writes nothing more there."""
STOP_SECONDS = 5.0


class Overdue(Exception):
    """The action's deadline has passed; the text, a Message, says so."""


class NotOurs(Exception):
    """The action's row was closed, or given to another worker, meanwhile."""


class Cancelled(Exception):
    """Somebody has cancelled the action; the text, a Message, says who."""


class Stopping(Exception):
    """This process is told to stop."""


class ActionInHand(threading.Thread):
    """One action that this process does, in a thread of its own."""

    def __init__(self, action: OperatorAction, token: UUID) -> None:
        super().__init__(name=f"action {action.pk}", daemon=True)
        self.action = action
        self.token = token
        self.kind = OperatorAction.Kind(action.kind)
        self.is_lost = threading.Event()
        self.cancelled_by = ""
        self._deadline = time.monotonic() + DEADLINES[self.kind]
        self._tell_after = 0.0
        self._admits_another = False

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The checked parameters, as ``operations/action_parameters.py`` makes them."""
        parameters: Mapping[str, Any] = self.action.parameters
        return parameters

    def seconds_left(self) -> float:
        """Return the time until the deadline; below 0 once it has passed."""
        return self._deadline - time.monotonic()

    def check(self) -> None:
        """Raise if the action must end here: Stopping, NotOurs, Cancelled or Overdue."""
        if process_state.stopping.is_set():
            raise Stopping
        if self.is_lost.is_set():
            raise NotOurs
        if self.cancelled_by:
            raise Cancelled(action_claims.cancelled_by(self.cancelled_by))
        if self.seconds_left() < 0:
            raise Overdue(
                _("It took longer than %(minutes)s minutes.", minutes=DEADLINES[self.kind] // 60)
            )

    def tell(
        self,
        done: int,
        total: int | None = None,
        result: Mapping[str, Any] | None = None,
        *,
        now: bool = False,
    ) -> None:
        """Check, and store how far it is, once a second at most; ``now``: in any case."""
        self.check()
        if not now and time.monotonic() < self._tell_after:
            return
        self._tell_after = time.monotonic() + TELL_SECONDS
        try:
            is_ours = action_claims.tell_progress(self.token, done, total, result)
        except DatabaseFailure as error:
            # The work itself notices by its own statements, where it matters.
            logger.warning("action %d: progress was not stored: %s", self.action.pk, error)
            connection.close()
            return
        if not is_ours:
            self.is_lost.set()
            raise NotOurs

    def admit_another(self) -> None:
        """Let what is asked for alike from now on be another action."""
        if self._admits_another:
            return
        if not action_claims.admit_another(self.token):
            self.is_lost.set()
            raise NotOurs
        self._admits_another = True

    def run(self) -> None:
        """Do it, and store how it ended."""
        logger.info("action %d, %s, begins for %s", self.action.pk, self.kind, self.action.asked_by)
        try:
            self._store(self._do())
        except NotOurs:
            logger.warning("action %d no longer belongs to this process", self.action.pk)
        except Exception:
            logger.exception("action %d: its outcome could not be stored", self.action.pk)
        finally:
            connection.close()

    def _do(self) -> Finished | None:
        """Return how it ended; None where this process is stopping, and another one may do it."""
        try:
            return STEPS[self.kind](self)
        except NotOurs:
            raise
        except Cancelled as cancelled:
            return Finished(message_of(cancelled), status=Status.CANCELLED)
        except Exception as error:
            if process_state.stopping.is_set():
                return self._interrupted()
            told = message_of(error)
            if isinstance(error, DatabaseFailure):
                told = _("The database failed: %(error)s", error=str(error).strip())
                connection.close()
            elif told.form is None:
                logger.exception("action %d: unexpected internal error", self.action.pk)
                told = joined(": ", type(error).__name__, told)
            trace = "".join(traceback.format_exception(error))
            return Finished(told, status=Status.FAILED, traceback=trace)

    def _interrupted(self) -> Finished | None:
        if self.kind in action_claims.AGAIN_AFTER_STOP:
            return None
        text = _(
            "The worker that was doing it was stopped. Orders that were marked are still read; for"
            " the rest, ask again."
        )
        return Finished(text, status=Status.FAILED)

    def _store(self, finished: Finished | None) -> None:
        """Store the end; try again while the database is away."""
        end = time.monotonic() + END_SECONDS
        while True:
            try:
                self._store_once(finished)
                return
            except DatabaseFailure as error:
                if time.monotonic() > end or process_state.stopping.is_set():
                    raise
                logger.warning("action %d waits for the database: %s", self.action.pk, error)
                connection.close()
            process_state.stopping.wait(1.0)

    def _store_once(self, finished: Finished | None) -> None:
        if finished is None:
            action_claims.give_back(self.token)
            logger.info("action %d is left to another worker", self.action.pk)
            return
        ended = action_claims.end(
            self.token, finished.status, finished.outcome, finished.result, finished.traceback
        )
        if not ended:
            raise NotOurs
        level = logging.WARNING if finished.status == Status.FAILED else logging.INFO
        logger.log(level, "action %d, %s: %s", self.action.pk, self.kind, finished.outcome)


class ActionsThread(threading.Thread):
    """Takes asked actions, one of each lane at a time, and keeps their leases."""

    def __init__(self) -> None:
        super().__init__(name="actions", daemon=True)
        self._in_hand: dict[str, ActionInHand] = {}
        """Lane → the action in hand."""
        self._renew_after = 0.0

    def run(self) -> None:
        """Run until the process stops, and wait a moment for what is in hand."""
        while not process_state.stopping.is_set():
            process_state.action_asked.clear()
            process_state.action_asked.wait(run_guarded(self.run_round, AFTER_FAILURE_SECONDS))
        connection.close()
        end = time.monotonic() + STOP_SECONDS
        for action in self._in_hand.values():
            action.join(max(end - time.monotonic(), 0.0))

    def run_round(self) -> float:
        """Renew the leases that are due, and begin what is asked for, as far as lanes are free.

        Returns the seconds to wait until the next round.
        """
        self._in_hand = {lane: one for lane, one in self._in_hand.items() if one.is_alive()}
        if time.monotonic() >= self._renew_after:
            self._keep_leases()
            action_claims.close_abandoned()
            self._renew_after = time.monotonic() + RENEW_SECONDS
        free = LANES.keys() - self._in_hand.keys() if action_claims.any_asked() else ()
        for lane in free:
            token = ledger.new_token()
            if (action := action_claims.take(LANES[lane], token)) is not None:
                self._in_hand[lane] = ActionInHand(action, token)
                self._in_hand[lane].start()
        return LOOK_SECONDS

    def _keep_leases(self) -> None:
        """Renew the leases of what is in hand; close what ignores its deadline."""
        for action in self._in_hand.values():
            if action.seconds_left() < -AFTER_DEADLINE_SECONDS:
                action.is_lost.set()
                action_claims.end(action.token, Status.FAILED, _hangs(action))
        tokens = {one.token for one in self._in_hand.values() if not one.is_lost.is_set()}
        ours = action_claims.renew(tokens) if tokens else {}
        for action in self._in_hand.values():
            action.cancelled_by = ours.get(action.token, "")
            if action.token not in ours and action.is_alive():
                action.is_lost.set()


def _hangs(action: ActionInHand) -> Message:
    return _(
        "It did not end within %(minutes)s minutes, and was given up.",
        minutes=DEADLINES[action.kind] // 60,
    )
