"""Sentences that keep their template and values, so that they can be translated for each reader.

Errors, reasons and alerts are made long before they are read, by a process that knows no reader.
Each is a :class:`Message`: the English sentence plus the catalogue's template and its values. Logs
and machines use the English sentence; pages, commands and mails translate it
(``translatable_field.py``). This module does not depend on Django, because the gateway makes
messages too.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FORMERLY_BETWEEN = "\x1e"
"""Separated the sentence from its parts when both were in one column. Migration 0030 splits them.
Processes of the release before still write it until they are replaced, so it is still read."""

Value = str | int | float
"""A value in a sentence; if it is a message, it is translated too."""


@dataclass(frozen=True, slots=True)
class Form:
    """A message's template and values. ``plural`` is "" if nothing is counted."""

    msgid: str
    values: Mapping[str, Value]
    plural: str = ""
    count: int = 0

    def filled(
        self,
        gettext: Callable[[str], str],
        ngettext: Callable[[str, str, int], str],
        said: Callable[["Message"], str],
    ) -> str:
        """Return the sentence as these functions translate it, with the values filled in."""
        if self.plural:
            sentence = ngettext(self.msgid, self.plural, self.count)
        else:
            sentence = gettext(self.msgid)
        values = {
            name: said(value) if isinstance(value, Message) else value
            for name, value in self.values.items()
        }
        return sentence % values if values else sentence


class Message(str):
    """An English sentence that, if it has a ``form``, can be translated.

    Without a form it quotes somebody else (Odoo, a driver) or an older release, and is shown as it
    is.
    """

    form: Form | None

    def __new__(cls, english: str, form: Form | None = None) -> "Message":
        """Use ``gettext``, ``ngettext``, ``joined`` or ``verbatim`` instead."""
        message = super().__new__(cls, english)
        message.form = form
        return message

    def changed(self, change: Callable[[str], str]) -> "Message":
        """Return a message with ``change`` applied to the sentence and to each text in its values.

        If the results disagree, only the sentence is kept: what ``change`` hides must not reappear
        in another language.
        """
        wanted = change(str(self))
        if self.form is None:
            return Message(wanted)
        values = {name: _changed(value, change) for name, value in self.form.values.items()}
        message = _filled(Form(self.form.msgid, values, self.form.plural, self.form.count))
        return message if str(message) == wanted else Message(wanted)

    def parts(self) -> str:
        """Return the template and its values as JSON, for a column; "" for a verbatim text."""
        return "" if self.form is None else _json(self.form)


def gettext(msgid: str, /, **values: Value) -> Message:
    """Make a message from a template in the catalogue, e.g. "BC %(id)s is gone" with id=7."""
    return _filled(Form(msgid, values))


def ngettext(msgid: str, plural: str, count: int, /, **values: Value) -> Message:
    """Make a message from singular and plural templates, which may contain %(count)s."""
    return _filled(Form(msgid, {"count": count, **values}, plural, count))


def verbatim(text: str) -> Message:
    """Make a message that is never translated: Odoo's or a driver's words, a name."""
    return text if isinstance(text, Message) else Message(text)


NOTHING = verbatim("")


def joined(between: str, *messages: str) -> Message:
    """Join several messages into one, leaving out empty ones."""
    values = {f"part{number}": one for number, one in enumerate(filter(None, messages))}
    if len(values) < 2:
        return verbatim(values.get("part0", ""))
    return _filled(Form(between.replace("%", "%%").join(f"%({name})s" for name in values), values))


def first_line(message: Message) -> Message:
    """Return the first line of a message; of several joined ones the first, with its parts."""
    if message.form is not None and not message.form.plural:
        head, newline, _rest = message.form.msgid.partition("\n")
        first = _filled(Form(head, message.form.values)) if newline else message
        if isinstance(part := message.form.values.get("part0"), Message) and str(part) == first:
            return first_line(part)
        if "\n" not in first:
            return first
    return message.changed(lambda text: text.partition("\n")[0])


def message_of(error: BaseException) -> Message:
    """Return an error's message: the one it was raised with, else its text verbatim."""
    said = error.args[0] if error.args else None
    return said if isinstance(said, Message) else verbatim(str(error))


def stored_message(sentence: str, parts: str) -> Message:
    """Join what two columns hold.

    Parts that don't make this very sentence (SQL has written one of the two alone; they are
    damaged) are left out: then it is verbatim.
    """
    former, _between, behind = sentence.partition(FORMERLY_BETWEEN)
    for english, made_of in ((sentence, parts), (former, behind)):
        message = _made_of(made_of) if made_of else None
        if message == english:
            return message
    return Message(sentence)


def _made_of(parts: str) -> Message | None:
    try:
        return _filled(_form(json.loads(parts)))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _filled(form: Form) -> Message:
    def english(msgid: str) -> str:
        return msgid

    def counted(msgid: str, plural: str, count: int) -> str:
        return msgid if count == 1 else plural

    return Message(form.filled(english, counted, str), form)


def _changed(value: Value, change: Callable[[str], str]) -> Value:
    if isinstance(value, Message):
        return value.changed(change)
    return change(value) if isinstance(value, str) else value


def _json(form: Form) -> str:
    return json.dumps(_facts(form), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _facts(form: Form) -> dict[str, Any]:
    facts: dict[str, Any] = {"msgid": form.msgid}
    if form.values:
        facts["values"] = {
            name: _facts(value.form) if isinstance(value, Message) and value.form else value
            for name, value in form.values.items()
        }
    return facts | ({"plural": form.plural, "count": form.count} if form.plural else {})


def _form(facts: dict[str, Any]) -> Form:
    values = {name: _value(value) for name, value in facts.get("values", {}).items()}
    return Form(str(facts["msgid"]), values, facts.get("plural", ""), facts.get("count", 0))


def _value(fact: Any) -> Value:
    if isinstance(fact, dict):
        return _filled(_form(fact))
    if isinstance(fact, str | int | float):
        return fact
    raise TypeError(f"{fact!r} can't be a value of a message")
