"""apprise is imported by what sends or checks, and by nothing else."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from django.conf import LazySettings

from bc_consumer.core import apprise_channel
from bc_consumer.installation.setting_checks import check_settings, quick_checks
from tests.harness import ROOT

LOADED = """
import django, sys
django.setup()
import bc_consumer.web_process, bc_consumer.actors, bc_consumer.doctor.diagnosis
import bc_consumer.workers.due_runs, odoo_webhook.site_server
from django.core.management import call_command, load_command_class
from django.conf import settings
call_command("check")
settings.ALERT_URLS = ["json://example.com/hook"]
load_command_class("bc_consumer", "replay").check()
print([name for name in sys.modules if name.split(".")[0] in {"apprise", "requests"}])
"""


def test_a_process_that_never_sends_does_not_import_it() -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("json://example.com/hook", True),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#orders", True),
        ("mailto://user:password@example.com", True),
        ("slak://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", False),
        ("slack://too-short", False),
        ("json://", False),
        ("json://example.com and more", False),
        ("example.com/hook", False),
        ("", False),
    ],
)
def test_it_knows_which_urls_can_be_used(url: str, usable: bool) -> None:
    assert apprise_channel.is_usable(url) is usable


def test_a_check_names_bad_urls_by_their_position(
    settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALERT_URLS = [
        "json://example.com/hook", "slak://Secret-1A/Secret-1B", "slack://Secret-2A",
    ]  # fmt: skip
    (found,) = [message for message in check_settings() if message.id == "bc.E050"]
    assert ": number 2, 3." in found.msg
    assert "Secret" not in f"{found}{caplog.text}"
    settings.ALERT_URLS = settings.ALERT_URLS[:1]
    assert "bc.E050" not in {message.id for message in check_settings()}


@pytest.mark.parametrize(
    ("url", "fail", "found"),
    [
        ("", "", set()),
        ("https://hc.example.com/x", "", set()),
        ("https://hc.example.com/x", "/fail", set()),
        ("", "https://hc.example.com/x/fail", set()),
        ("", "/fail", {"bc.E052"}),
        ("https://hc.example.com/x", "fail", {"bc.E051"}),
    ],
)
def test_a_check_of_the_heartbeat_s_urls(
    settings: LazySettings, url: str, fail: str, found: set[str]
) -> None:
    settings.HEARTBEAT_URL, settings.HEARTBEAT_FAIL_URL = url, fail
    ids = {message.id for message in check_settings()}
    assert ids & {"bc.E051", "bc.E052"} == found


def test_a_command_that_ends_soon_checks_their_form_alone(settings: LazySettings) -> None:
    settings.ALERT_URLS = ["json://example.com/hook", "slak://x", "example.com/hook"]
    with quick_checks():
        (found,) = [message for message in check_settings() if message.id == "bc.E050"]
    assert ": number 3." in found.msg


def test_log_lines_of_others_that_use_apprise_pass(caplog: pytest.LogCaptureFixture) -> None:
    apprise_channel.is_usable("slak://x")
    assert not caplog.records
    logging.getLogger("apprise").warning("somebody else's")
    assert "somebody else's" in caplog.text
