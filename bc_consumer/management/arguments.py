"""What the commands' arguments have in common: their help, ids of orders, ``--since``."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from django.core.management.base import DjangoHelpFormatter
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from bc_consumer.odoo.orders import HIGHEST_ID

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing in Odoo is older; the first years of the calendar can't be moved to another time zone."""
AGO = re.compile(r"(\d{1,5})([mhdw])")


class HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the table of exit codes."""


def order_id(text: str) -> int:
    """Read an order's id in Odoo; raises ArgumentTypeError for anything that can't be one."""
    if not text.isdecimal() or not 0 < int(text) <= HIGHEST_ID:
        raise argparse.ArgumentTypeError(_('"%(text)s" is not an order id') % {"text": text})
    return int(text)


def since(text: str) -> datetime:
    """Read «2d», «36h», «2026-11-24» or «2026-11-24T06:00»; without an offset in TIME_ZONE.

    Raises ArgumentTypeError, which says what would be a moment, for anything else, and for a moment
    that is still to come.
    """
    now = timezone.now()
    if ago := AGO.fullmatch(text.strip()):
        return max(now - timedelta(**{UNITS[ago[2]]: int(ago[1])}), OLDEST)
    moment = _moment(text.strip())
    if moment is None:
        raise argparse.ArgumentTypeError(
            _('"%(text)s" is not a time: write 2d, 36h, 2026-11-24 or 2026-11-24T06:00')
            % {"text": text}
        )
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    if moment > now:
        raise argparse.ArgumentTypeError(
            _('"%(text)s" is in the future: nothing can have changed since') % {"text": text}
        )
    return max(moment, OLDEST)


def _moment(text: str) -> datetime | None:
    try:
        day = parse_date(text)
        return parse_datetime(text) if day is None else datetime(day.year, day.month, day.day)  # noqa: DTZ001 (the caller adds TIME_ZONE)
    except ValueError:  # of the right form, and in no calendar
        return None
