"""``manage.py sync_BcLinbc``: reconciles, compares only, reads single orders, stops, unlocks."""

import json
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandParser
from django.db import Error as DatabaseFailure
from django.utils.translation import gettext as _

from bc_consumer.core.garbage_collection import collect_rarely
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import message_of
from bc_consumer.core.translatable_field import PartsField, said
from bc_consumer.management import sync_text
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    caller_name,
    parse_order,
    parse_since,
    stopping_on_signals,
    stream_of,
)
from bc_consumer.management.drift_report import JsonReport, Report, TableReport, plain
from bc_consumer.management.order_lookup import NotOneOrder, find_orders
from bc_consumer.management.progress import RunProgress, ScanProgress, display
from bc_consumer.management.status_line import StatusLine
from bc_consumer.management.tables import width_of
from bc_consumer.models import OperatorAction, SyncLog, SyncState
from bc_consumer.odoo import OdooError, OdooInterrupted, OdooRefused
from bc_consumer.operations import action_requests, metric_totals, run_control
from bc_consumer.reconciliation.dry_run import DryRun
from bc_consumer.reconciliation.lock import AlreadyRunning, Interrupted
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh import odoo_identity
from bc_consumer.refresh.odoo_connection import odoo
from bc_consumer.refresh.refresh_now import OrderOutcome, refresh_now, summary

EXCLUDES = {
    "--unlock": ("--full", "--since", "--bc", "--dry-run", "--force", "--stop"),
    "--stop": ("--full", "--since", "--bc", "--dry-run", "--force"),
    "--bc": ("--full", "--since"),
    "--since": ("--full",),
    "--dry-run": ("--force",),
    "--until": ("--full", "--bc", "--force"),
}
EXIT_OF_RUN = {
    SyncLog.Status.OK: Exit.OK,
    SyncLog.Status.PARTIAL: Exit.PARTIAL,
    SyncLog.Status.BRAKED: Exit.BRAKED,
    SyncLog.Status.REFUSED: Exit.REFUSED,
    SyncLog.Status.STOPPED: Exit.INTERRUPTED,
}
"""Any other status: ``Exit.FAILED``."""


