"""``manage.py replay``: orders that were given up are read again, once their cause is gone."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import dramatiq
from django.core.management.base import CommandParser
from django.db import Error as DatabaseFailure
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from bc_consumer.management import replay_text
from bc_consumer.management.arguments import HelpFormatter, order_id, since
from bc_consumer.management.exits import Exit
from bc_consumer.management.foreground import quiet
from bc_consumer.management.redacted_command import RedactedCommand
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.publisher import FAILURES
from bc_consumer.models import PendingBC
from bc_consumer.operations import dead_letters, failed_orders

FILTERS = ("bc", "error", "since")


class Command(RedactedCommand):
    """Show failed orders by cause, and mark those chosen; import RabbitMQ's dead letters."""

    help = "Has failed orders read again, and brings RabbitMQ's dead letters in."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take which orders, and what else."""
        self._parser = parser
        parser.description = replay_text.description()
        parser.epilog = replay_text.exit_codes()
        parser.formatter_class = HelpFormatter
        parser.add_argument(
            "--bc", type=order_id, nargs="+", metavar="ID", help=_("failed orders of these ids")
        )
        parser.add_argument(
            "--error",
            metavar="CLASS_OR_TEXT",
            help=_("those whose kind of error this is, or whose error contains this text"),
        )
        parser.add_argument(
            "--since",
            type=since,
            metavar="WHEN",
            help=_("those that failed since then: 2d, 36h, 2026-11-24 or 2026-11-24T06:00"),
        )
        parser.add_argument("--all", action="store_true", help=_("all failed orders"))
        parser.add_argument(
            "--dead-letters",
            action="store_true",
            help=_("bring in the messages that RabbitMQ keeps aside, unreadable ones included"),
        )
        parser.add_argument(
            "--dry-run", action="store_true", help=_("show them by cause, and change nothing")
        )
        parser.add_argument("--yes", action="store_true", help=_("do not ask"))
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, and exit with the code that says how it went."""
        if options["all"] and any(options[name] for name in FILTERS):
            self._parser.error(_("--all and a choice exclude each other"))
        self._json: bool = options["json"]
        broker = dramatiq.get_broker()
        self._broker = broker if isinstance(broker, Broker) else None
        self._facts: dict[str, Any] = {}
        try:
            with quiet(options["verbosity"]):
                code = self._do(options)
        except FAILURES as error:
            code = self._end(Exit.FAILED, replay_text.rabbitmq_failed(error))
        except DatabaseFailure as error:
            code = self._end(Exit.FAILED, replay_text.database_failed(error))
        except KeyboardInterrupt:
            code = self._end(Exit.INTERRUPTED, _("Interrupted: what was marked stays marked."))
        if code:
            sys.exit(int(code))

    def _do(self, options: dict[str, Any]) -> Exit:
        chosen = options["all"] or any(options[name] for name in FILTERS)
        letters = options["dead_letters"]
        rows = _chosen(options)
        # Only dead letters are wanted: no order is to be replayed beside them.
        orders = rows.none() if letters and not chosen else rows
        waiting = self._waiting() if letters else {}
        count = self._show(orders, waiting, options["bc"] or ())
        if options["dry_run"]:
            return self._end(Exit.OK)
        if not chosen and not letters:
            return self._end(
                Exit.USAGE if count else Exit.OK, replay_text.choose() if count else ""
            )
        if not count and not any(waiting.values()):
            return self._end(Exit.OK)
        if not options["yes"] and (refusal := self._not_confirmed(count, waiting)) is not None:
            return refusal
        return self._replay(orders, letters=letters)

    def _show(
        self, rows: QuerySet[PendingBC], waiting: Mapping[str, int], wanted: tuple[int, ...]
    ) -> int:
        """Show the chosen orders by cause, and the messages; return how many orders there are."""
        groups = failed_orders.groups(rows)
        count = sum(group.count for group in groups)
        not_failed = sorted(set(wanted) - set(rows.values_list("pk", flat=True)))
        self._facts |= {
            "orders": count,
            "groups": [replay_text.group_facts(group) for group in groups],
            "not_failed": not_failed,
            "dead_letters": dict(waiting),
        }
        if not self._json:
            self.stdout.write(replay_text.shown(groups, count, waiting, not_failed))
        return count

    def _not_confirmed(self, count: int, waiting: Mapping[str, int]) -> Exit | None:
        """Ask; return how to end, or None to go on."""
        if not sys.stdin.isatty():
            text = _("Nothing was changed: nobody can be asked here, so add --yes.")
            return self._end(Exit.USAGE, text)
        self.stderr.write(replay_text.question(count, waiting) + " ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() in {"y", "yes", _("y"), _("yes")}:
            return None
        return self._end(Exit.FAILED, _("Nothing was changed."))

    def _replay(self, rows: QuerySet[PendingBC], *, letters: bool) -> Exit:
        replayed = failed_orders.replay(rows)
        self._facts["replayed"] = replayed
        brought = dead_letters.Imported()
        if letters and self._broker is not None:
            brought = dead_letters.bring_in(self._broker)
            self._facts |= {"orders_of_dead_letters": brought.orders, "kept": brought.kept}
        if not self._json:
            self.stdout.write(replay_text.done(replayed, brought))
        return self._end(Exit.OK)

    def _waiting(self) -> Mapping[str, int]:
        if self._broker is None:
            if not self._json:
                self.stdout.write(_("There is no RabbitMQ here, so there are no dead letters."))
            return {}
        return dead_letters.waiting(self._broker)

    def _end(self, code: Exit, error: str = "") -> Exit:
        if error:
            self.stderr.write(error)
        if self._json:
            told = {"status": code.name.lower(), "exit_code": int(code), "error": error}
            self.stdout.write(json.dumps(self._facts | told, ensure_ascii=False))
        return code


def _chosen(options: dict[str, Any]) -> QuerySet[PendingBC]:
    rows = failed_orders.failed()
    if options["bc"]:
        rows = rows.filter(pk__in=options["bc"])
    if options["error"]:
        rows = rows.filter(failed_orders.with_error_text(options["error"]))
    if options["since"]:
        rows = rows.filter(failed_at__gte=options["since"])
    return rows
