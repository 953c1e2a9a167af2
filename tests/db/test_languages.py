"""What is stored and mailed is read by each reader in his language; the log stays English."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from bc_consumer import ledger
from bc_consumer.core.translatable import Message, gettext, joined
from bc_consumer.core.translatable_field import said
from bc_consumer.models import Alert, DeadLetter, JournalEntry, Lane, PendingBC, SyncLog
from bc_consumer.operations import alerts, failed_orders
from tests.catalogue import Translate, translate  # noqa: F401 - a fixture
from tests.db.copied import failed, journal, pending
from tests.db.test_admin import staff, url  # noqa: F401 - fixtures

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_french")]

SENTENCE = "%(field)s of BC %(id)s is a duck"
ENGLISH, FRENCH = "price of BC {} is a duck", "price du BC {} est un canard"


def duck(odoo_id: int) -> Message:
    return gettext(SENTENCE, field="price", id=odoo_id)


@pytest.fixture
def _french(translate: Translate) -> None:  # noqa: F811
    translate(SENTENCE, "%(field)s du BC %(id)s est un canard")
    translate("ducks came", "des canards sont venus")


def page(client: Client, path: str, language: str) -> str:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer.content.decode()


def assert_told(client: Client, path: str, odoo_id: int = 7) -> None:
    """The same page, read by two colleagues."""
    for language, own, other in (("fr", FRENCH, ENGLISH), ("en", ENGLISH, FRENCH)):
        told = page(client, path, language)
        assert own.format(odoo_id) in told, language
        assert other.format(odoo_id) not in told, language
        assert "msgid" not in told


def fail(odoo_id: int) -> PendingBC:
    """Have an order fail for good, by the ledger itself."""
    ledger.mark([odoo_id], ledger.Mark(cause="webhook", lane=Lane.WEBHOOK))
    token = ledger.new_token()
    (row,) = ledger.claim_also([odoo_id], "webhook", token)
    ledger.fail(token, row, ValueError(duck(odoo_id)), hopeless=True)
    return PendingBC.objects.get(pk=odoo_id)


@pytest.mark.usefixtures("single_rows")
def test_a_failed_order_is_told_in_each_reader_s_language(staff: Client) -> None:  # noqa: F811
    row = fail(7)
    assert row.last_error == ENGLISH.format(7)
    assert ENGLISH.format(7) in row.traceback  # which stays as it is, for whoever mends programs
    PendingBC.objects.update(traceback="")
    for path in (url(PendingBC), url(PendingBC, "change", 7), "/bc/7/", "/"):
        assert_told(staff, path)
    assert f"ValueError: {FRENCH.format('#')} (1)" in page(staff, url(PendingBC), "fr")


@pytest.mark.usefixtures("single_rows")
def test_causes_don_t_change_with_the_language() -> None:
    with override("fr"):
        in_french = fail(7)
    with override("en"):
        in_english = fail(8)
    assert in_french.failure == in_english.failure == f"ValueError: {ENGLISH.format('#')}"
    with override("fr"):
        (group,) = failed_orders.groups(failed_orders.failed())
        assert (group.count, said(group.example_error)) == (2, FRENCH.format(7))


@pytest.mark.usefixtures("single_rows")
@pytest.mark.parametrize(("language", "words"), [("fr", "UN CANARD"), ("en", "a duck")])
def test_a_failed_order_is_found_by_the_words_that_one_reads(
    staff: Client,  # noqa: F811
    language: str,
    words: str,
) -> None:
    fail(7)
    failed(9, last_error="something else", failure="ValueError: something else")
    listed = staff.get(url(PendingBC), {"q": words}, headers={"Accept-Language": language})
    assert [row.pk for row in listed.context["cl"].result_list] == [7]
    with override(language):
        rows = PendingBC.objects.filter(failed_orders.with_error_text(words))
        assert [row.pk for row in rows] == [7]


@pytest.mark.usefixtures("single_rows")
def test_replay_speaks_the_operator_s_language_and_machines_english() -> None:
    fail(7)
    out = StringIO()
    with override("fr"):
        call_command("replay", "--dry-run", "--all", stdout=out)
    assert FRENCH.format(7) in out.getvalue()
    out = StringIO()
    with override("fr"):
        call_command("replay", "--dry-run", "--all", "--json", stdout=out)
    assert json.loads(out.getvalue())["groups"][0]["error"] == ENGLISH.format(7)


def test_held_orders_runs_journal_and_dead_letters(staff: Client) -> None:  # noqa: F811
    now = timezone.now()
    pending(7, held_reason=duck(7))
    assert_told(staff, url(PendingBC, "change", 7))
    assert_told(staff, "/bc/7/")
    entry = journal(7, JournalEntry.Outcome.FAILED, error=duck(7))
    assert_told(staff, url(JournalEntry, "change", entry.pk))
    run = SyncLog.objects.create(started_at=now, error=joined(": ", "BC 7", duck(7)))
    assert_told(staff, url(SyncLog, "change", run.pk))
    noted = SyncLog.objects.create(started_at=now, notes=joined("\n", "first", duck(7)))
    assert_told(staff, url(SyncLog, "change", noted.pk))
    letter = DeadLetter.objects.create(
        queue="bc.XQ", body=b"", digest="d", why=duck(7), first_at=now, last_at=now
    )
    assert_told(staff, url(DeadLetter))
    assert_told(staff, url(DeadLetter, "change", letter.pk))


@pytest.mark.parametrize("language", ["fr", "en"])
def test_what_older_releases_stored_is_shown_as_it_is(
    staff: Client,  # noqa: F811
    language: str,
) -> None:
    failed(7, last_error="100 % English <b>", failure="ValueError: # % English <b>")
    assert "100 % English &lt;b&gt;" in page(staff, url(PendingBC), language)
    assert PendingBC.objects.filter(last_error="100 % English <b>").exists()


def test_alerts_are_mailed_in_the_project_s_language_and_shown_in_the_reader_s(
    staff: Client,  # noqa: F811
    settings: LazySettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.ALERT_COOL_DOWN_MINUTES = 0
    settings.ALERT_EMAILS = ["someone@example.com"]
    settings.LANGUAGE_CODE = "fr"
    with override("en"), caplog.at_level(logging.ERROR):
        alerts.alert("ducks", gettext("ducks came"), duck(7))
    (sent,) = mail.outbox
    assert (sent.subject, sent.body) == ("[BC] des canards sont venus", FRENCH.format(7))
    assert f"ducks came — {ENGLISH.format(7)}" in caplog.text
    assert_told(staff, url(Alert))
    assert_told(staff, url(Alert, "change", "ducks"))
    assert "des canards sont venus" in page(staff, url(Alert), "fr")
    assert "ducks came" in page(staff, url(Alert), "en")
    alerts.resolve_alert("ducks", gettext("ducks came"), duck(8))
    assert mail.outbox[1].body == FRENCH.format(8)


def test_an_english_project_mails_english_whatever_a_request_s_language(
    settings: LazySettings,
) -> None:
    settings.ALERT_EMAILS = ["someone@example.com"]
    with override("fr"):
        alerts.alert("ducks", gettext("ducks came"), duck(7))
    assert (mail.outbox[0].subject, mail.outbox[0].body) == ("[BC] ducks came", ENGLISH.format(7))


def test_an_alert_of_an_older_release_has_no_subject_and_shows_its_key(
    staff: Client,  # noqa: F811
) -> None:
    now = timezone.now()
    Alert.objects.create(key="odoo away", text="Odoo is away", first_at=now, last_at=now)
    assert "odoo away" in page(staff, url(Alert), "fr")
