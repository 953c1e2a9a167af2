"""Secrets are taken out of texts in every form, and nothing else is."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from html import escape
from pprint import pformat
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as xml_escape

import pytest
from django.conf import LazySettings
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError
from django.test import RequestFactory
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bc_consumer.core import redacted_text
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.redactor import (
    HIDDEN,
    LONGEST,
    LONGEST_PIECE,
    Redactor,
    is_recognisable,
)
from bc_consumer.installation.setting_checks import check_secrets
from bc_consumer.management.command import RedactedCommand
from bc_consumer.redaction import (
    RedactingExceptionReporter,
    RedactingFormatter,
    RedactingReporterFilter,
)
from tests.quick import some

SECRET = "S3cr&t'/<k+é y>%\"1"
PLAIN = "Zq7Xw0pLm4Tn2Rb8"
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: f"https://x/?q={quote(secret, safe='')}&",
    "in a URL's path": lambda secret: f"https://x/{quote(secret)}/x",
    "in a form": lambda secret: f"a={quote_plus(secret)}&b=1",
    "in a URL, small letters": lambda secret: re.sub(
        "%..", lambda found: found[0].lower(), quote(secret, safe="")
    ),
    "in XML": lambda secret: f"<string>{xml_escape(secret)}</string>",
    "in HTML": lambda secret: f"<td>{escape(secret)}</td>",
    "in JSON": lambda secret: json.dumps([secret]),
    "in JSON, not in ASCII": lambda secret: json.dumps([secret], ensure_ascii=False),
    "as Python writes it": lambda secret: repr([secret]),
    "as Python writes bytes": lambda secret: repr([secret.encode()]),
    "as Python writes it, on a page": lambda secret: escape(repr({"a": secret})),
    "in a connection string": lambda secret: "password='{}'".format(
        secret.replace("\\", "\\\\").replace("'", "\\'")
    ),
    "in a connection string, on a page": lambda secret: escape(
        pformat("password='{}' x".format(secret.replace("\\", "\\\\").replace("'", "\\'")), width=9)
    ),
    "in base64": lambda secret: b64encode(secret.encode()).decode(),
}


def holds(text: str, secret: str) -> bool:
    """Whether any form of the secret, or a large part of it, is in the text."""
    return any(len(part) > 5 and part in text for part in (secret, secret[:8], secret[-8:]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, PLAIN])
def test_secrets_are_hidden_in_every_form(form: str, secret: str) -> None:
    written = FORMS[form](secret)
    hidden = Redactor([secret])(f"before {written} after")
    assert HIDDEN in hidden
    assert written not in hidden
    assert not holds(hidden, secret)
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


@pytest.mark.parametrize("user", ["", "o", "od", "odo", "odoo", "somebody"])
def test_secrets_are_hidden_in_basic_credentials(user: str) -> None:
    credentials = b64encode(f"{user}:{PLAIN}".encode()).decode()
    for text in (credentials, f"x{{{credentials}}}", f"Authorization: Basic {credentials}"):
        hidden = Redactor([PLAIN])(text)
        # What may stay is the beginning, which holds the user's name, and a character at the end.
        assert len(set(credentials) & set(hidden)) < len(set(credentials))
        assert credentials[-8:-3] not in hidden
        assert HIDDEN in hidden


@given(
    secret=st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=8, max_size=40),
    form=st.sampled_from(sorted(FORMS)),
    before=st.text(max_size=20),
)
@example(secret="a'b\"cdefgh", form="as Python writes it", before="")
@example(secret="100%2fa b%c", form="in a URL", before="")
def test_no_form_of_any_secret_stays(secret: str, form: str, before: str) -> None:
    assume(is_recognisable(secret) and HIDDEN not in secret and secret.strip("*"))
    # A page breaks lines at blanks; a secret of short words is not found again there.
    assume("on a page" not in form or [secret] == secret.split())
    written = FORMS[form](secret)
    assert written not in Redactor([secret])(f"{before} {written} ")


@given(st.text(max_size=400))
def test_any_text_can_be_read_and_twice_is_the_same(text: str) -> None:
    redactor = Redactor([SECRET, PLAIN])
    once = redactor(text)
    assert redactor(once) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://bc:p4ss@rabbit/x", "amqp://bc:***@rabbit/x"),
        ("postgresql://bc:p@ss:w@db:5432/bc?x=1", "postgresql://bc:***@db:5432/bc?x=1"),
        ("to https://0123456789abcdef0123@host/", "to https://***@host/"),
        ("Authorization: Basic YTpi", "Authorization: Basic ***"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': 'Bearer ***'}"),
        ("'HTTP_AUTHORIZATION': 'Basic YTpi'", "'HTTP_AUTHORIZATION': 'Basic YTpi'"),
        ("it said bearer 0123456789abcdef", "it said bearer ***"),
        ("GET /x/?event=changed&secret=x1 HTTP", "GET /x/?event=changed&secret=*** HTTP"),
        ("host=db password='a b' user=bc", "host=db password=*** user=bc"),
        ('{"password": "a\\"b", "user": "bc"}', '{"password": "***", "user": "bc"}'),
        ("Cookie: sessionid=abc; csrftoken=def", "Cookie: sessionid=***; csrftoken=***"),
        ("Cookie: __Host-sessionid=abc", "Cookie: __Host-sessionid=***"),
    ],
)  # fmt: skip
def test_what_stands_in_a_secret_s_place_is_hidden(text: str, shown: str) -> None:
    assert Redactor([])(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        'Odoo at https://odoo.example.com refused login "admin" on database "odoo"',
        "https://odoo.example.com:8069/web?debug=1#id=5&model=purchase.order",
        "password authentication failed for user «bc»; basic authentication is off",
        "wrong login, or wrong or expired password or API key",
        "somebody@example.com wrote https://example.com/a@b",
        "secret: the webhook's; the bearer of this letter",
        "2026-11-24 13:00:00 INFO odoo_webhook.views: BC (5,): changed, kept in the ledger",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor([SECRET, "odoo", "admin", "postgres", "changeme", ""])(text) == text


def test_a_long_text_takes_time_in_proportion() -> None:
    text = "://" * 20_000 + "Authorization: " * 5_000 + "password='" * 5_000 + "basic " * 5_000
    assert len(Redactor([SECRET])(text)) > 1000


def test_short_secrets_and_words_are_not_recognisable() -> None:
    assert not any(map(is_recognisable, ("", "odoo", "admin1", "postgres", "rabbitmq")))
    assert all(map(is_recognisable, ("0123456a", "Postgres", "a-secret", "correcthorsebattery")))


# --- what Django's settings name ----------------------------------------------------------------


@pytest.fixture
def secrets(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """One secret in each place where one may be."""
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "db-Xw0Lm4Zq7")
    settings.SECRET_KEY = "key-Zq7Xw0pLm4"
    settings.SECRET_KEY_FALLBACKS = ["old-key-Xw0pLm4"]
    settings.ODOO_PASSWORD = "odoo-Lm4Tn2Rb8"
    settings.ODOO_ADMIN_PASSWORD = "chief-Tn2Rb8Zq7"
    settings.EMAIL_HOST_PASSWORD = "mail-Rb8Zq7Xw0"
    settings.ODOO_WEBHOOK_SECRETS = ["first-Zq7Lm4Rb8", "second-Lm4Rb8Zq7"]
    settings.ODOO_URL = "https://front:proxy%2FLm4Rb8@odoo.example.com"
    settings.RABBITMQ_URL = "amqp://bc:rabbit-Xw0Tn2@rabbit/"
    monkeypatch.setenv("HTTPS_PROXY", "http://us:way-out-Tn2Zq7@proxy:3128")
    redacted_text.reload_secrets()
    return {
        "SECRET_KEY": settings.SECRET_KEY,
        "SECRET_KEY_FALLBACKS": "old-key-Xw0pLm4",
        "ODOO_PASSWORD": settings.ODOO_PASSWORD,
        "ODOO_ADMIN_PASSWORD": settings.ODOO_ADMIN_PASSWORD,
        "EMAIL_URL": settings.EMAIL_HOST_PASSWORD,
        "first webhook secret": "first-Zq7Lm4Rb8",
        "second webhook secret": "second-Lm4Rb8Zq7",
        "ODOO_URL": "proxy/Lm4Rb8",
        "RABBITMQ_URL": "rabbit-Xw0Tn2",
        "DATABASES": "db-Xw0Lm4Zq7",
        "HTTPS_PROXY": "way-out-Tn2Zq7",
    }


@pytest.fixture(autouse=True)
def _known_secrets_are_read_again() -> Iterator[None]:
    yield
    redacted_text.reload_secrets()


@pytest.mark.parametrize("how", ["hiding", "hide"])
def test_a_secret_is_hidden_although_a_thread_is_just_reading_the_others(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What that thread then stores does not take the place of what is known meanwhile."""
    secret = f"typed-Zq7Xw0-{how}"
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Redactor):
        def __init__(self, secrets: Iterable[str]) -> None:
            if threading.current_thread() is slow:
                begun.set()
                go_on.wait(10)
            super().__init__(secrets)

    monkeypatch.setattr(redacted_text, "Redactor", Slow)
    redacted_text.reload_secrets()
    slow = threading.Thread(target=redacted, args=("a text",))
    slow.start()
    assert begun.wait(10)
    with ExitStack() as block:
        if how == "hiding":
            block.enter_context(redacted_text.hiding(secret))
        else:
            redacted_text.hide(secret)
        go_on.set()
        slow.join(10)
        assert redacted(f"<{secret}>") == "<***>"
    if how == "hiding":
        assert redacted(f"<{secret}>") == f"<{secret}>", "and forgotten afterwards"
    redacted_text._further.discard(secret)


