"""What the first page says of each fact of the three answers, and where a click leads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bc_consumer.console import formatting
from bc_consumer.console.verdict import Fact, FactKind, Level, Today
from bc_consumer.models import SyncLog

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, its level, and the page that tells more; "" for none."""

    text: str
    level: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one of the three questions; the first sentence is the gravest."""

    question: str
    sentences: list[Sentence]

    @property
    def level(self) -> str:
        """The level of the gravest sentence: ok, attention or trouble."""
        return self.sentences[0].level


def answers(today: Today) -> list[Answer]:
    """Return the three answers in the active language."""
    return [
        Answer(question, [_sentence(fact) for fact in verdict.facts])
        for question, verdict in (
            (_("Is it fresh?"), today.fresh),
            (_("Is it right?"), today.equal),
            (_("What needs me?"), today.needs_me),
        )
    ]


def _sentence(fact: Fact) -> Sentence:
    text = SENTENCES[fact.kind](fact.values)
    place = PLACES.get(fact.kind, "")
    return Sentence(text, Level(fact.level).name.lower(), reverse(place) if place else "")


def _counted(text: str, count: int) -> str:
    """Put a number into a sentence that has no other value."""
    return text % {"count": formatting.number(count)}


def _orders(count: int) -> str:
    text = ngettext("%(count)s order", "%(count)s orders", count)
    return _counted(text, count)


def _up_to_date(values: Values) -> str:
    if values.get("owed"):
        text = _("Fresh: %(orders)s being read at this moment.")
        return text % {"orders": _orders(values["owed"])}
    if values.get("change_at") is None:
        return _("Fresh: nothing waits to be read.")
    text = _("Fresh: nothing waits; the last change arrived at %(time)s.")
    return text % {"time": formatting.clock(values["change_at"])}


def _waiting(values: Values) -> str:
    text = _("Waiting to be read: %(orders)s, the oldest for %(age)s.")
    age = formatting.duration(values["seconds"])
    return text % {"orders": _orders(values["orders"]), "age": age}


def _slow(values: Values) -> str:
    text = _("Changes arrive late: of the last hour's, 95 %% within %(delay)s.")
    return text % {"delay": formatting.duration(values["p95"])}


def _silent(values: Values) -> str:
    text = _(
        "No webhook has come for %(time)s; usual at this time: %(usual)s an hour. Does Odoo still"
        " reach us?"
    )
    usual = formatting.number(round(values["usual_per_hour"] or 0))
    return text % {"time": formatting.duration(values["seconds"]), "usual": usual}


def _odoo_away(values: Values) -> str:
    text = _("Odoo has not answered since %(time)s. Nothing is lost meanwhile.")
    return text % {"time": formatting.clock(values["since"])}


def _odoo_refuses(values: Values) -> str:
    text = _("Odoo has rejected our access since %(time)s: check the login and its rights.")
    return text % {"time": formatting.clock(values["since"])}


def _found_equal(values: Values) -> str:
    told = {"time": formatting.moment(values.get("complete_up_to"))}
    differences = values.get("differences")
    if values.get("is_first_load"):
        # Its last part may have read less than all, if it was broken off and resumed.
        return _("Equal: the first load has read every order. Complete up to %(time)s.") % told
    if not differences:
        text = _("Equal: the last reconciliation found no difference. Complete up to %(time)s.")
        return text % told
    text = ngettext(
        "Equal: the last reconciliation put %(count)s order right. Complete up to %(time)s.",
        "Equal: the last reconciliation put %(count)s orders right. Complete up to %(time)s.",
        differences,
    )
    return text % {**told, "count": formatting.number(differences)}


def _first_load(values: Values) -> str:
    text = ngettext(
        "The first load is in progress: %(count)s order is here.",
        "The first load is in progress: %(count)s orders are here.",
        values["orders"],
    )
    return text % {"count": formatting.number(values["orders"])}


def _run_failed(values: Values) -> str:
    if values["status"] == SyncLog.Status.REFUSED:
        text = _(
            "The reconciliation of %(time)s was refused by Odoo, or met another database: the next"
            " one ends the same way until somebody corrects it."
        )
    elif values["status"] == SyncLog.Status.BRAKED:
        text = _(
            "The reconciliation of %(time)s was held up by the archive brake: the next one is held"
            " up too until somebody decides."
        )
    else:
        text = _("The reconciliation of %(time)s failed: the next one compares anew.")
    return text % {"time": formatting.moment(values["at"])}


def _run_braked(values: Values) -> str:
    text = _(
        "So many orders were gone that the reconciliation of %(time)s stopped: your decision is"
        " needed."
    )
    return text % {"time": formatting.moment(values["at"])}


def _run_late(values: Values) -> str:
    text = _("The nightly reconciliation is late; the copy is complete up to %(time)s.")
    return text % {"time": formatting.moment(values["complete_up_to"])}


def _differences(values: Values) -> str:
    if values["remaining"]:
        text = ngettext(
            "%(count)s order still differs: see why.", "%(count)s orders still differ: see why.",
            values["remaining"],
        )  # fmt: skip
        return _counted(text, values["remaining"])
    return _("The last reconciliation found differences that no date told of: see which.")


def _missed(values: Values) -> str:
    text = ngettext(
        "Webhooks missed %(count)s change before the last reconciliation.",
        "Webhooks missed %(count)s changes before the last reconciliation.",
        values["orders"],
    )
    return _counted(text, values["orders"])


def _failed(values: Values) -> str:
    text = ngettext(
        "%(count)s order could not be copied: see the cause and what to do.",
        "%(count)s orders could not be copied: see the cause and what to do.",
        values["count"],
    )
    return _counted(text, values["count"])


def _held(values: Values) -> str:
    text = ngettext(
        "Archiving of %(count)s order is on hold: your decision is needed.",
        "Archiving of %(count)s orders is on hold: your decision is needed.",
        values["count"],
    )
    return _counted(text, values["count"])


def _dead_letters(values: Values) -> str:
    text = ngettext(
        "%(count)s message from RabbitMQ needs your attention.",
        "%(count)s messages from RabbitMQ need your attention.",
        values["count"],
    )
    return _counted(text, values["count"])


def _alerts(values: Values) -> str:
    text = ngettext("%(count)s alert is open.", "%(count)s alerts are open.", values["count"])
    return _counted(text, values["count"])


def _versions(values: Values) -> str:
    text = _("The processes are of different releases (%(versions)s): update and restart all.")
    return text % {"versions": ", ".join(values["versions"])}


def _not_set_up(values: Values) -> str:
    if values["setting"] == "ODOO_URL":
        return _("No Odoo is configured: set ODOO_URL and its three companions.")
    return _("Every webhook is refused: set ODOO_WEBHOOK_SECRETS, and put a secret into Odoo.")


SENTENCES: Mapping[FactKind, Callable[[Values], str]] = {
    FactKind.UP_TO_DATE: _up_to_date,
    FactKind.ODOO_AWAY: _odoo_away,
    FactKind.ODOO_REFUSES: _odoo_refuses,
    FactKind.NO_WORKER: lambda _values: _("No worker is running: start one."),
    FactKind.WAITING: _waiting,
    FactKind.SLOW: _slow,
    FactKind.SILENT: _silent,
    FactKind.RABBITMQ_AWAY: lambda _values: _(
        "RabbitMQ does not answer. Nothing is lost; orders arrive a little later."
    ),
    FactKind.FOUND_EQUAL: _found_equal,
    FactKind.FIRST_LOAD: _first_load,
    FactKind.NEVER_COMPARED: lambda _values: _(
        "Nothing is known yet: no reconciliation has completed."
    ),
    FactKind.RUN_FAILED: _run_failed,
    FactKind.RUN_LATE: _run_late,
    FactKind.RUN_BRAKED: _run_braked,
    FactKind.DIFFERENCES: _differences,
    FactKind.MISSED: _missed,
    FactKind.NOTHING: lambda _values: _("Nothing needs you."),
    FactKind.NOT_SET_UP: _not_set_up,
    FactKind.FAILED_ORDERS: _failed,
    FactKind.HELD_ORDERS: _held,
    FactKind.DEAD_LETTERS: _dead_letters,
    FactKind.ALERTS: _alerts,
    FactKind.VERSIONS_DIFFER: _versions,
    FactKind.NO_SCHEDULER: lambda _values: _(
        "No scheduler is running: start one, or no nightly reconciliation takes place."
    ),
}
PLACES: Mapping[FactKind, str] = {
    FactKind.ODOO_AWAY: "bc-connections",
    FactKind.ODOO_REFUSES: "bc-connections",
    FactKind.NO_WORKER: "bc-connections",
    FactKind.NO_SCHEDULER: "bc-connections",
    FactKind.RABBITMQ_AWAY: "bc-connections",
    FactKind.VERSIONS_DIFFER: "bc-connections",
    FactKind.SILENT: "bc-connections",
    FactKind.FOUND_EQUAL: "bc-runs",
    FactKind.FIRST_LOAD: "bc-runs",
    FactKind.NEVER_COMPARED: "bc-runs",
    FactKind.RUN_FAILED: "bc-runs",
    FactKind.RUN_LATE: "bc-runs",
    FactKind.RUN_BRAKED: "bc-runs",
    FactKind.DIFFERENCES: "bc-runs",
    FactKind.MISSED: "bc-runs",
    FactKind.FAILED_ORDERS: "bc-failures",
    FactKind.HELD_ORDERS: "bc-failures",
    FactKind.DEAD_LETTERS: "bc-letters",
    FactKind.ALERTS: "bc-alerts",
}
"""The page that tells more of a fact, and has its buttons."""
