"""Lists as files for spreadsheets.

A file is made while it is read, a piece at a time, each in whatever thread of the web process is
free: so between two pieces nothing is held, neither a thread nor a cursor of the database. Whoever
reads too slowly gets the beginning, and a last line that says so.
"""

import csv
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError
from django.db.models import Model, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.formats import get_format
from django.utils.text import slugify
from django.utils.translation import gettext as _

M = TypeVar("M", bound=Model)
logger = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""A file ends after so many rows; a spreadsheet can hold a million rows, but nobody reads that
many."""
PART_ROWS = 1_000
"""Rows that are read from the database at once."""
PIECE_CHARACTERS = 64 * 1024
"""What is handed over to the reader at once, at least; it bounds what a slow one may hold up."""
LONGEST_SECONDS = 90.0
"""How long reading a file may take: the largest one takes seconds, on a slow line a minute."""
BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for a formula's beginning (OWASP, «CSV Injection»)."""
BYTE_ORDER_MARK = "\ufeff"
"""Excel reads a file as UTF-8 only if it begins with this."""


class _Line:
    """A file that returns what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_response(
    name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Return the rows as a CSV file in the active language: separators, decimals and dates.

    Spreadsheets of a language whose decimals have a comma expect semicolons between values. The
    rows may be made in several threads, so they must not hold on to a database connection:
    ``in_parts`` reads them so.
    """
    response = StreamingHttpResponse(_Pieces(header, rows), content_type="text/csv; charset=utf-8")
    file_name = f"{slugify(name)}-{timezone.localdate():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def in_parts(found: QuerySet[M], key: str, most: int, *, newest_first: bool) -> Iterator[list[M]]:
    """Yield up to ``most`` rows by ``key``, a unique column, in lists; each is one statement."""
    ordered = found.order_by(f"-{key}" if newest_first else key)
    beyond, compare = ordered, "lt" if newest_first else "gt"
    while most > 0:
        part = list(beyond[: min(PART_ROWS, most)])
        if not part:
            return
        yield part
        most -= len(part)
        beyond = ordered.filter(**{f"{key}__{compare}": getattr(part[-1], key)})


class _Pieces:
    """Iterates over the pieces of a file, each made in the language in which it was asked for."""

    def __init__(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self._language = translation.get_language()
        self._until = time.monotonic() + LONGEST_SECONDS
        self._comma = get_format("DECIMAL_SEPARATOR") == ","
        self._write: Callable[[Sequence[Any]], str] = csv.writer(
            _Line(), delimiter=";" if self._comma else ","
        ).writerow
        self._header: Sequence[str] | None = header
        self._rows = iter(rows)
        self._over = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._over:
            raise StopIteration
        # Threads serve readers of other languages in between.
        with translation.override(self._language):
            text = "".join(self._texts())
        if not text:
            raise StopIteration
        return text

    def _texts(self) -> Iterator[str]:
        """Yield the texts of the next piece."""
        length = 0
        if self._header is not None:
            yield BYTE_ORDER_MARK + self._write([str(label) for label in self._header])
            # The reader sees at once that something comes.
            self._header = None
            return
        if time.monotonic() > self._until:
            yield self._ended(_("This file ends here: reading it took too long. Narrow the list."))
            return
        while length < PIECE_CHARACTERS:
            try:
                row = next(self._rows)
            except StopIteration:
                self._over = True
                return
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The database did not answer during an export: %s", error)
                yield self._ended(_("This file ends here: the database did not answer."))
                return
            text = self._write([_cell(value, decimal_comma=self._comma) for value in row])
            length += len(text)
            yield text

    def _ended(self, why: str) -> str:
        self._over = True
        return self._write([f"!!! {why}"])


def _cell(value: Any, *, decimal_comma: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (Decimal, float)):
        number = format(value, "f")
        return number.replace(".", ",") if decimal_comma else number
    text = str(value)
    if isinstance(value, str) and text.startswith(BEGINS_A_FORMULA):
        return f"'{text}"
    return text
