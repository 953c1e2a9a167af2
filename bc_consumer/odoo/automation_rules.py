"""Reads and writes Odoo's automation rules with webhook actions (17 and later).

The account needs the right "Administration / Settings". Whenever a rule is created, activated or
deleted, each of Odoo's workers rebuilds its registry at its next request (0.3 s when idle, seconds
under load; measured on Odoo 17, 18 and 19). So one call creates all rules, and one deletes them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.client import Odoo
from bc_consumer.odoo.errors import (
    MissingModel,
    NoAutomation,
    NoRights,
    OdooAccessError,
    OdooFault,
    OdooProtocolError,
)
from bc_consumer.odoo.fault_errors import USER_ERROR
from bc_consumer.odoo.records import ServerVersion
from bc_consumer.odoo.versions.before_17 import refuse_without_webhooks
from bc_consumer.odoo.wanted_rules import (
    ComparedRule,
    Comparison,
    Flaw,
    FoundAction,
    FoundRule,
    RuleSettings,
    WantedRule,
    compare_rules,
    wanted_rules,
)
from bc_consumer.odoo.webhook_url import parse_webhook_url

RULE, ACTION, MODEL, FIELD = "base.automation", "ir.actions.server", "ir.model", "ir.model.fields"
WEBHOOK = "webhook"
CONDITIONS = ("filter_pre_domain", "filter_domain")
RULE_FIELDS = ("name", "active", "model_id", "trigger", "trigger_field_ids", "action_server_ids")
ACTION_FIELDS = ("webhook_url", "webhook_field_ids", "base_automation_id")
ACTIVE_OR_NOT = ("active", "in", [True, False])
EMPTY_DOMAINS = ("", "[]")


@dataclass(frozen=True, slots=True)
class RuleChanges:
    """The ids of the rules that an installation or a removal changed."""

    created: tuple[int, ...] = ()
    updated: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()


class AutomationRules:
    """This copy's rules in one Odoo, as one account sees them."""

    def __init__(self, odoo: Odoo, settings: RuleSettings) -> None:
        self._odoo = odoo
        self._settings = settings
        self._model_ids: dict[str, int] = {}
        self._field_ids: dict[tuple[str, str], int] = {}

    def inspect(self) -> Comparison:
        """Read the rules in Odoo, and compare them with the wanted ones.

        Raises NoWebhookActions (this Odoo is too old), NoAutomation (module base_automation is not
        installed), NoRights (the account has no Settings rights), MissingModel, and the errors of
        any call.
        """
        condition_fields = self._check_ability()
        self._load_ids()
        stored: dict[str, set[str]] = {model: set() for model in self._settings.models}
        for model, name in self._field_ids:
            stored[model].add(name)
        rules, actions = self._found(condition_fields)
        return compare_rules(self._settings, wanted_rules(self._settings, stored), rules, actions)

    def install(self, comparison: Comparison) -> RuleChanges:
        """Correct what differs. Creates rules before it deletes any, so that no event is missed."""
        # A rule with a wrong trigger is replaced: writing the trigger keeps the watched fields on
        # 17 and empties them on 18 and 19 (measured), and perhaps the conditions.
        if not self._model_ids:
            self._load_ids()
        new = [one for one in comparison.rules if one.found is None or Flaw.TRIGGER in one.flaws]
        drifted = [one for one in comparison.rules if one.differences and one not in new]
        created = self._create([one.wanted for one in new])
        for one in drifted:
            self._update(one)
        replaced = [one.found for one in new if one.found is not None]
        surplus = [*replaced, *comparison.doubles, *comparison.leftovers]
        return RuleChanges(
            created=created,
            updated=tuple(one.found.id for one in drifted if one.found is not None),
            removed=self._remove(surplus),
        )

    def remove(self, comparison: Comparison) -> RuleChanges:
        """Delete all rules of this copy from Odoo, with their actions."""
        return RuleChanges(removed=self._remove(comparison.ours))

    # --- what this Odoo, and this account, can do ---

    def check_webhook_actions(self) -> ServerVersion:
        """Return the server's version. Raises NoWebhookActions if it is too old for webhooks.

        Raises NoRights if the account can't see webhook actions, and the errors of any call.
        """
        version = self._odoo.version()
        if "webhook_url" not in self._fields_of(ACTION, ["webhook_url"]):
            refuse_without_webhooks(version)
            raise self._no_rights(ACTION)
        return version

    def _check_ability(self) -> list[str]:
        """Return the names of the fields for a rule's conditions that this Odoo has."""
        version = self.check_webhook_actions()
        try:
            fields = self._fields_of(RULE, CONDITIONS)
        except OdooFault as fault:
            if fault.code != USER_ERROR:
                raise
            raise NoAutomation(
                _(
                    'Odoo %(version)s has no automation rules: install the module "Automation '
                    'Rules" (base_automation) there, in Apps, as an administrator',
                    version=version.text,
                )
            ) from fault
        return [name for name in CONDITIONS if name in fields]

    def _fields_of(self, model: str, names: Sequence[str]) -> Mapping[str, Any]:
        kwargs = {"allfields": list(names), "attributes": ["type"]}
        fields = self._call(model, "fields_get", [], kwargs)
        return fields if isinstance(fields, dict) else {}

    def _load_ids(self) -> None:
        """Read the ids of both models and of the fields that the rules name."""
        models = self._settings.models
        found = self._search(MODEL, [("model", "in", list(models))], ["model"])
        self._model_ids = {str(row["model"]): int(row["id"]) for row in found}
        for model in models:
            if model not in self._model_ids:
                raise MissingModel(
                    _(
                        'This Odoo has no model "%(model)s": install its app there, or correct '
                        "the order model or the database",
                        model=model,
                    ),
                    model=model,
                )
        sent, candidates = self._settings.sent(), self._settings.candidates()
        names = {name for model in models for name in (*candidates[model], *sent[model])}
        domain = [
            ("model", "in", list(models)),
            ("name", "in", sorted(names)),
            ("store", "=", True),
        ]
        self._field_ids = {
            (str(row["model"]), str(row["name"])): int(row["id"])
            for row in self._search(FIELD, domain, ["model", "name"])
        }

    # --- reading ---

    def _found(self, conditions: Sequence[str]) -> tuple[list[FoundRule], list[FoundAction]]:
        """Read all rules, inactive ones included, and all webhook actions: a few dozen at most."""
        rows = self._search(RULE, [ACTIVE_OR_NOT], [*RULE_FIELDS, *conditions])
        action_rows = self._search(ACTION, [("state", "=", WEBHOOK)], ACTION_FIELDS)
        names = self._names_of_fields(
            *(row["trigger_field_ids"] for row in rows),
            *(row["webhook_field_ids"] for row in action_rows),
        )
        models = self._models_of(row["model_id"] for row in rows)
        actions = {
            row["id"]: FoundAction(
                id=row["id"],
                rule_id=_id(row["base_automation_id"]),
                url=str(row["webhook_url"] or ""),
                sent=frozenset(names[number] for number in row["webhook_field_ids"]),
            )
            for row in action_rows
        }
        rules = [
            FoundRule(
                id=row["id"],
                name=str(row["name"]),
                active=bool(row["active"]),
                model=models.get(_id(row["model_id"]), ""),
                trigger=str(row["trigger"]),
                watched=frozenset(names[number] for number in row["trigger_field_ids"]),
                conditions=tuple(
                    name for name in conditions if str(row[name] or "") not in EMPTY_DOMAINS
                ),
                actions=tuple(
                    actions[number] for number in row["action_server_ids"] if number in actions
                ),
                action_ids=tuple(row["action_server_ids"]),
            )
            for row in rows
        ]
        return rules, list(actions.values())

    def _names_of_fields(self, *ids: Iterable[int]) -> dict[int, str]:
        """Return id → name; a field that is gone from Odoo gets "#id" for a name."""
        wanted = sorted({number for some in ids for number in some})
        known = {number: name for (_model, name), number in self._field_ids.items()}
        unknown = [number for number in wanted if number not in known]
        if unknown:
            rows = self._search(FIELD, [("id", "in", unknown)], ["name"])
            known |= {row["id"]: str(row["name"]) for row in rows}
        return {number: known.get(number, f"#{number}") for number in wanted}

    def _models_of(self, values: Iterable[Any]) -> dict[int | None, str]:
        """Return id → technical name of the order's and the line's model; leave out others."""
        ours = {number: model for model, number in self._model_ids.items()}
        return {number: ours[number] for number in map(_id, values) if number in ours}

    # --- writing ---

    def _create(self, wanted: Sequence[WantedRule]) -> tuple[int, ...]:
        if not wanted:
            return ()
        ids = self._call(RULE, "create", [[self._values(one) for one in wanted]])
        if not isinstance(ids, list) or len(ids) != len(wanted):
            raise OdooProtocolError(
                _("Odoo does not say which rules it created: %(ids)s", ids=repr(ids))
            )
        return tuple(ids)

    def _values(self, wanted: WantedRule) -> dict[str, Any]:
        """Return a rule with its action, in a form that works on 17, 18 and 19 (measured)."""
        values: dict[str, Any] = {
            "name": wanted.name,
            "model_id": self._model_ids[wanted.model],
            "trigger": wanted.trigger,
            "action_server_ids": [[0, 0, self._action_values(wanted)]],
        }
        if wanted.watched:
            values["trigger_field_ids"] = self._linked(wanted.model, wanted.watched)
        return values

    def _action_values(self, wanted: WantedRule) -> dict[str, Any]:
        return {
            "name": wanted.name,
            "model_id": self._model_ids[wanted.model],
            "usage": "base_automation",
            "state": WEBHOOK,
            "webhook_url": wanted.url,
            "webhook_field_ids": self._linked(wanted.model, wanted.sent),
        }

    def _update(self, one: ComparedRule) -> None:
        """Write what differs into the rule and its action, and nothing else."""
        rule, wanted, flaws = one.found, one.wanted, one.flaws
        if rule is None:
            return
        self._update_action(rule, wanted, flaws)
        values: dict[str, Any] = {}
        if Flaw.NAME in flaws:
            values["name"] = wanted.name
        if Flaw.WATCHED in flaws:
            values["trigger_field_ids"] = self._linked(wanted.model, wanted.watched)
            if not wanted.watched:
                # 18 computes the trigger from the watched fields; without any it has none, and
                # refuses the write (measured). A trigger in the same write is kept.
                values["trigger"] = wanted.trigger
        if Flaw.CONDITION in flaws:
            values |= dict.fromkeys(rule.conditions, False)
        if Flaw.INACTIVE in flaws:
            values["active"] = True
        if values:
            self._call(RULE, "write", [[rule.id], values])

    def _update_action(self, rule: FoundRule, wanted: WantedRule, flaws: Collection[Flaw]) -> None:
        action = rule.webhook(parse_webhook_url(wanted.url).endpoint)
        if action is None:
            values = self._action_values(wanted) | {"base_automation_id": rule.id}
            self._call(ACTION, "create", [values])
            return
        changes: dict[str, Any] = {}
        if Flaw.ADDRESS in flaws or Flaw.SECRET in flaws:
            changes["webhook_url"] = wanted.url
        if Flaw.SENT in flaws:
            changes["webhook_field_ids"] = self._linked(wanted.model, wanted.sent)
        if changes:
            self._call(ACTION, "write", [[action.id], changes])

    def _remove(self, rules: Sequence[FoundRule]) -> tuple[int, ...]:
        """Delete rules, and with them their actions (measured on Odoo 17, 18 and 19)."""
        ids = sorted(rule.id for rule in rules)
        if ids:
            self._call(RULE, "unlink", [ids])
        return tuple(ids)

    def _linked(self, model: str, names: Collection[str]) -> list[list[Any]]:
        return [[6, 0, sorted(self._field_ids[model, name] for name in names)]]

    # --- calls ---

    def _search(self, model: str, domain: Sequence[Any], fields: Sequence[str]) -> list[Any]:
        rows = self._call(model, "search_read", [list(domain)], {"fields": list(fields)})
        if not isinstance(rows, list):
            raise OdooProtocolError(_("Odoo did not return a valid list of %(model)s", model=model))
        return rows

    def _call(
        self,
        model: str,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return self._odoo.call(model, method, args, kwargs)
        except (NoRights, OdooAccessError) as error:
            raise self._no_rights(model) from error

    def _no_rights(self, model: str) -> NoRights:
        return NoRights(
            _(
                'The account "%(login)s" may not read or change %(model)s: automation rules '
                'need an account with the right "Administration / Settings" in Odoo',
                login=self._odoo.settings.login,
                model=model,
            ),
            model=model,
        )


def _id(value: Any) -> int | None:
    """Return the id of a many2one, which Odoo sends as ``[id, name]`` or False; else None."""
    return int(value[0]) if isinstance(value, list | tuple) and value else None
