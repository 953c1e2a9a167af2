"""Says stored sentences in a reader's language, and keeps them in columns.

A page and a command read them in the active language, a mail in ``LANGUAGE_CODE``. Logs, JSON and
searches use the English sentence, which is the message itself.
"""

from typing import Any

from django.db import models
from django.utils.translation import gettext, ngettext

from bc_consumer.core.translatable import Message, message_of, read, verbatim


def said(what: str | BaseException) -> str:
    """Return a message, or what an error says, in the active language; other text as it is."""
    message = message_of(what) if isinstance(what, BaseException) else what
    if not isinstance(message, Message) or message.form is None:
        return str(message)
    try:
        return message.form.filled(gettext, ngettext, said)
    except (KeyError, TypeError, ValueError):
        return str(message)  # made by another release, whose sentence has other values in it


class MessageField(models.TextField):  # type: ignore[type-arg]
    """A text that is read in many languages. Gives Messages, and takes them.

    One column: first the English sentence, so that searches, SQL and other programs find what they
    look for; behind it, after a separator, what it was made of. A plain text stays one.
    """

    def deconstruct(self) -> Any:
        """Be a text column like any other to migrations."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def from_db_value(self, value: Any, *_: object) -> Message | None:
        """Read the column."""
        return None if value is None else read(value)

    def get_prep_value(self, value: Any) -> Any:
        """Write it."""
        plain = super().get_prep_value(value)
        return verbatim(value).stored() if isinstance(value, str) else plain
