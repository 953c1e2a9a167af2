"""``manage.py odoo_fields``: lists the fields of this Odoo, and how each would be copied."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bc_consumer.console.formatting import NOTHING, number
from bc_consumer.core.translatable_field import said
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    exit_code_table,
)
from bc_consumer.management.tables import aligned, width_of
from bc_consumer.odoo import Kind, OdooError
from bc_consumer.odoo.field_report import FieldChoice, Way, list_field_choices
from bc_consumer.odoo.field_set import table_of
from bc_consumer.refresh.odoo_connection import odoo

AS: dict[Kind, Promise] = {
    Kind.TEXT: gettext_lazy("a text"),
    Kind.BOOLEAN: gettext_lazy("true or false"),
    Kind.INTEGER: gettext_lazy("a number"),
    Kind.MONEY: gettext_lazy('a text, exact: "12.50"'),
    Kind.NUMBER: gettext_lazy('a text, exact: "12.50"'),
    Kind.DATE: gettext_lazy('a text: "2026-11-24"'),
    Kind.DATETIME: gettext_lazy('a text, UTC: "2026-11-24T01:50:34Z"'),
    Kind.MANY2ONE: gettext_lazy("id and name"),
    Kind.MANY2MANY: gettext_lazy("a list of ids and names"),
}
GROUPS = ((Way.COLUMN, Way.EXTRA), (Way.POSSIBLE,), (Way.IMPOSSIBLE,))
"""The ways of each table that is printed."""
NOT_STORED = "*"


class Command(RedactedCommand):
    """Lists the fields of orders, or of lines."""

    help = "Lists the fields that this Odoo has for orders, and how each is, or would be, copied."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which fields to list, and the format."""
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("done"),
                Exit.FAILED: _("Odoo is away, or rejects our access"),
                Exit.USAGE: _("wrong options"),
            }
        )
        parser.formatter_class = HelpFormatter
        parser.add_argument(
            "--lines", action="store_true", help=_("fields of lines, not of orders")
        )
        parser.add_argument(
            "--search", default="", help=_("only those with this text in their name or label")
        )
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read the fields from Odoo and print them; exit code 1 when Odoo does not answer."""
        try:
            with self.at_work(options["verbosity"]):
                model, found = self._fields(lines=options["lines"])
        except OdooError as error:
            raise CommandError(said(error)) from error
        wanted = options["search"].lower()
        shown = [c for c in found if wanted in c.name.lower() or wanted in c.label.lower()]
        if options["json"]:
            rows = [_plain(choice) for choice in shown]
            text = json.dumps({"model": model, "fields": rows}, ensure_ascii=False, indent=1)
            self.stdout.write(text)
            return
        self._print(model, shown, setting=_setting(lines=options["lines"]))

    def _fields(self, *, lines: bool) -> tuple[str, list[FieldChoice]]:
        gateway = odoo()
        settings = gateway.settings
        table = table_of(settings.order_model)
        if lines:
            described = gateway.fields_of(table.line_model)
            chosen = settings.extra_line_fields
            return table.line_model, list(list_field_choices(table.line, chosen, described))
        described = gateway.fields_of(settings.order_model)
        return settings.order_model, list(
            list_field_choices(table.order, settings.extra_fields, described)
        )

    def _print(self, model: str, shown: list[FieldChoice], setting: str) -> None:
        for ways in GROUPS:
            group = [choice for choice in shown if choice.way in ways]
            if group:
                heading = _heading(ways, setting, len(group))
                self.stdout.write("\n".join([heading, *self._table(group)]))
                self.stdout.write("")
        if any(not choice.stored and choice.way in {Way.EXTRA, Way.POSSIBLE} for choice in shown):
            text = _("%(mark)s Odoo does not store it: if only this changes, it goes unnoticed.")
            self.tell(text % {"mark": NOT_STORED})
        copied = sum(choice.way in GROUPS[0] for choice in shown)
        text = _("%(count)s fields of %(model)s, %(copied)s of them in the copy.")
        self.tell(text % {"count": number(len(shown)), "model": model, "copied": number(copied)})

    def _table(self, group: Sequence[FieldChoice]) -> list[str]:
        rows = [(_("field"), _("type"), _("label in Odoo"), _("in the copy"))]
        for choice in group:
            kind = f"{choice.type} ({choice.relation})" if choice.relation else choice.type
            rows.append((choice.name, kind, choice.label, _form(choice)))
        # Names are there to be copied into a setting.
        return aligned(rows, margin="  ", width=width_of(self.stdout), whole={0, 3})


def _heading(ways: tuple[Way, ...], setting: str, count: int) -> str:
    text = {
        Way.COLUMN: _("Copied: %(count)s"),
        Way.POSSIBLE: _("Could be copied into extra, by naming them in %(setting)s: %(count)s"),
        Way.IMPOSSIBLE: _("Can't be copied, because of their type: %(count)s"),
    }[ways[0]]
    return text % {"setting": setting, "count": number(count)}


def _setting(*, lines: bool) -> str:
    return "ODOO_EXTRA_LINE_FIELDS" if lines else "ODOO_EXTRA_FIELDS"


def _form(choice: FieldChoice) -> str:
    """Describe in a few words how the copy holds a field, or would."""
    if choice.way is Way.COLUMN:
        return ", ".join(choice.columns)
    if choice.way is Way.IMPOSSIBLE or choice.kind is None:
        return NOTHING
    form = str(AS[choice.kind])
    if choice.way is Way.EXTRA:
        form = _("extra: %(form)s") % {"form": form}
    return form if choice.stored else f"{form} {NOT_STORED}"


def _plain(choice: FieldChoice) -> dict[str, Any]:
    kind = choice.kind.value if choice.kind is not None else None
    return {**asdict(choice), "kind": kind, "way": choice.way.value}
