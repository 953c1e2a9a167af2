"""Alerts people to what needs them: once, and again after a day while it lasts.

Alerts are sent in ``LANGUAGE_CODE``, pages show them in their reader's language, the log in
English. ``alert_channels.py`` knows where they are sent.

An alert lasts from its first occurrence until its cause has been gone for
``ALERT_COOL_DOWN_MINUTES``. Only then is it over, and is that sent to those who got the alert: a
cause that comes and goes gives one message when it begins and one when it has ended. The sweeps of
workers and schedulers send the latter (``send_what_waits``).

Alerts that begin within ``ALERT_GROUP_SECONDS`` are one message: one trouble often raises several.
The first one waits for so long, unless no worker or scheduler is alive that could send it then. The
process that raised it sends them; a sweep does, where that process has ended.

A recipient who has not taken an alert is sent it again; others are not sent it twice. Whoever has
acknowledged an alert takes care of it, so it is not repeated. One that is muted is not sent at all,
and stays muted when it is over and recurs.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import translation

from bc_consumer.core import process_state
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message, ngettext, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable_field import said
from bc_consumer.models import Alert, Heartbeat
from bc_consumer.operations import alert_channels, heartbeats
from bc_consumer.operations.alert_channels import ChannelResult, Kind, Recipient

logger = logging.getLogger(__name__)
_timer = threading.Lock()
"""Held by the thread that sends this process's alerts when they have waited."""

TRY_AGAIN_AFTER = timedelta(minutes=1)
"""Before somebody who did not take a message is tried again. A channel that is away takes
``alert_channels.SECONDS`` of a worker's time, and some alerts occur every second."""
TRIED_FOR = timedelta(hours=1)
"""How long a message is tried, from the alert's latest occurrence, or from its end, on."""
LONGEST_MUTE = timedelta(days=90)
MOMENT = timedelta(seconds=0.25)
"""A thread that has waited for the whole period finds an alert that is younger by a moment."""
LONGEST_NAME = 150
"""Characters of who acknowledged or muted an alert."""


# --- alerts begin and end -----------------------------------------------------------------------


def alert(key: str, subject: Message, text: Message) -> None:
    """Log an alert, store it under ``key``, and send it to whoever is due to get it.

    If sending fails, that is logged and tried again: by sweeps, each minute within the next hour,
    and at later occurrences.
    """
    subject, text = redacted(subject), redacted(text)
    logger.error("ALERT %s: %s — %s", key, subject, text)
    with transaction.atomic():
        due = _record(key, subject, text)
    if not due:
        return
    if _wait_for_others(key):
        _send_in_time()
    else:
        _note_results(key, alert_channels.send(subject, text, Kind.ALERT, due))


def _record(key: str, subject: Message, text: Message) -> list[Recipient]:
    """Store the occurrence; return those whom the caller, and nobody else, must send the alert."""
    now = database_now()
    known, created = Alert.known.select_for_update().get_or_create(
        key=key, defaults={"subject": subject, "text": text, "first_at": now, "last_at": now}
    )
    if not created:
        known.subject, known.text, known.last_at = subject, text, now
        if known.resolved_at is None or _is_within(_cool_down(), known.resolved_at, now):
            known.count += 1
        else:
            _begin_anew(known, now)
        known.resolved_at, known.over_subject, known.over_text = None, NOTHING, NOTHING
    due = _due_recipients(known, now)
    if due:
        known.tried_at = now
    if due or not created:
        known.save()
    return due


def _wait_for_others(key: str) -> bool:
    """Let this alert wait; return False where it is to be sent at once.

    Whoever is alive sends what waits: this process, or a worker's or scheduler's sweep.
    """
    alive = heartbeats.alive()
    if not settings.ALERT_GROUP_SECONDS or not (
        alive[Heartbeat.Kind.WORKER] or alive[Heartbeat.Kind.SCHEDULER]
    ):
        return False
    waits = Coalesce("waits_since", Now())
    Alert.known.filter(key=key).update(waits_since=waits, tried_at=None)
    return True


