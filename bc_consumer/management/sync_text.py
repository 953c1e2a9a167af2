"""The words of ``sync_BcLinbc``, in the active language."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from bc_consumer.console.formatting import duration, field_label, number, read_changes
from bc_consumer.core.translatable_field import said
from bc_consumer.management.changes_text import changes_told
from bc_consumer.management.command import Exit, exit_code_table
from bc_consumer.management.tables import aligned
from bc_consumer.models import JournalEntry, SyncLog, SyncState
from bc_consumer.refresh.refresh_now import UNCHANGED, OrderOutcome

FIGURES = (
    "bc_count", "applied", "unchanged", "archived", "held", "error_count", "line_count",
    "lines_deleted",
    "found_by_window", "found_by_digest", "found_by_names", "reread_recent", "reread_failed",
    "reread_mapping", "gone", "scrubbed", "same_date", "missed_by_webhooks",
    "odoo_calls", "odoo_bytes",
)  # fmt: skip


def description() -> str:
    """Describe the purpose of the command."""
    return _(
        "Reconciles the copy with Odoo, here and now: finds what differs, reads it, archives what\n"
        "is gone. The first run loads everything. It needs neither workers nor RabbitMQ."
    )


def exit_codes() -> str:
    """Return the table of exit codes."""
    return exit_code_table(
        {
            Exit.OK: _("done; with --dry-run: no difference"),
            Exit.FAILED: _("failed: Odoo or the database is away, or an unexpected internal error"),
            Exit.USAGE: _("wrong options"),
            Exit.PARTIAL: _("done, but some orders failed (with --bc: or Odoo has no such order)"),
            Exit.LOCKED: _("another run holds the lock; nothing was done"),
            Exit.BRAKED: _(
                "more orders seem gone than the brake allows; the run stopped, or holds them"
            ),
            Exit.REFUSED: _(
                "Odoo rejects our access, or a setting is wrong: credentials, rights, database,"
                " fields, address, protocol"
            ),
            Exit.DRIFT: _("--dry-run found differences"),
            Exit.INTERRUPTED: _("interrupted (Ctrl-C, SIGTERM) or stopped; the next run continues"),
        }
    )


def run_told(run: SyncLog, width: int | None = None) -> str:
    """Describe the result of a run: a line, and below it the figures that are not zero.

    ``width``: the longest line, None for any.
    """
    took = duration((run.ended_at or run.started_at) - run.started_at)
    text = (
        _("First load (run %(id)s): %(status)s, after %(time)s.")
        if run.is_first_load
        else _("Run %(id)s: %(status)s, after %(time)s.")
    )
    head = text % {"id": run.pk, "status": run.get_status_display(), "time": took}
    if run.status == SyncLog.Status.OK and not run.applied and not run.is_first_load:
        head += " " + _("Nothing differed.")
    figures = [
        (field_label(SyncLog, name), number(count))
        for name in FIGURES
        if (count := getattr(run, name))
    ]
    notes = [note for note in said(run.notes).splitlines() if note != said(SyncLog.FIRST_LOAD)]
    return "\n".join([head, *aligned(figures, right={1}, margin="  ", width=width), *notes])


def run_error(run: SyncLog) -> str:
    """Describe the error of a run and the fix; "" when there is none."""
    advice = {
        SyncLog.Status.PARTIAL: _(
            "manage.py replay shows the failed orders by cause. They are tried again when they"
            " change, by the next run, or at once by sync_BcLinbc --bc ORDER."
        ),
        SyncLog.Status.FAILED: _("The first load is not complete: the next run continues it.")
        if run.is_first_load
        else _("The watermark stays, so the next run finds the same changes and more."),
        SyncLog.Status.BRAKED: _("If these orders are really gone: sync_BcLinbc --force."),
        SyncLog.Status.REFUSED: _("Correct that, then run again; the watermark stays."),
        SyncLog.Status.STOPPED: _("The watermark stays; what was marked will still be read."),
    }.get(SyncLog.Status(run.status))
    return f"{said(run.error)}\n{advice}" if advice else ""


def drift_told(facts: Mapping[str, Any], why: str) -> str:
    """Describe the result of a dry run, and of a run after it; ``why`` would stop that run."""
    lines = [said(note) for note in facts["notes"]]
    compared = _("Compared field by field: %(count)s.") % {"count": number(facts["compared"])}
    if not facts["found"]:
        equal = (
            _("No difference.") if facts["full"] else _("No difference in dates, ids and names.")
        )
        would = [_run_would(facts, why)] if facts["run_exit_code"] else []
        return "\n".join([*lines, f"{equal} {compared}", *would])
    text = _("Differences: %(found)s, in orders: %(orders)s, of which pending: %(pending)s.")
    counts = {name: number(facts[name]) for name in ("found", "orders", "pending")}
    lines.append(f"{text % counts} {compared}")
    lines.append(_run_would(facts, why))
    return "\n".join(lines)


def _run_would(facts: Mapping[str, Any], why: str) -> str:
    code = {"code": facts["run_exit_code"]}
    if facts["run_exit_code"] == Exit.REFUSED:
        text = _("Nothing was changed. sync_BcLinbc would stop (exit code %(code)s): %(reason)s")
        return text % {**code, "reason": said(why)}
    if why:
        text = _(
            "Nothing was changed. The brake would stop sync_BcLinbc, or hold orders (exit code"
            " %(code)s): %(reason)s If these orders are really gone: sync_BcLinbc --force."
        )
        return text % {**code, "reason": said(why)}
    if facts["unreadable"]:
        text = ngettext(
            "Nothing was changed. sync_BcLinbc would put right what it can read (exit code"
            " %(code)s): %(count)s order cannot be read.",
            "Nothing was changed. sync_BcLinbc would put right what it can read (exit code"
            " %(code)s): %(count)s orders cannot be read.",
            facts["unreadable"],
        )
        return text % {**code, "count": number(facts["unreadable"])}
    return _("Nothing was changed; sync_BcLinbc would put it right.")


def brought_told(brought: OrderOutcome, width: int | None = None) -> str:
    """Describe the result for one order, field by field; ``width``: the longest line."""
    if brought.outcome == UNCHANGED:
        outcome = pgettext("what became of an order", "unchanged")
    elif brought.outcome == JournalEntry.Outcome.UNCONFIRMED:
        outcome = _("Odoo has no such order")
    else:
        outcome = str(JournalEntry.Outcome(brought.outcome).label)
    number_ = f"#{brought.odoo_id}"
    order = number_ if brought.name == number_ else f"{number_} {brought.name}"
    if brought.error:
        return f"{order}: {outcome} — {said(brought.error)}"
    changes = read_changes(brought.changes)
    if changes.first_lines is not None:
        outcome += f" — {changes.summary()}"
    return "\n".join([f"{order}: {outcome}", *changes_told(changes, width)])


def orders_held() -> str:
    """Name the command that releases the orders held by the brake."""
    return _("If these orders are really gone: sync_BcLinbc --bc ORDER --force.")


def locked(running: Exception) -> str:
    """Explain that another run holds the lock."""
    return _(
        "Nothing was done: %(run)s holds the lock. Try again when it is over. If it hangs, end it;"
        " if it is killed, its lock is free within a minute."
    ) % {"run": said(running)}


def interrupted(command: str) -> str:
    """Describe the state after an interruption."""
    return {
        "run": _("Interrupted. The lock is free, and the next run continues with what is left."),
        "dry run": _("Interrupted; the report is not complete. Nothing was changed."),
        "orders": _(
            "Interrupted. The other orders stay marked: a worker, or a run, will read them."
        ),
    }.get(command, _("Interrupted."))


def refused(error: Exception) -> str:
    """Explain that Odoo refuses; its error names the correction."""
    return _("Odoo rejects our access: %(error)s") % {"error": said(error)}


def odoo_failed(error: Exception, command: str) -> str:
    """Explain that Odoo is not available."""
    text = _("Odoo could not be asked: %(error)s") % {"error": said(error)}
    if command == "orders":
        text += "\n" + _(
            "The orders stay marked: a worker, or a run, will read them when Odoo is back."
        )
    return text


def database_failed(error: Exception) -> str:
    """Explain that our own database is not available."""
    return _(
        "The database failed: %(error)s\nWhat was written before stays, and nothing is lost: run"
        " again when it is back. A lock that this run held is free within a minute."
    ) % {"error": str(error).strip()}


def unlock_warning(state: SyncState, who: str, now: datetime) -> str:
    """Name the holder of the lock, whether it seems alive, and the effect of a release."""
    held = _("The lock is held by %(who)s.") % {"who": said(who)}
    if state.lease_until is None or state.lease_until < now:
        return f"{held} " + _(
            "It seems dead: its lease has ended, so the next run takes the lock anyway."
        )
    until = timezone.localtime(state.lease_until)
    return f"{held} " + _(
        "Its lease runs until %(time)s, so it is alive, or was a moment ago. If it is at work, it"
        " loses the lock and ends as failed. It is better to end it, or to wait until it is over."
    ) % {"time": f"{until:%H:%M:%S}"}
