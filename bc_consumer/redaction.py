"""No secret in what this service logs, stores, mails or prints: the one place that sees to it.

Whatever holds words of others (Odoo's, a driver's, a caller's) passes ``redacted()`` before it is
kept. Which values are secret is read from Django's settings, and from the proxies that the
environment names. Formatter, excepthook and exception reporter do the same for what nobody of us
writes: other libraries' log lines, tracebacks, error pages.
"""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from functools import cache
from types import TracebackType
from typing import IO, Any, overload
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from bc_consumer.message import Message
from bc_consumer.odoo.redactor import LONGEST, Redactor

SECRETS = ("SECRET_KEY", "ODOO_PASSWORD", "ODOO_ADMIN_PASSWORD", "EMAIL_HOST_PASSWORD")
LISTS_OF_SECRETS = ("SECRET_KEY_FALLBACKS", "ODOO_WEBHOOK_SECRETS")
URLS = ("ODOO_URL", "RABBITMQ_URL", "PUBLIC_URL")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
"""Variables that libcurl reads, and Odoo's own client too; in capitals as well."""

# What would begin a line, colour a terminal, or turn the reading direction of a log around.
RANGES_NOT_IN_A_LINE = (
    (0x00, 0x08), (0x0A, 0x1F), (0x7F, 0x9F), (0x2028, 0x2029), (0x202A, 0x202E), (0x2066, 0x2069),
)  # fmt: skip
ESCAPES = {
    character: chr(character).encode("unicode_escape").decode()
    for first, last in RANGES_NOT_IN_A_LINE
    for character in range(first, last + 1)
}

_further: set[str] = set()


@overload
def redacted(text: Message, longest: int = LONGEST) -> Message: ...
@overload
def redacted(text: str, longest: int = LONGEST) -> str: ...
def redacted(text: str, longest: int = LONGEST) -> str:
    """Return ``text`` without secrets, cut to ``longest`` characters (a hundred at least).

    Nothing may be cut off before: it would leave a part of a secret, which nobody recognises. Of a
    message the values lose their secrets, so that none comes back in another language.
    """
    redactor = _redactor()
    if isinstance(text, Message):
        return text.changed(lambda part: redactor.shortened(part, longest))
    return redactor.shortened(text, longest)


def hide(secret: str) -> None:
    """Hide one more secret from now on: a password that was given to a command."""
    _further.add(secret)
    _redactor.cache_clear()


def secret_values() -> Iterator[tuple[str, str]]:
    """Give each secret with the name of the setting or variable that holds it."""
    if settings.configured:
        yield from _of_settings()
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        yield from ((name, password) for password in _of_url(os.environ.get(name, "")))


def _of_settings() -> Iterator[tuple[str, str]]:
    for name in SECRETS:
        yield name, str(getattr(settings, name, "") or "")
    for name in LISTS_OF_SECRETS:
        yield from ((name, str(value)) for value in getattr(settings, name, ()))
    for name in URLS:
        yield from ((name, password) for password in _of_url(getattr(settings, name, "")))
    for database in settings.DATABASES.values():
        yield "DATABASES", str(database.get("PASSWORD") or "")


def _of_url(url: str) -> Iterator[str]:
    """Give the credentials of a URL, as they stand in it and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a broken IPv6 address
        return
    if parts.password:
        yield from (parts.password, unquote(parts.password))


@cache
def _redactor() -> Redactor:
    return Redactor([*(value for _name, value in secret_values()), *_further])


def _settings_changed(**_: Any) -> None:
    _redactor.cache_clear()


setting_changed.connect(_settings_changed)  # in tests alone


class RedactingFormatter(logging.Formatter):
    """One line for each record, and then its traceback; no secret in either, and no flood."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Write the line; a name with a newline in it begins no second one."""
        return super().formatMessage(record).translate(ESCAPES)

    def format(self, record: logging.LogRecord) -> str:
        """Write line and traceback."""
        return redacted(super().format(record))


class RedactingStream:
    """A text stream that hides secrets in each text that is written to it, and cuts none.

    What our own commands print as one line, such as JSON, must stay whole.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it without secrets."""
        return self._stream.write(_redactor()(text, cut_lines=False))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class RedactingReporterFilter(SafeExceptionReporterFilter):
    """Hides in settings and headers what Django doesn't know for a secret: passwords in URLs."""

    def cleanse_setting(self, key: str | int, value: Any) -> Any:
        """Return the value without secrets."""
        cleansed: Any = super().cleanse_setting(key, value)
        return redacted(cleansed) if isinstance(cleansed, str) else cleansed


class RedactingExceptionReporter(ExceptionReporter):
    """Error pages (with DEBUG) and mails to ADMINS without secrets, local variables included."""

    def get_traceback_html(self) -> SafeString:
        """Return the page."""
        return SafeString(self._redacted(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        """Return the text."""
        return SafeString(self._redacted(super().get_traceback_text()))

    def _redacted(self, text: str) -> str:
        """Hide what the caller sent to be known by, too: a session's id is in many a variable."""
        cookies = self.request.COOKIES.values() if self.request else ()
        return Redactor(cookies)(_redactor()(text))


def install_hooks() -> None:
    """Print tracebacks that end a program or a thread without secrets; leave others' hooks."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_error
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _print_error_of_thread


def _print_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


def _print_error_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread else "?"
    sys.stderr.write(f"Exception in thread {name}:\n")
    _print_error(args.exc_type, args.exc_value, args.exc_traceback)
