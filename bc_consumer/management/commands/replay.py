"""``manage.py replay``: marks failed orders to be read again, and imports dead letters.

The marking is in ``operations/failed_orders.py`` (orders) and ``operations/dead_letters.py``
(RabbitMQ); the ledger's rows change in ``ledger/marks.py``.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dramatiq
from django.core.management.base import CommandParser
from django.db import Error as DatabaseFailure
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bc_consumer.console.formatting import duration, moment, number, shortened
from bc_consumer.core import translatable
from bc_consumer.core.translatable_field import said
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    caller_name,
    exit_code_table,
    parse_order,
    parse_since,
)
from bc_consumer.management.order_lookup import NotOneOrder, find_orders
from bc_consumer.management.tables import aligned, wrapped
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.publisher import FAILURES
from bc_consumer.models import BC, OperatorAction, PendingBC
from bc_consumer.odoo import OdooError
from bc_consumer.operations import dead_letters, failed_orders, replay_duration
from bc_consumer.operations.action_requests import record_done

FILTERS = ("bc", "error", "since")
ERROR_CHARACTERS = 300
MARGIN = "  "
INDENT = 10


class Command(RedactedCommand):
    """Shows failed orders by cause, and marks the chosen ones; imports RabbitMQ's dead letters."""

    help = "Has failed orders read again, and brings RabbitMQ's dead letters in."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which orders may be chosen, and the other options."""
        self._parser = parser
        parser.description = _description()
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("done, or nothing to do"),
                Exit.FAILED: _(
                    "nothing was changed: you answered no, or the database or RabbitMQ is away"
                ),
                Exit.USAGE: _("wrong options, nothing chosen, or there was nobody to ask"),
                Exit.INTERRUPTED: _("interrupted (Ctrl-C); what was marked stays marked"),
            }
        )
        parser.formatter_class = HelpFormatter
        parser.add_argument(
            "--bc",
            type=parse_order,
            nargs="+",
            metavar="ORDER",
            help=_("these failed orders, by Odoo id or reference (P00042)"),
        )
        parser.add_argument(
            "--error",
            metavar="CLASS_OR_TEXT",
            help=_("those with this kind of error, or whose error contains this text"),
        )
        parser.add_argument(
            "--since",
            type=parse_since,
            metavar="WHEN",
            help=_("those that failed since then: 2d, 36h, 2026-11-24 or 2026-11-24T06:00"),
        )
        parser.add_argument("--all", action="store_true", help=_("all failed orders"))
        parser.add_argument(
            "--dead-letters",
            action="store_true",
            help=_("bring in the messages that RabbitMQ has set aside, unreadable ones included"),
        )
        parser.add_argument(
            "--dry-run", action="store_true", help=_("show them by cause, and change nothing")
        )
        parser.add_argument("--yes", action="store_true", help=_("do not ask"))
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the replay, and exit with the code of its result."""
        if options["all"] and any(options[name] for name in FILTERS):
            self._parser.error(_("--all can't be combined with a choice"))
        self._json: bool = options["json"]
        broker = dramatiq.get_broker()
        self._broker = broker if isinstance(broker, Broker) else None
        self._facts: dict[str, Any] = {}
        try:
            with self.at_work(options["verbosity"]):
                code = self._do(options)
        except NotOneOrder as error:
            code = self._end(Exit.USAGE, str(error))
        except OdooError as error:
            code = self._end(Exit.FAILED, _names_unknown(error))
        except FAILURES as error:
            code = self._end(Exit.FAILED, _rabbitmq_failed(error))
        except DatabaseFailure as error:
            code = self._end(Exit.FAILED, _database_failed(error))
        except KeyboardInterrupt:
            code = self._end(Exit.INTERRUPTED, _("Interrupted: what was marked stays marked."))
        if code:
            sys.exit(int(code))

    def _do(self, options: dict[str, Any]) -> Exit:
        chosen = options["all"] or any(options[name] for name in FILTERS)
        letters = options["dead_letters"]
        wanted = find_orders(options["bc"] or ())
        rows = failed_orders.chosen(
            odoo_ids=wanted, error=options["error"] or "", since=options["since"]
        )
        # With --dead-letters alone, no failed order is replayed.
        orders = rows.none() if letters and not chosen else rows
        waiting = self._waiting() if letters else {}
        count = self._show(orders, waiting, wanted)
        if options["dry_run"]:
            return self._end(Exit.OK)
        if not chosen and not letters:
            return self._end(Exit.USAGE, _nothing_chosen()) if count else self._end(Exit.OK)
        if not count and not any(waiting.values()):
            return self._end(Exit.OK)
        if not options["yes"]:
            if not sys.stdin.isatty():
                text = _("Nothing was changed: there is nobody to ask here, so add --yes.")
                return self._end(Exit.USAGE, text)
            if not self.is_confirmed(_question(count, waiting)):
                return self._end(Exit.FAILED, _("Nothing was changed."))
        replayed = failed_orders.replay(failed_orders.ids_of(orders))
        self._facts["replayed"] = replayed
        if chosen:  # at once: RabbitMQ may be away for the rest
            self._record(options)
        return self._finish(replayed, letters=letters)

    def _waiting(self) -> Mapping[str, int]:
        """Count the messages that RabbitMQ keeps aside, by queue."""
        if self._broker is None:
            self._say(_("There is no RabbitMQ here, so there are no dead letters."))
            return {}
        return dead_letters.waiting(self._broker)

    def _show(
        self, rows: QuerySet[PendingBC], waiting: Mapping[str, int], wanted: Sequence[int]
    ) -> int:
        """Show the chosen orders by cause, and the messages; return the number of orders."""
        groups = failed_orders.groups(rows)
        count = sum(group.count for group in groups)
        not_failed = sorted(set(wanted) - set(rows.values_list("pk", flat=True)))
        self._facts |= {
            "orders": count,
            "groups": [_group_facts(group) for group in groups],
            "not_failed": not_failed,
            "dead_letters": dict(waiting),
        }
        lines = self._groups_told(groups)
        if groups:
            text = ngettext("%(count)s failed order.", "%(count)s failed orders.", count)
            lines.append(text % {"count": number(count)})
            lines.append(self._time_told(count))
        elif not any(waiting.values()):
            lines.append(_("No such failed orders."))
        if not_failed:
            text = _("Not failed, so there is nothing to replay: BC %(ids)s")
            lines.append(text % {"ids": ", ".join(map(str, not_failed))})
        if waiting:
            queues = [(number(found), queue) for queue, found in waiting.items()]
            lines += [_("Dead letters in RabbitMQ:"), *aligned(queues, right={0}, margin=MARGIN)]
        self._say("\n".join(lines))
        return count

    def _time_told(self, count: int) -> str:
        """Return how long a replay of so many orders will take."""
        known = replay_duration.estimate(count)
        self._facts |= {"seconds": known.seconds, "waiting_before": known.ahead}
        if known.is_odoo_away:
            return _("Odoo does not answer at present: they wait until it does.")
        if known.seconds is None:
            return _("How long that takes is not known: nothing of this size was read lately.")
        return _("That takes about %(time)s at the pace of the latest replay or run.") % {
            "time": duration(known.seconds)
        }

    def _finish(self, replayed: int, *, letters: bool) -> Exit:
        """Bring the dead letters in, if they were asked for, and say what was done."""
        brought = dead_letters.Imported()
        if letters and self._broker is not None:
            brought = dead_letters.bring_in(self._broker)
            self._facts |= {"orders_of_dead_letters": brought.orders, "kept": brought.kept}
            kind = OperatorAction.Kind.IMPORT_DEAD_LETTERS
            record_done(kind, caller_name(), {}, brought.outcome())
        self._say("\n".join(_result_lines(replayed, brought)))
        return self._end(Exit.OK)

    def _record(self, options: dict[str, Any]) -> None:
        """Record who chose which failed orders."""
        chosen = {name: options[name] for name in ("all", *FILTERS) if options[name]}
        count = self._facts["replayed"]
        text = translatable.ngettext(
            "%(count)s order was replayed.", "%(count)s orders were replayed.", count
        )
        kind = OperatorAction.Kind.REPLAY
        record_done(kind, caller_name(), {k: _plain(v) for k, v in chosen.items()}, text)

    def _groups_told(self, groups: Sequence[failed_orders.FailureGroup]) -> list[str]:
        """Return each cause: how many orders, since when, and the error of one of them."""
        if not groups:
            return []
        names = dict(
            BC.objects.filter(odoo_id__in=[group.example for group in groups]).values_list(
                "odoo_id", "name"
            )
        )
        rows = [(_("orders"), _("error"), _("first failed"), _("last failed"))]
        for group in groups:
            moments = moment(group.first_at), moment(group.last_at)
            rows.append((number(group.count), group.error_class, *moments))
        heading, *lines = aligned(rows, right={0}, margin=MARGIN)
        told = [heading]
        for group, line in zip(groups, lines, strict=True):
            error = shortened(said(group.example_error), ERROR_CHARACTERS)
            name = " ".join(filter(None, (str(group.example), names.get(group.example, ""))))
            example = _("BC %(id)s: %(error)s") % {"id": name, "error": error}
            told += [line, wrapped(" " * INDENT + example, self.stdout)]
        return told

    def _say(self, text: str) -> None:
        """Write for people; with --json, ``_end`` writes the only output."""
        if not self._json:
            self.tell(text)

    def _end(self, code: Exit, error: str = "") -> Exit:
        """Write the error, and the JSON object; return the exit code."""
        if error:
            self.complain(error)
        if self._json:
            told = {"status": code.name.lower(), "exit_code": int(code), "error": error}
            self.stdout.write(json.dumps(self._facts | told, ensure_ascii=False))
        return code


