"""Django system checks of the surrounding project: what a project other than ours may lack."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import connection
from django.urls import NoReverseMatch, reverse

SECURITY = "django.middleware.security.SecurityMiddleware"
PAGE_LIMITS = "bc_consumer.page_limits.PageLimitsMiddleware"
READ_COMMITTED = "READ_COMMITTED"


@register()
def check_project(**_: Any) -> list[CheckMessage]:
    """Check URLs and database options without asking any system."""
    return [*_webhook_address(), *_middleware(), *_database()]


def _webhook_address() -> Iterator[CheckMessage]:
    try:
        path = reverse("odoo-webhook").strip("/")
    except NoReverseMatch:
        yield checks.Warning(
            "The webhook has no address: Odoo's events can't arrive.",
            hint='Add to the project\'s urls.py: path("odoo/", include("odoo_webhook.urls")).',
            id="bc.W030",
        )
        return
    redirects = settings.SECURE_SSL_REDIRECT and SECURITY in settings.MIDDLEWARE
    if redirects and not all(_exempt(address) for address in (path, f"{path}/")):
        yield Error(
            f"The webhook /{path} is redirected to https: Odoo turns the redirected POST into a "
            "GET, and every event is lost.",
            hint=f'Add r"^{path}/?$" to SECURE_REDIRECT_EXEMPT.',
            id="bc.E030",
        )


def _middleware() -> Iterator[CheckMessage]:
    if settings.MIDDLEWARE[:1] != [PAGE_LIMITS]:
        yield checks.Warning(
            "Pages may wait for the database indefinitely and take all threads of the web process: "
            "the webhook then gets none, and events are lost.",
            hint=f'Put "{PAGE_LIMITS}" first in MIDDLEWARE.',
            id="bc.W034",
        )


def _exempt(path: str) -> bool:
    return any(re.search(pattern, path) for pattern in settings.SECURE_REDIRECT_EXEMPT)


def _database() -> Iterator[CheckMessage]:
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor == "sqlite" and options.get("transaction_mode") != "IMMEDIATE":
        yield checks.Warning(
            'SQLite\'s transactions are not IMMEDIATE: writers fail with "database is locked".',
            hint="Use SQLITE_OPTIONS from bc_consumer.conf as the database's OPTIONS.",
            id="bc.W031",
        )
    if connection.vendor != "postgresql":
        return
    if "lock_timeout" not in str(options.get("options", "")):
        yield checks.Warning(
            "PostgreSQL's lock_timeout is not set: a worker that hangs can block webhooks.",
            hint="Use POSTGRESQL_OPTIONS from bc_consumer.conf as the database's OPTIONS. If the "
            "server or the role sets it, silence this check.",
            id="bc.W032",
        )
    level = options.get("isolation_level")
    if level is not None and getattr(level, "name", "") != READ_COMMITTED:
        yield Error(
            "The database's isolation level is not READ COMMITTED: batches would make each other "
            "fail, and versions could appear out of order.",
            hint="Leave isolation_level out of the database's OPTIONS.",
            id="bc.E031",
        )