def test_every_setting_that_holds_a_secret_is_known(secrets: dict[str, str]) -> None:
    for name, secret in secrets.items():
        assert redacted(f"<{secret}>") == "<***>", name


def test_secrets_that_are_words_are_named_before_a_deployment(
    secrets: dict[str, str], settings: LazySettings
) -> None:
    assert check_secrets() == []
    settings.ODOO_PASSWORD, settings.RABBITMQ_URL = "postgres", "amqp://guest:guest@rabbit/"
    assert [(found.id, found.msg.split()[0]) for found in check_secrets()] == [
        ("bc.W050", "ODOO_PASSWORD"),
        ("bc.W050", "RABBITMQ_URL"),
    ]


def test_a_password_given_to_a_command_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redacted_text, "_further", set())
    assert redacted("typed-Zq7Xw0") == "typed-Zq7Xw0"
    redacted_text.hide("typed-Zq7Xw0")
    assert redacted("typed-Zq7Xw0") == "***"


def logged(message: str, error: Exception | None = None) -> str:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, message, (), info)
    return RedactingFormatter("%(levelname)s %(message)s").format(record)


def test_a_log_line_and_its_traceback_hold_no_secret(secrets: dict[str, str]) -> None:
    secret = secrets["ODOO_PASSWORD"]
    try:
        raise ValueError(f"Odoo said {secret}")
    except ValueError as error:
        text = logged(f"login with {secret}", error)
    assert secret not in text
    assert text.startswith("ERROR login with ***\nTraceback")
    assert text.endswith("ValueError: Odoo said ***")