def _send_in_time() -> None:
    """Send what waits when it is time, in a thread, if this process goes on; one is enough."""
    if not process_state.has_heartbeat.is_set() or not _timer.acquire(blocking=False):
        return

    def wait_and_send() -> None:
        process_state.stopping.wait(settings.ALERT_GROUP_SECONDS)
        _timer.release()  # before looking: what begins to wait from now on has a thread of its own
        try:
            _send_what_waits_for_others()
        except DatabaseFailure as error:
            logger.warning("alerts wait for the database: %s", error)
        except Exception:
            logger.exception("the waiting alerts could not be sent; a sweep will try again")
        finally:
            connection.close()

    threading.Thread(target=wait_and_send, name="alerts", daemon=True).start()


def _send_what_waits_for_others() -> None:
    """Send all alerts that wait as one message, once the first has waited for long enough."""
    now = database_now()
    period = timedelta(seconds=settings.ALERT_GROUP_SECONDS)
    if not Alert.known.filter(waits_since__isnull=False).exists():
        return
    with transaction.atomic():
        waiting = list(
            Alert.known.select_for_update().filter(waits_since__isnull=False).order_by("key")
        )
        # One that lies ahead began to wait before the clock was set back.
        if all(_is_within(period - MOMENT, known.waits_since, now) for known in waiting):
            return
        to: dict[str, list[Recipient]] = {}
        for known in waiting:
            known.waits_since = None
            to[known.key] = _due_recipients(known, now)
            known.tried_at = now if to[known.key] else known.tried_at
            known.save(update_fields=["waits_since", "tried_at"])
    results: dict[str, list[ChannelResult]] = {key: [] for key in to}
    for recipients, alerts in _by_recipients(waiting, to):
        taken = alert_channels.send(*_one_message(alerts), Kind.ALERT, recipients)
        for known in alerts:
            results[known.key] += taken
    for key, of_alert in results.items():
        if of_alert:
            _note_results(key, of_alert)


def _by_recipients(
    waiting: Sequence[Alert], to: Mapping[str, Sequence[Recipient]]
) -> list[tuple[list[Recipient], list[Alert]]]:
    """Return who gets which alerts: those who get the same ones get the same message."""
    groups: dict[tuple[str, ...], list[Recipient]] = {}
    for recipient in {one.name: one for some in to.values() for one in some}.values():
        keys = tuple(key for key, some in to.items() if recipient in some)
        groups.setdefault(keys, []).append(recipient)
    by_key = {known.key: known for known in waiting}
    return [(some, [by_key[key] for key in keys]) for keys, some in groups.items()]


def _one_message(alerts: Sequence[Alert]) -> tuple[Message, Message]:
    """Return subject and text of a message about these alerts: a line for each, oldest first."""
    if len(alerts) == 1:
        return alerts[0].subject, alerts[0].text
    with translation.override(settings.LANGUAGE_CODE):
        oldest_first = sorted(alerts, key=lambda known: (known.first_at, known.key))
        subjects = [said(known.subject) or known.key for known in oldest_first]
        count = ngettext("%(count)s alert", "%(count)s alerts", len(alerts))
        lines = [
            f"• {subject}: {' '.join(said(known.text).split())}"
            for subject, known in zip(subjects, oldest_first, strict=True)
        ]
        return verbatim(f"{said(count)}: {', '.join(subjects)}"), verbatim("\n".join(lines))


def _begin_anew(known: Alert, now: datetime) -> None:
    """Make the row that of a new alert, which nobody has been sent. It stays muted."""
    known.first_at, known.count = now, 1
    known.mailed_at, known.sent, known.tried_at = None, {}, None
    known.acknowledged_at, known.acknowledged_by = None, ""


