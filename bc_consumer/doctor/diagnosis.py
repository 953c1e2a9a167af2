"""All checks, and how they are run: one after the other, and one that fails hides no other.

The exception: a check is skipped, with the reason, if one that it needs failed.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.translatable import NOTHING, Message, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.account_checks import account_checks
from bc_consumer.doctor.alert_checks import alert_checks
from bc_consumer.doctor.backlog_checks import backlog_checks
from bc_consumer.doctor.database_checks import database_checks
from bc_consumer.doctor.django_checks import django_checks
from bc_consumer.doctor.findings import Check, Finding, Level, error
from bc_consumer.doctor.odoo_checks import odoo_checks
from bc_consumer.doctor.rabbitmq_checks import rabbitmq_checks
from bc_consumer.doctor.webhook_checks import webhook_checks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One check with its findings, of which there is at least one."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """The worst level among the findings."""
        order = (Level.ERROR, Level.WARNING, Level.SKIPPED, Level.OK)
        levels = {finding.level for finding in self.findings}
        return next(level for level in order if level in levels)


def all_checks(*, round_trip: bool) -> list[Check]:
    """Return all checks in a sensible order; ``round_trip`` adds a ping by the public address."""
    return [
        *django_checks(),
        *database_checks(),
        *rabbitmq_checks(),
        *odoo_checks(),
        *account_checks(),
        *webhook_checks(round_trip),
        *backlog_checks(),
        *alert_checks(),
    ]


def diagnose(checks: Sequence[Check]) -> Iterator[Diagnosis]:
    """Run the checks in order, yielding each diagnosis as soon as it is known."""
    titles = {check.name: check.title for check in checks}
    failed: set[str] = set()
    for check in checks:
        missing = next((need for need in check.needs if need in failed), None)
        if missing is not None:
            text = _('skipped: depends on "%(title)s"', title=titles[missing])
            findings: tuple[Finding, ...] = (Finding(Level.SKIPPED, text),)
        else:
            findings = tuple(_run_check(check)) or (Finding(Level.OK, NOTHING),)
        found = Diagnosis(check, tuple(_shown(finding) for finding in findings))
        if found.level in {Level.ERROR, Level.SKIPPED}:
            failed.add(check.name)
        yield found


def _run_check(check: Check) -> Iterator[Finding]:
    try:
        yield from check.look()
    except Exception as problem:
        logger.debug("doctor: %s failed", check.name, exc_info=True)
        yield error(
            _(
                "the check itself failed: %(kind)s: %(text)s",
                kind=type(problem).__name__,
                text=message_of(problem),
            ),
            _("Run doctor with -v 2 for the traceback, and report it."),
        )


def _shown(finding: Finding) -> Finding:
    return Finding(finding.level, _one_line(finding.text), _one_line(finding.fix))


def _one_line(text: Message) -> Message:
    """Join the lines of a text: other programs' messages have several, a finding has one."""
    return redacted(text).changed(lambda part: " ".join(part.split()))
