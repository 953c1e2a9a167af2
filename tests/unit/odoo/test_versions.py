"""Who knows of Odoo 14 to 16: the files in ``odoo/versions``, and those listed here.

A version is dropped by deleting its file and what is listed. So code that depends on one of these
versions belongs into ``odoo/versions``; add a file to the list only where that can't be.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
APP = ROOT / "bc_consumer"
VERSIONS = APP / "odoo" / "versions"
NO_CODE = {"locale", "migrations", "static", "templates"}

KNOWS_OF_THEM = {
    "doctor/odoo_checks.py": "MEASURED: the versions that were measured; doctor names others",
    "fields/table.py": "since: fields that came with 17, which older versions lack",
    "operations/language_watch.py": "16 takes a language silently that is not active",
}
IMPORTS_THEM = {
    "odoo/automation_rules.py",
    "odoo/grouping.py",
    "odoo/json2.py",
    "odoo/listing.py",
    "odoo/orders.py",
    "odoo/rpc.py",
    "odoo/xmlrpc_codec.py",
}

OLD = r"1[4-6]"
MENTION = re.compile(
    rf"\bOdoo {OLD}\b"
    rf"|\b(of|up to|until|since|from|before) {OLD}\b(?! (digits|lines|fields|seconds|MiB|bytes))"
    rf"|\b{OLD},? (and|to|or) \d\d\b"
    rf"|\b{OLD}, measured"
    r"|\b[Bb]efore(_| )?17\b|\bsince=1[0-7]\b"
    rf"|\b(major|version|since)\b\s*(<|>|<=|>=|==|!=|in)\s*[({{]?\s*({OLD}|17)\b"
    rf"|\({OLD}, \d\d|[Oo]f_?{OLD}\b|[Oo]doo_?{OLD}\b"
)
IMPORT = re.compile(r"^\s*(from|import) .*odoo\.versions\b.*", re.MULTILINE)


def code() -> list[Path]:
    """All modules of the product, without those that may speak of any version."""
    return [
        path
        for path in sorted(APP.rglob("*.py"))
        if not NO_CODE.intersection(path.parts) and not path.is_relative_to(VERSIONS)
    ]


def mentions(text: str) -> list[str]:
    """Return the lines that speak of these versions; an import of their files is counted apart."""
    names = re.compile(r"\bbefore_17\b|\b\w+Before17\b|\bodoo_14\b")
    lines = (names.sub("", line) for line in text.splitlines() if not IMPORT.match(line))
    return [line.strip() for line in lines if MENTION.search(line)]


def test_only_listed_files_know_of_old_versions() -> None:
    found = {str(path.relative_to(APP)): mentions(path.read_text()) for path in code()}
    strangers = {
        name: lines for name, lines in found.items() if lines and name not in KNOWS_OF_THEM
    }
    assert not strangers, "belongs into bc_consumer/odoo/versions"


def test_the_list_is_up_to_date() -> None:
    for name in KNOWS_OF_THEM:
        assert mentions((APP / name).read_text()), f"{name} no longer knows of them: take it out"


def test_the_imports_to_delete_with_a_version_are_known() -> None:
    importing = {str(path.relative_to(APP)) for path in code() if IMPORT.search(path.read_text())}
    assert importing == IMPORTS_THEM


@pytest.mark.parametrize(
    "line",
    [
        "if version.major < 17:", "if major >= 16:", "# 14, measured: it has no such argument",
        "by Odoo 15", "(before 17)", "class ReadGroupOf14:", "sends them up to 16", "14 and 16 do",
        "MEASURED = (14, 16, 17)", "if version.major in (14, 16):", "since=17",
    ],
)  # fmt: skip
def test_a_mention_is_recognised(line: str) -> None:
    assert mentions(line)


@pytest.mark.parametrize(
    "line",
    [
        "16 MiB", "OLDEST_POSTGRESQL = 140000", "numeric of 16 digits", "17 and later",
        "0.15 0.5 1", "would round it to 15",
    ],
)  # fmt: skip
def test_other_numbers_are_none(line: str) -> None:
    assert not mentions(line)
