"""The settings that any Django project takes from bc_consumer.conf."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from bc_consumer import conf
from bc_consumer.core.environment import Environment
from bc_consumer.installation.setting_checks import check_settings
from project.embedded.data_directory import load_secrets
from tests import programs
from tests.conftest import ON_SQLITE

ROOT = Path(__file__).resolve().parents[2]


def test_only_settings_are_imported_whole() -> None:
    public = {name for name in vars(conf) if not name.startswith("_")}
    assert "ODOO_URL" in public
    assert {name for name in public if not name.isupper()} == set(), (
        "«import *» would put these over names of a project's own settings module"
    )


def test_a_project_s_own_names_survive_the_import() -> None:
    program = "env = os = 'own'\nfrom bc_consumer.conf import *\nprint(env, os, BATCH_SIZE)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["own", "own", "0"], done.stderr


def test_the_defaults_that_depend_on_the_database_are_given() -> None:
    assert (50 if ON_SQLITE else 200) == settings.BATCH_SIZE
    assert (10.0 if ON_SQLITE else 0.8) == settings.WEBHOOK_ANSWER_SECONDS


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "SIZE='x' is not a number"),
        ("-1", "SIZE='-1' must be a number of at least 0"),
        ("1.5", "SIZE=1.5 is not a whole number"),
        ("inf", "SIZE='inf' must be"),
    ],
)
def test_a_wrong_number_names_its_variable(value: str, message: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        Environment({"SIZE": value}).integer("SIZE", 1)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", []),
        ('[["state", "!=", "x"], ["x_a", "=", null]]', [["state", "!=", "x"], ["x_a", "=", None]]),
        ("[('state', 'in', ['draft']), '!', ('x_a', '=', True)]",
         [("state", "in", ["draft"]), "!", ("x_a", "=", True)]),
    ],
)  # fmt: skip
def test_a_list_may_be_written_in_json_or_as_python_does(value: str, wanted: list[object]) -> None:
    assert Environment({"DOMAIN": value}).literal("DOMAIN") == wanted


@pytest.mark.parametrize(
    "value", ["state = draft", '{"a": 1}', "[1", "__import__('os').getcwd()", "[open('x')]", "7"]
)
def test_what_is_no_list_names_its_variable_and_is_never_run(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"DOMAIN=.* is not a list"):
        Environment({"DOMAIN": value}).literal("DOMAIN")


def test_whole_numbers_are_given_once_each_in_their_order() -> None:
    assert Environment({"IDS": "3, 1,3"}).integers("IDS") == (3, 1)
    assert Environment({}).integers("IDS") == ()
    for wrong in ("1,x", "0", "-1", "1.5"):
        with pytest.raises(ImproperlyConfigured, match="IDS="):
            Environment({"IDS": wrong}).integers("IDS")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"ODOO_DOMAIN": '["|"]'}, "ODOO_DOMAIN is not a domain"),
        ({"ODOO_EXTRA_FIELDS": "partner_id.vat"}, "belongs to another record"),
        ({"ODOO_ORDER_MODEL": "account.move"}, "ODOO_ORDER_MODEL"),
    ],
)
def test_a_wrong_choice_of_orders_stops_every_command_at_its_start(
    variables: dict[str, str], told: str
) -> None:
    environment = {**os.environ, "ENV_FILE": os.devnull, "SECRET_KEY": "x" * 50, **variables}
    command = [sys.executable, "manage.py", "check"]
    done = programs.run(command, environment=environment, seconds=60)
    assert done.returncode != 0
    assert told in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ODOO_URL", "odoo.example.com"),
        ("ODOO_DOMAIN", '[["state",'),
        ("ODOO_TRANSPORT", "rest"),
        ("SYNC_NIGHTLY_AT", "at night"),
        ("WORKING_HOURS", "mon-fri"),
        ("SECRET_KEY", ""),
    ],
)
def test_a_setting_that_can_t_be_read_is_named_without_a_traceback(name: str, value: str) -> None:
    own = {"ENV_FILE": os.devnull, "DATA_DIR": "/nowhere", "SECRET_KEY": "x" * 50}
    own |= {"DJANGO_SETTINGS_MODULE": "project.settings", name: value}

    def manage(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *words]
        done = programs.run(command, environment={**os.environ, **own}, seconds=60)
        assert done.returncode == 2
        assert "Traceback" not in done.stdout + done.stderr
        return done

    assert f"A setting is wrong: {name}" in manage("sync_BcLinbc").stderr
    told = manage("doctor").stdout
    assert told.startswith(f"✗ Settings: {name}")
    assert "→ Correct it in .env" in told
    facts = json.loads(manage("doctor", "--json").stdout)
    assert facts["exit"] == 2
    [check] = facts["checks"]
    assert (check["name"], check["level"]) == ("settings", "error")
    assert name in check["findings"][0]["text"]


@pytest.mark.parametrize(
    "address",
    ["u:p4ss/wd@host/x", "u:p4ss#wd@host", "u:p4ss@host:p0rt", "u:p4[ss@host", "u:p4?s@h"],
)
def test_a_url_whose_password_is_not_quoted_is_refused_and_not_shown(address: str) -> None:
    env = Environment({"RABBITMQ_URL": f"amqp://{address}"})
    with pytest.raises(ImproperlyConfigured, match="RABBITMQ_URL can't be read") as caught:
        env.url("RABBITMQ_URL", ("amqp",))
    assert "p4" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["amqp://u:p%2Fw%40@host:5672/%2F", "amqp://host", "sqlite:////home/me@work/bc.sqlite3"]
)
def test_a_url_that_can_be_read_is_taken(url: str) -> None:
    assert Environment({"A_URL": url}).url("A_URL", ("amqp", "sqlite")) == url


@pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer; its answers may take longer")
@pytest.mark.parametrize(("seconds", "told"), [(0.8, False), (0.9, False), (1.0, True)])
def test_an_answer_after_odoo_s_second_is_told(
    monkeypatch: pytest.MonkeyPatch, seconds: float, told: bool
) -> None:
    monkeypatch.setattr(settings, "WEBHOOK_ANSWER_SECONDS", seconds)
    assert ("bc.W008" in {message.id for message in check_settings()}) is told


def test_a_copied_example_takes_the_secrets_that_start_has_made(tmp_path: Path) -> None:
    """As in the README's steps: .env is a copy of .env.example, whose secrets are empty."""
    made = load_secrets(tmp_path)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"ENV_FILE": str(ROOT / ".env.example"), "DATA_DIR": str(tmp_path)}
    code = (
        "from project import settings as s; print(s.SECRET_KEY, *s.ODOO_WEBHOOK_SECRETS, sep='\\n')"
    )
    done = programs.run([sys.executable, "-c", code], environment=environment, seconds=60)
    assert done.stdout.split() == [made["SECRET_KEY"], made["ODOO_WEBHOOK_SECRETS"]], done.stderr
