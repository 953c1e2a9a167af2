"""No text costs our regular expressions more time than it is long, and none sees a long one."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate
from typing import Any
from urllib.parse import quote_plus

import pytest
from django.contrib.auth.forms import UsernameField
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.core.handlers.wsgi import WSGIRequest
from django.forms import EmailField, SlugField
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import Resolver404, resolve
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import smart_split
from django.utils.translation import get_language_from_request
from django.views.i18n import set_language
from whitenoise.responders import StaticFile

from bc_consumer.console import formatting
from bc_consumer.core import redacted_text
from bc_consumer.core.redactor import LONGEST, WORDS, Redactor
from bc_consumer.core.translatable import gettext, verbatim
from bc_consumer.ledger import error_fingerprint
from bc_consumer.models import BC
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import OdooProtocolError
from bc_consumer.odoo.fault_errors import Call, Fault, error_of_common, error_of_execute
from bc_consumer.odoo.json_codec import read_json
from bc_consumer.odoo.records import ServerVersion
from bc_consumer.odoo.xmlrpc_codec import read_response
from bc_consumer.redaction import RedactingFormatter
from bc_consumer.refresh import mapping
from odoo_webhook.webhook_request import PayloadError, parse
from project.header_limits import LONGEST_PATH
from project.request_limits import RequestLimitsMiddleware
from tests.quick import some
from tests.unit import linear
from tests.unit.asking import answered, environ_of
from tests.unit.linear import (
    NOTHING_SECONDS,
    assert_linear,
    named_patterns,
    patterns_of_others,
    seconds_of,
    text_of,
    worst_of,
)

SECRETS = ("Zq7Xw0pLm4Tn2Rb8", "S3cr&t'/<k+é y>%\"1", "pa\\ss'wo\"rd")
SETTINGS = OdooSettings("https://odoo.example.com", "shop", "admin", SECRETS[0])
CALL = Call("purchase.order", "read")
PATTERNS = named_patterns()
ADDRESSES = linear.patterns_of_addresses()
MADE_ELSEWHERE = {
    # The settings' own expressions, on the settings' own address.
    "bc_consumer.installation.project_checks",
}


def test_each_pattern_has_a_name_and_so_is_found() -> None:
    assert linear.calls_elsewhere() == MADE_ELSEWHERE
    assert {
        "bc_consumer.core.redactor.NAMED",
        "bc_consumer.ledger.error_fingerprint.NUMBERS",
    } < set(PATTERNS)
    assert {r"^webhook/?$", r"^bc/(?P<odoo_id>[0-9]+)/\Z"} < set(ADDRESSES)


@pytest.mark.parametrize("name", PATTERNS)
def test_time_grows_with_the_text(name: str) -> None:
    pattern = PATTERNS[name]
    for use, what in linear.uses(pattern):
        shapes = worst_of(what, linear.beginnings_of(pattern), 4096, most=5)
        for shape in shapes:
            assert_linear(what, lambda size, shape=shape: text_of(shape, size))  # type: ignore[misc]
        assert shapes, use


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_of_the_longest_length_costs_nothing(name: str) -> None:
    """Some of Django's own take time in proportion to the square; hence paths are short."""
    search = ADDRESSES[name].search
    for shape in worst_of(search, linear.beginnings_of(ADDRESSES[name]), 256, most=5):
        assert linear.seconds_of(search, text_of(shape, LONGEST_PATH), times=3) < 0.05, shape


@pytest.mark.slow("plays all shapes against patterns that take time in proportion to the square")
@pytest.mark.parametrize(
    ("bad", "pump"),
    [
        (r"'(?:\\.|(?!').)*'", "\\"),  # the very one that stopped web processes
        (r"OperationalError[^\n]*FATAL:", "OperationalError"),
        (r"'[^\n]*;", "'"),
        (r"\s+$", " "),
    ],
)
def test_patterns_that_are_not_linear_fail(bad: str, pump: str) -> None:
    pattern = re.compile(bad)
    with pytest.raises(AssertionError):
        assert_linear(pattern.search, lambda size: ("'" + pump * size)[: size - 1] + "!")
    with pytest.raises(AssertionError):  # as the test of the product's own finds it
        for shape in worst_of(pattern.search, (*linear.beginnings_of(pattern), "'"), 4096, most=5):
            assert_linear(pattern.search, lambda size, shape=shape: text_of(shape, size))  # type: ignore[misc]


