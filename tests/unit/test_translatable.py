"""Messages: English for whoever logs and searches, any language for whoever reads."""

import ast
import inspect
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.utils.translation import override

from bc_consumer import odoo
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.translatable import (
    FORMERLY_BETWEEN,
    Message,
    gettext,
    joined,
    message_of,
    ngettext,
    stored_message,
    verbatim,
)
from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet, said
from bc_consumer.odoo import domains, errors
from bc_consumer.reconciliation import lock
from bc_consumer.reconciliation.lock import LockLost
from bc_consumer.reconciliation.run_findings import Braked
from bc_consumer.refresh import error_policy, mapping
from tests.catalogue import Translate, translate  # noqa: F401 - a fixture

SOURCES = Path(inspect.getfile(odoo)).parents[1]
GONE = gettext("BC %(id)s of %(partner)s: %(why)s", id=7, partner="Dupont", why=gettext("gone"))


@pytest.fixture
def _french(translate: Translate) -> None:  # noqa: F811
    translate("BC %(id)s of %(partner)s: %(why)s", "%(partner)s, BC %(id)s : %(why)s")
    translate("gone", "disparu")
    translate("it said %(text)s", "dit : %(text)s")
    translate("%(count)s order lost", "%(count)s bon perdu", "%(count)s bons perdus")


@pytest.mark.usefixtures("_french")
def test_each_reader_gets_his_language_from_one_and_the_same_message() -> None:
    assert GONE == "BC 7 of Dupont: gone"
    with override("fr"):
        assert said(GONE) == "Dupont, BC 7 : disparu"
        assert f"{GONE}" == str(GONE) == "BC 7 of Dupont: gone", "logs and searches stay English"
    with override("en"):
        assert said(GONE) == "BC 7 of Dupont: gone"


@pytest.mark.usefixtures("_french")
def test_what_is_counted_follows_the_language_s_own_plural() -> None:
    lost = [ngettext("%(count)s order lost", "%(count)s orders lost", n) for n in (0, 1, 2)]
    assert lost == ["0 orders lost", "1 order lost", "2 orders lost"]
    with override("fr"):
        assert [said(one) for one in lost] == ["0 bon perdu", "1 bon perdu", "2 bons perdus"]


@pytest.mark.usefixtures("_french")
def test_several_are_joined_and_each_is_said_in_the_language() -> None:
    both = joined("\n", "50 % done", verbatim(""), GONE)
    assert both == "50 % done\nBC 7 of Dupont: gone"
    with override("fr"):
        assert said(both) == "50 % done\nDupont, BC 7 : disparu"
    assert joined("\n") == joined("\n", "") == ""
    assert joined("\n", GONE) is GONE


@pytest.mark.parametrize(
    "message", [GONE, ngettext("%(count)s a", "%(count)s b", 2), joined(", ", GONE, "é")]
)
@pytest.mark.usefixtures("_french")
def test_two_columns_give_back_what_was_put_into_them(message: Message) -> None:
    again = stored_message(str(message), message.parts())
    assert (again, again.form) == (message, message.form)
    with override("fr"):
        assert said(again) == said(message)
    assert pickle.loads(pickle.dumps(again)).form == message.form  # noqa: S301 (our own)


@pytest.mark.parametrize(
    "damaged",
    [
        "", "{", "[1]", "{}", '{"msgid": "a", "values": 3}', '{"msgid":"a","values":{"b":[]}}',
        '{"msgid":"%(a)d","values":{"a":"b"}}',
    ],
)  # fmt: skip
def test_old_and_damaged_texts_are_shown_as_they_are(damaged: str) -> None:
    kept = stored_message("the sentence", damaged)
    assert (str(kept), kept.form, said(kept)) == ("the sentence", None, "the sentence")


def test_parts_of_another_sentence_are_left_out() -> None:
    """Somebody's SQL, or a process of the release before, has written one column alone."""
    kept = stored_message("by hand", GONE.parts())
    assert (str(kept), kept.form) == ("by hand", None)
    assert stored_message("", GONE.parts()).form is None


def test_what_the_release_before_writes_into_one_column_is_read() -> None:
    glued = stored_message(f"{GONE}{FORMERLY_BETWEEN}{GONE.parts()}", "")
    assert (glued, glued.form) == (GONE, GONE.form)
    stale = stored_message(f"{GONE}{FORMERLY_BETWEEN}{GONE.parts()}", gettext("another").parts())
    assert (stale, stale.form) == (GONE, GONE.form)


def test_words_of_others_are_never_taken_for_a_message() -> None:
    forged = f'x{FORMERLY_BETWEEN}{{"msgid":"all is well"}}'
    assert verbatim(forged).parts() == ""
    assert said(stored_message(forged, "")) == forged


def test_a_sentence_of_another_release_is_said_in_english(translate: Translate) -> None:  # noqa: F811
    translate("BC %(id)s of %(partner)s: %(why)s", "%(supplier)s : %(why)s")
    with override("fr"):
        assert said(GONE) == "BC 7 of Dupont: gone"


