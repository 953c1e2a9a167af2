"""Takes what operators ask for, and keeps the record of it: who, when, what, and the outcome.

A page calls ``ask``. What needs Odoo, or takes long, a worker does
(``workers/action_runner.py``): the page shows the row that ``ask`` returns until it is finished.
What takes a few statements is done at once (``AT_ONCE``). What a page or a command has done by
itself is recorded by ``record_done``.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone

from bc_consumer import ledger
from bc_consumer.core import process_state
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message, joined, ngettext
from bc_consumer.core.translatable import gettext as _
from bc_consumer.messaging.publisher import publisher
from bc_consumer.models import Heartbeat, Lane, OperatorAction, PendingBC
from bc_consumer.operations import (
    action_claims,
    action_parameters,
    alerts,
    dead_letters,
    heartbeats,
    run_control,
)
from bc_consumer.operations.action_claims import EXPIRES_AFTER, close_abandoned, unfinished
from bc_consumer.operations.action_results import make_storable
from bc_consumer.operations.rights import Requester, check_right, may
from bc_consumer.operations.run_control import Answer

logger = logging.getLogger(__name__)
Kind = OperatorAction.Kind
Status = OperatorAction.Status

MOST_OF_ONE_USER = 10
MOST_OF_ALL = 50
"""Unfinished actions, of one user and of all. Users who press at the same instant may exceed them
by one each."""
WAITING = timedelta(seconds=10)
"""Workers take an action within a second, unless they have another one of its lane in hand."""
LONGEST_NAME = 150


class TooManyActions(Exception):
    """Too much is asked for that is not finished; the text, a Message, says what to do."""


def ask(kind: OperatorAction.Kind, user: Requester, **parameters: object) -> OperatorAction:
    """Ask for an action; return its row, or the row of an identical unfinished action.

    ``action_parameters.READERS`` has the parameters of each kind. Raises PermissionDenied,
    WrongParameters and TooManyActions, whose texts are for the reader.
    """
    kind = Kind(kind)
    checked = action_parameters.check(kind, parameters)
    check_right(user, kind, forced=bool(checked.get("force")))
    if (at_once := AT_ONCE.get(kind)) is not None:
        done, outcome, facts = at_once(user, checked)
        return record_done(kind, user, checked, outcome, facts, refused=not done)
    close_abandoned()
    fingerprint = _fingerprint(kind, checked)
    alike = unfinished().filter(fingerprint=fingerprint)
    if (known := alike.first()) is not None:
        return known
    _check_room(user)
    try:
        with transaction.atomic():
            action = OperatorAction.objects.create(
                kind=kind,
                **_identity(user),
                asked_at=database_now(),
                parameters=checked,
                fingerprint=fingerprint,
            )
    except IntegrityError:
        return alike.get()  # somebody asked for the same at the same moment
    logger.info("%s asks for action %d, %s: %s", action.asked_by, action.pk, kind, checked)
    process_state.action_asked.set()
    return action


def begin(
    kind: OperatorAction.Kind,
    user: Requester,
    parameters: Mapping[str, Any],
    token: uuid.UUID,
    lease_until: datetime,
) -> OperatorAction:
    """Record that this process begins something; ``action_claims.end`` closes the returned row.

    Raises IntegrityError while one of this kind is being done anywhere.
    """
    now = database_now()
    action = OperatorAction.objects.create(
        kind=kind,
        **_identity(user),
        asked_at=now,
        started_at=now,
        parameters=dict(parameters),
        fingerprint=_fingerprint(kind, {}),
        status=Status.RUNNING,
        claim_token=token,
        lease_until=lease_until,
        attempts=1,
    )
    logger.info("%s: action %d, %s: %s", action.asked_by, action.pk, kind, parameters)
    return action


def record_done(
    kind: OperatorAction.Kind,
    user: Requester | str,
    parameters: Mapping[str, Any],
    outcome: Message,
    result: Mapping[str, Any] | None = None,
    *,
    refused: bool = False,
) -> OperatorAction:
    """Record what a page, or a command, has just done; return the row.

    ``user``: who did it; a text names a command's user. ``refused``: it was not done; ``outcome``
    says why. The caller has checked the right to do it.
    """
    kept = action_parameters.check_recorded(parameters)
    now = database_now()
    action = OperatorAction.objects.create(
        kind=kind,
        **_identity(user),
        asked_at=now,
        started_at=now,
        ended_at=now,
        parameters=kept,
        fingerprint=_fingerprint(kind, kept),
        status=Status.REFUSED if refused else Status.DONE,
        outcome=redacted(outcome),
        result=make_storable(result or {}),
    )
    logger.info("%s: action %d, %s: %s", action.asked_by, action.pk, kind, outcome)
    return action


def may_cancel(action: OperatorAction, user: Requester) -> bool:
    """Return whether this user can still cancel it: who asked for it, and who may stop runs."""
    if not action_claims.can_be_cancelled(action):
        return False
    return _is_theirs(action, user)


def _is_theirs(action: OperatorAction, user: Requester) -> bool:
    is_own = bool(action.user_id) and action.user_id == str(user.pk) and bool(user.is_active)
    return is_own or may(user, Kind.STOP)


def cancel(key: int, user: Requester | str) -> Answer:
    """Cancel an action; a run that it has begun stops at its next step.

    ``user``: a text names a command's user, who may cancel everything. Raises PermissionDenied, and
    DoesNotExist where there is no such action.
    """
    action = OperatorAction.objects.get(pk=key)
    if isinstance(user, str):
        who = user[:LONGEST_NAME]
    elif _is_theirs(action, user):
        who = user.get_username()[:LONGEST_NAME]
    else:
        raise PermissionDenied(f"{user.get_username()} may not cancel action {key}")
    run = action.result.get("run") if action.kind == Kind.RUN and action.is_unfinished else None
    if run is not None and run_control.ask_to_stop(who, run).done:
        return Answer(True, _("The run has been asked to stop; it does so at its next step."), run)
    if not action_claims.cancel(action, who):
        action.refresh_from_db()
        if action.is_unfinished:
            return Answer(False, _("It can't be interrupted; it ends by itself."))
        return Answer(False, _("It has ended already."))
    logger.info("%s cancels action %d, %s", who, key, action.kind)
    return Answer(True, _("It is cancelled; what a worker is doing for it ends in a moment."))


def waiting_too_long(action: OperatorAction) -> bool:
    """Return whether no worker has taken this action although it was asked for a while ago."""
    since = action.asked_at
    if action.lease_until is not None:  # a worker gave it back, or died with it
        since = action.lease_until - EXPIRES_AFTER
    return action.status == Status.ASKED and database_now() - since > WAITING


def reason_for_waiting() -> Message:
    """Return why an action that waits too long may do so."""
    if not heartbeats.alive()[Heartbeat.Kind.WORKER]:
        return _("No worker is running: start one.")
    return _("The workers are busy with other actions; this one follows.")


# --- what is done at once -----------------------------------------------------------------------

Outcome = tuple[bool, Message, Mapping[str, Any]]
"""Whether it was done, a sentence about it, and the result."""


def _stop(user: Requester, checked: dict[str, Any]) -> Outcome:
    return _of_answer(run_control.ask_to_stop(user.get_username(), checked["run"]))


def _unlock(_user: Requester, checked: dict[str, Any]) -> Outcome:
    return _of_answer(run_control.unlock(force=checked["force"]))


def _of_answer(answer: Answer) -> Outcome:
    return answer.done, answer.text, {} if answer.run is None else {"run": answer.run}


def _mark_differences(user: Requester, checked: dict[str, Any]) -> Outcome:
    dry_run = OperatorAction.objects.filter(pk=checked["action"], kind=Kind.DRY_RUN).first()
    if dry_run is None:
        return False, _("There is no such dry run any more."), {}
    different = {order["odoo_id"] for order in dry_run.result.get("orders", ())}
    ids = sorted(different.intersection(checked["odoo_ids"]))
    if not ids:
        return False, _("None of these orders is among its differences."), {}
    held: set[int] = set()
    if may(user, Kind.RELEASE):
        ledger.release_held(forced=False, odoo_ids=ids)
    else:
        rows = PendingBC.objects.filter(pk__in=ids, failed_at__isnull=True)
        held = set(rows.exclude(held_reason="").values_list("pk", flat=True))
    marked = [odoo_id for odoo_id in ids if odoo_id not in held]
    publisher().wake(ledger.mark(marked, ledger.Mark(cause="operator", lane=Lane.OPERATOR)))
    process_state.wake.set()
    text = joined(
        " ",
        ngettext(
            "%(count)s order is marked, and will be read from Odoo in a moment.",
            "%(count)s orders are marked, and will be read from Odoo in a moment.",
            len(marked),
        )
        if marked
        else NOTHING,
        ngettext(
            "%(count)s order is on hold: somebody has to release it first.",
            "%(count)s orders are on hold: somebody has to release them first.",
            len(held),
        )
        if held
        else NOTHING,
    )
    return bool(marked), text, {"odoo_ids": marked}


def _acknowledge(user: Requester, checked: dict[str, Any]) -> Outcome:
    if not alerts.acknowledge(checked["alert"], user.get_username()):
        return False, ALERT_IS_OVER, {}
    return True, TAKEN, {}


def _mute(user: Requester, checked: dict[str, Any]) -> Outcome:
    until = database_now() + timedelta(hours=checked["hours"])
    if not alerts.mute(checked["alert"], until, user.get_username()):
        return False, ALERT_IS_OVER, {}
    return True, muted_sentence(until), {"until": until}


def _unmute(_user: Requester, checked: dict[str, Any]) -> Outcome:
    if not alerts.unmute(checked["alert"]):
        return False, _("This alert is not muted."), {}
    return True, UNMUTED, {}


TAKEN = _("Somebody is taking care of it: it is not repeated while it lasts.")
UNMUTED = _("It is sent again from now on.")
ALERT_IS_OVER = _("This alert is over.")


def muted_sentence(until: datetime) -> Message:
    """Return what is told of an alert that is muted."""
    return _(
        "Nothing is sent about it until %(until)s.",
        until=f"{timezone.localtime(until):%Y-%m-%d %H:%M}",
    )


def _delete_dead_letters(_user: Requester, checked: dict[str, Any]) -> Outcome:
    count = dead_letters.delete(checked["letters"])
    if not count:
        return False, _("These messages are not there any more."), {}
    return True, deleted_sentence(count), {}


def deleted_sentence(count: int) -> Message:
    """Return what is told of messages that were deleted."""
    return ngettext("%(count)s message deleted.", "%(count)s messages deleted.", count)


AT_ONCE: Mapping[OperatorAction.Kind, Callable[[Requester, dict[str, Any]], Outcome]] = {
    Kind.STOP: _stop,
    Kind.UNLOCK: _unlock,
    Kind.MARK_DIFFERENCES: _mark_differences,
    Kind.ACKNOWLEDGE: _acknowledge,
    Kind.MUTE: _mute,
    Kind.UNMUTE: _unmute,
    Kind.DELETE_DEAD_LETTERS: _delete_dead_letters,
}
"""Kinds that need no worker: a few statements each, and no call to Odoo."""


# --- what a row is made of ----------------------------------------------------------------------


def _identity(user: Requester | str) -> dict[str, str]:
    if isinstance(user, str):
        return {"asked_by": user[:LONGEST_NAME], "user_id": ""}
    return {"asked_by": user.get_username()[:LONGEST_NAME], "user_id": str(user.pk)}


def _fingerprint(kind: OperatorAction.Kind, parameters: Mapping[str, Any]) -> str:
    text = json.dumps([kind.value, parameters], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_room(user: Requester) -> None:
    open_actions = unfinished()
    if open_actions.count() >= MOST_OF_ALL:
        raise TooManyActions(
            _("%(count)s actions are not finished: wait until some are.", count=MOST_OF_ALL)
        )
    if open_actions.filter(user_id=str(user.pk)).count() >= MOST_OF_ONE_USER:
        raise TooManyActions(
            _(
                "%(count)s actions that you asked for are not finished: wait until some are.",
                count=MOST_OF_ONE_USER,
            )
        )
