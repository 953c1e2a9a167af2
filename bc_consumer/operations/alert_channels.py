"""Where alerts are sent: every channel whose setting names a recipient is used.

To add a channel, write a function that sends ``subject`` and ``text`` and raises OSError or
ValueError on failure, add a setting for its recipients, and list both in ``CHANNELS``.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import send_mail
from django.utils import translation

from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable_field import said

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to send alerts."""

    setting: str
    """The setting that names the recipients; if it is empty, the channel is unused."""
    send: Callable[[str, str], None]
    """Send a one-line subject and a text. Raises OSError or ValueError on failure."""


def _send_mail(subject: str, text: str) -> None:
    send_mail(f"[BC] {subject}", text, settings.DEFAULT_FROM_EMAIL, settings.ALERT_EMAILS)


CHANNELS = (Channel("ALERT_EMAILS", _send_mail),)


def channels_in_use() -> list[Channel]:
    """Return the channels whose setting names a recipient."""
    return [channel for channel in CHANNELS if getattr(settings, channel.setting, None)]


def send(subject: Message, text: Message) -> bool:
    """Send by every channel in use, in ``LANGUAGE_CODE``; return whether all of them succeeded.

    Failures are logged.
    """
    with translation.override(settings.LANGUAGE_CODE):
        told, body = said(subject), said(text)
    taken = [_sent(channel, told, body) for channel in channels_in_use()]  # try each of them
    return all(taken)


def send_test() -> bool:
    """Send a test alert by every channel in use; return whether all of them succeeded."""
    return send(
        _("a test alert"),
        _("An operator has asked for it. Nothing is wrong, and nothing has to be done."),
    )


def _sent(channel: Channel, subject: str, text: str) -> bool:
    try:
        channel.send(subject, text)
    except (OSError, ValueError):  # a login that is not ASCII, a newline in a subject
        logger.exception('The alert "%s" could not be sent by %s', subject, channel.setting)
        return False
    return True
