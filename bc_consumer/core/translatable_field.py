"""Translates stored messages for a reader, and stores them in columns.

Pages and commands use the active language, mails ``LANGUAGE_CODE``. Logs, JSON and searches use the
English sentence, which is the message itself.
"""

from typing import Any

from django.db import models
from django.utils.translation import gettext, ngettext

from bc_consumer.core.translatable import Message, message_of, read, verbatim


def said(what: str | BaseException) -> str:
    """Return a message, or an error's message, in the active language; other texts unchanged."""
    message = message_of(what) if isinstance(what, BaseException) else what
    if not isinstance(message, Message) or message.form is None:
        return str(message)
    try:
        return message.form.filled(gettext, ngettext, said)
    except (KeyError, TypeError, ValueError):
        return str(message)  # stored by another release, whose template has other values


class MessageField(models.TextField):  # type: ignore[type-arg]
    """A text column of messages that are read in several languages. Takes and returns Messages.

    The column holds the English sentence first, so that searches, SQL and other programs find what
    they look for, then a separator, the template and its values. A plain text is stored as it is.
    """

    def deconstruct(self) -> Any:
        """Look like a plain TextField to migrations."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def from_db_value(self, value: Any, *_: object) -> Message | None:
        """Return the column's text as a message."""
        return None if value is None else read(value)

    def get_prep_value(self, value: Any) -> Any:
        """Return the text to store."""
        plain = super().get_prep_value(value)
        return verbatim(value).stored() if isinstance(value, str) else plain
