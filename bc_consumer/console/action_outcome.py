"""What an action has found, ready to be shown: the page's part for its kind, and what it tells."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.utils.translation import gettext as _

from bc_consumer.console import formatting
from bc_consumer.console.labels import label
from bc_consumer.core.translatable_field import said
from bc_consumer.models import BC, BCLine, JournalEntry, OperatorAction
from bc_consumer.operations.action_results import CUT, messages_in
from bc_consumer.operations.phase_words import describe_phase

Kind = OperatorAction.Kind
Told = dict[str, Any]
DIFFERENCES_OF_MISSING = ("gone from Odoo", "not to be copied")
"""Differences for which Odoo's side is why it shows no such order."""
UNCHANGED = "unchanged"
"""The outcome of an order that was read and had not changed; the journal has none for it."""


def shown_result(action: OperatorAction) -> Told | None:
    """Return the template for an action's result, with its context; None where there is none."""
    shown = SHOWN.get(OperatorAction.Kind(action.kind))
    result = messages_in(action.result)
    return shown(action, result) if shown is not None and result else None


def parts_kept(result: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of a result that was too large to be kept whole."""
    return [_part_kept(result, path, before) for path, before in result.get(CUT, {}).items()]


def _part_kept(result: Mapping[str, Any], path: str, before: int) -> str:
    entries: Any = result
    for name in path.split("."):
        if isinstance(entries, list) and name.isdecimal() and int(name) < len(entries):
            entries = entries[int(name)]
        else:
            entries = entries.get(name) if isinstance(entries, Mapping) else None
    if not isinstance(entries, Collection) or isinstance(entries, str):
        return _("Only a part is kept.")
    text = _("Only a part is kept: %(kept)s of %(all)s.")
    return text % {"kept": formatting.number(len(entries)), "all": formatting.number(before)}


def _comparison(_action: OperatorAction, result: Mapping[str, Any]) -> Told | None:
    order = result.get("order")
    if not order:
        return None
    return {
        "template": "bc_consumer/result_comparison.html",
        "changes": formatting.read_changes(order["changes"]),
        "is_equal": order["exists_in_copy"]
        and order["exists_in_odoo"] is True
        and not order.get("outcome"),
        "archived": formatting.show(BC, "archived_reason", order.get("archived_reason") or ""),
        "is_archived": bool(order.get("archived_reason")),
        "is_forbidden": bool(order.get("forbidden_in_copy")),
    }


def _orders(_action: OperatorAction, result: Mapping[str, Any]) -> Told:
    return {
        "template": "bc_consumer/result_orders.html",
        "orders": [
            {
                **order,
                "label": _outcome_label(order["outcome"]),
                "error": said(order["error"]),
                "changes": formatting.read_changes(order["changes"]),
            }
            for order in result.get("orders", ())
        ],
    }


def _outcome_label(outcome: str) -> str:
    if outcome == UNCHANGED:
        return _("unchanged: the copy was as Odoo is")
    labels = dict(JournalEntry.Outcome.choices)
    return str(labels.get(outcome, outcome))


def _run(_action: OperatorAction, result: Mapping[str, Any]) -> Told:
    return {
        "template": "bc_consumer/result_run.html",
        "run": result.get("run"),
        "phase": said(describe_phase(result.get("phase", ""))),
        "outstanding": result.get("outstanding", 0),
    }


def _differences(action: OperatorAction, result: Mapping[str, Any]) -> Told:
    return {
        "template": "bc_consumer/result_differences.html",
        "action": action,
        "orders": [_difference(order) for order in result.get("orders", ())],
        "more": max(result.get("differing_orders", 0) - len(result.get("orders", ())), 0),
        "obstacle": said(result.get("would_stop_a_run") or ""),
        "notes": [said(note) for note in result.get("notes", ())],
        "phase": said(describe_phase(result.get("phase", ""))) if action.is_unfinished else "",
    }


def _difference(order: Mapping[str, Any]) -> Told:
    differences = []
    for one in order["differences"]:
        here, theirs = _shown_pair(one)
        differences.append({"label": _difference_label(one), "here": here, "odoo": theirs})
    return {
        **order,
        "differences": differences,
        "more": max(order["count"] - len(differences), 0),
    }


def _difference_label(one: Mapping[str, Any]) -> str:
    line = _("line %(id)s: ") % {"id": one["line_id"]} if one["line_id"] else ""
    if not one["field"]:
        return line + label("difference", one["kind"])
    return line + formatting.field_label(BCLine if one["line_id"] else BC, one["field"])


def _shown_pair(one: Mapping[str, Any]) -> tuple[str, str]:
    """Return the copy's value and Odoo's."""
    here, theirs = one["here"], one["odoo"]
    if one["field"]:
        return formatting.show_pair(BCLine if one["line_id"] else BC, one["field"], here, theirs)
    is_missing = one["kind"] in DIFFERENCES_OF_MISSING
    return _shown(here), label("missing", theirs) if is_missing else _shown(theirs)


def _shown(value: Any) -> str:
    return formatting.NOTHING if value in (None, "") else said(value)


def _checks(_action: OperatorAction, result: Mapping[str, Any]) -> Told:
    return {
        "template": "bc_consumer/result_checks.html",
        "checks": [
            {
                **check,
                "title": said(check["title"]),
                "findings": [
                    {**one, "text": said(one["text"]), "fix": said(one["fix"])}
                    for one in check["findings"]
                ],
            }
            for check in result.get("checks", ())
        ],
    }


def _channels(_action: OperatorAction, result: Mapping[str, Any]) -> Told:
    return {
        "template": "bc_consumer/result_channels.html",
        "channels": [
            {"name": one["name"], "error": said(one["error"])} for one in result.get("channels", ())
        ],
    }


def _rules(_action: OperatorAction, result: Mapping[str, Any]) -> Told:
    # The outcome has the error's first line.
    _first, _break, more = str(result.get("error", "")).partition("\n")
    return {
        "template": "bc_consumer/result_rules.html",
        "rules": [
            {**rule, "differences": [said(one) for one in rule["differences"]]}
            for rule in result.get("rules", ())
        ],
        "lines": result.get("lines", ()),
        "more": more,
    }


SHOWN: Mapping[OperatorAction.Kind, Callable[[OperatorAction, Mapping[str, Any]], Told | None]] = {
    Kind.COMPARE: _comparison,
    Kind.READ_AGAIN: _orders,
    Kind.RELEASE: _orders,
    Kind.ARCHIVE: _orders,
    Kind.RUN: _run,
    Kind.DRY_RUN: _differences,
    Kind.DOCTOR: _checks,
    Kind.PING: _checks,
    Kind.TEST_ALERT: _channels,
    Kind.RULES: _rules,
}
"""Of the other kinds the outcome's sentence tells all."""
