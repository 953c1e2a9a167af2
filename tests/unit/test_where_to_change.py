"""DEVELOPERS.md, «Where do I change …?»: the files are there, and have what the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| (?P<what>[^|]+) \| `(?P<file>[^`|]+)` \| (?P<names>`[^|]+`) \|")


def rows() -> list[tuple[str, str, list[str]]]:
    text = (ROOT / "DEVELOPERS.md").read_text()
    part = text.partition("## Where do I change …?")[2].partition("\n## ")[0]
    return [
        (row["what"], row["file"], re.findall(r"`([^`]+)`", row["names"]))
        for row in ROW.finditer(part)
    ]


def test_what_newcomers_ask_for_is_there() -> None:
    asked = " ".join(what for what, _file, _names in rows())
    for word in (
        "field", "another page", "alerts", "nightly", "protocol", "version", "error", "setting",
        "text",
    ):  # fmt: skip
        assert word in asked


@pytest.mark.parametrize(("what", "file", "names"), rows(), ids=[what for what, *_ in rows()])
def test_each_file_has_what_is_said(what: str, file: str, names: list[str]) -> None:
    text = (ROOT / file).read_text()
    for name in names:
        assert name in text, f"{what}: {file} has no {name}; correct the table in DEVELOPERS.md"
