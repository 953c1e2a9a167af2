"""Which processes run, and in which version."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from pytest_django import DjangoAssertNumQueries

from bc_consumer.console.processes import processes
from bc_consumer.models import Heartbeat
from bc_consumer.operations.heartbeats import ALIVE

pytestmark = pytest.mark.django_db

WORKER, SCHEDULER, WEB = Heartbeat.Kind.WORKER, Heartbeat.Kind.SCHEDULER, Heartbeat.Kind.WEB


def heard(kind: Heartbeat.Kind, pid: int, seconds_ago: float = 1, **values: Any) -> None:
    at = Now() - timedelta(seconds=seconds_ago)
    Heartbeat.objects.create(kind=kind, host="machine", pid=pid, at=at, **values)


def test_nothing_runs() -> None:
    assert (processes().running, processes().lost, processes().versions) == ([], [], [])


def test_those_that_run_and_those_that_were_lost(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    heard(WORKER, 1, version="1.2.0")
    heard(WORKER, 2, ALIVE.total_seconds() + 5, version="1.1.0")
    heard(SCHEDULER, 3, 9, version="1.2.0")
    heard(WEB, 4, version="1.2.0")
    with django_assert_num_queries(2):
        known = processes()
    assert [(one.kind, one.pid) for one in known.running] == [
        (SCHEDULER, 3), (WEB, 4), (WORKER, 1),
    ]  # fmt: skip
    assert known.running[0].silent_seconds == pytest.approx(9, abs=5)
    assert [(one.pid, one.host, one.version) for one in known.lost] == [(2, "machine", "1.1.0")]
    assert (known.count(WORKER), known.count(WEB)) == (1, 1)
    assert known.versions == ["1.2.0"]
    with django_assert_num_queries(0):
        processes()


def test_a_half_done_update_shows_by_the_versions() -> None:
    heard(WORKER, 1, version="1.2.0")
    heard(WORKER, 2, version="1.1.0")
    heard(WEB, 3)  # of a release that did not tell it
    assert processes().versions == ["", "1.1.0", "1.2.0"]
