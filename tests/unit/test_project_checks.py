"""System checks of the project that the apps are in."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.checks import run_checks
from django.db import connection
from django.db.backends.postgresql.psycopg_any import IsolationLevel

from bc_consumer.conf import POSTGRESQL_OPTIONS, SQLITE_OPTIONS
from bc_consumer.installation import project_checks
from bc_consumer.installation.project_checks import check_project
from bc_consumer.installation.setting_checks import check_processes
from tests.conftest import ON_SQLITE


def found() -> set[str | None]:
    return {message.id for message in check_project()}


def test_each_check_has_an_id_of_its_own() -> None:
    """So that one can be silenced without the other."""
    package = Path(project_checks.__file__).parent
    ids = [
        str(keyword.value.value)
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "id" and isinstance(keyword.value, ast.Constant)
        if str(keyword.value.value).startswith("bc.")
    ]
    assert len(ids) > 20
    assert sorted(ids) == sorted(set(ids))


def test_this_project_passes() -> None:
    assert found() == set()


def test_rule_14_a_redirected_webhook_is_an_error(settings: LazySettings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert found() == set()
    settings.SECURE_REDIRECT_EXEMPT = [r"^odoo/webhook$"]
    assert found() == {"bc.E030"}, "with the final slash it is redirected"
    settings.SECURE_REDIRECT_EXEMPT = [r"^odoo/"]
    assert found() == set()
    settings.SECURE_REDIRECT_EXEMPT = []
    assert found() == {"bc.E030"}
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "SecurityM" not in name]
    assert found() == set()


def test_a_webhook_without_an_address_is_told(settings: LazySettings) -> None:
    settings.ROOT_URLCONF = "bc_consumer.urls"
    assert found() == {"bc.W030"}


def test_pages_without_limits_are_told(settings: LazySettings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[1:], settings.MIDDLEWARE[0]]
    assert found() == {"bc.W034"}, "it has to be the first"


@pytest.mark.skipif(ON_SQLITE, reason="about PostgreSQL")
@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, {"bc.W032"}),
        (POSTGRESQL_OPTIONS, set()),
        (POSTGRESQL_OPTIONS | {"isolation_level": IsolationLevel.READ_COMMITTED}, set()),
        (POSTGRESQL_OPTIONS | {"isolation_level": IsolationLevel.SERIALIZABLE}, {"bc.E031"}),
    ],
)
def test_postgresql_s_options(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], wanted: set[str]
) -> None:
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    assert found() == wanted


@pytest.mark.skipif(ON_SQLITE, reason="about PostgreSQL")
def test_only_a_check_for_deployment_misses_rabbitmq(settings: LazySettings) -> None:
    """One process that does everything needs none, and no command has to say so each time."""
    settings.RABBITMQ_URL = ""
    assert "bc.W006" not in {message.id for message in run_checks()}
    deployed = {message.id for message in run_checks(include_deployment_checks=True)}
    assert "bc.W006" in deployed
    settings.RABBITMQ_URL = "amqp://localhost"
    assert check_processes() == []


@pytest.mark.skipif(not ON_SQLITE, reason="about SQLite")
@pytest.mark.parametrize(("options", "wanted"), [({}, {"bc.W031"}), (SQLITE_OPTIONS, set())])
def test_sqlite_s_options(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], wanted: set[str]
) -> None:
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    assert found() == wanted
