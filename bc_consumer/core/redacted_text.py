"""Removes secrets from whatever this service logs, stores, mails or prints.

Every text of foreign origin (Odoo's, a driver's, a caller's) passes through ``redacted()`` before
it is kept. The secrets are those in Django's settings and in the proxy variables of the
environment. The hooks at the end do the same for tracebacks that end a program.
"""

import os
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import IO, Any, overload
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.signals import setting_changed

from bc_consumer.core.redactor import LONGEST, Redactor, is_recognisable
from bc_consumer.core.secret_urls import secret_parts
from bc_consumer.core.translatable import Message

SECRETS = (
    "SECRET_KEY", "ODOO_PASSWORD", "ODOO_ADMIN_PASSWORD", "EMAIL_HOST_PASSWORD", "METRICS_TOKEN",
)  # fmt: skip
LISTS_OF_SECRETS = ("SECRET_KEY_FALLBACKS", "ODOO_WEBHOOK_SECRETS")
URLS = ("ODOO_URL", "RABBITMQ_URL", "PUBLIC_URL")
SECRET_URLS = ("ALERT_URLS", "HEARTBEAT_URL", "HEARTBEAT_FAIL_URL")
"""Settings with URLs in which anything may be a token."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
"""Variables that libcurl and Odoo's own client read; their upper-case forms count too."""

_further: set[str] = set()
_for_now: Counter[str] = Counter()
"""Secrets that are hidden while somebody works with them."""
_generation = 0
"""Counts how often the secrets have changed. What a thread had begun to read before belongs to a
former generation, and is not found any more."""
_lock = threading.Lock()


@overload
def redacted(text: Message, longest: int = LONGEST) -> Message: ...
@overload
def redacted(text: str, longest: int = LONGEST) -> str: ...
def redacted(text: str, longest: int = LONGEST) -> str:
    """Return ``text`` without secrets, cut to ``longest`` characters (at least 100).

    Do not cut the text before: part of a secret would be left, which nothing recognises. A
    message's values are redacted as well, so that no secret reappears in another language.
    """
    redactor = current_redactor()
    if isinstance(text, Message):
        return text.changed(lambda part: redactor.shortened(part, longest))
    return redactor.shortened(text, longest)


def hide(secret: str) -> None:
    """Also hide this secret from now on, e.g. a password given to a command."""
    with _lock:
        _further.add(secret)
    reload_secrets()


@contextmanager
def hiding(secret: str) -> Iterator[None]:
    """Hide this secret in the block, and forget it afterwards: a password typed into a page."""
    with _lock:
        _for_now[secret] += 1
    reload_secrets()
    try:
        yield
    finally:
        with _lock:
            _for_now[secret] -= 1
            if not _for_now[secret]:
                del _for_now[secret]
        reload_secrets()


def secret_values() -> Iterator[tuple[str, str]]:
    """Yield each secret with the name of the setting or variable that holds it."""
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
    for name in SECRET_URLS:
        yield from ((name, part) for part in _of_secret_urls(getattr(settings, name, "")))
    for database in settings.DATABASES.values():
        yield "DATABASES", str(database.get("PASSWORD") or "")


def _of_secret_urls(urls: str | Iterable[str]) -> Iterator[str]:
    """Yield what may be a token, except for words, which many paths contain."""
    for url in [urls] if isinstance(urls, str) else urls:
        yield from filter(is_recognisable, secret_parts(url))


def _of_url(url: str) -> Iterator[str]:
    """Yield the credentials of a URL, both as written and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a malformed IPv6 address
        return
    if parts.password:
        yield from (parts.password, unquote(parts.password))


def current_redactor() -> Redactor:
    """Return the redactor for the current settings."""
    return _redactor(_generation)


def reload_secrets() -> None:
    """Read the secrets anew the next time, and forget those that were."""
    global _generation  # noqa: PLW0603 (it is the process's)
    with _lock:
        _generation += 1
    _redactor.cache_clear()


@lru_cache(maxsize=1)
def _redactor(_generation: int) -> Redactor:
    with _lock:
        further = [*_further, *_for_now]
    return Redactor([*(value for _name, value in secret_values()), *further])


def _settings_changed(**_: Any) -> None:
    reload_secrets()


setting_changed.connect(_settings_changed)  # in tests only


class RedactingStream:
    """A text stream that redacts each text written to it, and never cuts one.

    What commands print as one line, such as JSON, must stay whole.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without secrets; return its length."""
        return self._stream.write(current_redactor()(text, cut_lines=False))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def install_hooks() -> None:
    """Redact tracebacks that end a program or a thread; hooks of other libraries are kept."""
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
