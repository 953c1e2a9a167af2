"""``manage.py dead_letters``: the messages from RabbitMQ that name no order, and their end."""

import json
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from bc_consumer.console.formatting import moment, number, shortened
from bc_consumer.core.translatable_field import said
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    caller_name,
    exit_code_table,
)
from bc_consumer.management.tables import aligned
from bc_consumer.models import DeadLetter, OperatorAction
from bc_consumer.operations import action_requests, dead_letters

TEXT_CHARACTERS = 60
WHY_CHARACTERS = 200


class Command(RedactedCommand):
    """Lists the kept messages, or deletes some that somebody has dealt with."""

    help = "Lists the messages from RabbitMQ that name no order; deletes what has been dealt with."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("done"),
                Exit.FAILED: _("you answered no, no such messages exist, or the database is away"),
                Exit.USAGE: _("wrong options, or there was nobody to ask"),
            }
        )
        parser.formatter_class = HelpFormatter
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument(
            "--delete", type=int, nargs="+", metavar="NUMBER", help=_("delete these messages")
        )
        choice.add_argument("--delete-all", action="store_true", help=_("delete all of them"))
        parser.add_argument("--yes", action="store_true", help=_("do not ask"))
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        """List, or delete. Deleting asks first."""
        rows = DeadLetter.objects.order_by("pk")
        if options["delete"]:
            rows = rows.filter(pk__in=options["delete"])
        if options["delete"] or options["delete_all"]:
            self._delete(list(rows.values_list("pk", flat=True)), options)
        elif options["json"]:
            facts = {"dead_letters": [_facts(one) for one in rows]}
            self.stdout.write(json.dumps(facts, ensure_ascii=False))
        else:
            self._list(list(rows))

    def _list(self, rows: list[DeadLetter]) -> None:
        if not rows:
            self.stdout.write(_("There are none."))
            return
        titles = (_("number"), _("since"), _("times"), _("queue"), _("message"), _("why"))
        cells = [
            (
                str(one.pk),
                moment(one.first_at),
                number(one.count),
                one.queue,
                shortened(one.text, TEXT_CHARACTERS),
                shortened(said(one.why), WHY_CHARACTERS),
            )
            for one in rows
        ]
        for line in aligned([titles, *cells], right={0, 2}):
            self.stdout.write(line)

    def _delete(self, keys: list[int], options: dict[str, Any]) -> None:
        if not keys:
            raise CommandError(_("There are no such messages."), returncode=int(Exit.FAILED))
        if not options["yes"]:
            if not sys.stdin.isatty():
                text = _("Nothing was changed: there is nobody to ask here, so add --yes.")
                raise CommandError(text, returncode=int(Exit.USAGE))
            question = _("Delete %(count)s messages? [y/N]") % {"count": number(len(keys))}
            if not self.is_confirmed(question):
                raise CommandError(_("Nothing was changed."), returncode=int(Exit.FAILED))
        outcome = action_requests.deleted_sentence(dead_letters.delete(keys))
        kind = OperatorAction.Kind.DELETE_DEAD_LETTERS
        action_requests.record_done(kind, caller_name(), {"letters": keys}, outcome)
        self.stdout.write(json.dumps({"deleted": len(keys)}) if options["json"] else said(outcome))


def _facts(one: DeadLetter) -> dict[str, Any]:
    """Return one message for programs, in English."""
    return {
        "number": one.pk,
        "queue": one.queue,
        "since": one.first_at.isoformat(),
        "last": one.last_at.isoformat(),
        "times": one.count,
        "why": str(one.why),
        "text": one.text,
    }
