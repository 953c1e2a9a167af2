"""``manage.py actions``: what operators have asked for and is not finished, and its end."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from bc_consumer.console.formatting import moment
from bc_consumer.core.translatable_field import said
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    caller_name,
    exit_code_table,
)
from bc_consumer.management.tables import aligned
from bc_consumer.models import OperatorAction
from bc_consumer.operations.action_claims import unfinished
from bc_consumer.operations.action_requests import cancel


class Command(RedactedCommand):
    """Lists unfinished actions, or cancels one."""

    help = "Lists what operators have asked for and is not finished; cancels one of it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("done"),
                Exit.FAILED: _("no such action, it has ended, or the database is away"),
                Exit.USAGE: _("wrong options"),
            }
        )
        parser.formatter_class = HelpFormatter
        parser.add_argument("--cancel", type=int, metavar="NUMBER", help=_("cancel this one"))
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        """List, or cancel. What is not there, or has ended, is an error."""
        if options["cancel"] is not None:
            self._cancel(options["cancel"], as_json=options["json"])
        else:
            self._list(list(unfinished().order_by("pk")), as_json=options["json"])

    def _cancel(self, number: int, *, as_json: bool) -> None:
        try:
            answer = cancel(number, caller_name())
        except OperatorAction.DoesNotExist:
            raise CommandError(_("There is no such action."), returncode=int(Exit.FAILED)) from None
        if not answer.done:
            raise CommandError(said(answer.text), returncode=int(Exit.FAILED))
        self.stdout.write(json.dumps({"cancelled": number}) if as_json else said(answer.text))

    def _list(self, actions: list[OperatorAction], *, as_json: bool) -> None:
        if as_json:
            facts = {"actions": [_facts(one) for one in actions]}
            self.stdout.write(json.dumps(facts, ensure_ascii=False))
            return
        if not actions:
            self.stdout.write(_("There are none."))
            return
        titles = (_("number"), _("action"), _("status"), _("asked for by"), _("asked for at"))
        cells = [
            (
                str(one.pk),
                one.get_kind_display(),
                one.get_status_display(),
                one.asked_by,
                moment(one.asked_at),
            )
            for one in actions
        ]
        for line in aligned([titles, *cells], right={0}):
            self.stdout.write(line)


def _facts(one: OperatorAction) -> dict[str, Any]:
    """Return one action for programs, in English."""
    return {
        "number": one.pk,
        "action": one.kind,
        "status": one.status,
        "asked_by": one.asked_by,
        "asked_at": one.asked_at.isoformat(),
    }
