"""The one connection to Odoo of this process, made from Django's settings."""

import threading
from dataclasses import replace
from functools import cache

from django.conf import settings
from django.db import transaction

from bc_consumer.core import process_state
from bc_consumer.core.translatable import gettext as _
from bc_consumer.ledger.call_slots import call_limits
from bc_consumer.models import BC, CopyOrigin, ProvenPeriod, SyncState
from bc_consumer.odoo import Odoo, OdooRefused, OdooSettings
from bc_consumer.refresh.call_counts import CountingObserver

FIRST_COMMITTED_MAJOR = 19
"""From this major version on Odoo sends webhooks after its commit (measured on 17, 18 and 19)."""


@cache
def odoo() -> Odoo:
    """Return this process's gateway; it is made at the first call and shared by all threads.

    Raises OdooRefused where the settings cannot be right, or do not fit the copy.
    """
    adapt_empty_copy()
    return Odoo(
        odoo_settings(),
        stop=process_state.stopping,
        call_limits=call_limits(process_state.stopping),
        observer=CountingObserver(),
    )


def odoo_as_administrator(
    login: str = "",
    password: str = "",
    *,
    names: tuple[str, str] = ("--login", "--password-from-env"),
    stop: threading.Event | None = None,
) -> Odoo:
    """Return a separate gateway for calls that need Settings rights in Odoo; close it after use.

    Without arguments it logs in as ODOO_ADMIN_LOGIN, or, where that is not set, as the copy's own
    account. ``names``: what error messages call login and password. ``stop``: once it is set, calls
    end; by default when the process stops. The caller hides the password from logs and texts.
    Raises OdooRefused where the settings cannot be right, and for half an account.
    """
    if bool(login) != bool(password):
        raise OdooRefused(
            _(
                "%(login)s and %(password)s belong together: give both, or neither",
                login=names[0],
                password=names[1],
            )
        )
    own = odoo_settings()
    if not login and settings.ODOO_ADMIN_LOGIN:
        login, password = settings.ODOO_ADMIN_LOGIN, settings.ODOO_ADMIN_PASSWORD
        names = ("ODOO_ADMIN_LOGIN", "ODOO_ADMIN_PASSWORD")
    if login:
        # Automation rules belong to no company, and this account may have other companies than
        # the copy's. The copy's account may use JSON-2 with an API key, this one a password.
        transport = "auto" if own.transport == "json2" else own.transport
        own = replace(
            own,
            login=login,
            password=password,
            login_names=names,
            company_ids=(),
            transport=transport,
        )
    # A person makes few calls, so this process's own limits do; those in the database would not
    # work while it is away.
    return Odoo(own, stop=stop or process_state.stopping)


def odoo_settings() -> OdooSettings:
    """Return the gateway's settings from Django's. Raises OdooRefused where they can't be right."""
    return OdooSettings(
        url=settings.ODOO_URL,
        database=settings.ODOO_DATABASE,
        login=settings.ODOO_LOGIN,
        password=settings.ODOO_PASSWORD,
        timeout=settings.ODOO_TIMEOUT_SECONDS,
        max_response_bytes=settings.ODOO_MAX_RESPONSE_BYTES,
        language=settings.ODOO_LANGUAGE,
        ca_file=settings.ODOO_CA_FILE or None,
        concurrent_calls=settings.ODOO_CONCURRENT_CALLS,
        calls_per_second=settings.ODOO_CALLS_PER_SECOND,
        transport=settings.ODOO_TRANSPORT,
        order_model=settings.ODOO_ORDER_MODEL,
        extra_fields=tuple(settings.ODOO_EXTRA_FIELDS),
        extra_line_fields=tuple(settings.ODOO_EXTRA_LINE_FIELDS),
        domain=settings.ODOO_DOMAIN,
        company_ids=tuple(settings.ODOO_COMPANY_IDS),
    )


def adapt_empty_copy() -> None:
    """Set an empty copy to the configured order model, as if it were new.

    Raises OdooRefused where the copy holds orders of another model.
    """
    wanted = settings.ODOO_ORDER_MODEL
    origin, _created = CopyOrigin.objects.get_or_create(
        key=CopyOrigin.KEY, defaults={"order_model": wanted}
    )
    copied_model()
    if origin.order_model != wanted:
        with transaction.atomic():
            CopyOrigin.objects.update(
                order_model=wanted, seen_fields=[], present_fields=[], sample=None
            )
            ProvenPeriod.objects.all().delete()
            SyncState.objects.update(last_sync=None)


def copied_model() -> str:
    """Return the Odoo model whose orders the copy holds; "" while the copy is empty.

    Raises OdooRefused where this is not the model that the settings name: the ids would mix.
    """
    held = CopyOrigin.objects.values_list("order_model", flat=True).first()
    if held is None or not BC.objects.exists():
        return ""
    if held != settings.ODOO_ORDER_MODEL:
        raise OdooRefused(
            _(
                "ODOO_ORDER_MODEL is %(wanted)s, but the copy holds orders of"
                " %(order_model)s, whose ids mean other records. Set it back, or give the"
                " other model a database of its own",
                wanted=settings.ODOO_ORDER_MODEL,
                order_model=held,
            )
        )
    return str(held)


def sends_early() -> bool:
    """Return whether this Odoo sends webhooks before its commit.

    With the setting ``auto`` Odoo's version decides, which is asked for once. An Odoo that is
    upgraded meanwhile counts as the older version, whose looks are right for both.
    """
    if settings.ODOO_WEBHOOK_TIMING == "auto":
        return odoo().known_version().major < FIRST_COMMITTED_MAJOR
    return bool(settings.ODOO_WEBHOOK_TIMING == "early")
