"""The Dramatiq actors. They keep nothing: what is owed, retries included, is in the database."""

import contextlib
import logging

import dramatiq
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from bc_consumer.core import process_state
from bc_consumer.messaging.publisher import ACTOR, FAILURES
from bc_consumer.reconciliation.lock import AlreadyRunning, Interrupted, no_slice_will_come
from bc_consumer.reconciliation.run import reconcile_slice
from bc_consumer.refresh.batch import TURN_SECONDS, work_off

logger = logging.getLogger(__name__)

LONGEST_TURN_SECONDS = max(TURN_SECONDS, settings.SYNC_SLICE_SECONDS)
TIME_LIMIT_MILLISECONDS = int(
    (LONGEST_TURN_SECONDS * 2 + settings.ODOO_TIMEOUT_SECONDS * 10) * 1000
)


@dramatiq.actor(
    actor_name=ACTOR,
    queue_name=settings.RABBITMQ_QUEUE,
    max_retries=0,
    time_limit=TIME_LIMIT_MILLISECONDS,
)
def refresh_bc(odoo_id: int) -> None:
    """Bring this order up to date, together with whatever else is due.

    Returns at once when there is nothing left to do. Every message also re-arms the timer, because
    the order may be due in a moment rather than now.
    """
    try:
        looked_at = work_off()
    except (DatabaseError, InterfaceError) as error:
        # The mark is safe in the ledger; the timer tries again when the database is back.
        logger.warning("BC %d: left to the timer, the database failed: %s", odoo_id, error)
    else:
        logger.debug("message for BC %d: %d orders looked at", odoo_id, looked_at)
    process_state.wake.set()


@dramatiq.actor(
    queue_name=settings.RABBITMQ_QUEUE, max_retries=0, time_limit=TIME_LIMIT_MILLISECONDS
)
def reconcile_nightly(run: int | None = None) -> None:
    """Do one slice of the nightly run, and send the next one on its way.

    A slice that is lost is no harm: the scheduler goes on with a run whose lock is free.
    """
    # This thread's connection may have died with a restart of the database, unnoticed since.
    connection.close()
    try:
        unfinished = reconcile_slice(run)
    except (DatabaseError, InterfaceError) as error:
        # Not raised: the message would be kept aside, and people told of it for nothing.
        logger.warning("nightly run: the database failed, the scheduler goes on: %s", error)
        connection.close()
    except AlreadyRunning as running:
        logger.info("nightly run: %s has the lock", running)
    except Interrupted:
        logger.info("nightly run: interrupted, the scheduler goes on with it")
    else:
        if unfinished is not None:
            _send_next(unfinished)


def _send_next(run: int) -> None:
    try:
        reconcile_nightly.send(run)
    except FAILURES as error:
        # Not raised: the message would be kept aside, and people told of it for nothing.
        logger.warning("run %d: the next slice waits for the scheduler: %r", run, error)
        with contextlib.suppress(DatabaseError, InterfaceError):  # then it is a minute later
            no_slice_will_come(run)
