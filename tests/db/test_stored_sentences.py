"""A stored sentence stands alone in its column, and what it was made of in the one beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps.registry import Apps
from django.core import serializers
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.test import Client
from django.utils import timezone
from django.utils.translation import override
from pytest_django import DjangoAssertNumQueries

from bc_consumer import ledger
from bc_consumer.core.translatable import Message, gettext
from bc_consumer.core.translatable_field import said
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import (
    Alert,
    DeadLetter,
    JournalEntry,
    Lane,
    Pace,
    PendingBC,
    SyncLog,
)
from bc_consumer.operations import alerts, dead_letters
from bc_consumer.reconciliation.run import save_row
from tests.catalogue import Translate, translate  # noqa: F401 - a fixture
from tests.db.copied import failed, pending
from tests.db.test_admin import staff, url  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db

SENTENCE, FRENCH = "BC %(id)s is a duck", "le BC %(id)s est un canard"
PREFIX = "bc_consumer_"


def duck(odoo_id: int) -> Message:
    return gettext(SENTENCE, id=odoo_id)


def parts(odoo_id: int) -> dict[str, Any]:
    return {"msgid": SENTENCE, "values": {"id": odoo_id}}


@pytest.fixture(autouse=True)
def _french(translate: Translate) -> None:  # noqa: F811
    translate(SENTENCE, FRENCH)


def sql(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def columns(table: str, name: str) -> list[tuple[str, Any]]:
    """What a program without Django finds: the sentence, and what it was made of."""
    found = sql(f"SELECT {name}, {name}_parts FROM {PREFIX}{table} ORDER BY 1")
    return [(sentence, json.loads(made_of) if made_of else "") for sentence, made_of in found]


def run(**values: Any) -> SyncLog:
    return SyncLog.objects.create(started_at=timezone.now(), **values)


def assert_french(message: str, odoo_id: int = 7) -> None:
    with override("fr"):
        assert said(message) == FRENCH % {"id": odoo_id}


# --- what stands in the columns ----------------------------------------------------------------


def test_sql_reads_nothing_but_the_sentence() -> None:
    run(error=duck(7), notes="verbatim")
    assert sql(f"SELECT error, notes FROM {PREFIX}synclog") == [("BC 7 is a duck", "verbatim")]
    assert columns("synclog", "error") == [("BC 7 is a duck", parts(7))]
    assert columns("synclog", "notes") == [("verbatim", "")]
    row = SyncLog.objects.get()
    assert_french(row.error)
    assert (row.error, row.notes) == ("BC 7 is a duck", "verbatim")


def test_words_are_looked_for_in_the_sentence_alone() -> None:
    run(error=duck(7))
    assert SyncLog.objects.filter(error=duck(7)).exists()
    assert SyncLog.objects.filter(error="BC 7 is a duck").exists()
    assert SyncLog.objects.exclude(error="").exists()
    assert not SyncLog.objects.exclude(error=duck(7)).exists()
    assert not SyncLog.objects.filter(error__contains="msgid").exists()


def save_all(row: SyncLog) -> None:
    row.save()


def save_one(row: SyncLog) -> None:
    row.save(update_fields=["error"])


def update(row: SyncLog) -> None:
    SyncLog.objects.filter(pk=row.pk).update(error=row.error)


def bulk_update(row: SyncLog) -> None:
    SyncLog.objects.bulk_update([row], ["error"])


def update_or_create(row: SyncLog) -> None:
    SyncLog.objects.update_or_create(pk=row.pk, defaults={"error": row.error})


def upsert(row: SyncLog) -> None:
    SyncLog.objects.bulk_create(
        [row], update_conflicts=True, update_fields=["error"], unique_fields=["id"]
    )


def end(row: SyncLog) -> None:
    assert save_row(row, {})


WAYS = (save_all, save_one, update, bulk_update, update_or_create, upsert, end)


@pytest.mark.parametrize("write", WAYS)
@pytest.mark.parametrize("before", [duck(1), "verbatim", ""])
def test_whatever_writes_the_sentence_writes_its_parts(
    write: Callable[[SyncLog], None], before: str
) -> None:
    row = run(error=before)
    row.error = duck(7)
    write(row)
    assert columns("synclog", "error") == [("BC 7 is a duck", parts(7))]
    row.error = "by hand"
    assert row.error == "by hand"
    write(row)
    assert columns("synclog", "error") == [("by hand", "")]


def test_an_expression_has_no_parts() -> None:
    row = run(error=duck(7), phase="a phase")
    SyncLog.objects.update(error=F("phase"))
    assert columns("synclog", "error") == [("a phase", "")]
    row.error = F("phase")
    row.save()
    assert columns("synclog", "error") == [("a phase", "")]


@pytest.mark.parametrize(
    "load",
    [
        SyncLog.objects.get,
        lambda: SyncLog.objects.only("error").get(),
        lambda: SyncLog.objects.defer("error").get(),
        lambda: SyncLog.objects.defer("error_parts").get(),
        lambda: SyncLog.objects.only("phase").get(),
        lambda: SyncLog.objects.raw(f"SELECT * FROM {PREFIX}synclog")[0],
        lambda: SyncLog.objects.raw(f"SELECT id, error FROM {PREFIX}synclog")[0],
    ],
    ids=["get", "only", "defer", "defer parts", "only another", "raw", "raw without parts"],
)
def test_whatever_loads_the_sentence_finds_its_parts(load: Callable[[], SyncLog]) -> None:
    run(error=duck(7), phase="a phase")
    row = load()
    assert_french(row.error)
    row.save()
    assert columns("synclog", "error") == [("BC 7 is a duck", parts(7))]
    row = load()
    row.error = duck(8)
    row.save()
    assert columns("synclog", "error") == [("BC 8 is a duck", parts(8))]
    SyncLog.objects.update(error=duck(9))
    row.refresh_from_db(fields=["error"])
    assert_french(row.error, 9)
    SyncLog.objects.update(error=duck(7))
    row.refresh_from_db()
    assert_french(row.error)


def test_both_columns_cost_one_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    run(error=duck(7))
    with django_assert_num_queries(1):
        assert_french(SyncLog.objects.get().error)
    with django_assert_num_queries(1):
        assert_french(SyncLog.objects.only("error", "error_parts").get().error)


def test_a_dump_of_django_s_keeps_the_parts() -> None:
    run(error=duck(7), notes="verbatim")
    dump = serializers.serialize("json", SyncLog.objects.all())
    SyncLog.objects.all().delete()
    for one in serializers.deserialize("json", dump):
        one.save()
    assert columns("synclog", "error") == [("BC 7 is a duck", parts(7))]
    assert_french(SyncLog.objects.get().error)


def test_one_column_written_by_sql_alone_is_shown_as_it_is() -> None:
    run(error=duck(7))
    sql(f"UPDATE {PREFIX}synclog SET error = 'by hand' RETURNING 1")
    row = SyncLog.objects.get()
    with override("fr"):
        assert said(row.error) == "by hand"


# --- what our own statements write -------------------------------------------------------------


@pytest.mark.usefixtures("single_rows")
def test_the_ledger_s_statements_write_both() -> None:
    ledger.mark([7, 8, 9], ledger.Mark(cause="nightly", lane=Lane.BULK))
    token = ledger.new_token()
    rows = {row.odoo_id: row for row in ledger.claim_also([7, 8, 9], "nightly", token)}
    ledger.fail(token, rows[7], ValueError(duck(7)))
    ledger.put_off(token, [8], 0.0, duck(8))
    ledger.hold(token, [rows[9]], duck(9))
    assert columns("pendingbc", "last_error") == [
        ("", ""), ("BC 7 is a duck", parts(7)), ("BC 8 is a duck", parts(8))
    ]  # fmt: skip
    assert columns("pendingbc", "held_reason")[-1] == ("BC 9 is a duck", parts(9))
    ledger.mark([9], ledger.Mark(cause="nightly", lane=Lane.BULK))
    assert columns("pendingbc", "held_reason")[-1] == ("BC 9 is a duck", parts(9))
    ledger.mark([9], ledger.Mark(cause="webhook"))
    assert columns("pendingbc", "held_reason") == [("", "")] * 3


@pytest.mark.usefixtures("single_rows")
def test_a_look_that_went_well_forgets_both_and_so_does_a_run_that_lets_go() -> None:
    failed(7, last_error=duck(7), failed_at=None, early=True)
    token = ledger.new_token()
    (row,) = ledger.claim_also([7], "webhook", token)
    assert_french(row.last_error)
    ledger.settle(token, [ledger.LookOutcome(row, shown=False, next_look=60.0)])
    assert columns("pendingbc", "last_error") == [("", "")]
    pending(8, held_reason=duck(8))
    ledger.release_held(forced=True)
    assert columns("pendingbc", "held_reason") == [("", "")] * 2


@pytest.mark.usefixtures("single_rows")
def test_alerts_and_outages_too() -> None:
    for number in (6, 7):
        alerts.alert("ducks", duck(number), duck(number))
    assert columns("alert", "subject") == columns("alert", "text")
    assert columns("alert", "text") == [("BC 7 is a duck", parts(7))]
    alerts.amend("ducks", duck(8), duck(9))
    assert columns("alert", "subject") == [("BC 8 is a duck", parts(8))]
    assert columns("alert", "text") == [("BC 9 is a duck", parts(9))]
    circuit_breaker.record_failure(duck(7), probing=False)
    assert columns("pace", "reason") == [("BC 7 is a duck", parts(7))]
    outage = circuit_breaker.current_outage()
    assert outage is not None
    assert_french(outage.reason)
    circuit_breaker.record_success()
    assert columns("pace", "reason") == [("", "")]


def test_the_live_page_says_what_is_kept_aside_in_french(staff: Client) -> None:  # noqa: F811
    alerts.alert(dead_letters.ALERT, duck(7), duck(7))
    page = staff.get("/", headers={"Accept-Language": "fr"}).content.decode()
    assert "Le BC 7 est un canard" in page
    assert "is a duck" not in page


# --- the migration -----------------------------------------------------------------------------

BEFORE, ADDED = "0028_deletion_confirmed", "0029_parts_of_sentences"
SPLIT = "0030_split_sentences_from_parts"
GLUED = (
    ("alert", "subject"), ("alert", "text"), ("deadletter", "why"), ("journalentry", "error"),
    ("pace", "reason"), ("pendingbc", "held_reason"), ("pendingbc", "last_error"),
    ("synclog", "error"), ("synclog", "notes"),
)  # fmt: skip


def migrate(name: str) -> Apps:
    call_command("migrate", "bc_consumer", name, verbosity=0)
    state = MigrationExecutor(connection).loader.project_state([("bc_consumer", name)])
    return state.apps


def migrate_to_the_end() -> None:
    """Let the tables be as the models of now have them."""
    call_command("migrate", "bc_consumer", verbosity=0)


@pytest.fixture
def migrated_back(transactional_db: None) -> Iterator[Apps]:
    """The tables as the release before had them; afterwards all is as it was."""
    yield migrate(BEFORE)
    migrate_to_the_end()


def glued(odoo_id: int) -> str:
    return f"{duck(odoo_id)}\x1e{duck(odoo_id).parts()}"


def fill(apps: Apps) -> None:
    """Make rows as the release before did: glued ones, plain ones, and ones without a text."""

    def made(model: str, **values: Any) -> None:
        apps.get_model("bc_consumer", model).objects.create(**values)

    now = timezone.now()
    seen = {"first_at": now, "last_at": now}
    apps.get_model("bc_consumer", "Pace").objects.all().delete()
    made("Pace", id=1, next_claim_at=now, reason=glued(7))
    for number, text in enumerate((glued(7), "Odoo's words", "", glued(8), glued(9)), 1):
        marked = dict.fromkeys(("first_marked_at", "last_marked_at", "due_at"), now)
        made("SyncLog", started_at=now, error=text, notes=text)
        made("JournalEntry", odoo_id=number, at=now, outcome="failed", error=text)
        made("PendingBC", odoo_id=number, lane=0, held_reason=text, last_error=text, **marked)
        made("Alert", key=f"key {number}", subject=text, text=text, **seen)
        made("DeadLetter", queue="q", body=b"", digest=str(number), why=text, **seen)


def everything() -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    return {
        (table, name): sql(f"SELECT {name} FROM {PREFIX}{table} ORDER BY 1")
        for table, name in GLUED
    }


@pytest.mark.slow("migrates a database back and forth")
def test_what_was_glued_in_one_column_is_split_into_two(
    migrated_back: Apps,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_module(f"bc_consumer.migrations.{SPLIT}"), "AT_ONCE", 2)
    fill(migrated_back)
    before = everything()
    migrate_to_the_end()
    for table, name in GLUED:
        wanted: list[tuple[str, Any]] = [("BC 7 is a duck", parts(7))]
        if table != "pace":
            more = [("", ""), ("Odoo's words", "")]
            wanted += [*more, *((f"BC {one} is a duck", parts(one)) for one in (8, 9))]
        assert sorted(columns(table, name), key=str) == sorted(wanted, key=str), (table, name)
    migrate_to_the_end()
    for model in (SyncLog, JournalEntry, PendingBC, Alert, DeadLetter, Pace):
        for field in {name for table, name in GLUED if table == model.__name__.lower()}:
            texts = [getattr(row, field) for row in model._default_manager.all()]
            with override("fr"):
                assert FRENCH % {"id": 7} in [said(text) for text in texts], (model, field)

    migrate(ADDED)
    assert everything() == before
    assert {made_of for table, name in GLUED for _, made_of in columns(table, name)} == {""}
    migrate(BEFORE)
    assert everything() == before


@pytest.mark.slow("migrates a database back and forth")
def test_pages_show_french_after_it(
    migrated_back: Apps,
    staff: Client,  # noqa: F811
) -> None:
    fill(migrated_back)
    migrate_to_the_end()
    for model in (SyncLog, JournalEntry, PendingBC):
        key = model._default_manager.order_by("pk").values_list("pk", flat=True)[0]
        for language, words in (("fr", "le BC 7 est un canard"), ("en", "BC 7 is a duck")):
            page = staff.get(url(model, "change", key), headers={"Accept-Language": language})
            assert words in page.content.decode(), (model, language)
            assert "msgid" not in page.content.decode()


@pytest.mark.slow("migrates a database back and forth")
def test_an_interrupted_split_goes_on_and_a_second_one_changes_nothing(
    migrated_back: Apps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    migration = import_module(f"bc_consumer.migrations.{SPLIT}")
    monkeypatch.setattr(migration, "AT_ONCE", 2)
    fill(migrated_back)
    apps = migrate(ADDED)
    pieces = migration._pieces

    def broken(rows: Any) -> Iterator[Any]:
        for number, piece in enumerate(pieces(rows)):
            if number == 1 and rows.model.__name__ == "JournalEntry":
                raise KeyboardInterrupt
            yield piece

    monkeypatch.setattr(migration, "_pieces", broken)
    with connection.schema_editor(atomic=False) as editor, pytest.raises(KeyboardInterrupt):
        migration.split(apps, editor)
    assert len([one for one, _ in columns("journalentry", "error") if "\x1e" in one]) == 2
    monkeypatch.setattr(migration, "_pieces", pieces)
    migrate(SPLIT)
    after = everything()
    assert not [text for texts in after.values() for (text,) in texts if "\x1e" in text]
    with connection.schema_editor(atomic=False) as editor:
        migration.split(apps, editor)
    assert everything() == after


@pytest.mark.slow("migrates a database back and forth")
def test_a_row_of_the_release_before_needs_no_parts(migrated_back: Apps) -> None:
    """Its workers go on until they are replaced: they insert, and write what they know."""
    migrate_to_the_end()
    fill(migrated_back)
    assert_french(SyncLog.objects.order_by("pk")[0].error)
    assert columns("synclog", "notes")[0] == ("", "")
