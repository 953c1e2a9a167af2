"""``/metrics``: who may read it, that it is right, and that nothing is lost on the way there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

import psycopg2
import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models import Sum
from django.db.models.functions import Now
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from bc_consumer import ledger
from bc_consumer.console import gauges, metrics
from bc_consumer.console.figures import CopyFigures, copy_figures, ledger_figures
from bc_consumer.core.background_call import BackgroundCall
from bc_consumer.core.counters import totals
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import Mark, circuit_breaker
from bc_consumer.messaging import intake
from bc_consumer.models import (
    BC,
    Alert,
    DeadLetter,
    Heartbeat,
    JournalEntry,
    MetricTotal,
    PendingBC,
    SyncLog,
    SyncState,
)
from bc_consumer.models.metrics import COUNTED, REFRESHES, RUNS, WEBHOOK_EVENTS
from bc_consumer.odoo import Odoo
from bc_consumer.operations import metric_totals
from bc_consumer.operations.heartbeats import HeartbeatThread
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.run_record import begin
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator
from tests.conftest import ON_SQLITE
from tests.db.conftest import refresh
from tests.db.copied import bc, failed, line, pending
from tests.services.waiting import wait_until

TOKEN = "a-token-for-the-metrics-alone"
LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35, "product_id": 1}]
Samples = Mapping[str, float]


@pytest.fixture
def own_intake(settings: LazySettings) -> Iterator[None]:
    """An intake of this test: its connections must not outlive the test's database."""
    settings.WEBHOOK_ANSWER_SECONDS = 10
    intake.intake.cache_clear()
    yield
    intake.intake().close()
    intake.intake.cache_clear()


@pytest.fixture(autouse=True)
def _token(settings: LazySettings) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape(client: Client) -> Samples:
    """Return every sample, named as Prometheus writes it, once the process has flushed."""
    metric_totals.flush()
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def of_metric(samples: Samples, name: str) -> dict[str, float]:
    """Return the samples of one metric that are not 0, by their labels."""
    return {
        series.removeprefix(name): value
        for series, value in samples.items()
        if series.partition("{")[0] == name and value
    }


# --- who may read it ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_a_token_in_the_settings_there_is_no_such_page(
    client: Client, settings: LazySettings
) -> None:
    settings.METRICS_TOKEN = ""
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer"}):
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == 404
        assert b"bc_" not in answer.content


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"],
)
@pytest.mark.django_db
def test_whoever_lacks_the_token_reads_nothing(client: Client, header: str) -> None:
    answer = client.get("/metrics", headers={"authorization": header})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert b"bc_" not in answer.content
    assert TOKEN.encode() not in answer.content


@pytest.mark.django_db
def test_a_stranger_costs_no_statement(client: Client) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.cursor", _refuse)
        assert client.get("/metrics").status_code == 401


def _refuse(*_: object) -> None:
    raise AssertionError("the database was asked")


