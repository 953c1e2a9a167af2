"""Translates stored messages for a reader, and stores them in columns.

Pages and commands use the active language, mails ``LANGUAGE_CODE``. Logs, JSON and searches use the
English sentence, which is the message itself.
"""

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from django.db import models
from django.db.models.query_utils import DeferredAttribute
from django.utils.translation import gettext, ngettext

from bc_consumer.core.translatable import Message, message_of, stored_message, verbatim

PARTS = "_parts"
_Row_co = TypeVar("_Row_co", bound=models.Model, covariant=True)


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

    It has two columns: ``error`` holds the English sentence alone, for searches, SQL and other
    programs; ``error_parts``, which this field adds to the model, holds its template and values.
    The model must be a :class:`MessageModel`: whatever writes the sentence then writes its parts.
    """

    @property
    def parts_name(self) -> str:
        """The name of the column beside it."""
        return f"{self.name}{PARTS}"

    def contribute_to_class(
        self, cls: type[models.Model], name: str, private_only: bool = False
    ) -> None:
        """Add the column of the parts, too."""
        super().contribute_to_class(cls, name, private_only)
        # The default is also the database's: processes of the release before write rows meanwhile.
        parts = PartsField(default="", db_default="", editable=False)
        parts.contribute_to_class(cls, self.parts_name)

    def deconstruct(self) -> Any:
        """Look like a plain TextField to migrations."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def from_db_value(self, value: Any, *_: object) -> "_Sentence | None":
        """Return the column's text, which is half of a message."""
        return None if value is None else _Sentence(value)

    def get_prep_value(self, value: Any) -> Any:
        """Return the sentence to store."""
        plain = super().get_prep_value(value)
        return str(plain) if isinstance(plain, str) else plain


class PartsField(models.TextField):  # type: ignore[type-arg]
    """What the sentence in the column beside it was made of, as JSON; "" for a verbatim one."""

    @property
    def sentence_name(self) -> str:
        """The name of the column beside it."""
        return str(self.name).removesuffix(PARTS)

    def deconstruct(self) -> Any:
        """Be a text column like any other to migrations."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs


class _Sentence(str):
    """What a MessageField's own column holds, not joined with its parts yet."""


class _MessageAttribute(DeferredAttribute):
    """A row's message: joined of both columns when it is first asked for."""

    field: MessageField

    def __get__(self, row: models.Model | None, owner: type[models.Model] | None = None) -> Any:
        value = super().__get__(row, owner)
        if row is not None and isinstance(value, _Sentence):
            value = stored_message(value, getattr(row, self.field.parts_name))
            row.__dict__[self.field.attname] = value
        return value

    def __set__(self, row: models.Model, value: Any) -> None:
        if not isinstance(value, _Sentence):
            value = verbatim(value) if isinstance(value, str) else value
            row.__dict__[self.field.parts_name] = ""  # loaded; the message itself tells its parts
        row.__dict__[self.field.attname] = value


class _PartsAttribute(DeferredAttribute):
    """The parts of the row's message, whoever has set it."""

    field: PartsField

    def __get__(self, row: models.Model | None, owner: type[models.Model] | None = None) -> Any:
        message = None if row is None else row.__dict__.get(self.field.sentence_name)
        return message.parts() if isinstance(message, Message) else super().__get__(row, owner)

    def __set__(self, row: models.Model, value: Any) -> None:
        row.__dict__[self.field.attname] = value
        message = row.__dict__.get(self.field.sentence_name)
        if value and isinstance(message, Message):  # both were given, as loaddata does
            row.__dict__[self.field.sentence_name] = stored_message(message, value)


MessageField.descriptor_class = _MessageAttribute
PartsField.descriptor_class = _PartsAttribute


class MessageQuerySet(models.QuerySet[_Row_co]):
    """Rows with messages: what writes a sentence writes its parts. For ``objects``."""

    def update(self, **values: Any) -> int:
        """Write the parts of each sentence, too; of an expression none are known."""
        parts = {
            field.parts_name: verbatim(value).parts() if isinstance(value, str) else ""
            for name, value in values.items()
            if (field := _message_field(self.model, name)) is not None
        }
        return super().update(**parts | values)

    def bulk_create(  # noqa: PLR0917 (Django's signature)
        self,
        objs: Iterable[_Row_co],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[_Row_co]:
        """Update the parts of each sentence, too."""
        names = _with_parts(self.model, update_fields)
        return super().bulk_create(
            objs, batch_size, ignore_conflicts, update_conflicts, names, unique_fields
        )

    def bulk_update(self, objs: Any, fields: Any, *args: Any, **more: Any) -> int:
        """Update the parts of each sentence, too."""
        return super().bulk_update(objs, _with_parts(self.model, fields) or (), *args, **more)


class MessageModel(models.Model):
    """A table with messages, whose ``objects`` are of MessageQuerySet: both write both columns."""

    class Meta:
        abstract = True

    def save(self, *args: Any, update_fields: Any = None, **more: Any) -> None:
        """Save the parts of each sentence, too."""
        super().save(*args, update_fields=_with_parts(type(self), update_fields), **more)


def _message_field(model: type[models.Model], name: str) -> MessageField | None:
    for field in model._meta.concrete_fields:
        if field.name == name and isinstance(field, MessageField):
            return field
    return None


def _with_parts(model: type[models.Model], names: Iterable[str] | None) -> list[str] | None:
    """Add to these names of columns those of their parts."""
    if names is None:
        return None
    wanted = list(names)
    fields = [_message_field(model, name) for name in wanted]
    return list(dict.fromkeys([*wanted, *(field.parts_name for field in fields if field)]))
