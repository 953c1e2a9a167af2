"""``manage.py odoo_fields``: lists the fields of this Odoo, and how each would be copied."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bc_consumer.core.translatable_field import said
from bc_consumer.management.command import RedactedCommand
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
NAME_WIDTH, TYPE_WIDTH, LABEL_WIDTH = 34, 26, 30


class Command(RedactedCommand):
    """Lists the fields of orders, or of lines."""

    help = "Lists the fields that this Odoo has for orders, and how each is, or would be, copied."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which fields to list, and the format."""
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
        width = shutil.get_terminal_size().columns if self.stdout.isatty() else None
        self._row((_("field"), _("type"), _("label in Odoo"), _("in the copy")), width)
        for choice in shown:
            kind = f"{choice.type} ({choice.relation})" if choice.relation else choice.type
            self._row((choice.name, kind, choice.label, _told(choice)), width)
        copied = sum(choice.way in {Way.COLUMN, Way.EXTRA} for choice in shown)
        facts = {"count": len(shown), "model": model, "copied": copied, "setting": setting}
        self.stdout.write("")
        text = _("%(count)d fields of %(model)s, %(copied)d of them in the copy.") % facts
        self.stdout.write(text + " " + _("To copy more, name them in %(setting)s.") % facts)

    def _row(self, cells: tuple[str, str, str, str], width: int | None) -> None:
        name, kind, label, told = cells
        line = f"{name:{NAME_WIDTH}} {kind:{TYPE_WIDTH}} {label:{LABEL_WIDTH}} {told}".rstrip()
        self.stdout.write(line if width is None else line[:width])


def _setting(*, lines: bool) -> str:
    return "ODOO_EXTRA_LINE_FIELDS" if lines else "ODOO_EXTRA_FIELDS"


def _told(choice: FieldChoice) -> str:
    """Describe in a few words how a field is copied."""
    return "; ".join(_parts(choice))


def _parts(choice: FieldChoice) -> Iterator[str]:
    if choice.way is Way.COLUMN:
        yield _("yes: %(columns)s") % {"columns": ", ".join(choice.columns)}
        return
    if choice.way is Way.IMPOSSIBLE or choice.kind is None:
        yield _("can't be copied: %(type)s") % {"type": choice.type}
        return
    form = AS[choice.kind]
    if choice.way is Way.EXTRA:
        yield _("yes: extra, %(form)s") % {"form": form}
    else:
        yield _("possible: extra, %(form)s") % {"form": form}
    if not choice.stored:
        yield _("Odoo does not store it: a change of it alone goes unnoticed")


def _plain(choice: FieldChoice) -> dict[str, Any]:
    kind = choice.kind.value if choice.kind is not None else None
    return {**asdict(choice), "kind": kind, "way": choice.way.value}
