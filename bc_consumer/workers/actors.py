"""The Dramatiq actors. They are stateless: all pending work and its retries are in the database."""

import contextlib
import logging

import dramatiq
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection

from bc_consumer.core import process_state
from bc_consumer.core.log_context import logging_about
from bc_consumer.messaging.publisher import ACTOR, FAILURES
from bc_consumer.reconciliation.lock import AlreadyRunning, Interrupted, let_scheduler_resume
from bc_consumer.reconciliation.run import reconcile_slice
from bc_consumer.refresh.batch import TURN_SECONDS, work_off

logger = logging.getLogger(__name__)

LONGEST_TURN_SECONDS = max(TURN_SECONDS, settings.SYNC_SLICE_SECONDS)
"""The longest time that the work for one message is meant to take."""
TIME_LIMIT_MILLISECONDS = int(
    (LONGEST_TURN_SECONDS * 2 + settings.ODOO_TIMEOUT_SECONDS * 10) * 1000
)
"""Dramatiq's time limit: twice the longest turn plus ten Odoo timeouts, so that only an actor that
hangs is aborted."""


@dramatiq.actor(
    actor_name=ACTOR,
    queue_name=settings.RABBITMQ_QUEUE,
    max_retries=0,
    time_limit=TIME_LIMIT_MILLISECONDS,
)
def refresh_bc(odoo_id: int) -> None:
    """Bring this order up to date, together with everything else that is due.

    Returns at once when nothing is due. Each message also wakes the timer, because the order may be
    due a moment later rather than now.
    """
    try:
        looks = work_off()
    except DatabaseFailure as error:
        # The mark is in the ledger, so the timer tries again once the database is back.
        with logging_about(order=odoo_id):
            logger.warning("BC %d is left to the timer; the database failed: %s", odoo_id, error)
    else:
        with logging_about(order=odoo_id):
            logger.debug("message for BC %d: %d orders were looked at", odoo_id, looks)
    process_state.wake.set()


@dramatiq.actor(
    queue_name=settings.RABBITMQ_QUEUE, max_retries=0, time_limit=TIME_LIMIT_MILLISECONDS
)
def reconcile_nightly(run: int | None = None) -> None:
    """Do one slice of the nightly run and send the message for the next one.

    Losing that message does no harm: the scheduler resumes a run whose lock is free.
    """
    # A restart of the database may have broken this thread's idle connection unnoticed.
    connection.close()
    try:
        unfinished = reconcile_slice(run)
    except DatabaseFailure as error:
        # Raising would dead-letter the message and alert people for nothing.
        logger.warning("nightly run: the database failed; the scheduler will resume it: %s", error)
        connection.close()
    except AlreadyRunning as running:
        logger.info("nightly run: %s has the lock", running)
    except Interrupted:
        logger.info("nightly run: interrupted; the scheduler will resume it")
    else:
        if unfinished is not None:
            _send_next(unfinished)


def _send_next(run: int) -> None:
    try:
        reconcile_nightly.send(run)
    except FAILURES as error:
        # Raising would dead-letter the message and alert people for nothing.
        logger.warning("run %d: the next slice is left to the scheduler: %r", run, error)
        with contextlib.suppress(DatabaseFailure):  # the next slice is a minute later
            let_scheduler_resume(run)
