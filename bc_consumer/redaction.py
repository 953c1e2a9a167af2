"""What settings name so that log lines and error pages hold no secret, whoever wrote them.

``RedactingFormatter`` is for LOGGING; ``bc_consumer.conf`` names the other two for Django's
DEFAULT_EXCEPTION_REPORTER and its filter.
"""

import logging
from typing import Any

from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from bc_consumer.core.redaction import current_redactor, redacted
from bc_consumer.core.redactor import Redactor

# What would begin a line, colour a terminal, or turn the reading direction of a log around.
RANGES_NOT_IN_A_LINE = (
    (0x00, 0x08), (0x0A, 0x1F), (0x7F, 0x9F), (0x2028, 0x2029), (0x202A, 0x202E), (0x2066, 0x2069),
)  # fmt: skip
ESCAPES = {
    character: chr(character).encode("unicode_escape").decode()
    for first, last in RANGES_NOT_IN_A_LINE
    for character in range(first, last + 1)
}


class RedactingFormatter(logging.Formatter):
    """One line for each record, and then its traceback; no secret in either, and no flood."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Write the line; a name with a newline in it begins no second one."""
        return super().formatMessage(record).translate(ESCAPES)

    def format(self, record: logging.LogRecord) -> str:
        """Write line and traceback."""
        return redacted(super().format(record))


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
        return Redactor(cookies)(current_redactor()(text))
