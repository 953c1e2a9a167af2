"""``/metrics``: everything that a monitoring system needs, for Prometheus to read.

Counters and histograms are the totals of all processes (``operations/metric_totals.py``), gauges
are read at the moment of the question (``gauges``). So it makes no difference which web process, or
which machine, is asked. The address exists only with ``METRICS_TOKEN``, and asks for it.
"""

import atexit
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from bc_consumer.console import gauges
from bc_consumer.console.gauges import Sample
from bc_consumer.core.counters import Metric, label_of
from bc_consumer.core.database_deadline import database_deadline
from bc_consumer.models import MetricTotal
from bc_consumer.models.metrics import COUNTED
from bc_consumer.operations.metric_totals import FlushThread

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

logger = logging.getLogger(__name__)

DATABASE_SECONDS = 1.0
"""The database's deadline for all questions but the copy's size."""
ANSWER_SECONDS = 1.5
"""After this long we answer without the figures still missing."""


@transaction.non_atomic_requests
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics as text: 200 even if the database is away, 401 without the token.

    404 where no token is configured.
    """
    if not settings.METRICS_TOKEN:
        return _plain("METRICS_TOKEN is not set\n", 404)
    if not _shows_token(request):
        refusal = _plain("send Authorization: Bearer and the METRICS_TOKEN\n", 401)
        refusal["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refusal
    # Imported late: it takes a tenth of the time in which a process starts.
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(_read()))
    return HttpResponse(
        generate_latest(registry),
        content_type=CONTENT_TYPE_PLAIN_0_0_4,
        headers={"Cache-Control": "no-store"},
    )


def _shows_token(request: HttpRequest) -> bool:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and constant_time_compare(
        shown.strip(), settings.METRICS_TOKEN
    )


def _plain(text: str, status: int) -> HttpResponse:
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(text, content_type="text/plain", status=status, headers=headers)


# --- read ---------------------------------------------------------------------------------------


class _Collected:
    """What the library asks for the families."""

    def __init__(self, families: Iterable["Family"]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable["Family"]:
        return self._families


def _read() -> Iterator["Family"]:
    until = time.monotonic() + ANSWER_SECONDS
    gauges.ask_rabbitmq()
    gauges.ask_for_counts()
    totals: Mapping[str, float] | None = None
    samples: list[Sample] = []
    try:
        with database_deadline(DATABASE_SECONDS):
            totals = dict(MetricTotal.objects.values_list("series", "value"))
            samples = list(gauges.database_gauges())
    except DatabaseFailure as error:
        connection.close()
        logger.warning("The database did not answer a query for metrics: %s", error)
        samples = [Sample(gauges.DATABASE_UP, 0)]
    else:
        samples += [Sample(gauges.DATABASE_UP, 1)]
        samples += [*gauges.ledger_gauges(until), *gauges.copy_gauges(until)]
    samples += gauges.rabbitmq_gauges(until)
    yield from _gauge_families(samples)
    if totals is not None:
        for metric in COUNTED:
            yield _histogram(metric, totals) if metric.buckets else _counter(metric, totals)


def _gauge_families(samples: Iterable[Sample]) -> Iterator["Family"]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    by_metric: dict[str, list[Sample]] = {}
    for sample in samples:
        by_metric.setdefault(sample.metric.name, []).append(sample)
    for some in by_metric.values():
        metric = some[0].metric
        family = GaugeMetricFamily(metric.name, metric.help, labels=list(metric.labels))
        for sample in some:
            family.add_metric([sample.labels[label] for label in metric.labels], sample.value)
        yield family


def _counter(metric: Metric, totals: Mapping[str, float]) -> "Family":
    """Return every series that the counter can have; those never counted are 0."""
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily(metric.name, metric.help, labels=list(metric.labels))
    for labels in metric.combinations():
        family.add_metric(list(labels.values()), totals.get(metric.series(labels), 0.0))
    return family


def _histogram(metric: Metric, totals: Mapping[str, float]) -> "Family":
    from prometheus_client.metrics_core import HistogramMetricFamily

    family = HistogramMetricFamily(metric.name, metric.help, labels=list(metric.labels))
    for labels in metric.combinations():
        buckets = [
            (label_of(bound), totals.get(metric.series(labels, "_bucket", le=label_of(bound)), 0.0))
            for bound in metric.bounds
        ]
        total = totals.get(metric.series(labels, "_sum"), 0.0)
        family.add_metric(list(labels.values()), buckets=buckets, sum_value=total)
    return family


# --- the web process's own counts ---------------------------------------------------------------


@cache
def begin_to_flush() -> FlushThread:
    """Store what this web process counts, off its requests: from now on, and at its orderly end.

    A server that ends its processes without Python's clean-up has to close the thread.
    """
    thread = FlushThread()
    thread.start()
    atexit.register(thread.close)
    return thread