def test_a_name_begins_no_line_of_its_own_in_the_log() -> None:
    name = "A\nERROR forged: line\r\x1b[31m\u2028\u202eB\tC"
    assert logged(name) == "ERROR A\\nERROR forged: line\\r\\x1b[31m\\u2028\\u202eB\tC"


def test_error_pages_and_mails_hold_no_secret(secrets: dict[str, str]) -> None:
    request = RequestFactory().get(
        f"/?secret={secrets['first webhook secret']}",
        headers={"Authorization": f"Bearer {secrets['first webhook secret']}"},
    )
    try:
        local = {"a local variable": dict(secrets)}
        raise ValueError(f"among {len(local)} things: {secrets['RABBITMQ_URL']}")
    except ValueError:
        reporter = RedactingExceptionReporter(request, *sys.exc_info())
        reporter.filter = RedactingReporterFilter()
        page, text = reporter.get_traceback_html(), reporter.get_traceback_text()
    for name, secret in secrets.items():
        assert secret not in page, name
        assert secret not in text, name
    assert "a local variable" in page
    assert "rabbit/" in page  # the rest of a URL is shown


def test_hooks_print_no_secret(secrets: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    secret = secrets["SECRET_KEY"]
    try:
        raise ValueError(secret)
    except ValueError as error:
        redacted_text._print_error(ValueError, error, error.__traceback__)
        hook_args = threading.ExceptHookArgs((ValueError, error, error.__traceback__, None))
        redacted_text._print_error_of_thread(hook_args)
    said = capsys.readouterr().err
    assert secret not in said
    assert said.count("ValueError: ***") == 2


class Telling(RedactedCommand):
    """A command that says everything it knows."""

    requires_system_checks = ()

    def handle(self, *_args: object, **_options: object) -> None:
        self.stdout.write("out odoo-Lm4Tn2Rb8")
        self.stderr.write("err odoo-Lm4Tn2Rb8")
        raise CommandError("failed odoo-Lm4Tn2Rb8")


def test_every_command_of_ours_hides_secrets() -> None:
    ours = [name for name, app in get_commands().items() if app == "bc_consumer"]
    assert len(ours) > 5
    for name in ours:
        command = load_command_class("bc_consumer", name)
        # These two print nothing: the one becomes the server, the other logs.
        assert isinstance(command, RedactedCommand) or name in {"web", "scheduler"}, name


@pytest.mark.usefixtures("secrets")
def test_commands_print_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Telling().run_from_argv(["manage.py", "telling"])
    said = capsys.readouterr()
    assert said.out == "out ***\n"
    assert said.err.splitlines() == ["err ***", "CommandError: failed ***"]
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command(Telling(), stdout=out, stderr=out)
    assert out.getvalue() == "out ***\nerr ***\n"


# --- long texts ---------------------------------------------------------------------------------

TOKEN = "aB3" * 9
KNOWN_BY_PLACE = (
    f"https://us:{TOKEN}@host/",
    f"https://{TOKEN}@host/",
    f"Authorization: Basic {TOKEN}",
    f"it said bearer {TOKEN}",
    f"x?password={TOKEN}&a=1",
    f"password='{TOKEN} {TOKEN}'",
    f"{{'password': '{TOKEN} {TOKEN}'}}",
)


@pytest.mark.parametrize("filling", ["x ", "x", "\n", "x\n", "/", "'", '"x'])
@pytest.mark.parametrize("written", [PLAIN, SECRET, *KNOWN_BY_PLACE])
def test_no_cut_leaves_a_part_of_a_secret(written: str, filling: str) -> None:
    """Wherever the cut goes through it; ``longest`` moves the cut, from before it to behind it."""
    redactor = Redactor([PLAIN, SECRET])
    before, after = (filling * 3000)[:3000] + " ", " " + filling * 3000
    text = before + written + after
    for longest in some(range(2900, 3300, 3), 5):
        shown = redactor.shortened(text, longest)
        assert len(shown) <= longest
        assert "characters left out" in shown
        for part in ("aB3aB", "Zq7Xw", "Xw0pLm", "n2Rb8", "S3cr&", "k+é y", '%"1'):
            assert part not in shown, longest


@pytest.mark.parametrize("filling", ["x ", "x", "x\n", "'", '"x'])
@pytest.mark.parametrize("written", [PLAIN, *KNOWN_BY_PLACE])
def test_no_piece_ends_in_the_middle_of_a_secret(written: str, filling: str) -> None:
    redactor = Redactor([PLAIN])
    for place in some(range(LONGEST_PIECE - 90, LONGEST_PIECE + 20, 7)):
        text = (filling * place)[:place] + f" {written} " + filling * 3000
        for cut_lines in (True, False):
            # Without the cut only what is known by its value is hidden in a line so long.
            if cut_lines or "\n" in filling or written == PLAIN:
                assert "aB3aB" not in redactor(text, cut_lines=cut_lines)
                assert "Zq7Xw" not in redactor(text, cut_lines=cut_lines)


def test_what_is_left_out_is_told() -> None:
    assert Redactor([]).shortened("a\n" * 5_000 + "the error", 1000).endswith("the error")
    long_line = "a" * 100_000
    told = re.search(r"\((\d+) characters left out\)", Redactor([])(f"{long_line}\nend"))
    assert told is not None
    assert int(told[1]) + 3 * LONGEST // 4 >= len(long_line)
    assert Redactor([])(f"{long_line}\nend").endswith(" …\nend")
    assert len(redacted(long_line)) <= LONGEST
    assert redacted("a b\n" * 10) == "a b\n" * 10


def test_what_our_commands_print_stays_whole() -> None:
    out = io.StringIO()
    line = json.dumps({"ids": list(range(100_000))})
    redacted_text.RedactingStream(out).write(f"{line}\n")
    assert json.loads(out.getvalue()) == json.loads(line)


def test_a_log_entry_has_a_limit() -> None:
    assert len(logged("x" * 10**6)) <= LONGEST
    try:
        raise ValueError("y\n" * 10**6 + "the end")
    except ValueError as error:
        entry = logged("a line", error)
    assert len(entry) <= LONGEST
    assert entry.startswith("ERROR a line\nTraceback")
    assert entry.endswith("the end")
