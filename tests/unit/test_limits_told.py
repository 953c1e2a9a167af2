"""The figures that the documents tell are those of the code and of what is shipped."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command, load_command_class

from bc_consumer.installation.rule_sentences import RulesExit
from bc_consumer.management.commands import web
from bc_consumer.messaging.broker import Broker
from bc_consumer.operations import actions_within_request
from bc_consumer.reconciliation import period_digest
from bc_consumer.refresh import batch
from odoo_webhook import site_server
from project import request_limits
from tests.documents import running_text

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = running_text()
NGINX = "".join((ROOT / f"deploy/nginx/{part}.conf").read_text() for part in ("zones", "server"))
WORDS = {4: "four"}


@pytest.mark.parametrize(
    ("told", "figure"),
    [
        ("after {} s it is killed", web.STOP_SECONDS),
        ("| connections | {:,} for each process", web.CONNECTIONS),
        (
            "{} s; {} at once in each process",
            (site_server.EVENT_SECONDS, site_server.EVENTS_AT_ONCE),
        ),
        ("| `/readyz` | {} at once |", site_server.READY_AT_ONCE),
        ("a web process takes {} forms at once", request_limits.FORMS_AT_ONCE),
        ("{:,} rows at the latest", period_digest.SPAN_ROWS),
        ("is tried {} times a minute", 60 / batch.BROKEN_SECONDS),
    ],
)
def test_figures_of_the_code(told: str, figure: Any) -> None:
    figures = figure if isinstance(figure, tuple) else (figure,)
    whole = [int(one) for one in figures]
    assert told.format(*whole) in OPERATIONS or told.format(*map(WORDS.get, whole)) in OPERATIONS


def test_figures_of_the_proxy() -> None:
    told = re.search(
        r"allows each address (\d+) connections with a request, (\d+) pages a second "
        r"\((\d+) at once\), and closes whoever is silent for (\d+) s; "
        r"the webhook may have (\d+) connections",
        OPERATIONS,
    )
    assert told is not None
    connections, pages, burst, seconds, webhook = told.groups()
    assert f"limit_conn connections {connections};" in NGINX
    assert f"zone=pages:10m rate={pages}r/s;" in NGINX
    assert f"limit_req zone=pages burst={burst} nodelay;" in NGINX
    assert f"limit_conn connections {webhook};" in NGINX
    for name in ("client_header_timeout", "client_body_timeout", "send_timeout"):
        assert f"{name} {seconds}s;" in NGINX


def test_proxies_wait_for_longer_than_the_rules_form_waits_for_odoo() -> None:
    """The database may take a page's deadline before Odoo is asked, and another one afterwards."""
    caddy = (ROOT / "deploy/caddy/Caddyfile").read_text()
    limits = re.findall(r"proxy_read_timeout (\d+)s;", NGINX)
    limits += re.findall(r"(?:response_header_timeout|\bwrite) (\d+)s", caddy)
    assert len(limits) == 3
    margin = 2 * 5
    assert min(map(int, limits)) >= actions_within_request.SECONDS + margin
    told = f"at most {actions_within_request.SECONDS:g} s to wait for Odoo"
    assert told in OPERATIONS


def test_containers_run_as_a_user_of_their_own_on_a_read_only_file_system() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert re.search(r"^USER (?!root)\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for name in ("web", "worker", "scheduler", "proxy"):
        assert services[name]["read_only"] is True
        assert services[name].get("user", "bc") not in {"root", "0", "0:0"}


def test_an_old_service_has_the_time_that_is_told() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert "The old one has 30 s to end in good order" in OPERATIONS
    for name in ("web", "worker", "scheduler"):
        seconds = int(services[name].get("stop_grace_period", "10s").removesuffix("s"))
        assert seconds >= 30, name


def test_web_writes_no_log_of_accesses(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []
    monkeypatch.setattr(os, "execv", lambda _program, given: words.extend(given))
    monkeypatch.setattr(web, "_allow_connections", lambda: None)
    monkeypatch.setenv("DATABASE_CONN_MAX_AGE", "0")
    call_command("web")
    assert "--workers" in words
    assert not [word for word in words if "access" in word]


def test_quorum_queues_by_setting() -> None:
    for quorum in (True, False):
        arguments = Broker(url="amqp://127.0.0.1:1/", quorum=quorum)._build_queue_arguments("bc")
        assert arguments.get("x-queue-type") == ("quorum" if quorum else None)


def test_exit_codes_stand_in_the_help_of_the_rules() -> None:
    command = load_command_class("bc_consumer", "odoo_rules")
    text = command.create_parser("manage.py", "odoo_rules").format_help()
    for code in RulesExit:
        assert re.search(rf"^ +{code.value}\b", text, re.MULTILINE), f"{code} in\n{text}"
