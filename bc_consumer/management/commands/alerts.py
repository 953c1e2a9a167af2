"""``manage.py alerts``: which alerts are open, and who takes care of them."""

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from bc_consumer.console.formatting import NOTHING, moment
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable_field import said
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    caller_name,
    exit_code_table,
)
from bc_consumer.models import Alert, OperatorAction
from bc_consumer.operations import action_requests, alerts
from bc_consumer.operations.action_requests import record_done

Kind = OperatorAction.Kind
MUTE_HOURS = 8.0


class Command(RedactedCommand):
    """Lists open alerts, or acknowledges or mutes one."""

    help = "Lists open alerts; acknowledges one, mutes one, or ends that."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("done"),
                Exit.FAILED: _("no such alert, or the database is away"),
                Exit.USAGE: _("wrong options, or muted for longer than is allowed"),
            }
        )
        parser.formatter_class = HelpFormatter
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument(
            "--acknowledge",
            metavar="KEY",
            help=_("take care of this alert: it is not repeated while it lasts"),
        )
        choice.add_argument(
            "--mute",
            metavar="KEY",
            help=_("send nothing about this alert for --hours, not even if it recurs"),
        )
        choice.add_argument("--unmute", metavar="KEY", help=_("send this alert again"))
        choice.add_argument("--json", action="store_true", help=_("print one JSON object"))
        parser.add_argument(
            "--hours", type=float, default=MUTE_HOURS, help=_("how long to mute (default 8)")
        )
        parser.add_argument(
            "--by", default="", help=_("who acknowledges or mutes (default: the system's user)")
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """List, or change one alert. An alert that is not there is an error."""
        who = options["by"] or caller_name()
        if key := options["acknowledge"]:
            self._tell(alerts.acknowledge(key, who), key, _("acknowledged by %(who)s"), who=who)
            record_done(Kind.ACKNOWLEDGE, who, {"alert": key}, action_requests.TAKEN)
        elif key := options["mute"]:
            self._mute(key, options["hours"], who)
        elif key := options["unmute"]:
            self._tell(alerts.unmute(key), key, _("no longer muted"))
            record_done(Kind.UNMUTE, who, {"alert": key}, action_requests.UNMUTED)
        elif options["json"]:
            self.stdout.write(json.dumps(_facts(), ensure_ascii=False))
        else:
            self._list()

    def _mute(self, key: str, hours: float, who: str) -> None:
        try:
            until = database_now() + timedelta(hours=hours)
            muted = alerts.mute(key, until, who)
        except (OverflowError, ValueError) as error:
            raise CommandError(said(error), returncode=int(Exit.USAGE)) from None
        self._tell(muted, key, _("muted until %(until)s by %(who)s"), until=moment(until), who=who)
        outcome = action_requests.muted_sentence(until)
        record_done(Kind.MUTE, who, {"alert": key, "hours": hours}, outcome)

    def _tell(self, done: bool, key: str, text: str, **values: str) -> None:
        if not done:
            raise CommandError(
                _('no such alert: "%(key)s". manage.py alerts lists them') % {"key": key}
            )
        self.stdout.write(f"{key}: {text % values}")

    def _list(self) -> None:
        now = database_now()
        rows = [
            (
                known.key,
                moment(known.first_at),
                str(known.count),
                moment(known.mailed_at),
                known.acknowledged_by or NOTHING,
                moment(known.muted_until if alerts.is_muted(known, now) else None),
                f"{said(known.subject)}: {said(known.text)}".partition("\n")[0],
            )
            for known in Alert.objects.all()
        ]
        if rows:
            titles = (
                _("alert"), _("since"), _("times"), _("sent"), _("acknowledged by"),
                _("muted until"), _("text"),
            )  # fmt: skip
            self._print_table([titles, *rows])
        else:
            self.stdout.write(_("No alert is open."))
        for known in alerts.muted_and_resolved():
            told = {"key": known.key, "until": moment(known.muted_until)}
            self.stdout.write(_("%(key)s is over, and muted until %(until)s") % told)

    def _print_table(self, rows: list[tuple[str, ...]]) -> None:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
            self.stdout.write("  ".join([*cells, row[-1]]))


def _facts() -> dict[str, Any]:
    """Return the open alerts for programs, in English."""
    return {
        "alerts": [
            {
                "key": known.key,
                "since": known.first_at.isoformat(),
                "times": known.count,
                "sent": known.mailed_at and known.mailed_at.isoformat(),
                "acknowledged_by": known.acknowledged_by,
                "muted_until": known.muted_until and known.muted_until.isoformat(),
                "subject": str(known.subject),
                "text": str(known.text),
            }
            for known in Alert.objects.all()
        ]
    }