def _due_recipients(known: Alert, now: datetime) -> list[Recipient]:
    if known.acknowledged_at is not None or is_muted(known, now):
        return []
    if _is_within(TRY_AGAIN_AFTER, known.tried_at, now):
        return []  # somebody is sending it, or a channel failed a moment ago
    again_after = timedelta(hours=settings.ALERT_AGAIN_HOURS)
    taken = _taken(known)
    return [
        recipient
        for recipient in alert_channels.recipients()
        if recipient.name not in taken
        or (again_after and not _is_within(again_after, taken[recipient.name], now))
    ]


def _taken(known: Alert) -> dict[str, datetime]:
    """Return who has taken the alert, and when they last did."""
    if known.mailed_at is not None and not known.sent:
        return {alert_channels.MAIL: known.mailed_at}  # by a process of the release before
    return {name: datetime.fromtimestamp(at, UTC) for name, at in known.sent.items()}


def _note_results(key: str, results: Sequence[ChannelResult]) -> None:
    """Store who took the alert. Whoever did not is tried again later."""
    with transaction.atomic():
        known = Alert.known.select_for_update().filter(key=key).first()
        if known is None:
            return
        now = database_now()
        before = {name: at.timestamp() for name, at in _taken(known).items()}
        taken = {one.recipient.name: now.timestamp() for one in results if one.taken}
        known.sent = before | taken
        known.mailed_at = now if taken else known.mailed_at
        known.tried_at = None if len(taken) == len(results) else known.tried_at
        known.save(update_fields=["sent", "mailed_at", "tried_at"])


def _cool_down() -> timedelta:
    return timedelta(minutes=settings.ALERT_COOL_DOWN_MINUTES)


def _is_within(period: timedelta, moment: datetime | None, now: datetime) -> bool:
    """Return whether ``moment`` lies within the last ``period``, and not ahead of now."""
    return moment is not None and now - period <= moment <= now


def amend(key: str, subject: Message, text: Message) -> None:
    """Update the text of an open alert without sending it again."""
    known = Alert.objects.filter(key=key)
    if known.update(subject=redacted(subject), text=redacted(text), last_at=Now()):
        logger.info("alert %s: %s", key, redacted(text))


def resolve_alert(key: str, subject: Message = NOTHING, text: Message = NOTHING) -> None:
    """End an alert whose cause is gone.

    With a ``subject``, whoever was sent the alert is sent this message as well, once the cause has
    been gone for ``ALERT_COOL_DOWN_MINUTES``.
    """
    ended = Alert.objects.filter(key=key).update(
        resolved_at=Now(), over_subject=redacted(subject), over_text=redacted(text)
    )
    if not ended:
        return
    logger.warning("alert %s is resolved. %s", key, text)
    if not settings.ALERT_COOL_DOWN_MINUTES:
        send_what_waits()


def send_what_waits() -> None:
    """Send what could not be sent before, and announce the end of alerts that have been over long
    enough.

    Raises Django's database errors. Messages that can't be sent are tried again a minute later.
    """
    _send_what_waits_for_others()
    now = database_now()
    untaken = Alert.objects.filter(
        tried_at__lte=now - TRY_AGAIN_AFTER, last_at__gte=now - TRIED_FOR
    )
    for key in list(untaken.values_list("key", flat=True)):
        _send_again(key)
    quiet = Q(resolved_at__lte=now - _cool_down()) | Q(resolved_at__gt=now)
    over = Alert.known.filter(quiet).exclude(over_subject="").order_by("resolved_at")
    for key in list(over.values_list("key", flat=True)):
        _send_that_it_is_over(key)


def _send_again(key: str) -> None:
    """Send an open alert to whoever has not taken it."""
    with transaction.atomic():
        known = Alert.objects.select_for_update().filter(key=key).first()
        if known is None or _is_within(TRY_AGAIN_AFTER, known.tried_at, database_now()):
            return
        due = _due_recipients(known, database_now())
        known.tried_at = database_now() if due else None
        known.save(update_fields=["tried_at"])
    if due:
        results = alert_channels.send(known.subject, known.text, Kind.ALERT, due)
        _note_results(key, results)