# --- whole ways of a text ------------------------------------------------------------------------


def logged(text: str) -> str:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s", (text,), None)
    return RedactingFormatter("%(levelname)s %(message)s").format(record)


def answered_in_xml(text: str) -> object:
    body = (
        f"<methodResponse><params><param><value>\1{text}</value></param></params></methodResponse>"
    )
    try:
        return read_response(body.encode("utf-8", "replace"))
    except OdooProtocolError as error:
        return str(error)


def answered_in_json(text: str) -> object:
    try:
        return read_json(text.encode("utf-8", "replace"))
    except OdooProtocolError as error:
        return str(error)


def posted(text: str) -> object:
    try:
        return parse(json.dumps({"_model": text, "_id": text}).encode(), text, "purchase.order")
    except PayloadError as error:
        return str(error)


def mapped(text: str) -> object:
    for read in mapping.READERS.values():
        try:
            read(text)
        except mapping._Unfit as error:
            str(error)
    return mapping.normalised_text(text)


def shown(text: str) -> object:
    return (
        formatting.show(BC, "notes", text),
        formatting.show_extra("x_note", text),
        formatting.shortened(text),
    )


def written(text: str) -> object:
    stream = redacted_text.RedactingStream(io.StringIO())
    return stream.write(text)


# Ways through what others wrote, each behind the limits that stand before it.


def asked(key: str, form: str = "{}", **others: str) -> Callable[[str], object]:
    """Return what reads a request with the text at one place."""

    def way(text: str) -> None:
        value = form.replace("{}", text).encode("utf-8", "replace").decode("latin-1")
        answered(read, environ_of(b"", **(others | {key: value})))

    return way


def read(request: WSGIRequest) -> None:
    """Read whatever Django's middlewares and our pages may read of a request's head."""
    with suppress(SuspiciousOperation):
        request.get_host()
    with suppress(SuspiciousOperation):
        list(smart_split(request.GET.get("q", "")))  # as the administration's search does
        url_has_allowed_host_and_scheme(request.GET.get("next"), {"localhost:8000"})
    request.accepts("text/html")
    get_language_from_request(request, check_path=True)
    parsedate(request.headers.get("If-Modified-Since", ""))
    with suppress(ValueError):
        StaticFile.parse_byte_range(request.headers.get("Range", ""))
    with suppress(Resolver404):
        resolve(request.path_info)


def without_origin_check(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def language_chosen(request: WSGIRequest) -> None:
    """Choose a language, by a caller who has a token."""
    with suppress(SuspiciousOperation):
        RequestLimitsMiddleware(set_language)(request)
        CsrfViewMiddleware(without_origin_check).process_view(request, set_language, (), {})


def back_to(text: str) -> None:
    address = f"http://localhost:8000/{text}".encode("utf-8", "replace").decode("latin-1")
    body, form = b"language=fr", "application/x-www-form-urlencoded"
    values = {"CONTENT_TYPE": form, "HTTP_REFERER": address, "HTTP_ORIGIN": address}
    answered(language_chosen, environ_of(body, PATH_INFO="/i18n/setlang/", **values))


def on_to(text: str) -> None:
    body = f"language=fr&next=/{text}".encode("utf-8", "replace")
    values = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "PATH_INFO": "/i18n/setlang/"}
    answered(language_chosen, environ_of(body, **values))


