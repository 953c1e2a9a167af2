"""Tells applications what was applied: after the commit, and never to the copy's harm."""

import logging
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError

from bc_consumer.messaging import change_publisher
from bc_consumer.models import BC, JournalEntry
from bc_consumer.refresh.writer import Result
from bc_consumer.signals import bc_synced

logger = logging.getLogger(__name__)


def tell(results: Sequence[Result]) -> None:
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
            _send(bc, result)


def _send(bc: BC, result: Result) -> None:
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