def _plain(value: Any) -> Any:
    """Return an option as it is recorded."""
    return value.isoformat() if isinstance(value, datetime) else value


# --- texts --------------------------------------------------------------------------------------


def _description() -> str:
    return _(
        "Shows the orders that could not be copied, by cause, and has the chosen ones read again:\n"
        "after everything more urgent, and together, so that thousands of them neither flood\n"
        "Odoo nor hold up webhooks. An order that is fine by now is read once more, and nothing\n"
        "changes. Workers do the work; this command does not wait for it."
    )


def _group_facts(group: failed_orders.FailureGroup) -> dict[str, Any]:
    """Return one cause for the JSON object."""
    return {
        "cause": group.failure,
        "error_class": group.error_class,
        "count": group.count,
        "first_at": group.first_at.isoformat(),
        "last_at": group.last_at.isoformat(),
        "example": group.example,
        "error": group.example_error,
    }


def _nothing_chosen() -> str:
    return _(
        "Nothing was changed. Say which: --all, --error CLASS_OR_TEXT, --since WHEN, --bc ORDER …"
    )


def _question(count: int, waiting: Mapping[str, int]) -> str:
    messages = sum(waiting.values())
    if not messages:
        text = ngettext(
            "Read %(count)s order again? [y/N]", "Read %(count)s orders again? [y/N]", count
        )
        return text % {"count": number(count)}
    return _("Read %(count)s orders again, and bring in %(messages)s messages? [y/N]") % {
        "count": number(count),
        "messages": number(messages),
    }


