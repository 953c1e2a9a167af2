"""The settings that any Django project takes from bc_consumer.conf."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from bc_consumer import conf
from bc_consumer.environment import Environment
from tests.conftest import ON_SQLITE


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
    assert (10.0 if ON_SQLITE else 0.2) == settings.WEBHOOK_ANSWER_SECONDS


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
