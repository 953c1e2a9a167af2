"""What may be asked of each kind of action: its parameters, checked and bounded.

What comes back of ``check`` is JSON, and says the same for the same request: it is stored with the
action, and two requests that are alike are one.
"""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from bc_consumer.core.local_time import parse_moment
from bc_consumer.core.odoo_ids import parse_id
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import ngettext
from bc_consumer.models import OperatorAction
from bc_consumer.operations.alerts import LONGEST_MUTE

Kind = OperatorAction.Kind

READ_AT_ONCE = 100
"""Orders that one request has read at once, each with its outcome."""
CHOSEN_AT_ONCE = 1000
"""Orders, or rows, that one request may choose."""
LONGEST_TEXT = 2000
"""Characters of one text among the parameters: a cause of failures is the longest."""
LONGEST_RECORDED = 20_000
"""Characters of the parameters of an action that is only recorded, as JSON."""
LONGEST_PERIOD = timedelta(days=366)
"""The longest period of a dry run by hand."""
LONGEST_HOURS = LONGEST_MUTE // timedelta(hours=1)


class WrongParameters(ValueError):
    """What was asked for is impossible; the text, a Message, says why."""


def check(kind: OperatorAction.Kind, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters of an action as they are stored. Raises WrongParameters.

    A parameter that is absent, None or "" has its default. Raises TypeError for a parameter that
    this kind does not have, and for a kind that takes a password: those are errors in code.
    """
    readers = READERS.get(kind)
    if readers is None or not given.keys() <= readers.keys():
        raise TypeError(f"{kind} can't be asked for with {sorted(given)}")
    checked = {name: read(given.get(name)) for name, read in readers.items()}
    further = CONTRADICTIONS.get(kind)
    if further is not None:
        further(checked)
    return checked


def check_recorded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an action that is only recorded.

    Long ones are left out: how many of each there were stays.
    """
    if len(json.dumps(parameters, default=str)) <= LONGEST_RECORDED:
        return dict(parameters)
    return {
        name: len(value) if isinstance(value, Collection) else value
        for name, value in parameters.items()
    }


# --- readers of one parameter -------------------------------------------------------------------


def _order_id(value: object) -> int:
    is_readable = isinstance(value, int | str) and not isinstance(value, bool)
    odoo_id = parse_id(str(value)) if is_readable else None
    if odoo_id is None:
        raise WrongParameters(_('"%(text)s" is not an order id', text=_shown(value)))
    return odoo_id


def _order_ids(most: int, *, required: bool = True) -> Callable[[object], list[int]]:
    def read(value: object) -> list[int]:
        chosen = value if isinstance(value, list | tuple | set | frozenset) else ()
        if len(chosen) > most:
            raise WrongParameters(
                ngettext(
                    "Choose at most %(count)s order at once.",
                    "Choose at most %(count)s orders at once.",
                    most,
                )
            )
        ids = sorted({_order_id(one) for one in chosen})
        if not ids and required:
            raise WrongParameters(_("No order is chosen."))
        return ids

    return read


def _flag(value: object) -> bool:
    return value in (True, "1", "on", "true")


def _text(value: object) -> str:
    text = str(value or "").replace("\0", "")  # PostgreSQL refuses a NUL in JSON
    if len(text) > LONGEST_TEXT:
        raise WrongParameters(_("A text is longer than %(count)s characters.", count=LONGEST_TEXT))
    return text


def _moment(value: object) -> str | None:
    """Read the beginning of a window: a datetime, or its ISO text; TIME_ZONE without an offset."""
    if value is None or value == "":
        return None
    moment = value if isinstance(value, datetime) else parse_moment(str(value))
    if moment is None:
        raise WrongParameters(
            _('"%(text)s" is not a time: write 2026-11-24T06:00', text=_shown(value))
        )
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    if moment > timezone.now():
        text = _('"%(text)s" is in the future: nothing can have changed since', text=_shown(value))
        raise WrongParameters(text)
    return moment.isoformat()


def _key(value: object) -> int | None:
    """Read the key of one of our rows."""
    text = str(value or "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise WrongParameters(_('"%(text)s" is not a number', text=_shown(value)))
    return int(text)


def _keys(value: object) -> list[int]:
    """Read the keys of some of our rows, at least one."""
    chosen = value if isinstance(value, list | tuple) else ()
    keys = sorted({key for one in chosen[:CHOSEN_AT_ONCE] if (key := _key(one)) is not None})
    if not keys:
        raise WrongParameters(_("Nothing is chosen."))
    return keys


def _alert_key(value: object) -> str:
    key = _text(value)
    if not key:
        raise WrongParameters(_("No alert is chosen."))
    return key


def _hours(value: object) -> int:
    """Read for how long an alert is to be muted."""
    hours = _key(value) or 0
    if not 0 < hours <= LONGEST_HOURS:
        raise WrongParameters(_("Mute an alert for 1 to %(count)s hours.", count=LONGEST_HOURS))
    return hours


def _shown(value: object) -> str:
    return str(value)[:100]


# --- contradictions between parameters ----------------------------------------------------------


def _one_window(checked: dict[str, Any]) -> None:
    if checked["full"] and checked["since"]:
        raise WrongParameters(_("A full run has no window: choose one or the other."))


def _one_period(checked: dict[str, Any]) -> None:
    _one_window(checked)
    if checked["until"] is None:
        return
    if checked["since"] is None:
        raise WrongParameters(_("A period needs a beginning, too."))
    length = datetime.fromisoformat(checked["until"]) - datetime.fromisoformat(checked["since"])
    if not timedelta(0) < length <= LONGEST_PERIOD:
        raise WrongParameters(
            _(
                "A period must end after its beginning, within %(days)s days.",
                days=LONGEST_PERIOD.days,
            )
        )


def _some_or_all(checked: dict[str, Any]) -> None:
    if bool(checked["odoo_ids"]) == checked["all"]:
        raise WrongParameters(_("Choose orders, or all that are on hold."))


def _one_choice(checked: dict[str, Any]) -> None:
    if sum(bool(checked[name]) for name in ("failure", "odoo_ids", "all")) != 1:
        raise WrongParameters(_("Choose orders, a cause, or all failed orders."))


READERS: Mapping[OperatorAction.Kind, Mapping[str, Callable[[object], Any]]] = {
    Kind.COMPARE: {"odoo_id": _order_id},
    Kind.READ_AGAIN: {"odoo_ids": _order_ids(READ_AT_ONCE)},
    Kind.REPLAY: {
        "failure": _text,
        "odoo_ids": _order_ids(CHOSEN_AT_ONCE, required=False),
        "all": _flag,
    },
    Kind.RELEASE: {"odoo_ids": _order_ids(CHOSEN_AT_ONCE, required=False), "all": _flag},
    Kind.ARCHIVE: {"odoo_ids": _order_ids(CHOSEN_AT_ONCE, required=False), "all": _flag},
    Kind.RUN: {"since": _moment, "full": _flag, "force": _flag},
    Kind.DRY_RUN: {"since": _moment, "until": _moment, "full": _flag},
    Kind.MARK_DIFFERENCES: {"action": _key, "odoo_ids": _order_ids(CHOSEN_AT_ONCE)},
    Kind.STOP: {"run": _key},
    Kind.UNLOCK: {"force": _flag},
    Kind.DOCTOR: {"round_trip": _flag},
    Kind.PING: {},
    Kind.TEST_ALERT: {},
    Kind.ACKNOWLEDGE: {"alert": _alert_key},
    Kind.MUTE: {"alert": _alert_key, "hours": _hours},
    Kind.UNMUTE: {"alert": _alert_key},
    Kind.IMPORT_DEAD_LETTERS: {},
    Kind.DELETE_DEAD_LETTERS: {"letters": _keys},
}
"""The other kinds take a password, see ``actions_within_request.py``."""
CONTRADICTIONS: Mapping[OperatorAction.Kind, Callable[[dict[str, Any]], None]] = {
    Kind.REPLAY: _one_choice,
    Kind.RELEASE: _some_or_all,
    Kind.ARCHIVE: _some_or_all,
    Kind.RUN: _one_window,
    Kind.DRY_RUN: _one_period,
}
