"""Automation rules made from outside, and the webhooks they send."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bc_consumer.odoo import NoRights, OdooAccessError
from bc_consumer.odoo.datetimes import write_datetime
from tests.contract.receiver import Received, Receiver, can_be_reached_from, order_of
from tests.contract.target import LINE, ORDER, PREFIX, STALE, Target, unique, until

MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?")


class Rules:
    """Rules of our own, removed after the test."""

    def __init__(self, target: Target, receiver: Receiver) -> None:
        self.target = target
        self.receiver = receiver
        self.made: list[int] = []

    def fields(self, model: str, names: list[str]) -> list[int]:
        domain = [("model", "=", model), ("name", "in", names)]
        found: list[int] = self.target.call("ir.model.fields", "search", domain)
        assert len(found) == len(names)
        return found

    def add(
        self, model: str, trigger: str, sent: list[str], watched: list[str] | None = None
    ) -> None:
        try:
            self.made.append(self._create(model, trigger, sent, watched))
        except (NoRights, OdooAccessError) as refusal:
            pytest.skip(f"the account may not make automation rules: {refusal}")
        self.target.settle()

    def _create(self, model: str, trigger: str, sent: list[str], watched: list[str] | None) -> int:
        [model_id] = self.target.call("ir.model", "search", [("model", "=", model)])
        action = {
            "name": PREFIX,
            "model_id": model_id,
            "usage": "base_automation",
            "state": "webhook",
            "webhook_url": f"{self.receiver.url}?event={trigger}",
            "webhook_field_ids": [(6, 0, self.fields(model, sent))],
        }
        rule: dict[str, Any] = {
            "name": f"{PREFIX} {unique()}",
            "model_id": model_id,
            "trigger": trigger,
            "action_server_ids": [(0, 0, action)],
        }
        if watched:
            rule["trigger_field_ids"] = [(6, 0, self.fields(model, watched))]
        created: int = self.target.call("base.automation", "create", rule)
        return created

    def of(self, order_id: int, event: str) -> list[Received]:
        """The webhooks of one of our orders, or of its lines, for one event."""
        return [
            one
            for one in self.receiver.received
            if one.path.endswith(f"?event={event}") and one.order_id == order_id
        ]

    def remove(self) -> None:
        """Delete our rules; those of a run that was killed too."""
        since = write_datetime(self.target.odoo.server_time() - STALE)
        stale = ["&", ("name", "=like", f"{PREFIX}%"), ("create_date", "<", since)]
        archived = {"context": {"active_test": False}}
        domain = ["|", ("id", "in", self.made), *stale]
        ours = self.target.call("base.automation", "search", domain, **archived)
        if ours:
            self.target.call("base.automation", "unlink", ours)


@pytest.fixture
def rules(target: Target) -> Iterator[Rules]:
    """Rules whose webhooks are received while a second connection reads the order back."""
    target.needs(17, "webhook actions")
    if not can_be_reached_from(target.settings.url):
        pytest.skip("set ODOO_E2E_RECEIVER_HOST: under which name Odoo reaches this machine")
    if not target.has_model("base.automation"):
        pytest.skip("no module base_automation there, or the account has no Settings rights")
    reader = target.gateway()
    reader.ping()  # logs in: Odoo waits a second only

    def look(payload: dict[str, Any]) -> Any:
        return reader.call(ORDER, "read", [[order_of(payload)]], {"fields": ["partner_ref"]})

    receiver = Receiver(look)
    rules = Rules(target, receiver)
    try:
        yield rules
    finally:
        rules.remove()
        target.clean_up()
        receiver.close()
        reader.close()


def commits_first(target: Target) -> bool:
    return target.major >= 19


def test_a_changed_order_is_told_by_id_and_write_date(target: Target, rules: Rules) -> None:
    rules.add(ORDER, "on_create_or_write", ["write_date", "partner_id", "order_line"], ["origin"])
    order_id = target.create(target.line())
    until(lambda: rules.of(order_id, "on_create_or_write"))
    rules.receiver.received.clear()
    target.write(order_id, origin="new")
    until(lambda: rules.of(order_id, "on_create_or_write"))
    [one] = rules.of(order_id, "on_create_or_write")
    payload = one.payload
    assert (payload["_model"], payload["_id"], payload["id"]) == (ORDER, order_id, order_id)
    assert isinstance(payload["_action"], str)
    assert MOMENT.fullmatch(payload["write_date"])
    assert isinstance(payload["partner_id"], int)
    assert sorted(payload["order_line"]) == target.line_ids(order_id)
    assert "event" not in payload
    assert one.headers["content-type"] == "application/json"
    credentials = base64.b64encode(b"odoo:a-secret").decode()
    assert one.headers["authorization"] == f"Basic {credentials}"


def test_a_webhook_comes_before_the_commit_up_to_18_and_after_it_in_19(
    target: Target, rules: Rules
) -> None:
    rules.add(ORDER, "on_create_or_write", ["write_date"], ["partner_ref"])
    order_id = target.create()
    until(lambda: rules.of(order_id, "on_create_or_write"))
    [created] = rules.of(order_id, "on_create_or_write")
    assert bool(created.seen) == commits_first(target)
    rules.receiver.received.clear()
    target.write(order_id, partner_ref="new")
    until(lambda: rules.of(order_id, "on_create_or_write"))
    [written] = rules.of(order_id, "on_create_or_write")
    assert (written.seen[0]["partner_ref"] == "new") == commits_first(target)


def test_a_deleted_order_is_told_and_its_lines_are_not(target: Target, rules: Rules) -> None:
    rules.add(ORDER, "on_unlink", ["write_date"])
    rules.add(LINE, "on_unlink", ["write_date", "order_id"])
    order_id = target.create(target.line(), target.line())
    target.remove([order_id])
    until(lambda: rules.of(order_id, "on_unlink"))
    [one] = rules.of(order_id, "on_unlink")
    assert one.payload["_model"] == ORDER
    assert bool(one.seen) != commits_first(target)


def test_a_line_tells_its_order(target: Target, rules: Rules) -> None:
    rules.add(LINE, "on_create_or_write", ["write_date", "order_id"], ["name"])
    rules.add(LINE, "on_unlink", ["write_date", "order_id"])
    order_id = target.create(target.line(), target.line(display_type="line_note"))
    until(lambda: len(rules.of(order_id, "on_create_or_write")) >= 2)
    rules.receiver.received.clear()
    line_id, note_id = target.line_ids(order_id)
    target.call(LINE, "write", [line_id], {"name": "renamed"})
    target.call(LINE, "unlink", [note_id])
    until(lambda: rules.of(order_id, "on_create_or_write") and rules.of(order_id, "on_unlink"))
    written, deleted = rules.of(order_id, "on_create_or_write"), rules.of(order_id, "on_unlink")
    assert [one.payload["_id"] for one in (*written, *deleted)] == [line_id, note_id]
    assert {one.payload["order_id"] for one in (*written, *deleted)} == {order_id}


def test_a_write_of_the_same_value_is_not_told(target: Target, rules: Rules) -> None:
    rules.add(ORDER, "on_create_or_write", ["write_date"], ["partner_ref"])
    order_id = target.create(partner_ref="same")
    until(lambda: rules.of(order_id, "on_create_or_write"))
    rules.receiver.received.clear()
    target.write(order_id, partner_ref="same")
    target.write(order_id, origin="not watched")
    target.write(order_id, partner_ref="other")
    until(lambda: rules.of(order_id, "on_create_or_write"))
    assert len(rules.of(order_id, "on_create_or_write")) == 1


def test_many_orders_are_told_one_by_one(target: Target, rules: Rules) -> None:
    rules.add(ORDER, "on_create_or_write", ["write_date"], ["origin"])
    ids = [target.create() for _ in range(5)]
    until(lambda: all(rules.of(number, "on_create_or_write") for number in ids))
    rules.receiver.received.clear()
    target.call(ORDER, "write", ids, {"origin": "all"})
    until(lambda: all(rules.of(number, "on_create_or_write") for number in ids))
    told = [one.payload["_id"] for one in rules.receiver.received]
    assert sorted(number for number in told if number in ids) == ids
