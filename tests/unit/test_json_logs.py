"""LOG_FORMAT=json: one object a line, without secrets, with what the work is about."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import threading
from datetime import datetime
from typing import Any

import pytest
from django.conf import LazySettings

from bc_consumer import conf
from bc_consumer.core.log_context import LONGEST_LIST, logging_about
from bc_consumer.redaction import RedactingFormatter, RedactingJSONFormatter
from project import settings as project

HOSTILE = 'a "quote" \\ \n\r\t\x00\x1b[31m\x85\u2028\u202e \ud83d tail'


def record(message: str, *arguments: object, **more: Any) -> logging.LogRecord:
    values = (logging.WARNING, __file__, 1, message, arguments, more.pop("exc_info", None))
    return logging.LogRecord("bc_consumer.refresh.batch", *values, **more)


def written(one: logging.LogRecord) -> dict[str, Any]:
    line = RedactingJSONFormatter().format(one)
    assert len(line.splitlines()) == 1
    line.encode()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_has_time_level_logger_message_process_and_thread() -> None:
    one = record("BC %d failed", 7)
    one.created = 1_795_516_200.1234
    found = written(one)
    assert found.pop("process") == one.process
    assert found == {
        "time": "2026-11-24T10:30:00.123Z",
        "level": "WARNING",
        "logger": "bc_consumer.refresh.batch",
        "message": "BC 7 failed",
        "thread": threading.current_thread().name,
    }
    assert datetime.fromisoformat("2026-11-24T10:30:00.123Z").timestamp() == 1_795_516_200.123


def test_what_would_break_a_line_is_escaped() -> None:
    assert written(record("%s", HOSTILE))["message"] == HOSTILE
    line = RedactingJSONFormatter().format(record("%s", HOSTILE + "é"))
    assert not {"\x1b", "\x85", "\u2028", "\u202e", "\x7f"}.intersection(line)
    assert "é" in line


def test_secrets_are_hidden_and_long_texts_cut(settings: LazySettings) -> None:
    settings.ODOO_PASSWORD = "s3cret-'\"-password"
    found = written(record("password=%s at amqp://me:pw12345678@host", settings.ODOO_PASSWORD))
    assert "s3cret" not in found["message"]
    assert "pw12345678" not in found["message"]
    assert len(written(record("%s", "x" * 200_000))["message"]) <= 64 * 1024
    with logging_about(cause=settings.ODOO_PASSWORD):
        assert "s3cret" not in written(record("x"))["cause"]


def test_an_exception_is_a_field(settings: LazySettings) -> None:
    settings.ODOO_PASSWORD = "s3cret-password"
    try:
        raise ValueError(f"{settings.ODOO_PASSWORD}\nsecond line")
    except ValueError:
        found = written(record("failed", exc_info=sys.exc_info()))
    assert found["message"] == "failed"
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("ValueError: ***\nsecond line")


def test_a_line_says_what_the_work_is_about_inside_it_only() -> None:
    with logging_about(run=3, cause="nightly"):
        assert {"run": 3, "cause": "nightly"}.items() <= written(record("x")).items()
        with logging_about(order=[9, 7], cause="webhook"):
            assert written(record("x"))["order"] == [7, 9]
            assert written(record("x"))["run"] == 3
            with logging_about(order=[7], run=None):
                found = written(record("x"))
                assert (found["order"], found["cause"]) == (7, "webhook")
                assert "run" not in found
        assert written(record("x"))["cause"] == "nightly"
    assert {"order", "cause", "run"}.isdisjoint(written(record("x")))


def test_a_long_list_of_orders_is_cut() -> None:
    with logging_about(order=range(1, 1001)):
        assert written(record("x"))["order"] == list(range(1, LONGEST_LIST + 1))


def test_the_line_format_shows_nothing_new() -> None:
    with logging_about(order=7, run=3, cause="webhook"):
        line = RedactingFormatter("%(levelname)s %(name)s: %(message)s").format(record("BC 7"))
    assert line == "WARNING bc_consumer.refresh.batch: BC 7"


@pytest.mark.parametrize("chosen", ["line", "json"])
def test_the_project_s_settings_use_the_format_chosen(
    chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", chosen)
    importlib.reload(conf)
    found = importlib.reload(project).LOGGING["handlers"]["stderr"]["formatter"]
    monkeypatch.undo()
    importlib.reload(conf)
    importlib.reload(project)
    assert found == chosen