@pytest.mark.django_db(transaction=True)
def test_it_needs_no_login_and_is_neither_redirected_nor_cached(
    client: Client, settings: LazySettings
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    assert client.post("/metrics").status_code == 405


# --- what is read when it is asked --------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_it_tells_what_the_tables_say(client: Client, single_rows: None) -> None:
    line(bc(1), 11)
    line(bc(2, archived_at=Now()), 21)
    pending(3, age=40)
    pending(4, generation=2, fetched_generation=2)
    failed(5)
    pending(6, held_reason="too many at once")
    Heartbeat.objects.create(kind=Heartbeat.Kind.WORKER, host="machine", pid=1, at=Now())
    Alert.objects.create(key="x", text="y", first_at=Now(), last_at=Now())
    DeadLetter.objects.create(
        queue="q", body=b"", digest="d", why="", first_at=Now(), last_at=Now()
    )
    samples = scrape(client)
    assert samples["bc_database_up"] == 1
    assert of_metric(samples, "bc_pending_orders") == {
        '{state="owed"}': 1, '{state="watching"}': 1, '{state="failed"}': 1, '{state="held"}': 1,
    }  # fmt: skip
    assert samples["bc_oldest_owed_age_seconds"] == pytest.approx(40, abs=5)
    assert of_metric(samples, "bc_copy_orders") == {'{state="current"}': 1, '{state="archived"}': 1}
    assert samples["bc_copy_lines"] == 2
    assert of_metric(samples, "bc_processes_alive") == {'{kind="worker"}': 1}
    assert samples['bc_processes_alive{kind="scheduler"}'] == 0
    assert (samples["bc_alerts_open"], samples["bc_dead_letters"]) == (1, 1)
    assert of_metric(samples, "bc_odoo_breaker") == {'{state="closed"}': 1}
    assert samples["bc_odoo_outage_seconds"] == samples["bc_run_active"] == 0
    # Without RabbitMQ, exchange and runs there is nothing to tell of them.
    assert not [name for name in samples if name.startswith(("bc_rabbitmq", "bc_unannounced"))]
    assert not [name for name in samples if "timestamp" in name]


@pytest.mark.django_db(transaction=True)
def test_it_tells_an_outage_and_a_run_at_work(client: Client, single_rows: None) -> None:
    circuit_breaker.record_failure(verbatim("HTTP 502"), probing=False)
    SyncState.objects.update(is_syncing=True, lease_until=Now() + timedelta(minutes=1))
    samples = scrape(client)
    assert of_metric(samples, "bc_odoo_breaker") == {'{state="away"}': 1}
    assert samples["bc_odoo_outage_seconds"] > 0
    assert samples["bc_run_active"] == 1
    circuit_breaker.record_failure(verbatim("no"), probing=True, refused=True)
    SyncState.objects.update(lease_until=Now() - timedelta(minutes=1))
    samples = scrape(client)
    assert of_metric(samples, "bc_odoo_breaker") == {'{state="refused"}': 1}
    assert samples["bc_run_active"] == 0


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_takes_long_to_count_delays_nothing_and_keeps_its_last_size(
    client: Client, single_rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, may_count = copy_figures(), threading.Event()

    def count_slowly() -> CopyFigures:
        may_count.wait(30)
        return counted

    slow = BackgroundCall(count_slowly)
    monkeypatch.setattr(gauges, "_copy_answer", slow)
    monkeypatch.setattr(metrics, "ANSWER_SECONDS", 0.05)
    assert scrape(client)["bc_copy_lines"] == 0
    copy_figures.forget()
    assert "bc_copy_lines" not in scrape(client)
    under_way = slow.start()
    may_count.set()
    assert under_way.result(10) is counted


@pytest.mark.django_db(transaction=True)
def test_without_the_database_it_answers_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Iterator[gauges.Sample]:
        raise OperationalError("connection refused")

    monkeypatch.setattr(gauges, "database_gauges", away)
    samples = scrape(client)
    assert samples["bc_database_up"] == 0
    assert not {"bc_pending_orders", "bc_copy_lines", "bc_alerts_open"}.intersection(samples)
    assert "bc_runs_total" in str(samples)  # these had been read


@pytest.mark.skipif(ON_SQLITE, reason="SQLite locks no tables")
@pytest.mark.django_db(transaction=True)
def test_a_ledger_that_takes_long_to_count_keeps_back_nothing_else(
    client: Client, single_rows: None
) -> None:
    ledger_figures.forget()
    given = connection.get_connection_params()
    own = {name: given[name] for name in ("dbname", "user", "password", "host", "port")}
    other = psycopg2.connect(**own)
    try:
        with other.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {PendingBC._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        samples = scrape(client)
        assert time.monotonic() - began < 2  # as docs/monitoring.md promises
    finally:
        other.close()
    assert samples["bc_database_up"] == 1
    assert "bc_runs_total" in str(samples)
    assert "bc_pending_orders" not in str(samples)


@pytest.mark.django_db(transaction=True)
def test_a_scrape_costs_few_statements_and_none_of_the_journal(
    client: Client, single_rows: None
) -> None:
    scrape(client)
    asked: list[str] = []

    def note(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        scrape(client)
    assert 5 <= len(asked) <= 12
    assert not [sql for sql in asked if JournalEntry._meta.db_table in sql]


# --- what is counted ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_every_series_is_there_before_anything_happened(client: Client, single_rows: None) -> None:
    samples = scrape(client)
    for metric in COUNTED:
        for labels in metric.combinations():
            series = metric.series(labels, "_sum" if metric.buckets else "")
            assert samples[series] == 0


@pytest.mark.django_db(transaction=True)
def test_flushes_of_several_processes_add_up(client: Client) -> None:
    for _process in range(3):
        totals.add(WEBHOOK_EVENTS, 5, kept_in="ledger")
        metric_totals.flush()
    metric_totals.flush()
    assert of_metric(scrape(client), WEBHOOK_EVENTS.name) == {'{kept_in="ledger"}': 15}


@pytest.mark.django_db(transaction=True)
def test_what_a_database_that_is_away_did_not_take_is_stored_later() -> None:
    totals.add(WEBHOOK_EVENTS, 5, kept_in="ledger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetricTotal._meta, "db_table", "no_such_table")
        metric_totals.flush_guarded()
    assert not MetricTotal.objects.exists()
    totals.add(WEBHOOK_EVENTS, kept_in="ledger")
    metric_totals.flush_guarded()
    assert [one.value for one in MetricTotal.objects.all()] == [6]


@pytest.mark.django_db(transaction=True)
def test_a_heart_stores_what_its_process_has_counted() -> None:
    stop = threading.Event()
    totals.add(WEBHOOK_EVENTS, kept_in="queue")
    heart = HeartbeatThread(Heartbeat.Kind.WORKER, stop)
    heart.start()
    wait_until(MetricTotal.objects.exists, what="the first beat's flush")
    stop.set()
    heart.join(5)


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_flushes_does_so_once_more_at_its_end() -> None:
    thread = metric_totals.FlushThread()
    thread.start()
    totals.add(WEBHOOK_EVENTS, kept_in="queue")
    thread.close()
    assert MetricTotal.objects.get().value == 1


def test_the_refreshes_are_the_journal_s(
    client: Client, odoo: object, simulator: Simulator
) -> None:
    one, two, broken = (simulator.create_order(lines=LINES) for _ in range(3))
    simulator.faults.poison(broken)
    refresh(one, two, broken, mark=Mark(cause="webhook"))
    simulator.write_order(one, partner_ref="new")
    simulator.delete_order(two)
    refresh(one, two, mark=Mark(cause="nightly"))
    refresh(one)
    samples = scrape(client)
    counted = of_metric(samples, REFRESHES.name)
    unchanged = counted.pop('{outcome="unchanged"}')
    retried = counted.pop('{outcome="retried"}')
    journalled = JournalEntry.objects.values_list("outcome", flat=True)
    assert counted == {
        f'{{outcome="{outcome}"}}': list(journalled).count(outcome) for outcome in journalled
    }
    assert set(counted) >= {
        '{outcome="created"}', '{outcome="changed"}', '{outcome="archived"}', '{outcome="failed"}'
    }  # fmt: skip
    assert (unchanged, retried) == (1, 2)
    by_webhook = JournalEntry.objects.filter(causes="webhook", delay__isnull=False)
    assert samples['bc_copy_delay_seconds_count{cause="webhook"}'] == by_webhook.count()
    assert samples['bc_copy_delay_seconds_sum{cause="webhook"}'] == pytest.approx(
        by_webhook.aggregate(sum=Sum("delay"))["sum"]
    )
    assert not samples.get('bc_copy_delay_seconds_count{cause="nightly"}'), "nothing announced it"


def test_calls_bytes_and_errors_of_odoo_are_the_gateway_s(
    client: Client,
    odoo: Odoo,
    simulator: Simulator,
) -> None:
    order = simulator.create_order(lines=LINES)
    simulator.faults.poison(order)
    refresh(order)
    samples = scrape(client)
    assert samples["bc_odoo_call_duration_seconds_count"] == odoo.calls > 0
    assert samples["bc_odoo_received_bytes_total"] == odoo.bytes
    assert of_metric(samples, "bc_odoo_errors_total") == {'{kind="fault"}': 3}


@pytest.mark.slow("plays whole runs")
def test_each_run_is_counted_once_with_what_it_found(
    client: Client, odoo: object, simulator: Simulator, settings: LazySettings
) -> None:
    settings.PUBLIC_URL = "https://copy.example.com"
    simulator.create_order(lines=LINES)
    first = reconcile(RunRequest(SyncLog.Cause.COMMAND))
    simulator.create_order(lines=LINES)
    run = reconcile(RunRequest(SyncLog.Cause.NIGHTLY))
    assert run.missed_by_webhooks == 1
    samples = scrape(client)
    assert of_metric(samples, RUNS.name) == {
        '{cause="command",status="ok"}': 1, '{cause="nightly",status="ok"}': 1
    }  # fmt: skip
    assert samples["bc_run_missed_by_webhooks_total"] == 1
    assert of_metric(samples, "bc_run_differences_total") == {
        '{found_by="window"}': first.found_by_window + run.found_by_window
    }
    assert run.ended_at is not None
    for name in ("bc_last_run_end", "bc_last_good_run_end"):
        ended = samples[f'{name}_timestamp_seconds{{cause="nightly"}}']
        assert ended == pytest.approx(run.ended_at.timestamp(), abs=0.01)


def test_a_killed_run_is_counted_by_whoever_closes_its_row(
    client: Client, odoo: object, simulator: Simulator
) -> None:
    begin(RunRequest(SyncLog.Cause.NIGHTLY))
    begin(RunRequest(SyncLog.Cause.COMMAND))
    assert of_metric(scrape(client), RUNS.name) == {'{cause="nightly",status="failed"}': 1}


@pytest.mark.django_db(transaction=True)
def test_events_are_counted_by_where_they_were_kept(
    client: Client,
    own_intake: None,
    single_rows: None,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = settings.ODOO_WEBHOOK_SECRETS[0]

    def post(secret: str = secret, body: str = '{"_model": "purchase.order", "_id": 7}') -> int:
        return client.post(
            "/odoo/webhook/",
            body,
            content_type="application/json",
            headers={"authorization": f"Bearer {secret}"},
        ).status_code

    assert post() == 202
    assert post(secret="wrong") == 401
    assert post(body="{") == 400
    monkeypatch.setattr(intake, "_hand_over", lambda arrival: False)
    assert post() == 503
    samples = scrape(client)
    assert of_metric(samples, WEBHOOK_EVENTS.name) == {
        '{kept_in="ledger"}': 1, '{kept_in="refused"}': 1
    }  # fmt: skip
    assert of_metric(samples, "bc_webhook_rejected_requests_total") == {
        '{status="400"}': 1, '{status="401"}': 1
    }  # fmt: skip
    assert PendingBC.objects.get().marks == 1


def test_a_command_stores_what_it_has_counted(
    odoo: object, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    order = simulator.create_order(lines=LINES)
    call_command("sync_BcLinbc", "--bc", str(order))
    assert BC.objects.filter(odoo_id=order).exists()
    stored = MetricTotal.objects.get(series=REFRESHES.series({"outcome": "created"}))
    assert stored.value == 1
    assert ledger.failed(0, 1) == []
