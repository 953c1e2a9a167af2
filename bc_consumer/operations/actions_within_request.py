"""What an operator asks for that is done within the request itself, because it takes a password.

A worker would have to be handed the password by way of the database or RabbitMQ. So the request
does the work, within ``SECONDS``, one at a time in the whole deployment; and the record says what
came of it, without the password (docs/decisions/0044-rules-from-a-browser.md).
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction

from bc_consumer.core.database_deadline import begin_anew
from bc_consumer.core.redacted_text import hiding
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import OperatorAction
from bc_consumer.operations import action_claims
from bc_consumer.operations.action_requests import TooManyActions, begin
from bc_consumer.operations.rights import Requester, check_right

logger = logging.getLogger(__name__)
Kind = OperatorAction.Kind
Status = OperatorAction.Status

SECONDS = 20.0
"""After this time calls to Odoo are broken off: a page's thread is not to be held up for longer.
The proxies of deploy/ wait 30 s for the answer, and the database takes some of them."""
MARGIN = timedelta(seconds=60)
"""A process that has not ended it so long after that has died."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that somebody has typed; empty: the settings' own."""

    login: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Performed:
    """How it ended."""

    status: OperatorAction.Status
    outcome: Message
    result: Mapping[str, Any] = field(default_factory=dict)
    shown_once: str = field(default="", repr=False)
    """For the reader's eyes alone: it is stored nowhere."""


Step = Callable[[Mapping[str, Any], Account, threading.Event], Performed]
"""Gets the parameters, the account, and what is set when time is up."""
PASSWORD_STEPS: dict[OperatorAction.Kind, Step] = {}
"""By kind. A room above knows each, and puts it here when the process starts."""


def perform(
    kind: OperatorAction.Kind, user: Requester, account: Account, parameters: Mapping[str, Any]
) -> tuple[OperatorAction, str]:
    """Do it; return its record, and what is to be shown to this reader once.

    ``parameters`` are recorded; the account is not. Raises PermissionDenied, and TooManyActions
    while another one is being done.
    """
    check_right(user, kind)
    action_claims.close_abandoned()
    token = uuid.uuid4()
    lease = database_now() + timedelta(seconds=SECONDS) + MARGIN
    try:
        with transaction.atomic():
            action = begin(kind, user, parameters, token, lease)
    except IntegrityError:
        raise TooManyActions(
            _("Somebody else is doing this just now. Try again in a minute.")
        ) from None
    with hiding(account.password):
        done = _do(action, account)
        # Odoo may have used up the page's deadline, and the outcome has yet to be kept and shown.
        begin_anew()
        action_claims.end(token, done.status, done.outcome, done.result)
        logger.info("action %d, %s: %s", action.pk, kind, done.outcome)
    action.refresh_from_db()
    return action, done.shown_once


def _do(action: OperatorAction, account: Account) -> Performed:
    """Call the step; no exception leaves this, for its traceback would hold the account."""
    stop = threading.Event()
    timer = threading.Timer(SECONDS, stop.set)
    timer.daemon = True
    timer.start()
    try:
        done = PASSWORD_STEPS[Kind(action.kind)](action.parameters, account, stop)
    except Exception as error:
        logger.exception("action %d: unexpected internal error", action.pk)
        text = _("Unexpected internal error: %(error)s. The log has more.", error=repr(error))
        return Performed(Status.FAILED, text)
    finally:
        timer.cancel()
    if stop.is_set() and done.status == Status.FAILED:
        text = _(
            "Odoo did not finish within %(seconds)s seconds. What was written stays: look at the"
            " status, then do it again.",
            seconds=int(SECONDS),
        )
        return Performed(Status.FAILED, text, done.result)
    return done
