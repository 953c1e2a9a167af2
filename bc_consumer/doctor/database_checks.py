"""Checks of the copy's own database: reachable, recent enough, migrated, its clock right."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of, ngettext
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning
from bc_consumer.doctor.remedies import database_fix
from bc_consumer.odoo import OdooRefused
from bc_consumer.refresh.odoo_connection import copied_model

OLDEST_POSTGRESQL = 140000
CLOCK_SECONDS = 5.0
"""Two machines that both ask a time server hardly differ."""
LEAST_FREE_SHARE = 0.05

DATABASE = "database"
SCHEMA = "database.migrations"


def database_checks() -> list[Check]:
    """Return the checks of the database."""
    return [
        Check(DATABASE, _("Database"), _connection),
        Check(SCHEMA, _("Migrations"), _migrations, needs=(DATABASE,)),
        Check("database.copy", _("What the copy holds"), _copy, needs=(SCHEMA,)),
        Check("database.clock", _("Database's clock"), _clock, needs=(DATABASE,)),
    ]


def _connection() -> Iterator[Finding]:
    connection.close()
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseFailure as problem:
        text = str(problem).strip().splitlines()
        yield error(
            _(
                "%(vendor)s: %(text)s",
                vendor=connection.display_name,
                text=" ".join(line.strip() for line in text),
            ),
            database_fix(str(problem)),
        )
        return
    yield from _version() if connection.vendor == "postgresql" else _sqlite()


def _version() -> Iterator[Finding]:
    number = int(getattr(connection, "pg_version", 0))
    text = _("PostgreSQL %(version)s answers", version=f"{number // 10000}.{number % 10000}")
    if number < OLDEST_POSTGRESQL:
        yield error(text, _("Update PostgreSQL: this version of Django needs 14 or later."))
    else:
        yield ok(text)


def _sqlite() -> Iterator[Finding]:
    path = Path(str(connection.settings_dict["NAME"]))
    usage = shutil.disk_usage(path.parent)
    if usage.free < usage.total * LEAST_FREE_SHARE:
        yield warning(
            _("SQLite, with only %(free)d MB left on its disk", free=usage.free // 2**20),
            _("Make room on the disk that holds %(path)s.", path=str(path.parent)),
        )
    else:
        yield ok(_("SQLite, in %(path)s", path=str(path)))


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        yield ok(_("all are applied"))
        return
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _back in plan[:3])
    yield error(
        ngettext(
            "%(count)d migration is not applied: %(names)s …",
            "%(count)d migrations are not applied: %(names)s …",
            len(plan),
            names=names,
        ),
        _("Run: manage.py migrate"),
    )


def _clock() -> Iterator[Finding]:
    difference = (database_now() - datetime.now(UTC)).total_seconds()
    text = _("it differs from this machine's by %(seconds).1f s", seconds=abs(difference))
    if abs(difference) > CLOCK_SECONDS:
        yield warning(text, _("Synchronise both with a time server (chrony, systemd-timesyncd)."))
    else:
        yield ok(text)


def _copy() -> Iterator[Finding]:
    try:
        held = copied_model()
    except OdooRefused as problem:
        yield error(message_of(problem), _("Correct ODOO_ORDER_MODEL, or DATABASE_URL."))
        return
    yield ok(_("orders of %(model)s", model=held) if held else _("nothing yet"))
