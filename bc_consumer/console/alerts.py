"""The open alerts: what each means and what to do, who takes care of it, and until when it is mute.

``manage.py alerts`` shows and does the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.labels import Label
from bc_consumer.console.page import page
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import Alert
from bc_consumer.operations import alerts as operations

ROWS = 100
MUTE_HOURS = (1, 8, 24, 72, 168)
"""For how long an alert can be muted here; the command takes any number of hours."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What an alert means, and what to do about it."""

    meaning: Label
    to_do: Label
    place: str = ""
    """The name of the URL where one does it, if it is one of our pages."""


ADVICE: Mapping[str, Advice] = {
    "odoo away": Advice(
        _("Odoo has not answered for a while. Nothing is lost: orders are read once it is back."),
        _("Look whether Odoo, and the network in between, are up."),
        "bc-connections",
    ),
    "odoo refuses": Advice(
        _("Odoo answers and rejects our access, or it is another database: nothing is copied."),
        _("Correct what the text names: login, password, rights or address."),
        "bc-connections",
    ),
    "failed orders": Advice(
        _("Some orders could not be copied. The others stay up to date."),
        _("Mend the cause, then replay these orders."),
        "bc-failures",
    ),
    "brake": Advice(
        _("So many orders are gone from Odoo that it looks like a mistake: archiving is paused."),
        _("Look whether they are really gone; then release them, or archive them."),
        "bc-failures",
    ),
    "forbidden": Advice(
        _("Odoo has orders that our account may no longer read. The copy keeps them as they were."),
        _("Give the account the right back, or let them be."),
    ),
    "fields lack": Advice(
        _("Odoo no longer has this field, or hides it. The copy keeps its last values."),
        _("Correct the setting, or give our account the right to read the field."),
        "bc-settings",
    ),
    "language": Advice(
        _("ODOO_LANGUAGE is not active in Odoo: names may not be those that users see."),
        _("Set the language that the text names, and restart."),
        "bc-settings",
    ),
    "run failed": Advice(
        _("A reconciliation ended with an error. The next one tries again."),
        _("Read the error of the run, and check everything."),
        "bc-runs",
    ),
    "poll failed": Advice(
        _("No poll has been good for five minutes."),
        _("Read the error of the run, and check everything."),
        "bc-runs",
    ),
    "missed by webhooks": Advice(
        _("The nightly run found orders that no webhook had told of."),
        _("Check everything: it looks at the rules in Odoo and at the address they call."),
        "bc-connections",
    ),
    "same date": Advice(
        _("Orders differed although no date had moved. They have been put right."),
        _("See in their history what differed, and who writes past Odoo."),
        "bc-runs",
    ),
    "dead letters": Advice(
        _("RabbitMQ holds messages that could not be processed."),
        _("Bring them in: the orders that they name are read again."),
        "bc-letters",
    ),
    "database": Advice(
        _("The tables do not fit this release. Orders wait."),
        _("Run manage.py migrate, and restart what still runs the old release."),
    ),
}
"""By the key of the alert, without what follows a colon; docs/operations/runbook.md has the same
table."""


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """An alert as pages show it."""

    alert: Alert
    advice: Advice | None
    muted_until: datetime | None
    """Empty unless it is muted now."""


def open_alerts() -> list[ShownAlert]:
    """Return the open alerts, the latest first; no more than a page shows."""
    now = database_now()
    return [
        ShownAlert(one, advice_for(one.key), one.muted_until if operations.is_muted(one, now)
                   else None)
        for one in Alert.objects.all()[:ROWS]
    ]  # fmt: skip


def more_alerts(shown: Sequence[ShownAlert]) -> int:
    """Return how many alerts are open beside these."""
    return max(Alert.objects.count() - len(shown), 0)


def advice_for(key: str) -> Advice | None:
    """Return what an alert of this key means; None for one of another release."""
    return ADVICE.get(key.partition(":")[0])


@page
def alerts(request: HttpRequest) -> HttpResponse:
    """Show the open alerts, and those that are over and still muted."""
    shown = open_alerts()
    more = more_alerts(shown)
    context = {
        "alerts": shown,
        "count": len(shown) + more,
        "more_alerts": more,
        "muted": operations.muted_and_resolved()[:ROWS],
        "mute_hours": MUTE_HOURS,
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/alerts.html", context)
