"""Tells people what needs them, once: until it is over, or a day later.

What is sent is in ``LANGUAGE_CODE``, pages are in their reader's language, the log is in English.
``alert_channels.py`` knows where alerts go.
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
    """Log it, remember it under ``key``, and send it unless that was done within a day.

    What cannot be sent is logged and tried again with the next occurrence.
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
    """Let a standing alert say what is so now; nobody is told anew."""
    known = Alert.objects.filter(key=key)
    if known.update(subject=redacted(subject), text=redacted(text), last_at=Now()):
        logger.info("alert %s: %s", key, redacted(text))


def over(key: str, subject: Message = NOTHING, text: Message = NOTHING) -> None:
    """Forget an alert whose cause is gone; should it come back, it is sent again.

    With a ``subject``, whoever was sent the alert is sent this too.
    """
    was_sent = Alert.objects.filter(key=key, mailed_at__isnull=False).exists()
    if not Alert.objects.filter(key=key).delete()[0]:
        return
    logger.warning("alert %s is over. %s", key, text)
    if was_sent and subject:
        alert_channels.send(subject, text)