def _result_lines(replayed: int, brought: dead_letters.Imported) -> Iterator[str]:
    if replayed:
        text = ngettext(
            "%(count)s order is marked: workers read it in a moment. If it fails again, replay"
            " shows it.",
            "%(count)s orders are marked: workers read them in a moment. replay shows those that"
            " fail again.",
            replayed,
        )
        yield text % {"count": number(replayed)}
    if brought.orders:
        text = ngettext(
            "%(count)s order from dead letters is marked.",
            "%(count)s orders from dead letters are marked.",
            brought.orders,
        )
        yield text % {"count": number(brought.orders)}
    if brought.kept:
        text = ngettext(
            '%(count)s message names no order: see "dead letters" in the administration.',
            '%(count)s messages name no order: see "dead letters" in the administration.',
            brought.kept,
        )
        yield text % {"count": number(brought.kept)}


def _names_unknown(error: Exception) -> str:
    return _(
        "The copy has no order with this reference, and Odoo could not be asked: %(error)s\n"
        "Nothing was changed. Give the order's Odoo id instead."
    ) % {"error": said(error)}


def _rabbitmq_failed(error: Exception) -> str:
    return _(
        "RabbitMQ is away: %(error)s\nWhat was not brought in is still there; run this again when"
        " it is back."
    ) % {"error": repr(error)}


def _database_failed(error: Exception) -> str:
    return _("The database failed: %(error)s\nNothing is lost; run this again when it is back.") % {
        "error": str(error).strip()
    }