def filled_in(text: str) -> None:
    """A form of the administration, and what it checks."""

    def view(request: HttpRequest) -> HttpResponse:
        for field in (EmailField(), UsernameField(max_length=150), SlugField()):
            with suppress(ValidationError):
                field.clean(next(iter(request.POST.values()), ""))
        return HttpResponse()

    def received(request: WSGIRequest) -> None:
        with suppress(SuspiciousOperation):
            RequestLimitsMiddleware(view)(request)

    form, path = "application/x-www-form-urlencoded", "/admin/auth/user/1/change/"
    for body in (text.encode("utf-8", "replace"), f"a={quote_plus(text)}".encode()):
        answered(received, environ_of(body, CONTENT_TYPE=form, PATH_INFO=path))


def posted_as_it_is(text: str) -> object:
    try:
        return parse(text.encode("utf-8", "replace"), "", "purchase.order")
    except PayloadError as error:
        return str(error)


def shown_of_a_change(text: str) -> object:
    names = ("notes", "partner_ref", "amount_total", "date_order")
    fields = {name: [text, text] for name in names}
    return formatting.read_changes({"fields": fields}).summary()


HEADS: dict[str, Callable[[str], object]] = {
    "a cookie": asked("HTTP_COOKIE"),
    "a quoted cookie": asked("HTTP_COOKIE", 'sessionid="{}"; django_language="{}"'),
    "a type": asked("CONTENT_TYPE"),
    "a type's parameters": asked("CONTENT_TYPE", 'a/b; c="{}"; {}'),
    "what is accepted": asked("HTTP_ACCEPT", "a/b; {}, {}"),
    "languages": asked("HTTP_ACCEPT_LANGUAGE"),
    "a host": asked("HTTP_HOST"),
    "a search": asked("QUERY_STRING", "q={}&next={}"),
    "a query": asked("QUERY_STRING"),
    "a path": asked("PATH_INFO", "/{}"),
    "a date": asked("HTTP_IF_MODIFIED_SINCE"),
    "a range": asked("HTTP_RANGE", "bytes={}"),
    "where a caller came from": back_to,
    "where a caller goes on to": on_to,
}
"""Of strangers' requests."""
WAYS: dict[str, Callable[[str], object]] = {
    "hidden": Redactor(SECRETS),
    "hidden, lines kept": lambda text: Redactor(SECRETS)(text, cut_lines=False),
    "shortened": Redactor(SECRETS).shortened,
    "kept": redacted_text.redacted,
    "a message": lambda text: redacted_text.redacted(
        gettext("Odoo: %(text)s", text=verbatim(text))
    ),
    "logged": logged,
    "written": written,
    "a fault": lambda text: error_of_execute(Fault(1, text), CALL, SETTINGS),
    "a fault for users": lambda text: error_of_execute(Fault(2, text), CALL, SETTINGS),
    "a fault of the login": lambda text: error_of_common(Fault(1, text), SETTINGS),
    "a cause": lambda text: error_fingerprint.fingerprint("ValueError", text),
    "a version": ServerVersion.from_text,
    "XML": answered_in_xml,
    "JSON": answered_in_json,
    "a webhook": posted,
    "mapped": mapped,
    "shown": shown,
    "shown of a change": shown_of_a_change,
    "a webhook's body": posted_as_it_is,
    "a form": filled_in,
    **HEADS,
}
NEAR_MISSES = (
    *(f"{word}{sign}" for word in WORDS for sign in ("=", "='", ' : "')),
    *(f"'{word}':'" for word in WORDS),
    *(f'"{word}" : "\\' for word in WORDS),
    "://", "://u:", "://u:p@", "Traceback\nOperationalError FATAL: \"", "KeyError: 'shop'\n",
    "Invalid field '", "Invalid field a.", "Invalid language code: ", "TypeError: ", "<a ", "<!--",
    "&#", "{\"a\":", "[", "#,", "1.", *SECRETS, SECRETS[0][:-1],
    "<script><!--", "<![", "<a a='", "admin/r/", "r/", ";", "\";", "; a=\"\\", "a*0=", "a*=utf-8''",
    "&a=", "+%", "%C3", "é", "en;q=0.5,", "a/b;q=0.", "Mon, 1 Jan ", "\\054", "[::", "a@b.",
)  # fmt: skip


