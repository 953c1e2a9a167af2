"""Checks of the work itself: workers, scheduler, runs, waiting and failed orders, alerts."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from bc_consumer.console.figures import ledger_figures
from bc_consumer.core.local_time import last_moment
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import NOTHING, Message, first_line, joined, ngettext
from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.database_checks import SCHEMA
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import Alert, Heartbeat, SyncLog, SyncState
from bc_consumer.operations import heartbeats

LATE_RUN = timedelta(hours=2)
"""How long after its time the nightly run may still be going on."""
WAITING_SECONDS = 120.0
SHOWN_ALERTS = 5


def backlog_checks() -> list[Check]:
    """Return the checks of the work."""
    return [
        Check("workers", _("Workers"), _workers, needs=(SCHEMA,)),
        Check("scheduler", _("Scheduler"), _scheduler, needs=(SCHEMA,)),
        Check("runs", _("Reconciliation"), _runs, needs=(SCHEMA,)),
        Check("backlog", _("What waits"), _backlog, needs=(SCHEMA,)),
        Check("breaker", _("Pause"), _breaker, needs=(SCHEMA,)),
        Check("alerts", _("Alerts"), _alerts, needs=(SCHEMA,)),
    ]


def _workers() -> Iterator[Finding]:
    yield _alive(
        Heartbeat.Kind.WORKER,
        error(
            joined(
                "",
                _("no worker is running: orders are marked, but not fetched"),
                _heard("worker"),
            ),
            _("Start one: manage.py rundramatiq, or docker compose up -d worker."),
        ),
    )


def _scheduler() -> Iterator[Finding]:
    yield _alive(
        Heartbeat.Kind.SCHEDULER,
        error(
            joined(
                "",
                _("no scheduler is running: no nightly run, no polling"),
                _heard("scheduler"),
            ),
            _("Start it: manage.py scheduler, or docker compose up -d scheduler."),
        ),
    )


def _alive(kind: Heartbeat.Kind, otherwise: Finding) -> Finding:
    count = heartbeats.alive()[kind]
    return ok(_("running: %(count)d", count=count)) if count else otherwise


def _heard(kind: str) -> Message:
    """Return when a process of this kind was last heard of; "" if none has been for a day."""
    last = Heartbeat.objects.filter(kind=kind).order_by("-at").first()
    if last is None:
        return NOTHING
    return _(
        " (last heard from at %(time)s, process %(pid)d on %(host)s)",
        time=_shown(last.at),
        pid=last.pid,
        host=last.host,
    )


def _shown(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M")


def _runs() -> Iterator[Finding]:
    state = SyncState.objects.filter(key=SyncState.KEY).first()
    latest = SyncLog.objects.exclude(status=SyncLog.Status.RUNNING).order_by("-id").first()
    if latest is None or state is None:
        yield warning(
            _("no run yet: Odoo's existing orders are not in the copy"),
            _("Run: manage.py sync_BcLinbc (the first run loads everything)."),
        )
        return
    text = _(
        "run %(id)d of %(time)s: %(status)s",
        id=latest.pk,
        time=_shown(latest.started_at),
        status=_(latest.status),
    )
    if latest.status == SyncLog.Status.PARTIAL:
        yield warning(text, _("Some orders failed: see them under pending orders."))
    elif latest.status == SyncLog.Status.STOPPED:
        yield warning(joined(": ", text, latest.error), _("Run it again: manage.py sync_BcLinbc."))
    elif latest.status != SyncLog.Status.OK:
        fix = (
            _("If these orders are really gone: sync_BcLinbc --force.")
            if latest.status == SyncLog.Status.BRAKED
            else _("Correct that, then run: manage.py sync_BcLinbc")
        )
        yield error(joined(": ", text, first_line(latest.error)), fix)
    elif _is_late(state.last_sync):
        yield warning(
            _(
                "%(run)s; complete up to %(time)s only",
                run=text,
                time=_shown(state.last_sync) if state.last_sync else "–",
            ),
            _("Is the scheduler running? Or run: manage.py sync_BcLinbc"),
        )
    else:
        yield ok(text)


def _is_late(last_sync: datetime | None) -> bool:
    if settings.SYNC_NIGHTLY_AT is None:
        return False
    # A run completes the copy up to a moment on Odoo's clock near the run's start.
    due = last_moment(database_now() - LATE_RUN, settings.SYNC_NIGHTLY_AT)
    return last_sync is None or last_sync < due - LATE_RUN


def _backlog() -> Iterator[Finding]:
    ledger_figures.forget()
    figures = ledger_figures()
    age = figures.oldest_owed_seconds
    if figures.failed:
        yield warning(
            ngettext("%(count)d order has failed", "%(count)d orders have failed", figures.failed),
            _("Administration → pending orders → failed: each has its cause."),
        )
    if figures.held:
        yield warning(
            ngettext(
                "archiving of %(count)d order is on hold",
                "archiving of %(count)d orders is on hold",
                figures.held,
            ),
            _("If these orders are really gone from Odoo: sync_BcLinbc --force."),
        )
    waiting = _("%(count)d orders are waiting to be fetched", count=figures.owed)
    if age is not None and age > WAITING_SECONDS:
        yield warning(
            _("%(waiting)s, the oldest for %(minutes)d min", waiting=waiting, minutes=age // 60),
            _("Are workers running, and does Odoo answer? If so, start more workers."),
        )
    else:
        yield ok(waiting)


def _breaker() -> Iterator[Finding]:
    pause = circuit_breaker.current_outage()
    if pause is None:
        yield ok(_("none: workers may call Odoo"))
        return
    yield warning(
        _(
            "calls to Odoo have been paused for %(minutes)d min: %(reason)s",
            minutes=pause.seconds // 60,
            reason=pause.reason,
        ),
        _("Correct what the reason names; workers try again by themselves."),
    )


def _alerts() -> Iterator[Finding]:
    alerts = list(Alert.objects.order_by("-last_at")[: SHOWN_ALERTS + 1])
    for alert in alerts[:SHOWN_ALERTS]:
        yield warning(
            joined(
                " ",
                alert.subject or alert.key,
                f"({_shown(alert.last_at)}):",
                first_line(alert.text),
            ),
            _("It disappears once its cause is gone; see docs/operations/runbook.md."),
        )
    if not alerts:
        yield ok(_("none"))
