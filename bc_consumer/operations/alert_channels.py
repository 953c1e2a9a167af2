"""Where alerts go: each channel is used where its setting names somebody.

A channel more is a function here and its setting: write what sends ``subject`` and ``text``, raise
OSError or ValueError where that fails, and name both in ``CHANNELS``.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import send_mail
from django.utils import translation

from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable_field import said

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to tell people."""

    setting: str
    """Whom it tells; empty: nobody."""
    send: Callable[[str, str], None]
    """Send a subject of one line, and a text. Raises OSError and ValueError."""


def _send_mail(subject: str, text: str) -> None:
    send_mail(f"[BC] {subject}", text, settings.DEFAULT_FROM_EMAIL, settings.ALERT_EMAILS)


CHANNELS = (Channel("ALERT_EMAILS", _send_mail),)


def channels_in_use() -> list[Channel]:
    """Return the channels whose setting names somebody."""
    return [channel for channel in CHANNELS if getattr(settings, channel.setting, None)]


def send(subject: Message, text: Message) -> bool:
    """Tell people by every channel in use, in ``LANGUAGE_CODE``; return whether all have taken it.

    What a channel can't send is logged.
    """
    with translation.override(settings.LANGUAGE_CODE):
        told, body = said(subject), said(text)
    taken = [_sent(channel, told, body) for channel in channels_in_use()]  # each is tried
    return all(taken)


def _sent(channel: Channel, subject: str, text: str) -> bool:
    try:
        channel.send(subject, text)
    except (OSError, ValueError):  # a login that is not ASCII, a newline in a subject
        logger.exception("The alert «%s» could not be sent by %s", subject, channel.setting)
        return False
    return True
