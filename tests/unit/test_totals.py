"""What is counted in memory: exact, and bounded by the definitions."""

from __future__ import annotations

import re
import threading

import pytest

from bc_consumer.core.counters import OTHER, Metric, Totals
from bc_consumer.ledger import SCRUB
from bc_consumer.models import JournalEntry, SyncLog
from bc_consumer.models.metrics import COPY_DELAY, COUNTED, ODOO_ERRORS, REFRESHES, RUNS
from bc_consumer.odoo import errors
from bc_consumer.operations import failed_orders
from bc_consumer.refresh.call_counts import KINDS, kind_of
from bc_consumer.refresh.look_counts import delay_cause

COUNTER = Metric("seen_total", "What was seen.", {"kind": ("cat", "dog", OTHER)})
HISTOGRAM = Metric("wait_seconds", "A wait.", {"who": ("me",)}, (0.5, 1, 10))
MOST_SERIES = 500


def test_what_is_taken_is_gone_and_what_is_given_back_counts_again() -> None:
    totals = Totals()
    totals.add(COUNTER, kind="cat")
    totals.add(COUNTER, 2, kind="cat")
    totals.add(COUNTER, 0, kind="dog")
    taken = totals.take()
    assert taken == {'seen_total{kind="cat"}': 3}
    assert totals.take() == {}
    totals.add(COUNTER, kind="cat")
    totals.give_back(taken)
    assert totals.take() == {'seen_total{kind="cat"}': 4}


def test_an_observation_is_in_every_bucket_that_it_fits_in() -> None:
    totals = Totals()
    for value in (0.5, 0.6, 20):
        totals.observe(HISTOGRAM, value, who="me")
    assert totals.take() == {
        'wait_seconds_bucket{who="me",le="0.5"}': 1,
        'wait_seconds_bucket{who="me",le="1.0"}': 2,
        'wait_seconds_bucket{who="me",le="10.0"}': 2,
        'wait_seconds_bucket{who="me",le="+Inf"}': 3,
        'wait_seconds_sum{who="me"}': pytest.approx(21.1),
    }


def test_a_value_that_the_definition_does_not_list_makes_no_series() -> None:
    totals = Totals()
    for number in range(100):
        totals.add(COUNTER, kind=f'{number}"}} 1')
    assert totals.take() == {'seen_total{kind="other"}': 100}


def test_threads_lose_nothing() -> None:
    totals = Totals()
    taken: list[dict[str, float]] = []

    def count() -> None:
        for _ in range(2000):
            totals.add(COUNTER, kind="cat")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken.append(totals.take())
    taken.append(totals.take())
    assert sum(sum(part.values()) for part in taken) == 8000


def test_the_table_stays_small() -> None:
    series = sum(
        len(list(metric.combinations())) * (len(metric.bounds) + 1 if metric.buckets else 1)
        for metric in COUNTED
    )
    assert series < MOST_SERIES


def test_names_are_prometheus_s() -> None:
    for metric in COUNTED:
        assert re.fullmatch(r"bc_[a-z_]+", metric.name)
        assert metric.name.endswith("_seconds" if metric.buckets else "_total")
        assert metric.help.endswith(".")
        assert list(metric.buckets) == sorted(metric.buckets)
        assert "le" not in metric.labels


def test_nothing_that_the_service_counts_is_called_other() -> None:
    assert {one.value for one in JournalEntry.Outcome} <= set(REFRESHES.labels["outcome"])
    assert {one.value for one in SyncLog.Cause} <= set(RUNS.labels["cause"])
    assert {one.value for one in SyncLog.Status} - {"running"} == set(RUNS.labels["status"])
    assert {kind for _class, kind in KINDS} == set(ODOO_ERRORS.labels["kind"]) - {OTHER}
    assert {SCRUB, failed_orders.CAUSE} <= set(COPY_DELAY.labels["cause"])


def test_every_error_of_the_gateway_has_a_kind() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.OdooError)
    ]
    kinds = {
        class_.__name__: kind_of(class_.__new__(class_))
        for class_ in classes
        if class_ is not errors.OdooError
    }
    assert OTHER not in kinds.values()
    assert kinds["OdooTimeout"] == "timeout"
    assert kinds["UnknownField"] == "fault"
    assert kinds["WrongCredentials"] == "refused"
    assert kinds["ResponseTooLarge"] == "too_large"


@pytest.mark.parametrize(
    ("causes", "counted"),
    [
        ("webhook", "webhook"),
        ("nightly,webhook", "webhook"),
        ("scrub,nightly", "nightly"),
        ("moved lines", OTHER),
        ("", OTHER),
    ],
)
def test_a_delay_is_counted_under_one_cause(causes: str, counted: str) -> None:
    assert delay_cause(causes) == counted
