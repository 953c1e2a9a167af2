"""Log formatters and exception reporter that keep secrets out of log lines and error pages.

``RedactingFormatter`` and ``RedactingJSONFormatter`` are for LOGGING; ``bc_consumer.conf`` sets the
other two as Django's DEFAULT_EXCEPTION_REPORTER and DEFAULT_EXCEPTION_REPORTER_FILTER.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from bc_consumer.core.log_context import current_facts
from bc_consumer.core.redacted_text import current_redactor, redacted
from bc_consumer.core.redactor import Redactor

__all__ = [
    "RedactingExceptionReporter",
    "RedactingFormatter",
    "RedactingJSONFormatter",
    "RedactingReporterFilter",
]

# They would start a new line, colour a terminal, or reverse the reading direction of a log.
RANGES_NOT_IN_A_LINE = (
    (0x00, 0x08), (0x0A, 0x1F), (0x7F, 0x9F), (0x2028, 0x2029), (0x202A, 0x202E), (0x2066, 0x2069),
)  # fmt: skip
ESCAPES = {
    character: chr(character).encode("unicode_escape").decode()
    for first, last in RANGES_NOT_IN_A_LINE
    for character in range(first, last + 1)
}
SURROGATES = (0xD800, 0xDFFF)
"""Halves of characters, which no UTF-8 stream takes."""
ESCAPES_IN_JSON = {
    character: f"\\u{character:04x}"
    for first, last in (*RANGES_NOT_IN_A_LINE, SURROGATES)
    for character in range(first, last + 1)
}


class RedactingFormatter(logging.Formatter):
    """Writes one line per record, followed by its traceback; hides secrets and cuts long texts."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line; a newline within a value starts no new one."""
        return super().formatMessage(record).translate(ESCAPES)

    def format(self, record: logging.LogRecord) -> str:
        """Return line and traceback without secrets."""
        return redacted(super().format(record))


class RedactingJSONFormatter(logging.Formatter):
    """Writes one JSON object per record, in one line; hides secrets and cuts long texts.

    Beside the record's own values it has those of ``core/log_context.py``: which orders the work is
    about (``order``, an id or a list of ids), why (``cause``), and within which run (``run``).
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object. Its texts are redacted one by one, so that it stays valid JSON."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
            "process": record.process,
            "thread": record.threadName,
        }
        facts |= {
            name: redacted(fact) if isinstance(fact, str) else fact
            for name, fact in current_facts().items()
        }
        if record.exc_info:
            facts["exception"] = redacted(self.formatException(record.exc_info))
        if record.stack_info:
            facts["stack"] = redacted(self.formatStack(record.stack_info))
        return json.dumps(facts, ensure_ascii=False, default=str).translate(ESCAPES_IN_JSON)


class RedactingReporterFilter(SafeExceptionReporterFilter):
    """Hides secrets that Django does not recognise in settings and headers: passwords in URLs."""

    def cleanse_setting(self, key: str | int, value: Any) -> Any:
        """Return the value without secrets."""
        cleansed: Any = super().cleanse_setting(key, value)
        return redacted(cleansed) if isinstance(cleansed, str) else cleansed


class RedactingExceptionReporter(ExceptionReporter):
    """Reports errors, on pages (with DEBUG) and in mails to ADMINS, without any secrets."""

    def get_traceback_html(self) -> SafeString:
        """Return the error page without secrets."""
        return SafeString(self._redacted(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        """Return the mail's text without secrets."""
        return SafeString(self._redacted(super().get_traceback_text()))

    def _redacted(self, text: str) -> str:
        """Also hide the request's cookies: a session id appears in many variables."""
        cookies = self.request.COOKIES.values() if self.request else ()
        return Redactor(cookies)(current_redactor()(text))
