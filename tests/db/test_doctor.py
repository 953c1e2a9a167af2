"""``manage.py doctor`` against set-ups that are broken, one thing at a time.

PostgreSQL and RabbitMQ are broken in tests/flow/test_doctor.py.
"""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone, translation

from bc_consumer.core.translatable import Message, first_line, joined, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.diagnosis import diagnose
from bc_consumer.doctor.findings import Check, Finding, Level, error
from bc_consumer.doctor.webhook_checks import webhook_checks
from bc_consumer.models import Heartbeat, JournalEntry, SyncLog, SyncState
from odoo_simulator import Simulator
from odoo_simulator.base_data import ADMINISTRATOR
from tests.db.broken_setups import BROKEN, Broken, Setup, key, mailing
from tests.quick import some
from tests.services.waiting import free_port
from tests.unit.odoo.serving import RawServer, http
from tests.unit.site import serving_site

SMTP = "django.core.mail.backends.smtp.EmailBackend"


@dataclass(frozen=True, slots=True)
class Said:
    """What one run of the command came to."""

    code: int
    out: str

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        """Each check by its name."""
        return {check["name"]: check for check in json.loads(self.out)["checks"]}


def doctor(*arguments: str) -> Said:
    out, code = io.StringIO(), 0
    try:
        with translation.override("en"):
            call_command("doctor", *arguments, stdout=out, stderr=out)
    except SystemExit as left:
        code = int(left.code or 0)
    return Said(code, out.getvalue())


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving_site() as url:
        yield url


@pytest.fixture
def setup(
    odoo: object, simulator: Simulator, settings: LazySettings, tmp_path: Path, site: str
) -> Iterator[Setup]:
    made = Setup(settings, simulator, tmp_path)
    with made.stack:
        settings.PUBLIC_URL = site
        settings.ODOO_WEBHOOK_TIMING = "early"
        settings.EMAIL_BACKEND = SMTP
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", made.stack.enter_context(mailing())
        settings.ALERT_EMAILS = ["operators@example.com"]
        simulator.create_order(lines=[{"name": "A desk", "product_qty": 1}])
        if simulator.version >= 17:
            call_command("odoo_rules", "install", "--json", stdout=io.StringIO())
        for kind in Heartbeat.Kind:
            Heartbeat.objects.create(kind=kind, host="machine", pid=1, at=Now())
        SyncLog.objects.create(
            cause=SyncLog.Cause.COMMAND,
            status=SyncLog.Status.OK,
            started_at=datetime.now(UTC),
            ended_at=datetime.now(UTC),
        )
        SyncState.objects.update(last_sync=datetime.now(UTC))
        yield made


# --- one thing broken at a time -----------------------------------------------------------------


@pytest.mark.simulator(version=18)
@pytest.mark.parametrize("case", some(BROKEN), ids=lambda case: case.break_it.__name__)
def test_the_doctor_names_cause_and_fix(setup: Setup, case: Broken) -> None:
    assert len(BROKEN) >= 20
    case.break_it(setup)
    said = doctor("--json", "--webhook")
    found = said.checks[case.check]
    fitting = [
        finding
        for finding in found["findings"]
        if finding["level"] == case.level
        and case.cause in finding["text"]
        and case.fix in finding["fix"]
    ]
    assert fitting, found
    assert said.code == (2 if case.level == "error" else said.code)
    assert said.code > 0
    for secret in (*setup.settings.ODOO_WEBHOOK_SECRETS, "not the password", "pw@"):
        assert secret not in said.out
    # What has nothing to do with it is looked at all the same.
    for name in {"database", "mail", "backlog"} - {case.check}:
        assert said.checks[name]["level"] == "ok", said.checks[name]


# --- the rest -----------------------------------------------------------------------------------


@pytest.mark.simulator(version=18)
def test_a_set_up_in_order_has_nothing_to_tell(setup: Setup) -> None:
    said = doctor("--json", "--webhook")
    levels = {name: check["level"] for name, check in said.checks.items()}
    assert set(levels.values()) == {"ok"}, said.checks
    assert said.code == 0
    text = doctor()
    assert text.code == 0
    assert "All is in order." in text.out
    assert "✗" not in text.out


