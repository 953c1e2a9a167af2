"""Fixtures of the database tier: the ledger's rows, and the gateway pointed at the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.console import (
    correctness,
    event_silence,
    extra_field_labels,
    figures,
    filter_names,
    freshness,
    gauges,
    latest_ping,
    processes,
    today,
    verdict,
)
from bc_consumer.core import process_state
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.ledger import circuit_breaker
from bc_consumer.messaging import cached_queue_counts
from bc_consumer.models import BC, BCLine, Pace, PendingBC, SyncState, VersionCounter
from bc_consumer.odoo import Odoo
from bc_consumer.operations import missing_fields
from bc_consumer.reconciliation import run_findings
from bc_consumer.refresh import odoo_connection, odoo_identity
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator


def forget_figures() -> None:
    """Forget what pages may show although it is a moment old."""
    for paced in (
        figures.copy_figures, figures.ledger_figures,
        extra_field_labels.known_labels, gauges.last_runs, freshness.present, freshness.last_hour,
        freshness.shown_last_hour,
        freshness.delays_by_hour, event_silence.event_flow, correctness.correctness,
        correctness.missed_by_night, processes.processes, verdict.attention,
        cached_queue_counts, latest_ping, today.troubles, today.journal, today.copy_size,
        today.delay,
        *filter_names.ALL,
    ):  # fmt: skip
        paced.forget()
    today._staff_until.clear()
    missing_fields.forget()
    odoo_identity.forget()


@pytest.fixture(autouse=True)
def _figures_are_fresh() -> None:
    """A test's figures are not the previous test's."""
    forget_figures()


@pytest.fixture(autouse=True)
def _no_webhook_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that the brake stops waits a moment for webhooks; none comes in most tests."""
    monkeypatch.setattr(run_findings, "WEBHOOK_SECONDS", 0.0)


@pytest.fixture
def single_rows(transactional_db: None, settings: LazySettings) -> None:
    """Put back the migration's rows, which flushed tables lack; no test waits for the pace."""
    settings.BATCH_PACE_SECONDS = 0.0
    Pace.objects.get_or_create(pk=circuit_breaker.PACE_ID, defaults={"next_claim_at": Now()})
    SyncState.objects.get_or_create(key=SyncState.KEY)
    VersionCounter.objects.get_or_create(pk=VersionCounter.ONLY, defaults={"last": 0})


@pytest.fixture
def odoo(single_rows: None, simulator: Simulator, settings: LazySettings) -> Iterator[Odoo]:
    """Return this process's gateway to the ``simulator``, whose webhooks count as committed."""
    settings.ODOO_URL = simulator.url
    settings.ODOO_WEBHOOK_TIMING = "committed"
    process_state.stopping.clear()
    circuit_breaker.record_success()
    odoo_connection.odoo.cache_clear()
    yield odoo_connection.odoo()
    odoo_connection.odoo().close()
    odoo_connection.odoo.cache_clear()
    circuit_breaker.record_success()


def refresh(*odoo_ids: int, mark: ledger.Mark | None = None) -> None:
    """Mark these orders and work off what is due, later attempts included."""
    ledger.mark(odoo_ids, mark or ledger.Mark(cause="webhook"))
    while work_off():
        PendingBC.objects.filter(attempts__gt=0).update(due_at=Now())


def proven(simulator: Simulator) -> None:
    """As if all had been written a minute ago, and read just now."""
    written = database_now().replace(microsecond=0) - timedelta(minutes=1)
    values = {"write_date": f"{written:%Y-%m-%d %H:%M:%S}"}
    simulator.update_sql("purchase.order", simulator.order_ids(), values)
    simulator.update_sql("purchase.order.line", simulator.line_ids(), values)
    BC.objects.update(write_date=written, synced_at=Now())
    BCLine.objects.update(write_date=written)
