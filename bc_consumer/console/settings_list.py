"""The settings in force, without secrets; and the way to accounts and to the tables behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bc_consumer import conf
from bc_consumer.console.formatting import NOTHING, shortened
from bc_consumer.console.labels import Label
from bc_consumer.console.page import page
from bc_consumer.core.redacted_text import redacted

GROUPS: tuple[tuple[Label, tuple[str, ...]], ...] = (
    (gettext_lazy("Odoo"), ("ODOO_",)),
    (gettext_lazy("Webhook"), ("PUBLIC_URL", "ODOO_WEBHOOK_", "WEBHOOK_", "EARLY_LOOKS")),
    (
        gettext_lazy("RabbitMQ and workers"),
        ("RABBITMQ_", "LEASE_", "BATCH_", "MAX_", "SWEEP_", "RESEND_"),
    ),
    (gettext_lazy("Reconciliation"), ("SYNC_", "BRAKE_")),
    (gettext_lazy("Alerts"), ("ALERT_",)),
    (gettext_lazy("Everything else"), ("",)),
)  # fmt: skip
"""Titles, and how the names of their settings begin. The longest beginning decides."""
NOT_SETTINGS = ("DRAMATIQ_", "DEFAULT_", "POSTGRESQL_OPTIONS", "SQLITE_OPTIONS")
"""What ``conf`` sets for libraries, and nobody sets by hand."""
SECRET = ("PASSWORD", "SECRET", "TOKEN", "ALERT_URLS", "HEARTBEAT_URL", "FAIL_URL")
"""Words in the names of settings of which a page tells only whether they are set."""
LONGEST_VALUE = 200
"""The most characters of a value that the page shows."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, ready to be shown."""

    name: str
    value: str


@page
def settings_list(request: HttpRequest) -> HttpResponse:
    """Show every setting with its value, by subject."""
    groups: dict[str, list[Setting]] = {str(title): [] for title, _beginnings in GROUPS}
    for name in _names():
        groups[_group_of(name)].append(Setting(name, _shown(name, getattr(settings, name, None))))
    return render(request, "bc_consumer/settings.html", {"groups": groups})


def _names() -> Iterator[str]:
    for name in vars(conf):
        if name.isupper() and not name.startswith(("_", *NOT_SETTINGS)):
            yield name


def _group_of(name: str) -> str:
    beginnings = ((start, title) for title, starts in GROUPS for start in starts)
    _start, title = max(
        (one for one in beginnings if name.startswith(one[0])), key=lambda one: len(one[0])
    )
    return str(title)


def _shown(name: str, value: Any) -> str:
    empty = value is None or value in ("", [], ())
    if any(word in name for word in SECRET):
        return _("not set") if empty else _("set; not shown")
    if empty:
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return shortened(redacted(text), LONGEST_VALUE)
