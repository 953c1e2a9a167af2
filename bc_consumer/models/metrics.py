"""What is counted over all processes for a monitoring system, and the table of the totals.

docs/monitoring.md explains each of them. Nothing but these definitions decides which rows the table
can have, so it stays at a few hundred. Figures that tables hold anyway are no totals: they are read
when somebody asks (``console/gauges.py``).
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.counters import OTHER, Metric
from bc_consumer.models.journal import JournalEntry
from bc_consumer.models.ledger import WEBHOOK
from bc_consumer.models.runs import SyncLog

UNCHANGED, UNKNOWN, RETRIED = "unchanged", "unknown", "retried"
"""Outcomes of a look that the journal does not have: nothing differed; neither Odoo nor the copy
has the order; it failed and will be tried again."""
REFUSED = "refused"
DELAY_CAUSES = (
    WEBHOOK, "operator", "replay", SyncLog.Cause.POLL.value, SyncLog.Cause.NIGHTLY.value,
    SyncLog.Cause.COMMAND.value, "scrub", OTHER,
)  # fmt: skip
"""Of the causes of an order's marks, the first of these that is among them counts."""

WEBHOOK_EVENTS = Metric(
    "bc_webhook_events_total",
    "Webhook events with a valid secret and body, by where they were kept; refused: answered 503.",
    {"kept_in": ("ledger", "queue", REFUSED)},
)
WEBHOOK_REJECTIONS = Metric(
    "bc_webhook_rejected_requests_total",
    "Requests to the webhook that are no event, by HTTP status; 401: a wrong secret.",
    {"status": ("400", "401", "405", "411", "413", "415", OTHER)},
)
REFRESHES = Metric(
    "bc_refreshes_total",
    "Looks at single orders in Odoo, by outcome.",
    {"outcome": (*(outcome.value for outcome in JournalEntry.Outcome),
                 UNCHANGED, UNKNOWN, RETRIED, OTHER)},
)  # fmt: skip
COPY_DELAY = Metric(
    "bc_copy_delay_seconds",
    "Delay of applied changes, from the webhook or the change in Odoo, by what marked the order.",
    {"cause": DELAY_CAUSES},
    (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
ODOO_CALL_DURATION = Metric(
    "bc_odoo_call_duration_seconds",
    "Duration of HTTP exchanges with Odoo, failed ones and logins included.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ODOO_RECEIVED_BYTES = Metric(
    "bc_odoo_received_bytes_total", "Bytes of Odoo's answers, after decompression."
)
ODOO_ERRORS = Metric(
    "bc_odoo_errors_total",
    "Calls of a method of Odoo that failed, by kind of error.",
    {"kind": ("timeout", "unavailable", "busy", "interrupted", "refused", "torn", "access", "fault",
              "too_large", "protocol", OTHER)},
)  # fmt: skip
RUNS = Metric(
    "bc_runs_total",
    "Reconciliation runs that have ended, by cause and final status.",
    {
        "cause": (*SyncLog.Cause.values, OTHER),
        "status": tuple(
            status.value for status in SyncLog.Status if status != SyncLog.Status.RUNNING
        ),
    },
)
RUN_DIFFERENCES = Metric(
    "bc_run_differences_total",
    "Orders that reconciliation runs found to differ from Odoo, by what showed it.",
    {"found_by": ("window", "digest", "names", "scrub")},
)
RUN_MISSED = Metric(
    "bc_run_missed_by_webhooks_total",
    "Changes that reconciliation runs found, that webhooks announce, and that none had announced.",
)
COUNTED = (
    WEBHOOK_EVENTS, WEBHOOK_REJECTIONS, REFRESHES, COPY_DELAY, ODOO_CALL_DURATION,
    ODOO_RECEIVED_BYTES, ODOO_ERRORS, RUNS, RUN_DIFFERENCES, RUN_MISSED,
)  # fmt: skip


class MetricTotal(models.Model):
    """One series: what all processes have counted of it since the table was made.

    Only ``operations/metric_totals.py`` writes it.
    """

    series = models.TextField(_("series"), primary_key=True)
    value = models.FloatField(_("total"))

    class Meta:
        verbose_name = _("metric total")
        verbose_name_plural = _("metric totals")

    def __str__(self) -> str:
        return self.series
