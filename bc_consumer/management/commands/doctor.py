"""``manage.py doctor``: is everything in order, and if not, what puts it right."""

import enum
import json
import logging
import sys
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bc_consumer.console.formatting import number
from bc_consumer.core import process_state
from bc_consumer.core.translatable_field import said
from bc_consumer.doctor.diagnosis import Diagnosis, all_checks, diagnose
from bc_consumer.doctor.findings import Finding, Level
from bc_consumer.management.command import (
    HelpFormatter,
    RedactedCommand,
    at_levels,
    exit_code_table,
)
from bc_consumer.management.tables import wrapped

MARKS = {Level.OK: "✓", Level.WARNING: "!", Level.ERROR: "✗", Level.SKIPPED: "–"}
NOISY = ("pika", "bc_consumer", "django")
"""Log lines of these would interrupt the findings, which say the same."""


class DoctorExit(enum.IntEnum):
    """The exit codes of ``doctor``; scripts rely on them."""

    OK = 0
    WARNINGS = 1
    ERRORS = 2


class Command(RedactedCommand):
    """Examines the deployment from this machine, and changes nothing."""

    help = "Looks whether everything is in order, and names what puts it right; changes nothing."
    # Django's own checks would end the command before it can explain a wrong setting.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.description = _(
            "Checks settings, database, RabbitMQ, Odoo, the rules there, workers and runs, "
            "and\nnames the cause and the fix of each problem. It changes nothing."
        )
        parser.epilog = exit_code_table(
            {
                DoctorExit.OK: _("all is in order"),
                DoctorExit.WARNINGS: _("warnings: it works, but may not for long"),
                DoctorExit.ERRORS: _("errors, or the command could not run"),
            }
        )
        parser.formatter_class = HelpFormatter
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))
        parser.add_argument(
            "--webhook",
            action="store_true",
            help=_("send a ping through PUBLIC_URL with each secret; it marks nothing"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the checks, and exit with the code of the worst finding."""
        process_state.stopping.clear()
        muted = NOISY if options["verbosity"] < 2 else ()
        with (
            self.at_work(options["verbosity"]),
            at_levels(dict.fromkeys(muted, logging.CRITICAL)),
        ):
            self._look(options)

    def _look(self, options: dict[str, Any]) -> None:
        found = []
        checks = all_checks(round_trip=options["webhook"])
        width = max(len(check.title) for check in checks)
        for diagnosis in diagnose(checks):
            found.append(diagnosis)
            if not options["json"]:
                self._tell(diagnosis, width)
        code = _exit_of(found)
        if options["json"]:
            self.stdout.write(json.dumps(_facts(found, code), ensure_ascii=False))
        else:
            self.tell(_summary(found))
        if code:
            sys.exit(int(code))

    def _tell(self, diagnosis: Diagnosis, width: int) -> None:
        """Write a line for each finding, its text in a column of its own, and the fix below."""
        indent = " " * (width + 4)
        for finding in diagnosis.findings:
            title = said(diagnosis.check.title)
            line = f"{MARKS[finding.level]} {title:{width}}  {said(finding.text)}"
            line = wrapped(line.rstrip(), self.stdout, indent)
            self.stdout.write(self._styled(finding, line))
            if finding.fix:
                self.tell(f"    → {said(finding.fix)}", indent="  ")

    def _styled(self, finding: Finding, line: str) -> str:
        style = {Level.WARNING: self.style.WARNING, Level.ERROR: self.style.ERROR}
        return style.get(finding.level, str)(line)


def _exit_of(found: Iterable[Diagnosis]) -> DoctorExit:
    levels = {diagnosis.level for diagnosis in found}
    if Level.ERROR in levels:
        return DoctorExit.ERRORS
    return DoctorExit.WARNINGS if Level.WARNING in levels else DoctorExit.OK


def _summary(found: Iterable[Diagnosis]) -> str:
    findings = [finding for diagnosis in found for finding in diagnosis.findings]
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    errors, warnings = counts[Level.ERROR], counts[Level.WARNING]
    if not errors and not warnings:
        return _("All is in order.")
    told = []
    if errors:
        text = ngettext("%(count)s error", "%(count)s errors", errors)
        told.append(text % {"count": number(errors)})
    if warnings:
        text = ngettext("%(count)s warning", "%(count)s warnings", warnings)
        told.append(text % {"count": number(warnings)})
    return _("%(found)s. Each arrow (→) says what to do.") % {"found": ", ".join(told)}


def _facts(found: Iterable[Diagnosis], code: DoctorExit) -> dict[str, Any]:
    return {
        "exit": int(code),
        "checks": [
            {
                "name": diagnosis.check.name,
                "title": said(diagnosis.check.title),
                "level": diagnosis.level.value,
                "findings": [
                    {
                        "level": finding.level.value,
                        "text": said(finding.text),
                        "fix": said(finding.fix),
                    }
                    for finding in diagnosis.findings
                ],
            }
            for diagnosis in found
        ],
    }
