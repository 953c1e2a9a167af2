"""``manage.py send_test_alert``: do alerts reach people?"""

import sys
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from bc_consumer.core.translatable_field import said
from bc_consumer.management.command import (
    Exit,
    HelpFormatter,
    RedactedCommand,
    at_levels,
    exit_code_table,
)
from bc_consumer.operations.alerts import send_test_alert


class Command(RedactedCommand):
    """Sends one message by every channel, and tells which took it."""

    help = "Sends a test alert by every channel that ALERT_EMAILS and ALERT_URLS name."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare no options; add the exit codes to the help."""
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("every channel accepted the message"),
                Exit.FAILED: _("one or more did not, or no channel is set"),
                Exit.USAGE: _("wrong options"),
            }
        )
        parser.formatter_class = HelpFormatter

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Send, print a line for each channel, and exit with 1 if one failed."""
        with at_levels({"bc_consumer.operations.alert_channels": 100}):  # told below
            results = send_test_alert()
        for result in results:
            if result.taken:
                self.stdout.write(self.style.SUCCESS(f"✓ {result.label}"))
            else:
                self.stdout.write(self.style.ERROR(f"✗ {result.label}: {said(result.error)}"))
        if not results:
            self.stdout.write(_("ALERT_EMAILS and ALERT_URLS are empty: alerts reach nobody"))
        if not results or not all(result.taken for result in results):
            sys.exit(int(Exit.FAILED))
