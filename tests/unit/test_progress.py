"""How a run gets on: what the bar and the lines say, and that log lines do not tear the bar."""

from __future__ import annotations

import io
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.utils import translation

from bc_consumer.management.progress import Bar, Lines, ProgressState, display, progress_line
from bc_consumer.management.status_line import CLEAR_LINE, StatusLine, log_above
from bc_consumer.reconciliation.run import END_LINE


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
        (
            ProgressState("drain", 3, 9, final=True, reads=True, failed=2, first_load=True), 2.0,
            ("first load · 3 of 9 reads of orders · 2/s · 3.0 s left · 2 failed"
            " · reading the orders"),
        ),
        (
            ProgressState("orders", 0, 9, final=True, reads=True, first_load=True), 0.0,
            "first load · 0 of 9 reads of orders · listing the orders",
        ),
    ],
)  # fmt: skip
def test_what_is_told(standing: ProgressState, rate: float, expected: str) -> None:
    assert progress_line(standing, rate) == expected


def test_an_unknown_phase_is_told_by_its_name() -> None:
    assert progress_line(ProgressState("new phase", 1), 0.0).endswith("new phase")


def test_a_terminal_has_a_bar_and_a_file_has_lines() -> None:
    for out, kind in ((Terminal(), Bar), (io.StringIO(), Lines)):
        assert isinstance(display(StatusLine(out), out), kind)


def test_the_bar_is_redrawn_in_its_line_and_removed_at_the_end() -> None:
    out = Terminal()
    bar = Bar(StatusLine(out))
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
    bar = Bar(StatusLine(out))
    bar.show(ProgressState("drain", 5, 10, final=True))
    bar.close()
    assert max(map(len, out.getvalue().split(CLEAR_LINE))) == 29


def test_a_log_line_stands_above_the_bar_which_is_drawn_again() -> None:
    out = Terminal()
    line = StatusLine(out)
    bar = Bar(line)
    with logged_to(out), log_above(line):
        bar.show(ProgressState("drain", 5, 10, final=True))
        logging.getLogger("bc_consumer.test").warning("something")
        logging.getLogger("bc_consumer.test").warning("something else")
    drawn = out.getvalue().split(CLEAR_LINE)
    assert drawn == ["", drawn[1], "something\n", drawn[1], "something else\n", drawn[1]]
    assert "5 of 10 orders" in drawn[1]


def test_a_log_that_goes_elsewhere_leaves_the_bar_alone_and_gets_every_line() -> None:
    out, file = Terminal(), io.StringIO()
    line = StatusLine(out)
    with logged_to(file), log_above(line):
        Bar(line).show(ProgressState("drain", 5, 10, final=True))
        logging.getLogger("bc_consumer.reconciliation.run").error(END_LINE, 1, "command", "failed")
    assert file.getvalue() == "run 1 (command): failed\n"
    assert out.getvalue().count(CLEAR_LINE) == 1


@pytest.mark.parametrize("whole", [False, True])
def test_a_terminal_is_not_told_beforehand_what_the_result_tells(whole: bool) -> None:
    out = Terminal()
    with logged_to(out), log_above(StatusLine(out), whole=whole):
        logging.getLogger("bc_consumer.reconciliation.run").error(END_LINE, 1, "command", "failed")
        logging.getLogger("pika.adapters").error("Connection refused")
        logging.getLogger("bc_consumer.test").warning("something else")
    assert out.getvalue().splitlines()[-1] == "something else"
    assert ("run 1" in out.getvalue(), "refused" in out.getvalue()) == (whole, whole)


def test_a_notice_takes_the_progress_s_place_while_it_lasts() -> None:
    out = Terminal()
    line = StatusLine(out)
    line.show("half")
    line.notice("silent")
    line.show("three quarters")
    line.notice("silent")
    line.notice("")
    line.clear()
    assert out.getvalue().split(CLEAR_LINE) == ["", "half", "silent", "three quarters", ""]


def test_without_a_terminal_a_status_line_writes_nothing() -> None:
    out = io.StringIO()
    line = StatusLine(out)
    line.show("half")
    line.notice("silent")
    line.clear()
    assert out.getvalue() == ""
    assert line.above(out) is out


@contextmanager
def logged_to(out: io.StringIO) -> Iterator[None]:
    handler = logging.StreamHandler(out)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
        assert handler.filters == []
        assert handler.stream is out
    finally:
        root.removeHandler(handler)


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