def test_it_changes_nothing(setup: Setup) -> None:
    def everything() -> list[tuple[Any, ...]]:
        names = sorted(connection.introspection.table_names())
        counted = []
        with connection.cursor() as cursor:
            for name in names:
                cursor.execute(f'SELECT count(*) FROM "{name}"')
                counted.append((name, cursor.fetchone()))
        return counted

    before = everything()
    setup.simulator.calls_clear()
    doctor("--webhook")
    assert everything() == before
    writing = {"create", "write", "unlink", "web_save"}
    assert not [call for call in setup.simulator.calls if call.method in writing]


def test_what_hangs_on_something_broken_is_skipped_and_says_so(setup: Setup) -> None:
    setup.simulator.stop()
    said = doctor("--json")
    for name in ("odoo.account", "odoo.fields", "odoo.orders", "odoo.rules", "odoo.clock"):
        [finding] = said.checks[name]["findings"]
        assert finding["level"] == "skipped"
        assert 'depends on "' in finding["text"]
    assert said.checks["workers"]["level"] == "ok"
    text = doctor()
    assert re.search(r"^– Odoo's account  +skipped", text.out, re.MULTILINE)


def test_poll_mode_needs_no_webhooks(setup: Setup) -> None:
    setup.settings.PUBLIC_URL = ""
    setup.settings.SYNC_POLL_SECONDS = 60
    setup.simulator.remove_rules()
    said = doctor("--json")
    assert said.code == 0
    assert said.checks["webhook.url"]["level"] == "skipped"


@pytest.mark.simulator(version=16)
def test_on_16_a_set_up_that_polls_is_in_order(setup: Setup) -> None:
    setup.settings.PUBLIC_URL = ""
    setup.settings.ODOO_WEBHOOK_SECRETS = []
    setup.settings.SYNC_POLL_SECONDS = 60
    said = doctor("--json")
    found = {name: check["level"] for name, check in said.checks.items()}
    skipped = {"webhook.url", "webhook.answer", "odoo.rules"}
    assert {name for name, level in found.items() if level != "ok"} == skipped, said.checks
    assert {found[name] for name in skipped} == {"skipped"}
    [fields] = said.checks["odoo.fields"]["findings"]
    assert "purchase.order.line.discount came after Odoo 16.0" in fields["text"]
    # With a public address, for callers other than Odoo.
    setup.settings.PUBLIC_URL = setup.simulator.url
    assert doctor("--json").checks["odoo.rules"]["level"] == "ok"


@pytest.mark.simulator(version=16)
@pytest.mark.parametrize("url", ["", "https://copy.example.com"])
def test_on_16_without_polling_it_advises_to_poll(setup: Setup, url: str) -> None:
    setup.settings.PUBLIC_URL = url
    said = doctor("--json")
    [finding] = said.checks["odoo.rules" if url else "webhook.url"]["findings"]
    assert finding["level"] == "error"
    assert "Odoo 16.0 has no webhook actions" in finding["text"]
    assert "SYNC_POLL_SECONDS" in finding["fix"]
    assert said.code == 2


@pytest.mark.simulator(version=16)
def test_on_16_a_field_that_nobody_has_is_still_told(setup: Setup) -> None:
    setup.settings.ODOO_EXTRA_FIELDS = ["x_nobody_s"]
    setup.simulator.faults.drop_field("purchase.order", "receipt_status")
    typo, later, of_an_app = doctor("--json").checks["odoo.fields"]["findings"]
    assert [one["level"] for one in (typo, later, of_an_app)] == ["warning", "ok", "ok"]
    assert "the settings name purchase.order.x_nobody_s," in typo["text"]
    assert "ODOO_EXTRA_FIELDS" in typo["fix"]
    assert "discount" in later["text"]
    assert "receipt_status" in of_an_app["text"]