@pytest.mark.usefixtures("_french")
def test_rule_12_values_lose_their_secrets_in_every_language(settings: LazySettings) -> None:
    settings.ODOO_PASSWORD = "Zq7Xw0pLm4Tn2Rb8"
    inner = gettext("it said %(text)s", text="bad Zq7Xw0pLm4Tn2Rb8")
    message = redacted(gettext("BC %(id)s of %(partner)s: %(why)s", id=7, partner="D", why=inner))
    assert message == "BC 7 of D: it said bad ***"
    assert "Zq7Xw0pLm4Tn2Rb8" not in message + message.parts()
    with override("fr"):
        assert said(message) == "D, BC 7 : dit : bad ***"
    # Hidden by its place, which only the whole sentence shows: said in English alone, then.
    torn = redacted(gettext("password=%(value)s", value="hunter2hunter2"))
    assert "hunter2hunter2" not in torn + torn.parts()
    assert torn.form is None


def test_an_error_says_what_it_was_raised_with() -> None:
    fault = odoo.OdooFault("of Odoo itself", code=2, model="purchase.order", method="read")
    assert str(fault) == "Odoo fault 2 in purchase.order.read: of Odoo itself"
    assert message_of(fault).form is not None
    assert message_of(ValueError("x")) == "x"
    assert message_of(ValueError("x")).form is None


# --- nobody adds a text that only English readers understand ----------------------------------

TELLING = (
    *(one for _name, one in inspect.getmembers(errors, inspect.isclass)
      if issubclass(one, errors.OdooError)),
    mapping.MappingError, mapping._Unfit, domains.DomainError, error_policy.UnreadableOrders,
    error_policy.NotReadable, LockLost, Braked, lock.Interrupted,
)  # fmt: skip
TOLD_BY = {one.__name__ for one in TELLING} | {"alert", "over"}
KEYS = {"alert", "over"}
"""Of these the first argument is a key, which nobody reads."""
COLUMNS = {
    field.name
    for model in apps.get_app_config("bc_consumer").get_models()
    for field in model._meta.get_fields()
    if isinstance(field, MessageField)
}


def untold(source: str) -> Iterator[str]:
    """Give what is raised, alerted to or stored as a plain text, and so in English for ever."""
    for node in ast.walk(ast.parse(source)):
        for place, value in _branches(_texts(node)):
            plain = isinstance(value, ast.JoinedStr | ast.BinOp) or (
                isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value
            )
            turned = isinstance(value, ast.Call) and ast.unparse(value.func) == "str"
            if plain or turned:
                yield f"line {value.lineno}, {place}: {ast.unparse(value)}"


def _branches(texts: Iterator[tuple[str, ast.expr]]) -> Iterator[tuple[str, ast.expr]]:
    for place, value in texts:
        if isinstance(value, ast.IfExp):
            yield from ((place, one) for one in (value.body, value.orelse))
        else:
            yield place, value


def _texts(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        targets = [one for one in node.targets if isinstance(one, ast.Attribute)]
        yield from ((one.attr, node.value) for one in targets if one.attr in COLUMNS)
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func).rpartition(".")[2]
    if name in TOLD_BY:
        yield from ((name, one) for one in node.args[name in KEYS :])
    if name in {"update", "create", "get_or_create", "journal_entry", "put_off", "hold"}:
        yield from ((str(one.arg), one.value) for one in node.keywords if one.arg in COLUMNS)


def test_nothing_that_is_stored_or_mailed_is_in_english_alone() -> None:
    found = {
        str(path.relative_to(SOURCES)): texts
        for path in SOURCES.rglob("*.py")
        if "migrations" not in path.parts and (texts := list(untold(path.read_text())))
    }
    assert not found, f"make these messages (core/translatable.py): {json.dumps(found, indent=1)}"
    assert len(TELLING) > 20
    assert {
        "error", "notes", "last_error", "held_reason", "reason", "why", "subject", "text",
        "over_subject", "over_text", "outcome",
    } == COLUMNS  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        'raise OdooRefused("wrong")', 'raise OdooRefused(f"wrong {x}")', "raise Braked(str(x))",
        'alert("key", "subject", text)', 'alert(key, subject, f"{x} y")', 'run.error = "bad"',
        'rows.update(error="bad")', 'run.error = told if told else "bad"',
        'odoo.OdooTimeout("late" + x)',
    ],
)  # fmt: skip
def test_such_a_text_is_found(line: str) -> None:
    assert list(untold(line))


@pytest.mark.parametrize(
    "line",
    [
        'raise OdooRefused(_("wrong"))', 'alert("key", _("subject"), told)', 'run.error = ""',
        'raise Braked(reason)', 'rows.update(last_error=text, kind="x")',
    ],
)  # fmt: skip
def test_and_no_other(line: str) -> None:
    assert not list(untold(line))


# --- nobody writes or reads one of the two columns alone ---------------------------------------


def test_tables_with_messages_write_both_columns() -> None:
    for model in apps.get_app_config("bc_consumer").get_models():
        if any(isinstance(field, MessageField) for field in model._meta.get_fields()):
            assert issubclass(model, MessageModel), model
            assert isinstance(model._default_manager.all(), MessageQuerySet), model


def half_read(source: str) -> Iterator[str]:
    """Give what reads a sentence from its own column alone, and so in English for ever."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = [one.value for one in node.args if isinstance(one, ast.Constant)]
            if node.func.attr in {"values", "values_list"} and COLUMNS.intersection(names):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_no_sentence_is_read_without_its_parts() -> None:
    found = {
        str(path.relative_to(SOURCES)): texts
        for path in SOURCES.rglob("*.py")
        if (texts := list(half_read(path.read_text())))
    }
    assert not found, f"take the row's attribute instead: {json.dumps(found, indent=1)}"
    assert list(half_read('rows.filter(a=1).values_list("pk", "last_error")'))
    assert not list(half_read('rows.values_list("pk", "odoo_id")'))
