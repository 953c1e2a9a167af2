"""Whether an address leads to this service's webhook; and the ping, which changes nothing."""

import json
from base64 import b64encode

import pytest
from django.conf import LazySettings
from django.test import Client

from bc_consumer.core.http_probe import Trouble
from bc_consumer.installation.setting_checks import check_settings
from bc_consumer.operations.public_ping import PingArrival, ping, webhook_endpoint
from tests.services.waiting import free_port
from tests.unit.odoo.serving import RawServer, http
from tests.unit.site import serving_site

SECRET = "second-test-secret"
BASIC = f"Basic {b64encode(f'odoo:{SECRET}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("public_url", "endpoint"),
    [
        ("https://copy.example.com", "https://copy.example.com/odoo/webhook/"),
        ("https://copy.example.com/", "https://copy.example.com/odoo/webhook/"),
        ("https://example.com/copy/", "https://example.com/copy/odoo/webhook/"),
        # As the webhook's own address, which people may take for it.
        ("https://copy.example.com/odoo/webhook", "https://copy.example.com/odoo/webhook/"),
        ("", ""),
    ],
)
def test_rule_14_the_endpoint_ends_with_its_slash(public_url: str, endpoint: str) -> None:
    assert webhook_endpoint(public_url) == endpoint


def test_a_ping_arrives_here_with_each_secret_and_no_other() -> None:
    with serving_site() as url:
        assert ping(webhook_endpoint(url), SECRET).arrival is PingArrival.HERE
        assert ping(webhook_endpoint(url), "first-test-secret").arrival is PingArrival.HERE
        assert ping(webhook_endpoint(url), "wrong").arrival is PingArrival.SECRET_REFUSED


def test_only_our_key_proves_that_it_is_us(settings: LazySettings, client: Client) -> None:
    answer = _ping(client, {"ping": "nonce"})
    settings.SECRET_KEY = "the key of another deployment, as long as a key should be"
    assert _ping(client, {"ping": "nonce"}) != answer


def test_a_ping_asks_no_database_and_needs_the_secret(client: Client) -> None:
    assert _ping(client, {"ping": "nonce"})[0] == 200
    assert client.post("/odoo/webhook/?event=ping", {}, "application/json").status_code == 401


@pytest.mark.parametrize("body", [{}, [], "ping", None])
def test_a_ping_without_its_nonce_is_refused(client: Client, body: object) -> None:
    assert _ping(client, body)[0] == 400


@pytest.mark.parametrize(
    ("answer", "arrival", "detail"),
    [
        (http(b"", 302, Location="https://u:pw@x.example.com/y?z=1"), "redirected", "x.example"),
        (http(b"<html>", 200), "not us", "200"),
        (http(b"", 401), "not us", "401"),
        (http(b'{"pong": 1}', 200), "not us", "200"),
        (http(b'{"pong": "forged"}', 200), "elsewhere", ""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no answer", "BadStatusLine"),
    ],
)
def test_whatever_else_is_there_is_told_apart(answer: bytes, arrival: str, detail: str) -> None:
    with RawServer(lambda _incoming: answer) as server:
        outcome = ping(f"{server.url}/odoo/webhook/", SECRET)
    assert outcome.arrival.value == arrival
    assert detail in outcome.detail
    assert "pw@" not in outcome.detail
    assert "z=1" not in outcome.detail


@pytest.mark.parametrize(
    ("endpoint", "trouble"),
    [
        ("http://nowhere.invalid/", Trouble.NAME),
        ("ftp://example.com/", Trouble.ADDRESS),
        ("http://127.0.0.1:notaport/", Trouble.ADDRESS),
    ],
)
def test_why_there_is_no_answer_is_told(endpoint: str, trouble: Trouble) -> None:
    outcome = ping(endpoint, SECRET)
    assert (outcome.arrival, outcome.trouble) == (PingArrival.NO_ANSWER, trouble)


def test_a_closed_port_is_a_matter_of_the_connection() -> None:
    assert ping(f"http://127.0.0.1:{free_port()}/", SECRET).trouble is Trouble.CONNECTION


@pytest.mark.parametrize(
    ("name", "value", "identifier"),
    [
        ("PUBLIC_URL", "https://user:pw@copy.example.com", "bc.E010"),
        ("PUBLIC_URL", "http://copy.example.com", "bc.W010"),
        ("ODOO_ADMIN_LOGIN", "admin", "bc.E011"),
        ("ODOO_RULES_NAME", "a]b", "bc.E012"),
    ],
)
def test_settings_that_can_t_be_right_are_told(
    settings: LazySettings, name: str, value: str, identifier: str
) -> None:
    assert identifier not in [message.id for message in check_settings()]
    setattr(settings, name, value)
    assert identifier in [message.id for message in check_settings()]


def _ping(client: Client, body: object) -> tuple[int, object]:
    answer = client.post(
        "/odoo/webhook/?event=ping",
        json.dumps(body),
        "application/json",
        headers={"Authorization": BASIC},
    )
    return answer.status_code, answer.json()
