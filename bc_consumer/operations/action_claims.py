"""What workers do with asked actions: take one, renew its lease, tell its progress, end it.

An action that a worker has in hand is leased. A killed worker's action is taken again where that
does no harm (``AGAIN``), and otherwise ends as failed.
"""

import uuid
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import dialect
from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import OperatorAction
from bc_consumer.operations.action_results import make_storable

Kind = OperatorAction.Kind
Status = OperatorAction.Status
TABLE = OperatorAction._meta.db_table

LEASE = timedelta(seconds=30)
MOST_ATTEMPTS = 2
"""An action that was in two workers' hands as they died is not given to a third one."""
AGAIN = frozenset(
    {
        Kind.COMPARE, Kind.READ_AGAIN, Kind.DRY_RUN, Kind.DOCTOR, Kind.PING,
        Kind.IMPORT_DEAD_LETTERS,
    }
)  # fmt: skip
"""Kinds that may be done twice: they only read, or read again what they read."""
AGAIN_AFTER_STOP = AGAIN | {Kind.RUN}
"""Kinds that another worker does where one is stopped in good order. A run that begins anew goes on
with what the one that was interrupted had marked."""
TAKEN_WITHIN = timedelta(seconds=2)
"""A worker whose lane is free takes an action within this time."""
ENDS_BY_ITSELF = frozenset({Kind.COMPARE, Kind.TEST_ALERT, Kind.RULES})
"""Kinds that are one call, or a few, and look at nobody's wish to end them meanwhile."""
EXPIRES_AFTER = timedelta(hours=1)
"""An action that no worker has taken for so long is not begun any more: nobody waits for it, and a
run in the middle of the day would surprise people. One that a worker gave back, or died with, waits
for so long anew: until then its ``lease_until`` says."""
DIED = _("The worker that was doing it died. Ask for it again.")
EXPIRED = _("It did not begin within an hour. Ask for it again if it is still needed.")


def unfinished() -> QuerySet[OperatorAction]:
    """Return the actions that are asked for or running."""
    return OperatorAction.objects.filter(status__in=OperatorAction.UNFINISHED)


def any_asked() -> bool:
    """Return whether any action waits for a worker."""
    return unfinished().filter(status=Status.ASKED).exists()


def waits_in_vain(kind: OperatorAction.Kind) -> bool:
    """Return whether an action of this kind waits although a free worker would have taken it."""
    asked = unfinished().filter(status=Status.ASKED, cancel_asked_by="", kind=kind)
    return asked.filter(asked_at__lt=Now() - TAKEN_WITHIN).exists()


def take(kinds: Collection[OperatorAction.Kind], token: uuid.UUID) -> OperatorAction | None:
    """Lease the oldest asked action of one of these kinds; None where there is none."""
    wanted = unfinished().filter(status=Status.ASKED, cancel_asked_by="", kind__in=kinds)
    if not wanted.exists():
        return None  # a read alone: on SQLite an UPDATE would wait for whoever writes
    sql = dialect()
    marks = ", ".join(["%s"] * len(kinds))
    statement = f"""
        WITH next AS MATERIALIZED (
            SELECT id FROM {TABLE}
            WHERE status = '{Status.ASKED}' AND cancel_asked_by = '' AND kind IN ({marks})
            ORDER BY id LIMIT 1 {sql.skip_locked})
        UPDATE {TABLE} SET status = '{Status.RUNNING}', claim_token = %s, attempts = attempts + 1,
            started_at = {sql.now}, lease_until = {sql.later.format("%s")}
        WHERE id IN (SELECT id FROM next)
        RETURNING *"""
    parameters = [*(kind.value for kind in kinds), token.hex, LEASE.total_seconds()]
    return next(iter(OperatorAction.objects.raw(statement, parameters)), None)


