"""Where alerts are sent: every channel whose setting names a recipient is used.

To add a channel, write a function that sends a message and raises an exception on failure, add a
setting for its recipients, and list both in ``CHANNELS``.

All recipients are sent to at once, and together they get ``SECONDS``. One that fails keeps no other
from its message.
"""

import enum
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.core.mail import send_mail
from django.db import connections
from django.utils import translation
from django.utils.crypto import salted_hmac

from bc_consumer.core import apprise_channel
from bc_consumer.core.parallel_calls import call_all
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.secret_urls import shown
from bc_consumer.core.translatable import NOTHING, Message, message_of, verbatim
from bc_consumer.core.translatable_field import said

logger = logging.getLogger(__name__)

SECONDS = 10.0
"""How long a message may take to reach all recipients; who has not taken it then has failed."""
LONGEST_ERROR = 500
NAME_DIGITS = 12


class Kind(enum.Enum):
    """What a message is about; the values are apprise's types."""

    ALERT = "failure"
    OVER = "success"
    TEST = "info"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message, in the language of its readers."""

    subject: str
    """One line."""
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to send alerts."""

    setting: str
    """The setting that names the recipients; if it is empty, the channel is unused."""
    send: Callable[[Outgoing, Sequence[str]], None]
    """Send to these recipients. Raises an exception on failure."""
    each: bool = False
    """Whether each recipient is sent the message alone. Such recipients are secret URLs."""
    load: Callable[[], object] | None = None
    """Imports what sending takes. That is done before the time for sending begins."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who takes a message or refuses it: one URL, or all addresses of a channel."""

    channel: Channel
    addresses: tuple[str, ...] = field(repr=False)
    name: str
    """Stays the same while the address does; tells nothing of it."""
    label: str
    """For people and logs; tells no secret."""


@dataclass(frozen=True, slots=True)
class ChannelResult:
    """What became of a message to one recipient."""

    recipient: Recipient
    error: Message = NOTHING
    """Why it was not taken; empty if it was."""

    @property
    def label(self) -> str:
        """The recipient's name for people."""
        return self.recipient.label

    @property
    def taken(self) -> bool:
        """Whether the recipient took the message."""
        return not self.error


def _send_mail(message: Outgoing, addresses: Sequence[str]) -> None:
    send_mail(message.subject, message.text, settings.DEFAULT_FROM_EMAIL, list(addresses))


def _send_by_apprise(message: Outgoing, addresses: Sequence[str]) -> None:
    for url in addresses:
        apprise_channel.send(url, message.subject, message.text, message.kind.value)


MAIL = "ALERT_EMAILS"
CHANNELS = (
    Channel(MAIL, _send_mail),
    Channel("ALERT_URLS", _send_by_apprise, True, apprise_channel.load),
)


def recipients() -> list[Recipient]:
    """Return the recipients that the settings name, in the settings' order."""
    return [
        recipient
        for channel in CHANNELS
        if (addresses := getattr(settings, channel.setting, None))
        for recipient in _recipients_of(channel, addresses)
    ]


def _recipients_of(channel: Channel, addresses: str | Iterable[str]) -> Iterator[Recipient]:
    several = (addresses,) if isinstance(addresses, str) else tuple(addresses)
    if not channel.each:
        yield Recipient(channel, several, channel.setting, channel.setting)
        return
    for number, url in enumerate(several, 1):
        digest = salted_hmac("bc_consumer.alert_channels", url, algorithm="sha256").hexdigest()
        yield Recipient(
            channel,
            (url,),
            f"{channel.setting} {digest[:NAME_DIGITS]}",
            f"{channel.setting} {number} ({shown(url)})",
        )


def send(
    subject: Message, text: Message, kind: Kind, to: Sequence[Recipient]
) -> list[ChannelResult]:
    """Send to all of these at once, in ``LANGUAGE_CODE``; return what became of each, in order.

    Takes ``SECONDS`` at most, and before the first message a second to load apprise. Failures are
    logged.
    """
    with translation.override(settings.LANGUAGE_CODE):
        message = Outgoing(f"[BC] {said(subject)}", said(text), kind)
    for channel in {recipient.channel.setting: recipient.channel for recipient in to}.values():
        if channel.load is not None:
            channel.load()
    by_name = {recipient.name: recipient for recipient in to}
    calls = {name: _call(recipient, message) for name, recipient in by_name.items()}
    errors = call_all(calls, SECONDS)
    return [_result(recipient, errors[name], subject) for name, recipient in by_name.items()]


def _call(recipient: Recipient, message: Outgoing) -> Callable[[], None]:
    def call() -> None:
        try:
            recipient.channel.send(message, recipient.addresses)
        finally:
            connections.close_all()  # a project's own mail backend may have used one

    return call


def _result(recipient: Recipient, error: Exception | None, subject: Message) -> ChannelResult:
    if error is None:
        return ChannelResult(recipient)
    reason = redacted(message_of(error) or verbatim(type(error).__name__), LONGEST_ERROR)
    logger.error(
        'The message "%s" could not be sent by %s: %s: %s',
        subject,
        recipient.label,
        type(error).__name__,
        reason,
    )
    return ChannelResult(recipient, reason)
