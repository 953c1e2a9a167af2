"""The documents, as tests read them: the README, and the pages of docs/."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOT_FOR_READERS = ("promises.md", "decisions")
"""What repeats others' words, and what says why."""


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