@pytest.mark.simulator(version=18)
def test_without_the_app_inventory_all_is_in_order(setup: Setup) -> None:
    for name in ("receipt_status", "effective_date"):
        setup.simulator.faults.drop_field("purchase.order", name)
    said = doctor("--json")
    assert said.code == 0
    text = " ".join(finding["text"] for finding in said.checks["odoo.fields"]["findings"])
    assert "purchase.order.receipt_status, purchase.order.effective_date come with" in text
    assert "Inventory (module purchase_stock)" in text


@pytest.mark.simulator(version=18)
@pytest.mark.parametrize(
    ("setting", "value", "check"),
    [
        ("ODOO_LANGUAGE", "de_DE", "odoo.language"),
        ("ODOO_COMPANY_IDS", [1, 7], "odoo.companies"),
        ("ODOO_DOMAIN", [["nope", "=", 1]], "odoo.choice"),
    ],
)
def test_what_every_call_needs_is_told_once_under_its_own_heading(
    setup: Setup, setting: str, value: object, check: str
) -> None:
    setattr(setup.settings, setting, value)
    checks = doctor("--json").checks
    assert [name for name, one in checks.items() if one["level"] not in {"ok", "skipped"}] == [
        check
    ]
    assert len(checks[check]["findings"]) == 1
    [skipped] = checks["odoo.fields"]["findings"]
    assert f'depends on "{checks[check]["title"]}"' in skipped["text"]


def test_a_refused_login_is_told_once(setup: Setup) -> None:
    setup.settings.ODOO_PASSWORD = "not the password"
    checks = doctor("--json").checks
    assert [name for name, one in checks.items() if one["level"] == "error"] == ["odoo.account"]
    assert checks["odoo.rules"]["level"] == "skipped"


@pytest.mark.simulator(version=18)
def test_rules_that_the_account_may_not_read_are_no_warning(setup: Setup) -> None:
    setup.simulator.faults.deny_model("base.automation")
    said = doctor("--json", "--webhook")
    [finding] = said.checks["odoo.rules"]["findings"]
    assert (said.code, finding["level"]) == (0, "ok")
    assert "does not need to; no webhook has brought a change yet" in finding["text"]
    arrived = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    JournalEntry.objects.create(
        odoo_id=1, at=arrived, outcome=JournalEntry.Outcome.CHANGED, causes="nightly,webhook",
        last_marked_at=arrived,
    )  # fmt: skip
    [finding] = doctor("--json").checks["odoo.rules"]["findings"]
    assert f"{timezone.localtime(arrived):%Y-%m-%d %H:%M}" in finding["text"]


def test_the_end_of_keys_is_no_matter_of_a_password(setup: Setup) -> None:
    key(setup, "another's", ADMINISTRATOR, days=2)
    setup.settings.ODOO_PASSWORD = "admin"
    [finding] = doctor("--json").checks["odoo.key"]["findings"]
    assert finding["level"] == "ok"
    assert "ODOO_PASSWORD is a password" in finding["text"]
    assert "another's" not in finding["text"]