@pytest.mark.parametrize("way", some(list(WAYS)))
def test_no_way_of_a_text_takes_more_than_its_length(way: str) -> None:
    what = WAYS[way]
    for shape in worst_of(what, ("",), 4096, most=3):
        assert_linear(what, lambda size, shape=shape: text_of(shape, size))  # type: ignore[misc]
    for beginning in some(NEAR_MISSES):
        for pump in (beginning, "\\", " ") if way == "hidden" else (beginning,):
            assert_linear(
                what,
                lambda size, first=beginning, pump=pump: text_of((first, pump, ""), size),  # type: ignore[misc]
            )


NEAR_MISSES_OF_HEADS = NEAR_MISSES[NEAR_MISSES.index("<a ") :]


@pytest.mark.parametrize("way", HEADS)
def test_no_head_of_a_request_costs_much(way: str) -> None:
    """Just below its limit, too: some readers take time in proportion to the square up to there."""
    for size in (250, 1_000, 2_000, 4_000, 8_000):
        for first in some(NEAR_MISSES_OF_HEADS):
            for pump in {first, "/", ";", '\\"', "%", "\xa0"}:
                text = text_of((first, pump, "!"), size)
                if seconds_of(HEADS[way], text) >= NOTHING_SECONDS:
                    assert seconds_of(HEADS[way], text, times=3) < NOTHING_SECONDS, text[:60]


class Watched:
    """In a pattern's place: does the same, and notes how long the texts are."""

    seen: dict[str, int]

    def __init__(self, name: str, pattern: re.Pattern[Any], seen: dict[str, int]) -> None:
        self._name, self._pattern, self._seen = name, pattern, seen

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._pattern, method)
        if not callable(real):
            return real

        def noted(*arguments: Any, **options: Any) -> Any:
            text = next(one for one in reversed(arguments) if isinstance(one, str | bytes))
            self._seen[self._name] = max(len(text), self._seen.get(self._name, 0))
            return real(*arguments, **options)

        return noted


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The longest text that each pattern has seen."""
    lengths: dict[str, int] = {}
    for name, pattern in (named_patterns() | patterns_of_others()).items():
        module, _dot, attribute = name.rpartition(".")
        watched = Watched(name, pattern, lengths)
        monkeypatch.setattr(sys.modules[module], attribute, watched)
    return lengths


LONG = 300_000


@pytest.mark.parametrize("way", some(list(WAYS)))
def test_no_pattern_sees_a_long_text(way: str, seen: dict[str, int]) -> None:
    for text in (
        "a" * LONG,
        "password=x ://u:p@h " * (LONG // 20),
        "password=x ://u:p@h\n" * (LONG // 20),
        "Traceback\n" + "authorization" * (LONG // 13) + "\nValueError: Invalid field 'x' on 'y'",
        "1" * LONG,
        "# " * (LONG // 2),
        "2026-11-24 01:50:34" * (LONG // 19),
    ):
        WAYS[way](text)
    assert all(length <= LONGEST for length in seen.values()), seen


def test_readers_of_others_are_watched(seen: dict[str, int]) -> None:
    filled_in("a=%41")
    formatting.plain_text("<p>a</p>")
    asked("HTTP_COOKIE")('a="b c"')
    assert {"urllib.parse._asciire", "html.parser.starttagopen", "http.cookies._QuotePatt"} < set(
        seen
    )


def test_patterns_that_see_a_long_text_are_found(seen: dict[str, int]) -> None:
    error_fingerprint.NUMBER.search("a" * LONG)
    assert seen == {"bc_consumer.ledger.error_fingerprint.NUMBER": LONG}
    redacted_text.redacted("password=x " * LONG)
    assert {"bc_consumer.core.redactor.NAMED"} < set(seen)
