"""Automation rules: which rules an operation fires, and what they send.

17 and 18 call webhooks one after the other inside the transaction, before its commit. 19 computes
the payload at the same moment but sends it after the commit, and not at all after a rollback.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from odoo_simulator.bulk_orders import Row
from odoo_simulator.model_fields import Model
from odoo_simulator.store import Changes, Store, Transaction
from odoo_simulator.webhooks import WebhookSender

RULE_MODELS = frozenset({"base.automation", "ir.actions.server"})
_TRIGGERS = {
    "on_create_or_write": frozenset({"create", "write"}),
    "on_create": frozenset({"create"}),
    "on_write": frozenset({"write"}),
    "on_unlink": frozenset({"unlink"}),
    "on_state_set": frozenset({"write"}),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One step of an operation on one record, as the methods patched by base.automation see it.

    `changed`: the stored fields whose value differs from before. `dated`: the payload's write_date
    where it is not the record's new one, because a recomputed field triggers before the new
    write_date is set (measured on all versions). `repeats`: how many more times a rule without
    watched fields fires, because Odoo recomputes stored fields in many small steps.
    """

    kind: str  # create, write, unlink
    model: str
    record_id: int
    changed: frozenset[str] = frozenset()
    dated: str | None = None
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    id: int
    name: str
    url: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    id: int
    model: str
    trigger: str
    watched: frozenset[str]
    actions: tuple[Action, ...]

    def fires(self, event: Event) -> bool:
        if event.model != self.model or event.kind not in _TRIGGERS.get(self.trigger, ()):
            return False
        if event.kind != "write":
            return True
        return not self.watched or not self.watched.isdisjoint(event.changed)


class Automation:
    """Holds the rules in memory and fires them."""

    def __init__(
        self,
        store: Store,
        models: dict[str, Model],
        version: int,
        timing: str,
        sender: WebhookSender,
    ) -> None:
        self.store = store
        self.models = models
        self.version = version
        self.timing = timing
        self.sender = sender
        self.rules: tuple[Rule, ...] = ()
        store.on_commit.append(self._on_commit)

    def fire(self, transaction: Transaction, events: Iterable[Event]) -> None:
        """Send the webhooks that these events trigger, or keep them until the commit."""
        rules = self.rules
        if not rules:
            return
        for event in events:
            for rule in rules:
                if not rule.fires(event):
                    continue
                for _time in range(1 if rule.watched else 1 + event.repeats):
                    for action in rule.actions:
                        self._run(transaction, action, event)

    def reload(self) -> None:
        """Load the rules from the store again."""
        with self.store.lock:
            table = self.store.tables["base.automation"]
            rows = [(number, table.get(number)) for number in sorted(table.ids())]
        self.rules = tuple(
            self._rule(number, row) for number, row in rows if row and row.get("active", True)
        )

    def _on_commit(self, changes: Changes) -> None:
        if not RULE_MODELS.isdisjoint(changes):
            self.reload()

    def _run(self, transaction: Transaction, action: Action, event: Event) -> None:
        body = json.dumps(self._payload(transaction, action, event), sort_keys=True).encode()
        if self.timing == "early":
            self.sender.send(action.url, body)
        else:
            transaction.after_commit.append(lambda: self.sender.send(action.url, body))

    def _payload(self, transaction: Transaction, action: Action, event: Event) -> Row:
        # Read within the transaction as the superuser, with load=None.
        row = transaction.need(event.model, event.record_id)
        unrounded = transaction.unrounded.get((event.model, event.record_id), {})
        payload: Row = {
            "_action": f"{action.name}(#{action.id})",
            "_id": event.record_id,
            "_model": event.model,
        }
        if not action.fields:
            return payload
        payload["id"] = event.record_id
        fields = self.models[event.model].fields
        for name in action.fields:
            field = fields.get(name)
            if name == "id" or field is None:
                continue
            value = unrounded.get(name, row.get(name, field.default))
            payload[name] = list(value) if isinstance(value, tuple) else value
        if event.dated is not None and "write_date" in payload:
            payload["write_date"] = event.dated
        return payload

    def _rule(self, number: int, row: Row) -> Rule:
        trigger = str(row.get("trigger") or "")
        watched = frozenset(self._field_names(row.get("trigger_field_ids", ())))
        return Rule(
            number,
            self._name("ir.model", row.get("model_id"), "model"),
            trigger,
            # Odoo itself sets the watched field of this trigger.
            frozenset({"state"}) if trigger == "on_state_set" else watched,
            tuple(self._actions(row.get("action_server_ids", ()))),
        )

    def _actions(self, numbers: Iterable[int]) -> list[Action]:
        actions = []
        for number in numbers:
            row = self.store.get("ir.actions.server", number)
            if row is None or row.get("state") != "webhook":
                continue
            fields = tuple(self._field_names(row.get("webhook_field_ids", ())))
            actions.append(
                Action(number, str(row.get("name")), str(row.get("webhook_url") or ""), fields)
            )
        return actions

    def _field_names(self, numbers: Iterable[int]) -> list[str]:
        return [self._name("ir.model.fields", number, "name") for number in numbers]

    def _name(self, model: str, number: Any, column: str) -> str:
        row = self.store.get(model, number) if number else None
        return str(row.get(column)) if row else ""
