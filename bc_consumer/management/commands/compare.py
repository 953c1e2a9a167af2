"""``manage.py compare``: how one order of the copy differs from Odoo; it writes nothing.

The comparison is ``refresh/compare_order.py``; this is its text.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.db import Error as DatabaseFailure
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bc_consumer.console.formatting import Changes, moment, number, read_changes
from bc_consumer.core.translatable_field import said
from bc_consumer.management import sync_text
from bc_consumer.management.changes_text import side_by_side
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    exit_code_table,
    parse_order,
    stopping_on_signals,
)
from bc_consumer.management.order_lookup import NotOneOrder, find_orders
from bc_consumer.management.tables import width_of
from bc_consumer.models import JournalEntry
from bc_consumer.odoo import Missing, OdooError, OdooInterrupted, OdooRefused
from bc_consumer.refresh.compare_order import OrderComparison, compare

Outcome = JournalEntry.Outcome


class Command(RedactedCommand):
    """Compares one order with Odoo."""

    help = "Compares one order with Odoo, field by field; changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which order, and the format."""
        parser.description = _(
            "Reads one order from Odoo and compares it with the copy, field by field and line by\n"
            "line. It changes nothing; sync_BcLinbc --bc ORDER reads the order into the copy."
        )
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("equal"),
                Exit.FAILED: _("failed: Odoo or the database is away"),
                Exit.USAGE: _("wrong options, or the reference names no order, or several"),
                Exit.PARTIAL: _("Odoo can't read this order, or neither Odoo nor the copy has it"),
                Exit.REFUSED: _("Odoo rejects our access: credentials, rights, database, fields"),
                Exit.DRIFT: _("different"),
                Exit.INTERRUPTED: _("interrupted (Ctrl-C, SIGTERM)"),
            }
        )
        parser.formatter_class = HelpFormatter
        parser.add_argument(
            "order",
            type=parse_order,
            metavar="ORDER",
            help=_("its Odoo id, or its reference (P00042)"),
        )
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        """Compare, and exit with the code of the result."""
        self._json: bool = options["json"]
        self._facts: dict[str, Any] = {}
        with self.at_work(options["verbosity"]), stopping_on_signals():
            code = self._run_guarded(options["order"])
        if code:
            sys.exit(int(code))

    def _run_guarded(self, named: int | str) -> Exit:
        """Turn each expected error into a sentence and an exit code."""
        try:
            (odoo_id,) = find_orders([named])
            return self._show(compare(odoo_id))
        except NotOneOrder as error:
            return self._end(Exit.USAGE, str(error))
        except (OdooInterrupted, KeyboardInterrupt):
            return self._end(Exit.INTERRUPTED, _("Interrupted. Nothing was changed."))
        except OdooRefused as error:
            return self._end(Exit.REFUSED, sync_text.refused(error))
        except OdooError as error:
            return self._end(Exit.FAILED, sync_text.odoo_failed(error, "compare"))
        except DatabaseFailure as error:
            text = _("The database failed: %(error)s\nNothing was changed.")
            return self._end(Exit.FAILED, text % {"error": str(error).strip()})

    def _show(self, comparison: OrderComparison) -> Exit:
        self._facts = comparison.plain()
        if not self._json:
            for line in comparison_lines(comparison, width_of(self.stdout)):
                self.tell(line)
        if comparison.error:
            return self._end(Exit.PARTIAL, said(comparison.error))
        if not comparison.is_equal:
            return self._end(Exit.DRIFT)
        nobody = not comparison.exists_in_copy and comparison.missing is not None
        return self._end(Exit.PARTIAL if nobody else Exit.OK)

    def _end(self, code: Exit, error: str = "") -> Exit:
        """Write the error, and the JSON object; return the exit code."""
        if error:
            self.complain(error)
        if self._json:
            ended = {"status": code.name.lower(), "exit_code": int(code)}
            facts = {"error": error, **self._facts, **ended}
            self.stdout.write(json.dumps(facts, ensure_ascii=False))
        return code


# --- texts --------------------------------------------------------------------------------------


def comparison_lines(comparison: OrderComparison, width: int | None) -> Iterator[str]:
    """Describe a comparison; ``width``: the longest line."""
    number_ = f"#{comparison.odoo_id}"
    name = number_ if comparison.name == number_ else f"{comparison.name} ({number_})"
    yield f"{name}: {_state(comparison)}"
    changes = read_changes(comparison.changes)
    if changes.fields or changes.lines:
        yield from side_by_side(changes, width)
        yield _count(changes)
    if comparison.outcome:
        yield _what_to_do(comparison)


def _state(comparison: OrderComparison) -> str:
    """Return in a sentence where the order is, and whether it is equal."""
    if comparison.error:
        return _("it could not be compared.")
    if comparison.outcome:
        return _differs(comparison)
    if not comparison.exists_in_copy:
        return _in_odoo(comparison.missing) or _("equal.")
    as_of = {"time": moment(comparison.synced_at)}
    if comparison.missing is None:
        return _("equal. The copy is as of %(time)s.") % as_of
    return _("%(reason)s The copy shows that.") % {"reason": _in_odoo(comparison.missing)}


def _differs(comparison: OrderComparison) -> str:
    if not comparison.exists_in_copy:
        return _("it is missing from the copy.")
    if comparison.missing is not None:
        return _("%(reason)s The copy does not show that yet.") % {
            "reason": _in_odoo(comparison.missing)
        }
    if comparison.outcome == Outcome.RESTORED:
        return _("Odoo has it, but the copy has it as archived or not readable.")
    return _("different. The copy is as of %(time)s.") % {"time": moment(comparison.synced_at)}


def _in_odoo(missing: Missing | None) -> str:
    if missing is None:
        return ""
    return {
        Missing.GONE: _("Odoo has no such order."),
        Missing.FORBIDDEN: _("Odoo hides it from our account."),
        Missing.OUTSIDE_DOMAIN: _("it is outside ODOO_DOMAIN, so it is not copied."),
        Missing.OUTSIDE_COMPANIES: _("it is outside ODOO_COMPANY_IDS, so it is not copied."),
    }[missing]


def _count(changes: Changes) -> str:
    count = len(changes.fields) + sum(max(len(line.fields), 1) for line in changes.lines)
    text = ngettext("%(count)s difference.", "%(count)s differences.", count)
    return text % {"count": number(count)}


def _what_to_do(comparison: OrderComparison) -> str:
    if comparison.is_pending:
        return _("Nothing was changed. The order is pending: a worker will read it.")
    return _("Nothing was changed. To read it now: manage.py sync_BcLinbc --bc %(order)s") % {
        "order": comparison.odoo_id
    }