def renew(tokens: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Renew the leases of actions in hand; return the tokens of those that are still ours.

    With each comes the name of who has cancelled it; "" where nobody has.
    """
    ours = OperatorAction.objects.filter(status=Status.RUNNING, claim_token__in=tokens)
    ours.update(lease_until=Now() + LEASE)
    return dict(ours.values_list("claim_token", "cancel_asked_by"))  # type: ignore[arg-type]


def tell_progress(
    token: uuid.UUID, done: int, total: int | None, result: Mapping[str, Any] | None
) -> bool:
    """Store how far an action is, and what it found so far; return whether it is still ours."""
    values: dict[str, Any] = {"done": done, "total": total}
    if result is not None:
        values["result"] = make_storable(result)
    return bool(_held_under(token).update(**values))


def admit_another(token: uuid.UUID) -> bool:
    """Let what is asked for alike from now on be another action; return whether it is still ours.

    An action calls this once it has chosen and marked its orders: what fails, or is held, after
    that is not in it, and whoever asks again must not be led to it.
    """
    return bool(_held_under(token).update(fingerprint=token.hex))


def end(
    token: uuid.UUID,
    status: OperatorAction.Status,
    outcome: Message,
    result: Mapping[str, Any] | None = None,
    traceback: str = "",
) -> bool:
    """End an action; return False where it is no longer ours, and stays as it is."""
    values: dict[str, Any] = {} if result is None else {"result": make_storable(result)}
    return bool(
        _held_under(token).update(
            status=status,
            outcome=redacted(outcome),
            traceback=redacted(traceback),
            ended_at=Now(),
            claim_token=None,
            lease_until=None,
            **values,
        )
    )


def give_back(token: uuid.UUID) -> bool:
    """Leave an action to another worker, because this process is stopping."""
    return bool(
        _held_under(token).update(
            status=Status.ASKED,
            claim_token=None,
            lease_until=Now() + EXPIRES_AFTER,
            started_at=None,
            attempts=F("attempts") - 1,
        )
    )


def can_be_cancelled(action: OperatorAction) -> bool:
    """Return whether its end can still be asked for."""
    if action.status == Status.RUNNING:
        return action.kind not in ENDS_BY_ITSELF
    return action.is_unfinished


def cancel(action: OperatorAction, who: str) -> bool:
    """End an action that nobody has begun, or ask whoever has it in hand to end it.

    Return False where it has ended already, and where it has begun and ends by itself.
    """
    if _end_cancelled(action.pk, who):
        return True
    if action.kind in ENDS_BY_ITSELF:
        return False
    running = OperatorAction.objects.filter(pk=action.pk, status=Status.RUNNING)
    return bool(running.update(cancel_asked_by=who))


def cancelled_by(who: str) -> Message:
    """Return the outcome of an action that this person has cancelled."""
    return _("Cancelled by %(who)s.", who=who)


def _end_cancelled(key: int, who: str) -> int:
    return OperatorAction.objects.filter(pk=key, status=Status.ASKED).update(
        status=Status.CANCELLED,
        cancel_asked_by=who,
        outcome=redacted(cancelled_by(who)),
        ended_at=Now(),
        claim_token=None,
        lease_until=None,
    )


def close_abandoned() -> int:
    """End what dead workers left and what nobody took, or have it taken again; return how many."""
    if not unfinished().filter(_abandoned()).exists():
        return 0
    dead = OperatorAction.objects.filter(status=Status.RUNNING, lease_until__lt=Now())
    nobody = {"claim_token": None, "lease_until": None}
    again = dead.filter(kind__in=AGAIN, attempts__lt=MOST_ATTEMPTS)
    count = again.update(
        status=Status.ASKED,
        started_at=None,
        done=0,
        total=None,
        claim_token=None,
        lease_until=Now() + EXPIRES_AFTER,
    )
    count += dead.update(status=Status.FAILED, outcome=DIED, ended_at=Now(), **nobody)
    for cancelled in OperatorAction.objects.filter(_cancelled()):
        count += _end_cancelled(cancelled.pk, cancelled.cancel_asked_by)
    late = OperatorAction.objects.filter(_late())
    return count + late.update(status=Status.EXPIRED, outcome=EXPIRED, ended_at=Now(), **nobody)


def _abandoned() -> Q:
    return Q(status=Status.RUNNING, lease_until__lt=Now()) | _late() | _cancelled()


def _cancelled() -> Q:
    """Return the condition for actions that were cancelled while a worker had them in hand."""
    return Q(status=Status.ASKED) & ~Q(cancel_asked_by="")


def _late() -> Q:
    never_taken = Q(lease_until__isnull=True, asked_at__lt=Now() - EXPIRES_AFTER)
    return Q(status=Status.ASKED) & (Q(lease_until__lt=Now()) | never_taken)


def _held_under(token: uuid.UUID) -> QuerySet[OperatorAction]:
    return OperatorAction.objects.filter(status=Status.RUNNING, claim_token=token)
