"""The automation rules that the copy needs in Odoo, and how the rules in Odoo differ from them.

It makes no calls: ``automation_rules.py`` reads and writes the rules.

There are four rules: for changed and for deleted orders, and the same for lines. The database
deletes a deleted order's lines by cascade, which fires no rule; and a deleted note line leaves no
trace in its order. Hence both rules for lines too (measured on Odoo 17, 18 and 19).
"""

import enum
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bc_consumer.fields.field import Field
from bc_consumer.odoo.field_set import table_of
from bc_consumer.odoo.webhook_url import WebhookUrl, compose_webhook_url, parse_webhook_url

CHANGED, DELETED = "changed", "deleted"
TRIGGERS = {CHANGED: "on_create_or_write", DELETED: "on_unlink"}


class Flaw(enum.Enum):
    """What can be wrong with a rule that the copy needs."""

    MISSING = "missing"
    INACTIVE = "inactive"
    NAME = "name"
    TRIGGER = "trigger"
    WATCHED = "watched fields"
    CONDITION = "condition"
    ACTION = "action"
    ADDRESS = "address"
    SECRET = "secret"  # noqa: S105 (what is wrong, not a secret)
    SENT = "sent fields"


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Where the rules call, and what they watch.

    ``endpoint``: the address of this service's webhook, without credentials and query, as
    ``parse_webhook_url`` returns it; "" if unknown, which is enough to remove rules by name.
    ``secret``: goes into the rules' addresses. ``name``: marks the rules as this copy's.
    ``extra_fields``, ``extra_line_fields``: more fields to watch, where Odoo stores them.
    """

    endpoint: str
    secret: str = field(repr=False)
    name: str
    order_model: str
    extra_fields: tuple[str, ...] = ()
    extra_line_fields: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, str]:
        """The model of orders and the model of lines."""
        return self.order_model, table_of(self.order_model).line_model

    def candidates(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the fields to watch, by model; a given Odoo has some of them."""
        table, (order, line) = table_of(self.order_model), self.models
        return {
            order: _names(table.order, self.extra_fields),
            line: _names(table.line, self.extra_line_fields),
        }

    def is_called_by(self, address: WebhookUrl) -> bool:
        """Tell whether an address is that of this service."""
        return bool(self.endpoint) and address.endpoint == self.endpoint

    def sent(self) -> dict[str, frozenset[str]]:
        """Return the fields that the webhook sends, by model: a line has to name its order."""
        order, line = self.models
        return {order: frozenset({"write_date"}), line: frozenset({"write_date", "order_id"})}


@dataclass(frozen=True, slots=True)
class WantedRule:
    """One rule as it should be. ``watched`` is empty for "deleted", which always fires.

    ``url``: "" where this service does not know its own address; it can't be compared then.
    """

    model: str
    event: str
    name: str
    url: str = field(repr=False)
    watched: frozenset[str]
    sent: frozenset[str]

    @property
    def trigger(self) -> str:
        """Odoo's name of the event that fires the rule."""
        return TRIGGERS[self.event]

    @property
    def title(self) -> str:
        """Model and event, for people."""
        return f"{self.model} {self.event}"


@dataclass(frozen=True, slots=True)
class FoundAction:
    """A webhook action in Odoo. ``rule_id``: None where it belongs to no rule."""

    id: int
    rule_id: int | None
    url: str = field(repr=False)
    sent: frozenset[str]

    @property
    def address(self) -> WebhookUrl:
        """The address that it calls, parsed."""
        return parse_webhook_url(self.url)


@dataclass(frozen=True, slots=True)
class FoundRule:
    """An automation rule in Odoo.

    ``conditions``: the names of its filters that are not empty. ``actions``: its webhook actions.
    ``action_ids``: the ids of all its actions.
    """

    id: int
    name: str
    active: bool
    model: str
    trigger: str
    watched: frozenset[str]
    conditions: tuple[str, ...]
    actions: tuple[FoundAction, ...]
    action_ids: tuple[int, ...]

    def webhook(self, endpoint: str) -> FoundAction | None:
        """Return the action that calls this service, else the rule's only action, else None."""
        calling = [action for action in self.actions if action.address.endpoint == endpoint]
        if not calling and len(self.actions) == 1:
            return self.actions[0]
        return calling[0] if calling else None


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """One flaw of a rule. ``detail``: what Odoo has instead, for people, without secrets."""

    flaw: Flaw
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ComparedRule:
    """One wanted rule, and the rule that Odoo has in its place, if any."""

    wanted: WantedRule
    found: FoundRule | None
    differences: tuple[RuleDifference, ...]

    @property
    def flaws(self) -> frozenset[Flaw]:
        """The flaws, without their details."""
        return frozenset(difference.flaw for difference in self.differences)

    @property
    def found_secret(self) -> str:
        """The secret in Odoo's rule; "" where there is none. Must never be shown."""
        action = (
            self.found.webhook(parse_webhook_url(self.wanted.url).endpoint) if self.found else None
        )
        return action.address.secret if action is not None else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The wanted rules compared with those in Odoo.

    ``doubles``: more rules of ours for the same model and event. ``leftovers``: rules of ours that
    call this service for a model or event that is not wanted. ``others``: actions that somebody
    else made and that call this service too; they are never changed.
    """

    rules: tuple[ComparedRule, ...]
    doubles: tuple[FoundRule, ...]
    leftovers: tuple[FoundRule, ...]
    others: tuple[FoundAction, ...]

    @property
    def is_complete(self) -> bool:
        """Whether Odoo has just the wanted rules, without any flaw."""
        return not (self.doubles or self.leftovers or any(one.differences for one in self.rules))

    @property
    def ours(self) -> tuple[FoundRule, ...]:
        """All rules of this copy in Odoo."""
        wanted = tuple(one.found for one in self.rules if one.found is not None)
        return (*wanted, *self.doubles, *self.leftovers)


def wanted_rules(
    settings: RuleSettings, stored: Mapping[str, Collection[str]]
) -> tuple[WantedRule, ...]:
    """Return the four rules. They watch the candidates that are in ``stored`` (names by model)."""
    candidates, sent = settings.candidates(), settings.sent()
    return tuple(
        WantedRule(
            model=model,
            event=event,
            name=rule_name(settings.name, model, event),
            url=compose_webhook_url(settings.endpoint, settings.secret, event, model)
            if settings.endpoint
            else "",
            watched=frozenset(candidates[model]).intersection(stored[model])
            if event == CHANGED
            else frozenset(),
            sent=sent[model],
        )
        for model in settings.models
        for event in (CHANGED, DELETED)
    )


def rule_name(mark: str, model: str, event: str) -> str:
    """Return a rule's name. Odoo 17 and 18 overwrite the action's name, and keep the rule's."""
    return f"[{mark}] {model} {event}"


