"""Lays text out for a terminal: aligned columns, and lines that are not too long to read.

What goes to a file or to another program is neither wrapped nor cut.
"""

import itertools
import shutil
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

LONGEST_LINE = 100
"""Characters of a line on a terminal, however wide that is."""
NARROWEST = 12
"""Characters that a column keeps, however narrow the terminal is."""
GAP = "  "
SAME_SHOWN = 8
"""Characters before the first difference of two long values that are shown."""


class Stream(Protocol):
    """Something that is written to: a text stream, or Django's wrapper of one."""

    def isatty(self) -> bool:
        """Return whether a person looks at it."""


def width_of(stream: Stream) -> int | None:
    """Return the longest line for this stream; None where nobody's screen limits it."""
    if not stream.isatty():
        return None
    return min(shutil.get_terminal_size().columns, LONGEST_LINE)


def wrapped(text: str, stream: Stream, indent: str = "") -> str:
    """Break the long lines of a text for a terminal.

    Each goes on under its own beginning, with ``indent`` added.
    """
    width = width_of(stream)
    if width is None:
        return text
    return "\n".join(_wrapped_line(line, width, indent) for line in text.split("\n"))


def _wrapped_line(line: str, width: int, indent: str) -> str:
    if len(line) <= width:
        return line
    margin = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line.strip(),
        width,
        initial_indent=margin,
        subsequent_indent=margin + indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def aligned(
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    right: Collection[int] = (),
    whole: Collection[int] = (),
    margin: str = "",
) -> list[str]:
    """Return the rows as lines with their columns one below the other.

    ``width``: the longest line; the widest columns are cut for it. ``right``: columns that are
    aligned at their end. ``whole``: columns that are never cut.
    """
    table = list(rows)
    if not table:
        return []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    if width is not None:
        widths = _narrowed(widths, width - len(margin), whole)
    lines = []
    for row in table:
        cells = [cut(cell, limit) for cell, limit in zip(row, widths, strict=True)]
        shown = [
            cell.rjust(limit) if number in right else cell.ljust(limit)
            for number, (cell, limit) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append((margin + GAP.join(shown)).rstrip())
    return lines


def _narrowed(widths: Sequence[int], width: int, whole: Collection[int]) -> list[int]:
    """Take from the widest column until all fit, or none may become narrower."""
    narrowed = list(widths)
    room = width - len(GAP) * (len(narrowed) - 1)
    while sum(narrowed) > room:
        able = [n for n, one in enumerate(narrowed) if n not in whole and one > NARROWEST]
        if not able:
            break
        narrowed[max(able, key=lambda n: narrowed[n])] -= 1
    return narrowed


def cut(text: str, width: int | None) -> str:
    """Return a text that fits; "…" says that there was more."""
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def cut_pair(one: str, other: str, width: int | None) -> tuple[str, str]:
    """Cut two values that differ so that their first difference is still seen."""
    if width is None or max(len(one), len(other)) <= width:
        return one, other
    pairs = zip(one, other, strict=False)
    same = sum(1 for _pair in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    if same >= width - 2:
        start = max(same - SAME_SHOWN, 0)
        one, other = (f"…{text[start:]}" for text in (one, other))
    return cut(one, width), cut(other, width)