class Command(RedactedCommand):
    """Runs one reconciliation, or a dry run; updates single orders; releases the lock."""

    help = "Reconciles the copy with Odoo, here and now; needs neither workers nor RabbitMQ."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions and their options."""
        self._parser = parser
        parser.description = sync_text.description()
        parser.epilog = sync_text.exit_codes()
        parser.formatter_class = HelpFormatter
        parser.add_argument(
            "--full",
            action="store_true",
            help=_("compare every order's content, not only its dates"),
        )
        parser.add_argument(
            "--since",
            type=parse_since,
            metavar="WHEN",
            help=_(
                "begin the window then: 2d, 36h, 2026-11-24 or 2026-11-24T06:00 (in TIME_ZONE);"
                " if that leaves a gap after the last good run, the watermark stays"
            ),
        )
        parser.add_argument(
            "--until",
            type=parse_since,
            metavar="WHEN",
            help=_("with --dry-run and --since: compare what was last written between the two"),
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("report the differences, and change nothing: order, field, Odoo's value, ours"),
        )
        parser.add_argument(
            "--bc",
            type=parse_order,
            nargs="+",
            metavar="ORDER",
            help=_("only these orders, right away, by Odoo id or reference (P00042)"),
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help=_("archive what Odoo no longer has, despite the brake; release held orders"),
        )
        parser.add_argument(
            "--json", action="store_true", help=_("print one JSON object, whatever happens")
        )
        parser.add_argument(
            "--unlock",
            action="store_true",
            help=_("release the lock, whoever holds it; a run still at work ends as failed"),
        )
        parser.add_argument(
            "--stop",
            action="store_true",
            help=_("ask the run at work, whoever began it, to stop at its next step"),
        )
        parser.add_argument(
            "--no-input", "--noinput", action="store_true", help=_("do not ask before --unlock")
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the chosen action, and exit with the code of its result."""
        self._refuse_contradictions(options)
        if getattr(self, "_called_from_command_line", False):  # else the process is not ours
            collect_rarely()
        self._json: bool = options["json"]
        self._report: Report | None = None
        self._facts: dict[str, Any] = {}
        with self.at_work(options["verbosity"]) as line, stopping_on_signals():
            code = self._run_guarded(options, line)
        if code:
            sys.exit(int(code))

    def _refuse_contradictions(self, options: dict[str, Any]) -> None:
        for one, others in EXCLUDES.items():
            for other in others:
                if _given(options, one) and _given(options, other):
                    names = {"one": one, "other": other}
                    self._parser.error(_("%(one)s and %(other)s can't be combined") % names)
        if options["until"] is None:
            return
        if not options["dry_run"] or options["since"] is None:
            self._parser.error(_("--until needs --dry-run and --since"))
        if options["until"] <= options["since"]:
            self._parser.error(_("--until must be after --since"))

    def _run_guarded(self, options: dict[str, Any], line: StatusLine) -> Exit:
        """Turn each expected error into a sentence and an exit code."""
        try:
            return self._do(options, line)
        except NotOneOrder as error:
            return self._end(Exit.USAGE, str(error))
        except AlreadyRunning as running:
            return self._end(Exit.LOCKED, sync_text.locked(running))
        except (Interrupted, OdooInterrupted, KeyboardInterrupt):
            return self._end(
                Exit.INTERRUPTED, sync_text.interrupted(self._facts.get("command", ""))
            )
        except OdooRefused as error:
            return self._end(Exit.REFUSED, sync_text.refused(error))
        except OdooError as error:
            return self._end(
                Exit.FAILED, sync_text.odoo_failed(error, self._facts.get("command", ""))
            )
        except DatabaseFailure as error:
            return self._end(Exit.FAILED, sync_text.database_failed(error))

    def _do(self, options: dict[str, Any], line: StatusLine) -> Exit:
        if options["unlock"]:
            self._facts["command"] = "unlock"
            return self._unlock(ask=not options["no_input"])
        if options["stop"]:
            self._facts["command"] = "stop"
            return self._stop()
        if options["dry_run"]:
            self._facts["command"] = "dry run"
            return self._dry_run(options, line)
        if options["bc"]:
            self._facts["command"] = "orders"
            with metric_totals.flushing():
                return self._orders(find_orders(options["bc"]), forced=options["force"])
        self._facts["command"] = "run"
        return self._run(options, line)

    # --- the actions ----------------------------------------------------------------------

    def _run(self, options: dict[str, Any], line: StatusLine) -> Exit:
        request = RunRequest(
            SyncLog.Cause.COMMAND,
            full=options["full"],
            since=options["since"],
            forced=options["force"],
        )
        shown = display(line, stream_of(self.stderr))
        try:
            with metric_totals.flushing():  # a first load takes hours
                run = reconcile(request, RunProgress(shown, _orders_above))
        finally:
            shown.close()
        columns = (one for one in SyncLog._meta.concrete_fields if not isinstance(one, PartsField))
        self._facts["run"] = {one.attname: plain(getattr(run, one.attname)) for one in columns}
        code = EXIT_OF_RUN.get(SyncLog.Status(run.status), Exit.FAILED)
        if not self._json:
            self.tell(sync_text.run_told(run, width_of(self.stdout)))
        return self._end(code, sync_text.run_error(run), status=run.status)

    def _dry_run(self, options: dict[str, Any], line: StatusLine) -> Exit:
        only = find_orders(options["bc"] or ())
        self._report = (JsonReport if self._json else TableReport)(stream_of(self.stdout))
        shown = display(line, stream_of(self.stderr))
        total = _orders_above(0) if options["full"] else None
        scan = DryRun(
            odoo(),
            full=options["full"],
            since=options["since"],
            until=options["until"],
            only=only,
            tell=ScanProgress(shown, total),
        )
        orders, pending, last = 0, 0, None
        try:
            for drift in scan.drifts():
                if drift.order_id != last:
                    orders, pending, last = orders + 1, pending + drift.pending, drift.order_id
                self._report.add(drift)
        finally:
            shown.close()
            self._facts |= {
                "full": scan.full,
                "compared": scan.compared,
                "found": scan.found,
                "orders": orders,
                "pending": pending,
                "gone": scan.gone,
                "unreadable": scan.unreadable,
                "notes": scan.notes,
            }
        of_a_run, why = _a_run_would(scan)
        self._facts["run_exit_code"] = int(of_a_run)
        if not self._json:
            self.tell(sync_text.drift_told(self._facts, why))
        if scan.found:
            return self._end(Exit.DRIFT, status="different")
        return self._end(Exit.OK, status="equal")

    def _orders(self, odoo_ids: list[int], *, forced: bool) -> Exit:
        told: list[dict[str, Any]] = []
        self._facts["orders"] = told
        done: list[OrderOutcome] = []
        try:
            self._read_orders(odoo_ids, forced, done, told)
        finally:
            _record(odoo_ids, forced, done)
        outcomes = {one.outcome for one in done}
        if "held" in outcomes:
            return self._end(Exit.BRAKED, sync_text.orders_held())
        if outcomes & {"failed", "unconfirmed"}:
            return self._end(Exit.PARTIAL)
        return self._end(Exit.OK)

    def _read_orders(
        self,
        odoo_ids: list[int],
        forced: bool,
        done: list[OrderOutcome],
        told: list[dict[str, Any]],
    ) -> None:
        for brought in refresh_now(odoo_ids, forced=forced):
            done.append(brought)
            told.append(
                {
                    "id": brought.odoo_id,
                    "name": brought.name,
                    "outcome": brought.outcome,
                    "error": brought.error,
                    "changes": brought.changes,
                }
            )
            if not self._json:
                self.tell(sync_text.brought_told(brought, width_of(self.stdout)))

    def _stop(self) -> Exit:
        who = caller_name()
        asked = run_control.ask_to_stop(who)
        action_requests.record_done(
            OperatorAction.Kind.STOP, who, {}, asked.text, refused=not asked.done
        )
        self._facts["run"] = asked.run
        if not self._json:
            self.stdout.write(said(asked.text))
        return self._end(Exit.OK)

    def _unlock(self, *, ask: bool) -> Exit:
        state = SyncState.objects.get(key=SyncState.KEY)
        if not state.is_syncing:
            self._facts["held_by"] = ""
            if not self._json:
                self.stdout.write(_("Nobody holds the lock."))
            return self._end(Exit.OK)
        self._facts["held_by"] = who = run_control.describe_holder()
        self.complain(sync_text.unlock_warning(state, who, database_now()))
        if ask and not sys.stdin.isatty():
            return self._end(
                Exit.USAGE,
                _("Nothing was changed: there is nobody to ask here, so add --no-input."),
            )
        if ask and not self.is_confirmed(_("Release it? [y/N]")):
            return self._end(Exit.FAILED, _("Nothing was changed."))
        released = run_control.unlock(force=True)
        action_requests.record_done(
            OperatorAction.Kind.UNLOCK, caller_name(), {"force": True}, released.text,
            refused=not released.done,
        )  # fmt: skip
        if not self._json:
            self.tell(_("The lock was released. It was held by %(who)s.") % {"who": who})
        return self._end(Exit.OK)

    # --- the end -------------------------------------------------------------------------------

    def _end(self, code: Exit, error: str = "", *, status: str = "") -> Exit:
        """Write the error, and complete the JSON object."""
        if error:
            self.complain(error)
        self._facts |= {
            "status": status or code.name.lower(),
            "exit_code": int(code),
            "error": error,
        }
        if self._report is not None:
            self._report.close(self._facts)
        elif self._json:
            self.stdout.write(json.dumps(self._facts, ensure_ascii=False))
        return code


