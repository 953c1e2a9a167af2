"""Django system checks: each setting that can be wrong, with what to do about it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import connection

from bc_consumer.core.redaction import secret_values
from bc_consumer.core.redactor import is_recognisable
from bc_consumer.installation.webhook_address import address_error, polls_alone
from bc_consumer.models import CopyOrigin
from bc_consumer.odoo import TABLES, OdooRefused
from bc_consumer.refresh.odoo_connection import check_order_model

SHORTEST_SECRET = 16
LARGEST_BATCH = 1000
LONGEST_ANSWER = 0.9
"""Seconds: Odoo waits one (measured with 17, 18 and 19), and the network takes some of it."""
LONGEST_EXCHANGE = 255
"""Bytes of a name in AMQP."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "web"})
API_KEY = re.compile(r"[0-9a-f]{40}")  # as Odoo 17, 18 and 19 make them
RULES_NAME = re.compile(r"[\w][\w .-]{0,39}")


@register()
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check what can be told without asking any other system."""
    return [*_odoo(), *_choice(), *_webhook(), *_public_url(), *_workers()]


@register(deploy=True)
def check_secrets(**_: Any) -> list[CheckMessage]:
    """Check that secrets can be recognised in a text, and so be hidden in it."""
    plain = {name for name, value in secret_values() if value and not is_recognisable(value)}
    return [
        checks.Warning(
            f"{name} holds a secret that can't be told from an ordinary word in logs and errors.",
            hint="Use at least 8 characters, and not small letters alone.",
            id="bc.W050",
        )
        for name in sorted(plain)
    ]


@register(checks.Tags.database)
def check_copy(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check that the settings fit the copy; «check --database default» and «migrate» do so."""
    if "default" not in (databases or ()) or CopyOrigin._meta.db_table not in _tables():
        return []
    try:
        check_order_model()
    except OdooRefused as error:
        return [Error(str(error), id="bc.E040")]
    return []


def _tables() -> list[str]:
    return connection.introspection.table_names()


def _odoo() -> Iterator[CheckMessage]:
    names = ("ODOO_URL", "ODOO_DATABASE", "ODOO_LOGIN", "ODOO_PASSWORD")
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        yield checks.Warning(
            f"Odoo cannot be asked: {', '.join(missing)} not set.",
            hint="Set all of them, or use ./start, which brings a simulator along.",
            id="bc.W001",
        )
    if settings.ODOO_URL.startswith("http://") and not settings.DEBUG:
        host = settings.ODOO_URL.removeprefix("http://").partition("/")[0].partition(":")[0]
        if host not in {"localhost", "127.0.0.1", "odoo"}:
            yield checks.Warning(
                "ODOO_URL is plain http: the password travels readable.",
                hint="Use https://.",
                id="bc.W002",
            )
    for name in ("ODOO_PASSWORD", "ODOO_ADMIN_PASSWORD"):
        secret = getattr(settings, name)
        if settings.ODOO_TRANSPORT == "json2" and secret and not API_KEY.fullmatch(secret):
            yield checks.Warning(
                f"ODOO_TRANSPORT is json2, and {name} does not look like an API key of Odoo.",
                hint="JSON-2 takes no passwords: make a key in Odoo, or set ODOO_TRANSPORT=auto.",
                id="bc.W007",
            )


def _choice() -> Iterator[CheckMessage]:
    """Which orders and fields; names and domain were checked when Django was set up."""
    table = TABLES.get(settings.ODOO_ORDER_MODEL)
    if table is None:
        yield Error(
            f"ODOO_ORDER_MODEL is {settings.ODOO_ORDER_MODEL!r}.",
            hint=f"Orders of these models can be copied: {', '.join(TABLES)}.",
            id="bc.E041",
        )
        return
    for setting, fields in (
        ("ODOO_EXTRA_FIELDS", table.order),
        ("ODOO_EXTRA_LINE_FIELDS", table.line),
    ):
        columns = {name for field in fields if not field.extra for name in field.odoo_names}
        doubles = sorted(columns.intersection(getattr(settings, setting)))
        if doubles:
            yield checks.Warning(
                f"{setting} names what has a column of its own: {', '.join(doubles)}.",
                hint="They are not in «extra» besides. manage.py odoo_fields names the columns.",
                id="bc.W040",
            )