def _send_that_it_is_over(key: str) -> None:
    with transaction.atomic():
        ended = Alert.known.select_for_update().filter(key=key, resolved_at__isnull=False)
        known = ended.exclude(over_subject="").filter(waits_since=None).first()
        now = database_now()
        if known is None or _is_within(TRY_AGAIN_AFTER, known.tried_at, now):
            return
        taken = _taken(known)
        to = [one for one in alert_channels.recipients() if one.name in taken]
        in_time = _is_within(_cool_down() + TRIED_FOR, known.resolved_at, now)
        if not to or not in_time or is_muted(known, now):
            _forget_recipients(known)
            return
        known.tried_at = now
        known.save(update_fields=["tried_at"])
    results = alert_channels.send(known.over_subject, known.over_text, Kind.OVER, to)
    with transaction.atomic():
        ended = Alert.known.select_for_update().filter(key=key, resolved_at=known.resolved_at)
        known = ended.first()
        if known is None:
            return  # it has recurred meanwhile
        if all(one.taken for one in results):
            _forget_recipients(known)
            return
        failed = {one.recipient.name for one in results if not one.taken}
        known.sent = {name: at for name, at in known.sent.items() if name in failed}
        known.save(update_fields=["sent"])


def _forget_recipients(known: Alert) -> None:
    known.over_subject, known.over_text = NOTHING, NOTHING
    known.mailed_at, known.sent, known.tried_at = None, {}, None
    known.save()


# --- what people do about them ------------------------------------------------------------------


def acknowledge(key: str, who: str) -> bool:
    """Note that somebody takes care of an open alert: it is not repeated while it lasts.

    Return False if no alert of this key is open.
    """
    by = redacted(who, LONGEST_NAME)
    if not Alert.objects.filter(key=key).update(acknowledged_at=Now(), acknowledged_by=by):
        return False
    logger.warning("alert %s was acknowledged by %s", key, by)
    return True


def mute(key: str, until: datetime, who: str) -> bool:
    """Send nothing about this alert until then, not even if it ends and begins again.

    Return False if no alert of this key is known. Raises ValueError if ``until`` is not in the
    future, or lies more than ``LONGEST_MUTE`` ahead.
    """
    now = database_now()
    if not now < until <= now + LONGEST_MUTE:
        raise ValueError(
            _(
                "an alert can be muted until a time within the next %(days)s days",
                days=LONGEST_MUTE.days,
            )
        )
    by = redacted(who, LONGEST_NAME)
    if not Alert.known.filter(key=key).update(muted_until=until, muted_by=by):
        return False
    logger.warning("alert %s was muted until %s by %s", key, until.isoformat(), by)
    return True


def unmute(key: str) -> bool:
    """Send this alert again from now on. Return False if it is not muted."""
    muted = Alert.known.filter(key=key, muted_until__isnull=False)
    if not muted.update(muted_until=None, muted_by=""):
        return False
    logger.warning("alert %s is no longer muted", key)
    return True


def is_muted(known: Alert, now: datetime) -> bool:
    """Return whether nothing is sent about this alert, by the database's time."""
    until = known.muted_until
    # A time further ahead was set before the database's clock was set back.
    return until is not None and now < until <= now + LONGEST_MUTE


def muted_and_resolved() -> QuerySet[Alert]:
    """Return the alerts that are muted and not open; ``Alert.objects`` has the open ones."""
    return Alert.known.filter(resolved_at__isnull=False, muted_until__gt=Now()).order_by("key")


def send_test_alert() -> list[ChannelResult]:
    """Send a test message by every channel; return what became of each, within some ten seconds.

    The list is empty if the settings name no recipient.
    """
    text = _("This is a test: alerts about the copy of Odoo's orders arrive here. All is well.")
    return alert_channels.send(_("test alert"), text, Kind.TEST, alert_channels.recipients())
