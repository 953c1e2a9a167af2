"""SQL that differs between PostgreSQL and SQLite: the database's clock, lists of ids.

All times in the ledger are the database's, so that the clocks of machines need not agree.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True)
class Dialect:
    """The SQL of one database."""

    now: str
    """The time at which the running statement began."""
    later: str
    """That time plus ``{}`` seconds, an SQL expression."""
    seconds_until: str
    """Seconds from that time until ``{}``, an SQL expression."""
    ids: str
    """A row source ``item(id)`` from one parameter made by :func:`ids_parameter`."""
    in_ids: str
    """A condition behind a column: it is one of the ids of such a parameter."""
    marks: str
    """A row source ``item(…)`` from one parameter, a JSON list of objects with these keys."""
    looks: str
    """A row source ``item(…)`` from one parameter, a JSON list of objects with these keys."""
    payload: str
    """The text at index ``item.payload`` of one parameter, a JSON list of texts."""
    least: str
    lock: str
    """Locks the selected rows until the transaction ends, after waiting for other holders."""
    skip_locked: str
    """The same, but skips rows that another transaction holds."""
    epoch: str
    """The whole seconds since 1970 of a moment ``{}``, an SQL expression, for integer division."""


POSTGRESQL = Dialect(
    now="statement_timestamp()",
    later="statement_timestamp() + {} * interval '1 second'",
    seconds_until="EXTRACT(EPOCH FROM {} - statement_timestamp())::float8",
    ids="unnest(%s::bigint[]) AS item(id)",
    in_ids="= ANY(%s::bigint[])",
    marks="json_to_recordset(%s::json) AS item(id bigint, marks int, lane int, causes text,"
    " event text, early boolean, delay float8, payload int, run bigint)",
    looks="json_to_recordset(%s::json) AS item(id bigint, generation bigint, began timestamptz,"
    " due timestamptz, shown_at timestamptz, lane int, marks int)",
    # Not correlated, so PostgreSQL reads the list once per statement.
    payload="COALESCE((ARRAY(SELECT json_array_elements_text(%s::json)))[item.payload + 1], '')",
    least="LEAST",
    lock="FOR UPDATE",
    skip_locked="FOR UPDATE SKIP LOCKED",
    epoch="floor(EXTRACT(EPOCH FROM {}))::bigint",
)
# Django stores datetimes as text, mostly with microseconds; %f gives milliseconds. The longer text
# sorts later: without the zeros, a row due within this millisecond would not be due yet.
SQLITE = Dialect(
    now="(strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now') || '000')",
    later="strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', ({}) || ' seconds')",
    seconds_until="(julianday({}) - julianday('now')) * 86400.0",
    ids="(SELECT value AS id FROM json_each(%s)) AS item",
    in_ids="IN (SELECT value FROM json_each(%s))",
    marks="(SELECT value ->> 'id' AS id, value ->> 'marks' AS marks, value ->> 'lane' AS lane,"
    " value ->> 'causes' AS causes, value ->> 'event' AS event, value ->> 'early' AS early,"
    " value ->> 'delay' AS delay, value ->> 'payload' AS payload, value ->> 'run' AS run"
    " FROM json_each(%s)) AS item",
    looks="(SELECT value ->> 'id' AS id, value ->> 'generation' AS generation,"
    " value ->> 'began' AS began, value ->> 'due' AS due, value ->> 'shown_at' AS shown_at,"
    " value ->> 'lane' AS lane, value ->> 'marks' AS marks FROM json_each(%s)) AS item",
    payload="COALESCE(json_extract(%s, '$[' || item.payload || ']'), '')",
    least="MIN",
    lock="",
    skip_locked="",
    # Without the fraction: SQLite would round it to milliseconds, and so to the next second.
    epoch="CAST(strftime('%%s', substr({}, 1, 19)) AS INTEGER)",
)


def dialect() -> Dialect:
    """Return the dialect of the configured database."""
    return POSTGRESQL if connection.vendor == "postgresql" else SQLITE


def ids_parameter(ids: Iterable[int]) -> Any:
    """Return the parameter for ``Dialect.ids``: the ids sorted, without duplicates.

    Every statement locks rows in this order; unsorted ones would deadlock each other.
    """
    ordered = sorted(set(ids))
    return ordered if connection.vendor == "postgresql" else json.dumps(ordered)


def moment_parameter(moment: datetime | None) -> str | None:
    """Return a moment as written in a JSON parameter, which is how SQLite stores it."""
    return None if moment is None else str(connection.ops.adapt_datetimefield_value(moment))


def database_now() -> datetime:
    """Return the database's current time (aware, UTC)."""
    with connection.cursor() as cursor:
        # An empty list makes the driver unescape %%.
        cursor.execute(f"SELECT {dialect().now}", [])
        (value,) = cursor.fetchone()
    return (
        value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)
    )
