"""Sentences that remember what they were made of, so that each reader gets them in his language.

What is raised, stored or mailed here is made long before it is read, by a process that knows no
reader. So an error, a reason, an alert is a :class:`Message`: the English sentence, and with it the
catalogue's sentence and the values in it. Logs and machines take the English one; pages, commands
and mails have it said in a language (``message_field.py``). Nothing here knows Django, for the
gateway makes messages too.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FORMERLY_BETWEEN = "\x1e"
"""Stood between the sentence and its parts when both were in one column. Migration 0030 parts them,
and what processes of the state before write until they are replaced is still read."""

Value = str | int | float
"""What stands in a sentence; a message among them is said in the reader's language, too."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a message was made of. ``plural`` is "" where nothing is counted."""

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
        """Put the values into the sentence of the catalogue that these functions read."""
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
    """An English sentence; with ``form``, one that can be said in other languages.

    Without a form it is the words of somebody else (Odoo, a driver), or of an older release: they
    are said as they are.
    """

    form: Form | None

    def __new__(cls, english: str, form: Form | None = None) -> "Message":
        """Use ``gettext``, ``ngettext``, ``joined`` or ``verbatim``."""
        message = super().__new__(cls, english)
        message.form = form
        return message

    def changed(self, change: Callable[[str], str]) -> "Message":
        """Return it with each text in it changed, as the whole sentence is.

        Where the two don't come to the same, the sentence alone is kept: what ``change`` hides must
        not come back in another language.
        """
        wanted = change(str(self))
        if self.form is None:
            return Message(wanted)
        values = {name: _changed(value, change) for name, value in self.form.values.items()}
        message = _filled(Form(self.form.msgid, values, self.form.plural, self.form.count))
        return message if str(message) == wanted else Message(wanted)

    def parts(self) -> str:
        """Return what the sentence was made of as JSON, for a column; "" where it is verbatim."""
        return "" if self.form is None else _json(self.form)


def gettext(msgid: str, /, **values: Value) -> Message:
    """Make the message of this sentence of the catalogue: «BC %(id)s is gone», id=7."""
    return _filled(Form(msgid, values))


def ngettext(msgid: str, plural: str, count: int, /, **values: Value) -> Message:
    """Make the message that counts something; its sentences may hold %(count)s."""
    return _filled(Form(msgid, {"count": count, **values}, plural, count))


def verbatim(text: str) -> Message:
    """Make a message of words that are nobody's to translate: Odoo's, a driver's, a name."""
    return text if isinstance(text, Message) else Message(text)


def joined(between: str, *messages: str) -> Message:
    """Make one message of several, leaving out empty ones."""
    values = {f"part{number}": one for number, one in enumerate(filter(None, messages))}
    if len(values) < 2:
        return verbatim(values.get("part0", ""))
    return _filled(Form(between.replace("%", "%%").join(f"%({name})s" for name in values), values))


def message_of(error: BaseException) -> Message:
    """Return what an error says: its message where it was raised with one, else its own words."""
    said = error.args[0] if error.args else None
    return said if isinstance(said, Message) else verbatim(str(error))


def read(sentence: str, parts: str) -> Message:
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
    raise TypeError(f"{fact!r} stands in no message")