def _record(odoo_ids: list[int], forced: bool, done: list[OrderOutcome]) -> None:
    """Record who had these orders read; the orders stay marked also where that was broken off."""
    kind = OperatorAction.Kind.ARCHIVE if forced else OperatorAction.Kind.READ_AGAIN
    asked = {"odoo_ids": odoo_ids}
    told = summary(Counter(one.outcome for one in done))
    with suppress(DatabaseFailure):  # the command tells it by itself
        action_requests.record_done(kind, caller_name(), asked, told, {"orders": done})


def _a_run_would(scan: DryRun) -> tuple[Exit, str]:
    """Return the exit code of a run after this dry run, and what would stop that run."""
    try:
        odoo_identity.require_same_database(scan.odoo)
    except odoo_identity.AnotherDatabase as another:
        return Exit.REFUSED, message_of(another)
    if reason := scan.find_reason_to_stop():
        return Exit.BRAKED, reason
    return (Exit.PARTIAL if scan.unreadable else Exit.OK), ""


def _given(options: dict[str, Any], name: str) -> bool:
    return bool(options[name.removeprefix("--").replace("-", "_")])


def _orders_above(order_id: int) -> int | None:
    """Count the orders above an id, to estimate the remaining time; None when that fails."""
    try:
        return odoo().listing.count_orders(after_id=order_id)
    except OdooError:
        return None  # The run itself reports the error.
