"""``manage.py sync_BcLinbc``: the reconciliation, here and now.

Exit codes: 0 ok, 1 failed, 2 usage, 3 partial, 4 another run holds the lock, 5 braked, 6 refused by
Odoo, 130 interrupted.
"""

import json
import signal
import sys
import time
from datetime import datetime
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from bc_consumer import ledger, process
from bc_consumer.lock import unlock
from bc_consumer.models import Lane, SyncLog
from bc_consumer.reconcile import AlreadyRunning, Interrupted, Wish, reconcile, summary
from bc_consumer.refresh import work_off

Status = SyncLog.Status
EXIT_CODES = {Status.OK: 0, Status.PARTIAL: 3, Status.BRAKED: 5, Status.REFUSED: 6}
LOCKED, INTERRUPTED = 4, 130
LINE_SECONDS = 5.0
"""Between two lines of progress."""


class Command(BaseCommand):
    """Run one reconciliation, or bring single orders up to date."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what the run is to do."""
        parser.add_argument("--full", action="store_true", help="compare every order's content")
        parser.add_argument("--since", help="begin the window then: 2026-11-24T00:00:00")
        parser.add_argument("--force", action="store_true", help="archive in spite of the brake")
        parser.add_argument("--bc", type=int, nargs="+", metavar="ID", help="these orders only")
        parser.add_argument("--json", action="store_true", help="print the run as JSON")
        parser.add_argument(
            "--unlock",
            action="store_true",
            help="release the lock; a run that is still at work loses it and cannot end well",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Exit with the code that says how it went."""
        if options["unlock"]:
            owner = unlock()
            self.stdout.write(
                f"The lock of {owner} was released." if owner else "Nobody held the lock."
            )
            return
        signal.signal(signal.SIGTERM, _stop)
        if options["bc"]:
            ledger.mark(options["bc"], ledger.Mark(cause="operator", lane=Lane.OPERATOR))
            self.stdout.write(f"{work_off()} orders were looked at.")
            return
        sys.exit(self._reconcile(options))

    def _reconcile(self, options: dict[str, Any]) -> int:
        wish = Wish(
            SyncLog.Cause.COMMAND,
            full=options["full"],
            since=_moment(options["since"]),
            forced=options["force"],
        )
        try:
            run = reconcile(wish, self._progress())
        except AlreadyRunning as running:
            self.stderr.write(f"Nothing was done: {running} holds the lock. Try again later.")
            return LOCKED
        except (Interrupted, KeyboardInterrupt):
            self.stderr.write("Interrupted; the lock is free, and the next run goes on.")
            return INTERRUPTED
        if options["json"]:
            names = [field.name for field in SyncLog._meta.concrete_fields]
            self.stdout.write(json.dumps({n: getattr(run, n) for n in names}, default=str))
        else:
            self.stdout.write(summary(run))
        return EXIT_CODES.get(Status(run.status), 1)

    def _progress(self) -> Any:
        last = time.monotonic()

        def show(run: SyncLog, outstanding: int) -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_SECONDS:
                last = time.monotonic()
                self.stderr.write(f"{run.phase}: up to id {run.cursor}, {outstanding} to be read")

        return show


def _stop(_number: int, _frame: FrameType | None) -> None:
    process.stopping.set()


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = parse_datetime(text)
    if moment is None:
        raise CommandError(f"--since {text}: write it like 2026-11-24T00:00:00")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
