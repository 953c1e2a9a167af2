"""How a run gets on: what the bar and the lines say, and that log lines do not tear the bar."""

from __future__ import annotations

import io
import logging
import shutil
import time
from collections.abc import Iterator

import pytest
from django.utils import translation

from bc_consumer.management.progress import CLEAR_LINE, Bar, Lines, ProgressState, display, told


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _wide_and_english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "120")
    assert shutil.get_terminal_size().columns == 120
    with translation.override("en"):
        yield


@pytest.mark.parametrize(
    ("standing", "rate", "expected"),
    [
        (ProgressState("orders", 0), 0.0, "0 orders · looking for changed orders"),
        (
            ProgressState("lines", 1234, 1500), 41.2,
            "1,234 of 1,500 orders known so far · 41/s · looking for changed lines",
        ),
        (
            ProgressState("drain", 500, 1500, final=True), 100.0,
            "500 of 1,500 orders · 100/s · 10 s left · reading what was found",
        ),
        (
            ProgressState("names of uom.uom", 3, 3, final=True), 2.0,
            "3 of 3 orders · 2/s · names in uom.uom",
        ),
        (
            ProgressState("scrub", 3, 3, final=True), 2.0,
            "3 of 3 orders · 2/s · comparing content, whatever the dates say",
        ),
    ],
)  # fmt: skip
def test_what_is_told(standing: ProgressState, rate: float, expected: str) -> None:
    assert told(standing, rate) == expected


def test_an_unknown_phase_is_told_by_its_name() -> None:
    assert told(ProgressState("new phase", 1), 0.0).endswith("new phase")


def test_a_terminal_has_a_bar_and_a_file_has_lines() -> None:
    bar = display(Terminal())
    bar.close()
    assert isinstance(bar, Bar)
    assert isinstance(display(io.StringIO()), Lines)


def test_the_bar_is_redrawn_in_its_line_and_removed_at_the_end() -> None:
    out = Terminal()
    bar = Bar(out)
    bar.show(ProgressState("drain", 5, 10, final=True))
    bar.show(ProgressState("drain", 10, 10, final=True))
    bar.close()
    _, first, second, rest = out.getvalue().split(CLEAR_LINE)
    assert first.count("█") == first.count("░") > 0
    assert second.count("░") == 0
    assert rest == ""
    assert "\n" not in out.getvalue()


def test_the_bar_never_breaks_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    out = Terminal()
    bar = Bar(out)
    bar.show(ProgressState("drain", 5, 10, final=True))
    bar.close()
    assert max(map(len, out.getvalue().split(CLEAR_LINE))) == 29


def test_a_log_line_finds_the_bar_s_line_empty() -> None:
    out = Terminal()
    handler = logging.StreamHandler(out)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        bar = Bar(out)
        bar.show(ProgressState("drain", 5, 10, final=True))
        logging.getLogger("bc_consumer.test").warning("something")
        bar.close()
        assert handler.filters == []
    finally:
        root.removeHandler(handler)
    assert f"{CLEAR_LINE}something\n" in out.getvalue()


def test_the_rate_is_that_of_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    out = io.StringIO()
    lines = Lines(out)
    for done in (0, 1000, 1010, 1020, 1030):
        lines.show(ProgressState("orders", done, 2000))
        now += 10.0
    last = out.getvalue().splitlines()[-1]
    assert "1/s" in last
