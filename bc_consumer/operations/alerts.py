"""Alerts people to what needs them: once, and again after a day while it lasts.

Alerts are sent in ``LANGUAGE_CODE``, pages show them in their reader's language, the log in
English. ``alert_channels.py`` knows where they are sent.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from bc_consumer.core.redaction import redacted
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message
from bc_consumer.models import Alert
from bc_consumer.operations import alert_channels

logger = logging.getLogger(__name__)

AGAIN_AFTER = timedelta(days=1)


def alert(key: str, subject: Message, text: Message) -> None:
    """Log an alert, store it under ``key``, and send it unless it was sent within the last day.

    If sending fails, that is logged and tried again at the next occurrence.
    """
    subject, text = redacted(subject), redacted(text)
    logger.error("ALERT %s: %s — %s", key, subject, text)
    now = database_now()
    with transaction.atomic():
        known, created = Alert.objects.select_for_update().get_or_create(
            key=key,
            defaults={"subject": subject, "text": text, "first_at": now, "last_at": now},
        )
        if not created:
            Alert.objects.filter(key=key).update(
                subject=subject, text=text, last_at=Now(), count=F("count") + 1
            )
        due = known.mailed_at is None or not now - AGAIN_AFTER <= known.mailed_at <= now
        if due:
            Alert.objects.filter(key=key).update(mailed_at=Now())
    if due and not alert_channels.send(subject, text):
        Alert.objects.filter(key=key).update(mailed_at=None)


def amend(key: str, subject: Message, text: Message) -> None:
    """Update the text of an open alert without sending it again."""
    known = Alert.objects.filter(key=key)
    if known.update(subject=redacted(subject), text=redacted(text), last_at=Now()):
        logger.info("alert %s: %s", key, redacted(text))


def resolve_alert(key: str, subject: Message = NOTHING, text: Message = NOTHING) -> None:
    """Delete an alert whose cause is gone, so that it is sent again should it recur.

    With a ``subject``, whoever was sent the alert is sent this message as well.
    """
    was_sent = Alert.objects.filter(key=key, mailed_at__isnull=False).exists()
    if not Alert.objects.filter(key=key).delete()[0]:
        return
    logger.warning("alert %s is resolved. %s", key, text)
    if was_sent and subject:
        alert_channels.send(subject, text)