def _webhook() -> Iterator[CheckMessage]:
    if not settings.ODOO_WEBHOOK_SECRETS and not polls_alone():
        yield checks.Warning(
            "ODOO_WEBHOOK_SECRETS is empty: every webhook is refused.",
            hint="Give at least one random secret; Odoo puts it into the webhook's URL.",
            id="bc.W003",
        )
    if any(len(secret) < SHORTEST_SECRET for secret in settings.ODOO_WEBHOOK_SECRETS):
        yield checks.Warning(
            f"A webhook secret has fewer than {SHORTEST_SECRET} characters.",
            hint="python -c 'import secrets; print(secrets.token_urlsafe(24))'",
            id="bc.W004",
        )
    total = settings.WEBHOOK_DATABASE_SECONDS + settings.WEBHOOK_BROKER_SECONDS
    if total > settings.WEBHOOK_ANSWER_SECONDS:
        yield Error(
            f"The webhook's deadlines add up to {total:g} s, more than WEBHOOK_ANSWER_SECONDS.",
            hint="Lower WEBHOOK_DATABASE_SECONDS or WEBHOOK_BROKER_SECONDS.",
            id="bc.E001",
        )
    if connection.vendor == "postgresql" and settings.WEBHOOK_ANSWER_SECONDS > LONGEST_ANSWER:
        yield checks.Warning(
            f"WEBHOOK_ANSWER_SECONDS is {settings.WEBHOOK_ANSWER_SECONDS:g}, and Odoo waits 1 s for"
            " the webhook's answer: it would have left before.",
            hint=f"Set it to {LONGEST_ANSWER:g} at most.",
            id="bc.W008",
        )


def _public_url() -> Iterator[CheckMessage]:
    url = settings.PUBLIC_URL
    if url and (error := address_error(url)):
        yield Error(
            f"PUBLIC_URL can't be used: {error}.",
            hint="Write the site's address as Odoo reaches it: https://copy.example.com",
            id="bc.E010",
        )
    elif url.startswith("http://") and urlsplit(url).hostname not in LOCAL:
        yield checks.Warning(
            "PUBLIC_URL is plain http: Odoo sends the webhook's secret readable.",
            hint="Use https://.",
            id="bc.W010",
        )
    if settings.ODOO_ADMIN_LOGIN and not settings.ODOO_ADMIN_PASSWORD:
        yield Error(
            "ODOO_ADMIN_LOGIN is set, and ODOO_ADMIN_PASSWORD is not.",
            hint="Set both, or neither.",
            id="bc.E011",
        )
    if not RULES_NAME.fullmatch(settings.ODOO_RULES_NAME):
        yield Error(
            f"ODOO_RULES_NAME {settings.ODOO_RULES_NAME!r} can't be a part of a rule's name.",
            hint="Use up to 40 letters, digits, blanks, dots and dashes.",
            id="bc.E012",
        )


def _workers() -> Iterator[CheckMessage]:
    if settings.LEASE_SECONDS <= settings.ODOO_TIMEOUT_SECONDS * 2:
        yield Error(
            "LEASE_SECONDS must be more than twice ODOO_TIMEOUT_SECONDS: a claim would end while "
            "its call to Odoo is still running.",
            hint="Raise LEASE_SECONDS or lower ODOO_TIMEOUT_SECONDS.",
            id="bc.E002",
        )
    if settings.BATCH_SIZE > LARGEST_BATCH:
        yield checks.Warning(
            f"BATCH_SIZE {settings.BATCH_SIZE} is large: a batch is one transaction, one call.",
            hint="Stay at 1000 or below.",
            id="bc.W005",
        )
    if connection.vendor == "postgresql" and not settings.RABBITMQ_URL:
        yield checks.Warning(
            "PostgreSQL without RabbitMQ: several processes cannot hand each other messages.",
            hint="Set RABBITMQ_URL.",
            id="bc.W006",
        )
    if settings.RABBITMQ_URL and connection.vendor != "postgresql":
        yield Error(
            "RabbitMQ with SQLite: several processes would share one SQLite file.",
            hint="Set DATABASE_URL to a PostgreSQL, or unset RABBITMQ_URL.",
            id="bc.E003",
        )
    yield from _exchange()


def _exchange() -> Iterator[CheckMessage]:
    exchange = settings.RABBITMQ_EXCHANGE
    if exchange and not settings.RABBITMQ_URL:
        yield Error(
            "RABBITMQ_EXCHANGE is set, and RABBITMQ_URL is not: nothing can be announced.",
            hint="Set RABBITMQ_URL, or unset RABBITMQ_EXCHANGE.",
            id="bc.E020",
        )
    if exchange.startswith("amq.") or len(exchange.encode()) > LONGEST_EXCHANGE:
        yield Error(
            f"RABBITMQ_EXCHANGE {exchange!r} is no name for an exchange of ours.",
            hint="Choose one of 255 bytes at most that does not begin with «amq.».",
            id="bc.E021",
        )
