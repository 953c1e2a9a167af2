"""The documents, as tests read them: the pages, wherever in docs/ one stands, and their parts.

Headings, tables, and code in a line (spans) or in a block of its own (fences).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOT_FOR_READERS = ("promises.md", "decisions")
"""What repeats others' words, and what says why."""
OUTSIDE_DOCS = ("README.md", "DEVELOPERS.md", "CONTRIBUTING.md", "SECURITY.md")
FENCE = re.compile(r"^ *```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
CODE = ("bc_consumer", "odoo_webhook", "odoo_simulator", "project", "tests", "bench", "tools")
CELLS = re.compile(r"(?<!\\)\|")


@cache
def pages() -> dict[str, str]:
    """Return the text of the README and of each page for readers, by its path."""
    paths = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in paths
        if path.relative_to(ROOT).parts[:2][-1] not in NOT_FOR_READERS
    }


@cache
def running_text() -> str:
    """Return all of it without line breaks."""
    return " ".join(" ".join(pages().values()).split())


def sections(text: str) -> dict[str, str]:
    """Return what stands under each heading of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a document, with the cells of its rows."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@cache
def everywhere() -> tuple[Path, ...]:
    """Return every document that is kept up to date; CHANGELOG.md tells of the past."""
    found = [*(ROOT / name for name in OUTSIDE_DOCS), *sorted(DOCS.rglob("*.md"))]
    assert len(found) > 20, "the search for documents finds hardly any: has it broken?"
    return tuple(found)


@cache
def page(name: str) -> str:
    """Return the text of the one page of docs/ that has this name, in whichever folder."""
    (found,) = DOCS.rglob(name)
    return found.read_text(encoding="utf-8")


def place(path: Path) -> str:
    """Return the path as a failure names it."""
    return str(path.relative_to(ROOT))


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one that is no deeper."""
    for found in HEADING.finditer(without_fences(text)):
        if found[2] == heading:
            depth = len(found[1])
            rest = text[text.index(f"\n{found[0]}") + 1 + len(found[0]) :]
            later = (one for one in HEADING.finditer(without_fences(rest)) if len(one[1]) <= depth)
            following = next(later, None)
            return rest[: rest.index(f"\n{following[0]}")] if following else rest
    raise AssertionError(f"no heading {heading!r}")


def headings(text: str) -> list[str]:
    """Return the texts of all headings."""
    return [found[2] for found in HEADING.finditer(without_fences(text))]


def tables(text: str) -> Iterator[Table]:
    """Yield the tables, in their order."""
    lines = without_fences(text).splitlines()
    block: list[str] = []
    for line in [*lines, ""]:
        if line.lstrip().startswith("|"):
            block.append(line)
        elif block:
            yield Table(_cells(block[0]), tuple(_cells(row) for row in block[2:]))
            block = []


def table_with(text: str, first: str) -> Table:
    """Return the one table whose first column has this title."""
    found = [table for table in tables(text) if table.header[0] == first]
    assert len(found) == 1, f"{len(found)} tables with a first column {first!r}"
    return found[0]


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in CELLS.split(row.strip().strip("|")))


def fences(text: str, languages: Sequence[str] = ()) -> Iterator[str]:
    """Yield the blocks of code, of these languages if any are named."""
    for found in FENCE.finditer(text):
        if not languages or found["language"] in languages:
            yield found["text"]


def without_fences(text: str) -> str:
    """Return the text with its blocks of code as empty lines."""
    return FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)


@cache
def words_of_the_code() -> frozenset[str]:
    """Return every name in the code, in the tests and in the files that deploy."""
    found: set[str] = set()
    for folder in CODE:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {".py", ".yml", ".sh", ".html", ".conf"}:
                found.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    for name in ("test", "start", "docker-compose.yml", "Dockerfile", "pyproject.toml"):
        found.update(re.findall(r"\w+", (ROOT / name).read_text(encoding="utf-8")))
    return frozenset(found)


def spans(text: str) -> list[str]:
    """Return what stands between single backticks, each in one line."""
    return [" ".join(found.split()) for found in SPAN.findall(without_fences(text))]