def compare_rules(
    settings: RuleSettings,
    wanted: Sequence[WantedRule],
    found: Sequence[FoundRule],
    actions: Sequence[FoundAction],
) -> Comparison:
    """Compare the rules in Odoo with the wanted ones.

    ``actions``: all webhook actions, including those without a rule.
    """
    places: dict[tuple[str, str], list[FoundRule]] = {(one.model, one.event): [] for one in wanted}
    leftovers = []
    for rule in sorted(found, key=lambda rule: rule.id):
        place = _place(settings, rule)
        if place in places:
            places[place].append(rule)
        elif place and any(settings.is_called_by(action.address) for action in rule.actions):
            leftovers.append(rule)
    rules, doubles = [], []
    for one in wanted:
        # Keep the rule with the fewest differences, and of equal ones the oldest.
        group = sorted(places[one.model, one.event], key=lambda rule: len(_differences(one, rule)))
        best = group[0] if group else None
        rules.append(ComparedRule(one, best, _differences(one, best)))
        doubles.extend(group[1:])
    ours = {rule.id for group in places.values() for rule in group} | {r.id for r in leftovers}
    others = tuple(
        action
        for action in actions
        if settings.is_called_by(action.address) and action.rule_id not in ours
    )
    return Comparison(tuple(rules), tuple(doubles), tuple(leftovers), others)


def same_secret(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def _names(fields: Sequence[Field], extra: Sequence[str]) -> tuple[str, ...]:
    names = [name for field in fields if field.watched for name in field.odoo_names]
    return tuple(dict.fromkeys([*names, *extra]))


def _place(settings: RuleSettings, rule: FoundRule) -> tuple[str, str] | None:
    """Return (model, event) of a rule of ours, by its name, else by its address; else None."""
    bracket = f"[{settings.name}] "
    if rule.name.startswith(bracket):
        model, _blank, event = rule.name.removeprefix(bracket).partition(" ")
        if event in TRIGGERS and model.replace(".", "").replace("_", "").isalnum():
            return model, event
    for action in rule.actions:
        address = action.address
        if settings.is_called_by(address) and address.event and address.model:
            return address.model, address.event
    return None


def _differences(wanted: WantedRule, rule: FoundRule | None) -> tuple[RuleDifference, ...]:
    if rule is None:
        return (RuleDifference(Flaw.MISSING),)
    differences = []
    if not rule.active:
        differences.append(RuleDifference(Flaw.INACTIVE))
    if rule.name != wanted.name:
        differences.append(RuleDifference(Flaw.NAME, rule.name))
    if (rule.model, rule.trigger) != (wanted.model, wanted.trigger):
        differences.append(RuleDifference(Flaw.TRIGGER, f"{rule.model}: {rule.trigger}"))
    if rule.conditions:
        differences.append(RuleDifference(Flaw.CONDITION, ", ".join(rule.conditions)))
    if rule.watched != wanted.watched:
        differences.append(RuleDifference(Flaw.WATCHED, _sets(wanted.watched, rule.watched)))
    return (*differences, *_action_differences(wanted, rule))


def _action_differences(wanted: WantedRule, rule: FoundRule) -> list[RuleDifference]:
    expected = parse_webhook_url(wanted.url)
    action = rule.webhook(expected.endpoint)
    if action is None:
        is_known = bool(wanted.url) or not rule.actions
        return [RuleDifference(Flaw.ACTION)] if is_known else []
    sent = _sent_differences(wanted, action)
    if not wanted.url:
        return sent
    differences, address = [], action.address
    if (address.endpoint, address.query) != (expected.endpoint, expected.query):
        differences.append(RuleDifference(Flaw.ADDRESS, address.endpoint))
    if not same_secret(address.secret, expected.secret):
        differences.append(RuleDifference(Flaw.SECRET))
    if action.url != wanted.url and not differences:
        # Equal for this service but perhaps not for a proxy: a slash, the user's name, a port.
        differences.append(RuleDifference(Flaw.ADDRESS, address.endpoint))
    return [*differences, *sent]


def _sent_differences(wanted: WantedRule, action: FoundAction) -> list[RuleDifference]:
    if action.sent == wanted.sent:
        return []
    return [RuleDifference(Flaw.SENT, _sets(wanted.sent, action.sent))]


def _sets(wanted: frozenset[str], found: frozenset[str]) -> str:
    parts = [f"+{name}" for name in sorted(wanted - found)]
    return ", ".join([*parts, *(f"-{name}" for name in sorted(found - wanted))])
