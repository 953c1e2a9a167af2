"""Checks of Odoo's server: its address, its version, our account, its clock."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import connection

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.doctor.database_checks import DATABASE
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning
from bc_consumer.doctor.remedies import odoo_fix
from bc_consumer.installation.setting_checks import is_api_key
from bc_consumer.odoo import Odoo, OdooError, OdooRefused
from bc_consumer.odoo.transport_gain import measure_gain
from bc_consumer.refresh.odoo_connection import FIRST_COMMITTED_MAJOR, odoo_settings

MEASURED = (14, 16, 17, 18, 19)
XMLRPC_DEPRECATED = 19
CLOCK_SECONDS = 30.0
"""The watermark uses Odoo's clock, so a difference only confuses people. The Date header's whole
seconds cost one second of precision, a slow answer more."""
KEY_DAYS = 14

ADDRESS, ACCOUNT = "odoo.address", "odoo.account"


def odoo_checks() -> list[Check]:
    """Return the checks of the server and of our account there."""
    odoo = _Server()
    return [
        Check("odoo.settings", _("Odoo's settings"), odoo.settings_are_possible),
        Check(ADDRESS, _("Odoo's address"), odoo.answers, needs=("odoo.settings",)),
        Check("odoo.version", _("Odoo's version"), odoo.version_is_known, needs=(ADDRESS,)),
        Check("odoo.timing", _("Webhooks' timing"), odoo.timing_fits, needs=(ADDRESS,)),
        Check(ACCOUNT, _("Odoo's account"), odoo.lets_us_in, needs=(ADDRESS,)),
        Check("odoo.transport", _("Protocol"), odoo.protocol_will_last, needs=(ACCOUNT,)),
        Check("odoo.key", _("API key"), odoo.key_will_last, needs=(ACCOUNT,)),
        Check("odoo.clock", _("Odoo's clock"), odoo.clock_agrees, needs=(ADDRESS, DATABASE)),
    ]


def odoo_trouble(problem: OdooError) -> Finding:
    """Return what an error from Odoo means, and what to do about it."""
    return error(message_of(problem), odoo_fix(problem))


def guarded(look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of ``look``; an error from Odoo becomes a finding."""
    try:
        yield from look()
    except OdooError as problem:
        yield odoo_trouble(problem)


