"""Lists as files for spreadsheets."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.formats import get_format
from django.utils.text import slugify

MOST_ROWS = 100_000
"""A file ends after so many rows; a spreadsheet can hold a million rows, but nobody reads that
many."""
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

    Spreadsheets of a language whose decimals have a comma expect semicolons between values.
    """
    response = StreamingHttpResponse(_lines(header, rows), content_type="text/csv; charset=utf-8")
    file_name = f"{slugify(name)}-{timezone.localdate():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def _lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    comma = get_format("DECIMAL_SEPARATOR") == ","
    writer = csv.writer(_Line(), delimiter=";" if comma else ",")
    yield BYTE_ORDER_MARK
    yield writer.writerow([str(label) for label in header])
    for row in rows:
        yield writer.writerow([_cell(value, decimal_comma=comma) for value in row])


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
