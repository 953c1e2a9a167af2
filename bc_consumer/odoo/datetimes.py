"""Datetimes ↔ Odoo's text for them: "YYYY-MM-DD HH:MM:SS", UTC, whole seconds.

Measured on 17, 18 and 19. 19 accepts no other form (ISO's "Z" is Fault 1 there).
"""

from datetime import UTC, datetime, timedelta

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import OdooProtocolError

LENGTH = len("2026-01-01 00:00:00")


def write_datetime(moment: datetime, *, round_up: bool = False) -> str:
    """Write an aware datetime for Odoo. Cuts off a fraction of a second, or rounds it up.

    Raises ValueError for a naive datetime.
    """
    if moment.tzinfo is None:
        raise ValueError(f"Odoo's times are in UTC, but {moment} has no time zone")
    whole = moment.astimezone(UTC).replace(microsecond=0)
    if round_up and moment.microsecond:
        whole += timedelta(seconds=1)
    return whole.replace(tzinfo=None).isoformat(" ")


def read_datetime(text: object) -> datetime:
    """Read Odoo's text as an aware datetime, UTC. Raises OdooProtocolError for anything else."""
    if isinstance(text, str) and len(text) == LENGTH:
        try:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError:
            pass
    raise OdooProtocolError(
        _("Odoo gave %(text)s where a date and time should be", text=repr(text))
    )