def test_its_questions_leave_no_warning_in_the_log_of_web(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        found = list(diagnose(webhook_checks(round_trip=True)))
    assert [one.level for one in found[:3]] == [Level.OK] * 3
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_the_administrator_s_account_looks_at_the_rules(setup: Setup) -> None:
    setup.settings.ODOO_ADMIN_LOGIN = "admin"
    setup.settings.ODOO_ADMIN_PASSWORD = "not the password"
    [finding] = doctor("--json").checks["odoo.rules"]["findings"]
    assert finding["level"] == "warning"
    setup.settings.ODOO_ADMIN_PASSWORD = "admin"
    assert doctor("--json").checks["odoo.rules"]["level"] == "ok"


@pytest.mark.simulator(version=19)
def test_only_the_end_of_the_account_s_own_living_keys_counts(setup: Setup) -> None:
    key(setup, "a buyer's", ADMINISTRATOR + 1, days=2)
    key(setup, "an old one", ADMINISTRATOR, days=-2)
    key(setup, "a new one", ADMINISTRATOR, days=80)
    [finding] = doctor("--json").checks["odoo.key"]["findings"]
    assert finding["level"] == "ok"
    assert '"a new one"' in finding["text"]


def test_without_recipients_no_mail_server_is_asked_for(setup: Setup) -> None:
    setup.settings.ALERT_EMAILS = []
    setup.settings.EMAIL_PORT = free_port()
    [finding] = doctor("--json").checks["mail"]["findings"]
    assert finding["level"] == "warning"


def test_channels_and_the_monitor_are_told_without_their_secrets(setup: Setup) -> None:
    checks = doctor("--json").checks
    for name in ("alert urls", "heartbeat url"):
        assert checks[name]["level"] == "ok"
        assert checks[name]["findings"][0]["text"].startswith("none")
    setup.settings.ALERT_EMAILS = []
    url = f"jsons://127.0.0.1:{free_port()}/hooks/T0kenOfTheChat"
    with RawServer(lambda _incoming: http(b"OK")) as monitor:
        setup.settings.ALERT_URLS = [url, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
        setup.settings.HEARTBEAT_URL = f"{monitor.url}/T0kenOfTheMonitor"
        setup.settings.HEARTBEAT_FAIL_URL = "/fail"
        said = doctor("--json")
        assert not monitor.requests, "it would take that for a good run"
    assert "T0kenOf" not in said.out
    assert [finding["text"] for finding in said.checks["alert urls"]["findings"]] == [
        "ALERT_URLS 1 (jsons://127.0.0.1) is well formed",
        "ALERT_URLS 2 (slack://T1J…) is well formed",
    ]
    for name in ("mail", "alert urls", "heartbeat url", "settings"):
        assert said.checks[name]["level"] == "ok", said.checks[name]
    assert "whether good or failed" in said.checks["heartbeat url"]["findings"][0]["text"]


@pytest.mark.simulator(version=17, languages=("fr_FR",))
def test_the_language_of_a_french_database_is_asked_for(setup: Setup) -> None:
    [finding] = doctor("--json").checks["odoo.language"]["findings"]
    assert finding["level"] == "error"
    assert "fr_FR, not en_US" in finding["text"]
    assert "ODOO_LANGUAGE=fr_FR" in finding["fix"]
    setup.settings.ODOO_LANGUAGE = "fr_FR"
    assert doctor("--json").checks["odoo.language"]["level"] == "ok"


@pytest.mark.simulator(version=18)
def test_the_protocol_that_auto_chose_is_told(setup: Setup) -> None:
    setup.settings.ODOO_TRANSPORT = "auto"
    [finding] = doctor("--json").checks["odoo.transport"]["findings"]
    assert finding["text"] == 'jsonrpc, chosen by "auto"'


def test_a_message_of_several_paragraphs_is_one_line() -> None:
    text = "You may not read 'Purchase Order'.\n\nGroups:\n\t- Purchase / User"
    [one] = diagnose([Check("one", "One", lambda: [error(text, "Do\nthis.")])])
    [finding] = one.findings
    assert finding.text == "You may not read 'Purchase Order'. Groups: - Purchase / User"
    assert finding.fix == "Do this."


def test_a_check_that_fails_itself_hides_no_other() -> None:
    def fails() -> list[Finding]:
        raise ValueError("first-test-secret")

    one, two = diagnose([Check("one", "One", fails), Check("two", "Two", list)])
    assert one.level is Level.ERROR
    assert "ValueError" in one.findings[0].text
    assert "first-test-secret" not in one.findings[0].text
    assert two.level is Level.OK


@pytest.mark.parametrize(
    ("message", "first"),
    [
        (verbatim("one\ntwo"), "one"),
        (joined("\n", _("BC %(id)s is gone", id=7), "two"), "BC 7 is gone"),
        (joined("\n", joined("\n", _("BC %(id)s is gone", id=7), "x"), "y"), "BC 7 is gone"),
        (joined(": ", _("BC %(id)s is gone", id=7), "b\nc"), "BC 7 is gone: b"),
        (_("BC %(id)s is gone", id=7), "BC 7 is gone"),
    ],
)
def test_the_first_line_of_a_message_keeps_its_parts(message: Message, first: str) -> None:
    line = first_line(message)
    assert line == first
    assert (line.form is not None) == ("gone" in first)
