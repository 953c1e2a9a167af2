"""Makes the journal's entries; the journal is only ever added to."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bc_consumer.core.redaction import redacted
from bc_consumer.models import JournalEntry, PendingBC


def journal_entry(
    row: PendingBC,
    outcome: JournalEntry.Outcome,
    at: datetime,
    changes: Mapping[str, Any] | None = None,
    *,
    run: int | None = None,
    delay: float | None = None,
    error: str = "",
    version: int | None = None,
) -> JournalEntry:
    """Return an unsaved entry that tells which marks led to this outcome."""
    return JournalEntry(
        odoo_id=row.odoo_id,
        at=at,
        outcome=outcome,
        causes=row.causes,
        event=row.event,
        marks=row.marks,
        first_marked_at=row.first_marked_at,
        last_marked_at=row.last_marked_at,
        delay=delay,
        changes=changes or {},
        error=redacted(error),
        version=version,
        run_id=run,
    )
