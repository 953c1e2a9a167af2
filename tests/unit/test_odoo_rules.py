"""``manage.py odoo_rules`` against each version of the simulator."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.utils import translation

from bc_consumer.core import process_state
from bc_consumer.odoo import OdooRefused
from bc_consumer.refresh.odoo_connection import odoo_as_administrator
from odoo_simulator import Simulator
from tests.unit.odoo.serving import RawServer, http
from tests.unit.site import serving_site

URL = "http://127.0.0.1:1"
"""Nothing answers there."""
FIVE = [
    {"product_id": number, "product_qty": 2, "price_unit": 10.0 * number, "taxes_id": [1]}
    for number in range(1, 6)
]
SECRETS = ["first-test-secret", "second-test-secret"]
RULES = [
    "[bc-consumer] purchase.order changed",
    "[bc-consumer] purchase.order deleted",
    "[bc-consumer] purchase.order.line changed",
    "[bc-consumer] purchase.order.line deleted",
]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.out)
        return decoded


def odoo_rules(*arguments: str) -> Said:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        with translation.override("en"):
            call_command("odoo_rules", *arguments, stdout=out, stderr=err)
    except SystemExit as left:
        code = int(left.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


@pytest.fixture(params=[17, 18, 19])
def odoo(request: pytest.FixtureRequest, settings: LazySettings) -> Iterator[Simulator]:
    with Simulator(request.param) as started:
        _lead_to(started, settings)
        yield started


@pytest.fixture
def odoo17(settings: LazySettings) -> Iterator[Simulator]:
    with Simulator(17) as started:
        _lead_to(started, settings)
        yield started


def _lead_to(simulator: Simulator, settings: LazySettings) -> None:
    process_state.stopping.clear()
    settings.ODOO_URL = simulator.url
    settings.PUBLIC_URL = URL


def rows(odoo: Simulator, model: str) -> dict[int, Row]:
    return {number: row for number, row in odoo.store.tables[model].rows.items() if row}


def rules(odoo: Simulator) -> dict[str, Row]:
    found = rows(odoo, "base.automation")
    return {row["name"]: {**row, "id": number} for number, row in found.items()}


def action_of(odoo: Simulator, rule: str) -> Row:
    [number] = rules(odoo)[rule]["action_server_ids"]
    return {**rows(odoo, "ir.actions.server")[number], "id": number}


def names(odoo: Simulator, field_ids: tuple[int, ...]) -> set[str]:
    fields = rows(odoo, "ir.model.fields")
    return {fields[number]["name"] for number in field_ids}


# --- install ------------------------------------------------------------------------------------


def test_install_makes_what_odoo_needs_as_odoo_stores_it(odoo: Simulator) -> None:
    said = odoo_rules("install")
    assert said.code == 0, said.err
    made = rules(odoo)
    assert sorted(made) == RULES
    for name, rule in made.items():
        action = action_of(odoo, name)
        event = "deleted" if name.endswith("deleted") else "changed"
        model = rows(odoo, "ir.model")[rule["model_id"]]["model"]
        assert name == f"[bc-consumer] {model} {event}"
        assert rule["trigger"] == ("on_unlink" if event == "deleted" else "on_create_or_write")
        assert bool(rule.get("trigger_field_ids")) == (event == "changed")
        # model_id is mandatory on both; 17 and 18 overwrite the action's name (measured).
        assert action["model_id"] == rule["model_id"]
        assert action["name"] == (name if odoo.version == 19 else "Send Webhook Notification")
        assert (action["state"], action["usage"]) == ("webhook", "base_automation")
        assert action["webhook_url"] == (
            f"http://odoo:first-test-secret@127.0.0.1:1/odoo/webhook/?event={event}&model={model}"
        )
        sent = {"write_date", "order_id"} if model.endswith("line") else {"write_date"}
        assert names(odoo, action["webhook_field_ids"]) == sent


def test_all_rules_are_one_creation(odoo17: Simulator) -> None:
    """Each creation makes every Odoo worker rebuild its registry."""
    odoo_rules("install")
    writes = [call for call in odoo17.calls if call.method in {"create", "write", "unlink"}]
    assert [(call.model, call.method) for call in writes] == [("base.automation", "create")]


def test_installing_twice_changes_nothing(odoo: Simulator) -> None:
    odoo_rules("install")
    before = (rows(odoo, "base.automation"), rows(odoo, "ir.actions.server"))
    odoo.calls_clear()
    said = odoo_rules("install")
    assert said.code == 0
    assert "There was nothing to do" in said.out
    assert (rows(odoo, "base.automation"), rows(odoo, "ir.actions.server")) == before
    assert not [call for call in odoo.calls if call.method in {"create", "write", "unlink"}]


def test_each_change_fires_and_a_creation_no_more_often_than_needed(odoo: Simulator) -> None:
    odoo_rules("install")

    def told(change: Any) -> int:
        odoo.webhooks_clear()
        change()
        return len(odoo.webhook_deliveries())

    made: list[int] = []
    # Thirteen with every total watched (measured on 17, 18 and 19), 34 for two lines with none.
    assert 6 <= told(lambda: made.append(odoo.create_order(lines=FIVE))) <= 13
    order = odoo.order(made[0])
    assert order is not None
    line = order["order_line"][0]["id"]
    assert told(lambda: odoo.write_line(line, name="other")) == 1
    assert told(lambda: odoo.write_line(line, price_unit=99.0)) >= 1
    assert told(lambda: odoo.write_line(line, sequence=7)) == 1
    assert told(lambda: odoo.write_order(made[0], partner_ref="B")) == 1
    assert told(lambda: odoo.delete_line(line)) >= 1
    assert told(lambda: odoo.confirm(made[0])) >= 1
    assert told(lambda: odoo.cancel(made[0])) >= 1
    assert told(lambda: odoo.delete_order(made[0])) == 1


def test_what_drifted_is_corrected_in_place(odoo: Simulator) -> None:
    odoo_rules("install")
    ids = {name: rule["id"] for name, rule in rules(odoo).items()}
    changed, deleted, line, line_deleted = RULES
    fields = rules(odoo)[changed]["trigger_field_ids"]
    odoo.write("base.automation", [ids[changed]], {"active": False})
    odoo.write("base.automation", [ids[line]], {"trigger_field_ids": [(6, 0, fields[:1])]})
    odoo.write("base.automation", [ids[deleted]], {"filter_domain": "[('id', '>', 5)]"})
    action = action_of(odoo, line_deleted)["id"]
    odoo.write(
        "ir.actions.server", [action], {"webhook_url": "http://old.example.com/odoo/webhook"}
    )
    odoo.write("ir.actions.server", [action], {"webhook_field_ids": [(5,)]})
    status = odoo_rules("status", "--json")
    assert status.code == 7
    told = {
        (one["model"], one["event"]): {difference["what"] for difference in one["differences"]}
        for one in status.json["rules"]
    }
    assert told == {
        ("purchase.order", "changed"): {"inactive"},
        ("purchase.order", "deleted"): {"condition"},
        ("purchase.order.line", "changed"): {"watched fields"},
        ("purchase.order.line", "deleted"): {"address", "secret", "sent fields"},
    }
    said = odoo_rules("install")
    assert said.code == 0, said.err
    assert {name: rule["id"] for name, rule in rules(odoo).items()} == ids
    assert odoo_rules("status").code == 0


def test_a_rule_for_something_else_is_made_anew_and_doubles_go(odoo17: Simulator) -> None:
    odoo_rules("install")
    changed = rules(odoo17)[RULES[0]]
    odoo17.write("base.automation", [changed["id"]], {"trigger": "on_write"})
    copied = {key: changed[key] for key in ("name", "model_id", "trigger")}
    double = odoo17.create("base.automation", {**copied, "name": RULES[1]})
    said = odoo_rules("install")
    assert said.code == 0, said.err
    assert sorted(row["name"] for row in rows(odoo17, "base.automation").values()) == RULES
    assert double not in rows(odoo17, "base.automation")
    assert changed["id"] not in rows(odoo17, "base.automation")


def test_a_lost_action_is_added_to_its_rule(odoo17: Simulator) -> None:
    odoo_rules("install")
    rule = rules(odoo17)[RULES[2]]["id"]
    odoo17.unlink("ir.actions.server", [action_of(odoo17, RULES[2])["id"]])
    assert odoo_rules("install").code == 0
    assert rules(odoo17)[RULES[2]]["id"] == rule
    assert odoo_rules("status").code == 0


def test_another_address_moves_the_rules(odoo: Simulator) -> None:
    odoo_rules("install")
    ids = {rule["id"] for rule in rules(odoo).values()}
    assert odoo_rules("status", "--url", "https://new.example.com").code == 7
    said = odoo_rules("install", "--url", "https://new.invalid/base/")
    assert said.code == 0, said.err
    assert {rule["id"] for rule in rules(odoo).values()} == ids
    assert action_of(odoo, RULES[0])["webhook_url"].startswith(
        "https://odoo:first-test-secret@new.invalid/base/odoo/webhook/?event=changed"
    )


def test_dry_run_writes_nothing(odoo17: Simulator) -> None:
    said = odoo_rules("install", "--dry-run")
    assert said.code == 0
    assert said.out.count("would create") == 4
    assert rules(odoo17) == {}
    odoo_rules("install")
    assert odoo_rules("remove", "--dry-run").out.count("would remove") == 4
    assert sorted(rules(odoo17)) == RULES


@pytest.mark.parametrize(
    ("version", "transport"),
    [(17, "jsonrpc"), (18, "jsonrpc"), (19, "jsonrpc"), (19, "json2"), (19, "auto")],
)
def test_each_protocol_will_do(settings: LazySettings, version: int, transport: str) -> None:
    with Simulator(version, api_keys=("an-api-key",)) as simulator:
        _lead_to(simulator, settings)
        settings.ODOO_TRANSPORT, settings.ODOO_PASSWORD = transport, "an-api-key"
        assert odoo_rules("install").code == 0
        assert sorted(rules(simulator)) == RULES
        assert "There was nothing to do" in odoo_rules("install").out
        assert odoo_rules("remove").code == 0
        assert rules(simulator) == {}
        simulator.faults.deny_model("base.automation")
        assert odoo_rules("status").code == 6
        simulator.faults.clear()
        del simulator.models["base.automation"]
        assert odoo_rules("status").code == 9


def test_an_administrator_needs_no_key_where_the_copy_has_one(settings: LazySettings) -> None:
    with Simulator(19, api_keys=("an-api-key",)) as simulator:
        _lead_to(simulator, settings)
        settings.ODOO_TRANSPORT, settings.ODOO_PASSWORD = "json2", "an-api-key"
        settings.ODOO_ADMIN_LOGIN = settings.ODOO_ADMIN_PASSWORD = "admin"
        said = odoo_rules("install")
        assert said.code == 0, said.err


@pytest.mark.parametrize("account", [("", "a-password"), ("boss", "")])
def test_half_an_account_is_not_taken_for_the_settings_own(account: tuple[str, str]) -> None:
    with pytest.raises(OdooRefused, match="the login and the password belong together"):
        odoo_as_administrator(*account, names=("the login", "the password"))


# --- remove, and what belongs to others ---------------------------------------------------------


def test_remove_leaves_no_trace_and_touches_nothing_of_others(odoo: Simulator) -> None:
    others = odoo.install_rules("https://chat.example.com/hook", secret="theirs")
    odoo_rules("install")
    model_id = rules(odoo)[RULES[0]]["model_id"]
    by_hand = {"name": "BC changed", "model_id": model_id, "trigger": "on_create_or_write"}
    url = "http://odoo:first-test-secret@127.0.0.1:1/odoo/webhook/?event=changed"
    action = {"name": "x", "model_id": model_id, "state": "webhook", "webhook_url": url}
    others.append(
        odoo.create("base.automation", {**by_hand, "action_server_ids": [(0, 0, action)]})
    )
    lone = odoo.create("ir.actions.server", {"name": "code", "model_id": model_id, "state": "code"})
    before = {number: rows(odoo, "base.automation")[number] for number in others}
    status = odoo_rules("status")
    assert status.code == 0
    assert f"rule {others[-1]}" in status.out
    assert "first-test-secret" not in status.out
    odoo_rules("install")
    said = odoo_rules("remove")
    assert said.code == 0, said.err
    assert rows(odoo, "base.automation") == before
    kept = rows(odoo, "ir.actions.server")
    assert lone in kept
    assert len(kept) == 1 + len(others)
    assert odoo_rules("remove").code == 0


def test_remove_needs_no_address(odoo17: Simulator, settings: LazySettings) -> None:
    odoo_rules("install")
    settings.PUBLIC_URL = ""
    assert odoo_rules("remove").code == 0
    assert rules(odoo17) == {}


def test_two_copies_with_names_of_their_own_live_side_by_side(
    odoo17: Simulator, settings: LazySettings
) -> None:
    odoo_rules("install")
    settings.ODOO_RULES_NAME = "bc-consumer test"
    settings.PUBLIC_URL = "http://127.0.0.1:2"
    assert odoo_rules("install").code == 0
    assert len(rules(odoo17)) == 8
    assert odoo_rules("remove").code == 0
    assert sorted(rules(odoo17)) == RULES


# --- the secret ---------------------------------------------------------------------------------


def test_rule_12_no_output_tells_a_secret(odoo17: Simulator, settings: LazySettings) -> None:
    settings.ODOO_ADMIN_LOGIN = settings.ODOO_ADMIN_PASSWORD = "admin"
    for arguments in (["install"], ["status"], ["status", "--json"], ["install", "--json"]):
        said = odoo_rules(*arguments)
        assert "test-secret" not in said.out + said.err


def test_rotating_takes_steps_that_lose_no_event(odoo: Simulator, settings: LazySettings) -> None:
    with serving_site() as url:
        settings.PUBLIC_URL = url
        assert odoo_rules("install").code == 0
        first = odoo_rules("install", "--rotate", "--json")
        assert first.code == 3
        new = first.json["new_secret"]
        assert len(new) >= 32
        assert "first-test-secret" in action_of(odoo, RULES[0])["webhook_url"]
        settings.ODOO_WEBHOOK_SECRETS = [new, *SECRETS]
        assert odoo_rules("status").code == 7
        second = odoo_rules("install", "--rotate")
        assert second.code == 0, second.err
        assert "Remove the others" in second.out
        for name in RULES:
            assert f"odoo:{new}@" in action_of(odoo, name)["webhook_url"]
        settings.ODOO_WEBHOOK_SECRETS = [new]
        assert odoo_rules("status").code == 0


UNAWARE = {"WWW_Authenticate": 'Basic realm="odoo webhook"'}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(b'{"error": "refused"}', 401, "application/json", **UNAWARE), "restart"),
        (http(b"", 301, Location="https://copy.example.com/odoo/webhook/"), "redirects to https"),
        (http(b"<html>", 200, "text/html"), "not this service's webhook"),
        (http(b"", 404), "HTTP 404"),
        (http(b'{"pong": "forged"}', 200, "application/json"), "Another copy"),
    ],
)
def test_an_address_that_would_lose_events_is_refused(
    odoo17: Simulator, answer: bytes, words: str
) -> None:
    with RawServer(lambda _incoming: answer) as server:
        said = odoo_rules("install", "--url", server.url)
        assert said.code == 4
        assert words in said.err
        assert rules(odoo17) == {}
        assert odoo_rules("install", "--url", server.url, "--unchecked").code == 0
        assert len(rules(odoo17)) == 4


def test_rules_that_serve_a_living_copy_are_not_taken_away(
    odoo17: Simulator, settings: LazySettings
) -> None:
    with serving_site() as url:
        odoo_rules("install", "--url", url)
        # The same service by another name may have them; another one, below, may not.
        other_name = url.replace("127.0.0.1", "localhost")
        assert odoo_rules("install", "--url", other_name).code == 0
    pong = http(b'{"pong": "of another deployment"}', 200, "application/json")
    with RawServer(lambda _incoming: pong) as living:
        odoo_rules("install", "--url", living.url, "--unchecked")
        for what in ("install", "remove"):
            said = odoo_rules(what, "--url", URL)
            assert said.code == 4
            assert "ODOO_RULES_NAME" in said.err
        assert f"@127.0.0.1:{living.port}/" in action_of(odoo17, RULES[0])["webhook_url"]
        assert odoo_rules("install", "--url", URL, "--move").code == 0
    assert "@127.0.0.1:1/" in action_of(odoo17, RULES[0])["webhook_url"]


def test_without_any_secret_one_is_proposed(odoo17: Simulator, settings: LazySettings) -> None:
    settings.ODOO_WEBHOOK_SECRETS = []
    said = odoo_rules("install")
    assert said.code == 3
    assert "ODOO_WEBHOOK_SECRETS=" in said.out
    assert rules(odoo17) == {}


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_status_without_an_address_says_which_rules_there_are(
    odoo: Simulator, settings: LazySettings, options: list[str]
) -> None:
    odoo_rules("install")
    settings.PUBLIC_URL = ""
    said = odoo_rules("status", *options)
    assert said.code == 2, "it can't be told whether all is as it should be"
    if options:
        assert [one["differences"] for one in said.json["rules"]] == [[], [], [], []]
        assert all(one["id"] for one in said.json["rules"])
        assert said.json["complete"] is False
        assert "PUBLIC_URL" in said.json["error"]
    else:
        assert said.out.count("✓") == 4
        assert "They call http://odoo:***@127.0.0.1:1/odoo/webhook/" in said.out
        assert "PUBLIC_URL is not set" in said.err


def test_status_without_an_address_tells_the_flaws_that_it_can_see(
    odoo17: Simulator, settings: LazySettings
) -> None:
    odoo_rules("install")
    settings.PUBLIC_URL = ""
    odoo17.write("base.automation", [rules(odoo17)[RULES[0]]["id"]], {"active": False})
    odoo17.unlink("base.automation", [rules(odoo17)[RULES[1]]["id"]])
    said = odoo_rules("status")
    assert (said.code, said.out.count("✓"), said.out.count("✗")) == (2, 2, 2)
    assert "it is archived" in said.out
    assert "it is missing in Odoo" in said.out
    assert "another address" not in said.out
    assert "odoo_rules install" in said.out


def test_rules_are_told_in_short_lines_and_their_address_once(odoo17: Simulator) -> None:
    odoo_rules("install")
    said = odoo_rules("status")
    assert said.out.splitlines() == [
        "✓ purchase.order changed       rule 1",
        "✓ purchase.order deleted       rule 2",
        "✓ purchase.order.line changed  rule 3",
        "✓ purchase.order.line deleted  rule 4",
        "They call http://odoo:***@127.0.0.1:1/odoo/webhook/",
        "All is as it should be.",
    ]
    action = action_of(odoo17, RULES[3])["id"]
    odoo17.write("ir.actions.server", [action], {"webhook_url": "http://x.example.com/odoo/"})
    lines = odoo_rules("status").out.splitlines()
    assert "    → http://x.example.com/odoo/" in lines
    assert lines[-1] == "Run: manage.py odoo_rules install"


# --- what can be in the way ---------------------------------------------------------------------


def test_an_account_without_settings_rights_is_told_what_it_takes(odoo17: Simulator) -> None:
    odoo17.faults.deny_model("base.automation")
    said = odoo_rules("install")
    assert said.code == 6
    assert "Administration / Settings" in said.err


def test_a_wrong_password_is_refused_and_told_whose_it_is(
    odoo17: Simulator, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "wrong-password")
    account = ("--login", "admin", "--password-from-env")
    said = odoo_rules("status", *account, "ADMIN_PASSWORD")
    assert said.code == 6
    assert "Correct --login and --password-from-env" in said.err
    assert "wrong-password" not in said.out + said.err
    settings.ODOO_ADMIN_LOGIN, settings.ODOO_ADMIN_PASSWORD = "admin", "wrong-password"
    assert "Correct ODOO_ADMIN_LOGIN and ODOO_ADMIN_PASSWORD" in odoo_rules("status").err
    settings.ODOO_ADMIN_LOGIN, settings.ODOO_PASSWORD = "", "wrong-password"
    assert "Correct ODOO_LOGIN and ODOO_PASSWORD" in odoo_rules("status").err
    settings.ODOO_PASSWORD = "admin"
    monkeypatch.setenv("ADMIN_PASSWORD", "admin")
    assert odoo_rules("status", *account, "ADMIN_PASSWORD").code == 7
    assert odoo_rules("status", *account, "NOT_SET").code == 2


def test_without_the_module_it_says_which_to_install(odoo17: Simulator) -> None:
    del odoo17.models["base.automation"]
    said = odoo_rules("install")
    assert said.code == 9
    assert "base_automation" in said.err


@pytest.mark.parametrize("url", [URL, ""])
@pytest.mark.parametrize("secrets", [SECRETS, []])
def test_before_17_it_explains_the_poll_mode(
    settings: LazySettings, url: str, secrets: list[str]
) -> None:
    with Simulator(16) as odoo:
        _lead_to(odoo, settings)
        settings.PUBLIC_URL, settings.ODOO_WEBHOOK_SECRETS = url, secrets
        for what in ("install", "status", "remove"):
            said = odoo_rules(what)
            assert (said.code, said.out) == (8, "")
            assert "Odoo 16.0 has no webhook actions" in said.err
            assert "SYNC_POLL_SECONDS" in said.err
        assert not {call.method for call in odoo.calls} & {"create", "write", "unlink"}


def test_a_hidden_field_of_17_is_a_matter_of_rights(odoo17: Simulator) -> None:
    odoo17.faults.drop_field("ir.actions.server", "webhook_url")
    assert odoo_rules("install").code == 6


@pytest.mark.parametrize("url", ["", "copy.example.com", "https://me:pw@host", "https://h/?q=1"])
def test_an_address_that_can_t_be_one_is_refused(
    odoo17: Simulator, settings: LazySettings, url: str
) -> None:
    settings.PUBLIC_URL = url
    said = odoo_rules("install")
    assert said.code == 2
    assert "PUBLIC_URL" in said.err


def test_an_odoo_that_is_away_is_told(settings: LazySettings) -> None:
    process_state.stopping.clear()
    settings.PUBLIC_URL = URL
    said = odoo_rules("status", "--json")
    assert said.code == 1
    assert "can't be reached" in said.json["error"]


def test_sale_orders_have_rules_of_their_own(odoo: Simulator, settings: LazySettings) -> None:
    settings.ODOO_ORDER_MODEL = "sale.order"
    settings.ODOO_EXTRA_FIELDS = ["x_project", "amount_undiscounted"]
    odoo.add_field("sale.order", "x_project", "char")
    said = odoo_rules("install")
    assert said.code == 0, said.err
    made = rules(odoo)
    assert sorted(made) == [name.replace("purchase", "sale") for name in RULES]
    watched = names(odoo, made["[bc-consumer] sale.order changed"]["trigger_field_ids"])
    # Of the extra fields, the one that Odoo stores: others never fire.
    assert {"x_project", "client_order_ref", "amount_total", "state"} <= watched
    assert "amount_undiscounted" not in watched
    lines = names(odoo, made["[bc-consumer] sale.order.line changed"]["trigger_field_ids"])
    assert {"product_uom_qty", "qty_delivered", "price_unit"} <= lines
    assert ("tax_ids" if odoo.version == 19 else "tax_id") in lines