class _Server:
    """The server and our account on it; all checks share one gateway."""

    @cached_property
    def odoo(self) -> Odoo:
        """The gateway without the copy's own checks, which need the database."""
        return Odoo(odoo_settings())

    def settings_are_possible(self) -> Iterator[Finding]:
        missing = [
            name
            for name in ("ODOO_URL", "ODOO_DATABASE", "ODOO_LOGIN", "ODOO_PASSWORD")
            if not getattr(settings, name)
        ]
        if missing:
            yield error(
                _("not set: %(names)s", names=", ".join(missing)),
                _("Put them into .env; docs/settings.md explains them."),
            )
            return
        try:
            where = self.odoo.settings.shown_url
        except OdooRefused as problem:
            yield error(message_of(problem), _("Correct that setting."))
            return
        yield ok(
            _(
                'database "%(database)s" at %(url)s, account "%(login)s"',
                database=settings.ODOO_DATABASE,
                url=where,
                login=settings.ODOO_LOGIN,
            )
        )

    def answers(self) -> Iterator[Finding]:
        def look() -> Iterator[Finding]:
            yield ok(_("Odoo %(version)s answers", version=self.odoo.version().text))

        return guarded(look)

    def version_is_known(self) -> Iterator[Finding]:
        def look() -> Iterator[Finding]:
            version = self.odoo.version()
            if version.major in MEASURED:
                yield ok(_("%(version)s has been tested", version=version.text))
                return
            yield warning(
                _("%(version)s has never been tested with this software", version=version.text),
                _("14 and 16 to 19 were. Compare a few orders: sync_BcLinbc --dry-run --full."),
            )

        return guarded(look)

    def timing_fits(self) -> Iterator[Finding]:
        """Warn if webhooks are taken to come after the commit and this Odoo sends them before."""

        def look() -> Iterator[Finding]:
            version = self.odoo.version()
            early = version.major < FIRST_COMMITTED_MAJOR
            if settings.ODOO_WEBHOOK_TIMING == "committed" and early:
                yield warning(
                    _(
                        "ODOO_WEBHOOK_TIMING is committed, but Odoo %(version)s calls before "
                        "its commit (measured): changes would be missed until the nightly run",
                        version=version.text,
                    ),
                    _("Set ODOO_WEBHOOK_TIMING to early or auto, and restart web."),
                )
            else:
                yield ok(settings.ODOO_WEBHOOK_TIMING)

        return guarded(look)

    def lets_us_in(self) -> Iterator[Finding]:
        def look() -> Iterator[Finding]:
            # Any account may search its own model; this search finds nothing.
            self.odoo.call("res.users", "search", [[("id", "=", 0)]], {"limit": 1})
            yield self._who_is_let_in()

        return guarded(look)

    def _who_is_let_in(self) -> Finding:
        """Return whose account it is: with JSON-2 that depends on the key, not on ODOO_LOGIN."""
        wanted, database = settings.ODOO_LOGIN, settings.ODOO_DATABASE
        try:
            login = self.odoo.account_login()
        except OdooError:
            login = None
        if login is not None and login.lower() != wanted.lower():
            return warning(
                _(
                    'the API key belongs to "%(login)s", but ODOO_LOGIN is "%(wanted)s"',
                    login=login,
                    wanted=wanted,
                ),
                _(
                    'The copy sees what "%(login)s" may see, and XML-RPC and JSON-RPC refuse '
                    'the key. Put a key of "%(wanted)s" into ODOO_PASSWORD, or correct '
                    "ODOO_LOGIN.",
                    login=login,
                    wanted=wanted,
                ),
            )
        if login is None and self.odoo.transport == "json2":
            return ok(_('the API key works on database "%(database)s"', database=database))
        return ok(
            _('"%(login)s" can log in to database "%(database)s"', login=wanted, database=database)
        )

    def protocol_will_last(self) -> Iterator[Finding]:
        name = self.odoo.transport
        if name == "xmlrpc" and self.odoo.version().major >= XMLRPC_DEPRECATED:
            yield ok(
                _(
                    "XML-RPC, which Odoo 22 (autumn 2028) will remove: ODOO_TRANSPORT=auto "
                    "switches in time"
                )
            )
        elif settings.ODOO_TRANSPORT == "auto":
            yield ok(_('%(name)s, chosen by "auto"', name=name))
        else:
            yield ok(self._compare_protocols() or name)

    def _compare_protocols(self) -> str:
        """Return what another protocol would gain; "" where none would, or it can't be measured."""
        try:
            gain = measure_gain(self.odoo.settings)
        except OdooError:
            return ""  # other checks tell what is wrong with reading orders
        return "" if gain is None else gain.text()

    def key_will_last(self) -> Iterator[Finding]:
        """Check when the account's API keys expire (18 and later; on 19 after 3 months at most)."""
        if not is_api_key(settings.ODOO_PASSWORD):
            yield ok(
                _(
                    "none: ODOO_PASSWORD is a password. A key would be better: it can be revoked "
                    "on its own, and opens no web session"
                )
            )
            return
        try:
            ends = self._ends_of_keys()
        except OdooError:
            yield ok(_("Odoo does not show when API keys expire"))
            return
        if not ends:
            yield ok(_("no API key of this account expires"))
            return
        name, end = min(ends, key=lambda one: one[1])
        text = _(
            'API key "%(name)s" of this account expires on %(day)s',
            name=name,
            day=f"{end:%Y-%m-%d}",
        )
        if end - datetime.now(UTC) < timedelta(days=KEY_DAYS):
            yield warning(
                text,
                _("If it is the one in ODOO_PASSWORD, create a new one in Odoo and put it there."),
            )
        else:
            yield ok(text)

    def _ends_of_keys(self) -> list[tuple[str, datetime]]:
        """Return names and expiry dates of the account's unexpired keys.

        Filtered by account, because an administrator sees everybody's keys.
        """
        fields = self.odoo.fields_of("res.users.apikeys")
        if "expiration_date" not in fields:
            return []
        rows: list[dict[str, Any]] = self.odoo.call(
            "res.users.apikeys",
            "search_read",
            [[("user_id", "=", self.odoo.account_id()), ("expiration_date", "!=", False)]],
            {"fields": ["name", "expiration_date"]},
        )
        ends = [
            (
                str(row["name"]),
                datetime.fromisoformat(str(row["expiration_date"])).replace(tzinfo=UTC),
            )
            for row in rows
        ]
        return [(name, end) for name, end in ends if end > datetime.now(UTC)]

    def clock_agrees(self) -> Iterator[Finding]:
        def look() -> Iterator[Finding]:
            difference = abs((database_now() - self.odoo.server_time()).total_seconds()) - 1
            connection.close()
            text = _(
                "it differs from the database's by about %(seconds)d s", seconds=max(difference, 0)
            )
            if difference > CLOCK_SECONDS:
                yield warning(text, _("Synchronise Odoo's machine and ours with a time server."))
            else:
                yield ok(text)

        return guarded(look)
