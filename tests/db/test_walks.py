"""docs/walks.md: webhook, run, replay and button enter the files named there, in that order.

Each walk is played once in this process, while Python reports every call. The page's functions must
be called in the page's order, and no file may be entered that the page does not name. A table is
read and not called: it only has to be in its file.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import time
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.test import Client

from bc_consumer.core import process_state
from bc_consumer.messaging.intake import intake
from bc_consumer.models import BC, OperatorAction, PendingBC, SyncLog
from bc_consumer.refresh.batch import work_off
from bc_consumer.workers.action_runner import ActionsThread
from bc_consumer.workers.actors import reconcile_nightly, refresh_bc
from bc_consumer.workers.due_runs import Ticker
from bc_consumer.workers.timer import Timer
from odoo_simulator import Simulator
from odoo_webhook import site_server
from tests.db.conftest import refresh
from tests.db.copied import failed
from tests.services.waiting import wait_until
from tests.unit.test_site_server import Fields, Protocol, Scope

pytestmark = pytest.mark.usefixtures("odoo")

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("bc_consumer", "odoo_webhook")
TABLES = "bc_consumer/models/"
NO_STORY = (
    "bc_consumer/core/", "bc_consumer/fields/", TABLES, "bc_consumer/conf.py",
    "bc_consumer/migrations/", "bc_consumer/apps.py", "bc_consumer/redaction.py",
    "bc_consumer/page_limits.py", "bc_consumer/actors.py", "bc_consumer/management/__init__.py",
)  # fmt: skip
"""Tables, settings, and what has no business of ours: their names say what they do."""
STEP = re.compile(r"^\| (\d+) \| `([^`]+)` \| `([^`]+)` \|", re.MULTILINE)
PASSED = re.compile(r"^- `([^`]+)`", re.MULTILINE)
SECRET = "s" * 40


@dataclass(frozen=True)
class Walk:
    """One part of the page."""

    steps: tuple[tuple[str, str], ...]
    """File and function, in the page's order."""
    passed: frozenset[str]
    """Files that are entered on the way and need not be opened."""

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(file for file, _function in self.steps))


@cache
def walk(title: str) -> Walk:
    text = (ROOT / "docs/walks.md").read_text()
    part = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    steps = [(path_of(file), function) for _number, file, function in STEP.findall(part)]
    return Walk(tuple(steps), frozenset(path_of(file) for file in PASSED.findall(part)))


def path_of(file: str) -> str:
    """The page leaves out ``bc_consumer/``, in which all rooms are."""
    return file if (ROOT / file).exists() else f"bc_consumer/{file}"


@dataclass
class Calls:
    """Which functions of the product were called, in their order."""

    made: list[tuple[str, str]] = field(default_factory=list)

    def note(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Be Python's profile function."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(ROOT)):
            return
        file = code.co_filename.removeprefix(f"{ROOT}/")
        if file.startswith(PRODUCT) and code.co_name != "<module>":
            self.made.append((file, code.co_qualname))

    @property
    def files(self) -> set[str]:
        return {file for file, _function in self.made if not file.startswith(NO_STORY)}


@contextmanager
def calls() -> Iterator[Calls]:
    found = Calls()
    before, before_of_threads = sys.getprofile(), threading.getprofile()
    threading.setprofile(found.note)
    sys.setprofile(found.note)
    try:
        yield found
    finally:
        sys.setprofile(before)
        threading.setprofile(before_of_threads)


def check(found: Calls, *titles: str) -> None:
    """``titles``: the walk, and those whose files the reader knows by then."""
    told = walk(titles[0])
    rest = iter(list(found.made))
    for step in told.steps:
        file, name = step
        if file.startswith(TABLES):
            assert f"\nclass {name}(" in (ROOT / file).read_text(), (
                f"docs/walks.md: no table {step}"
            )
            continue
        assert step in rest, f"docs/walks.md: {step} is not called, or not after those before it"
    known = {file for title in titles for file in (*walk(title).files, *walk(title).passed)}
    assert found.files <= known, f"docs/walks.md does not name {sorted(found.files - known)}"


def test_each_walk_is_short() -> None:
    assert len(walk("A webhook").files) <= 16
    known = set(walk("A webhook").files)
    assert len(set(walk("A run of the reconciliation").files) - known) <= 12
    assert len(walk("A replay").files) <= 3
    assert len(walk("A button").files) <= 7


def test_the_page_names_what_it_leaves_out() -> None:
    told, _, _ = (ROOT / "docs/walks.md").read_text().partition("\n## ")
    for path in NO_STORY:
        name = path.removeprefix("bc_consumer/")
        assert name in {"migrations/", "management/__init__.py"} or f"`{name}`" in told, name


def test_what_is_passed_on_the_way_is_there() -> None:
    for title in ("A webhook", "A run of the reconciliation", "A replay", "A button"):
        for file in (*walk(title).files, *walk(title).passed):
            assert (ROOT / file).is_file(), f"docs/walks.md: {file}"


def test_a_webhook(simulator: Simulator, settings: LazySettings) -> None:
    refresh(simulator.create_order())  # what each process asks Odoo once has been asked
    Client().get("/healthz")  # and what it imports once is imported
    settings.ODOO_WEBHOOK_SECRETS = (SECRET,)
    settings.ODOO_WEBHOOK_TIMING = "early"  # as by default
    odoo_id = simulator.create_order(lines=[{"name": "Desk", "product_qty": 2, "price_unit": 1}])
    body = json.dumps({"_model": "purchase.order", "_id": odoo_id}).encode()
    headers = Fields(
        ("host", "localhost"), ("authorization", f"Bearer {SECRET}"),
        ("content-type", "application/json"), ("content-length", str(len(body))),
    )  # fmt: skip
    protocol = Protocol(body)
    intake.cache_clear()  # its thread is to be watched, too
    with calls() as found:
        served = site_server.serve()
        assert intake().begun.wait(60)
        found.made.clear()  # what a process does when it starts
        asyncio.run(posted(served, Scope("POST", "/odoo/webhook/", headers), protocol))
        refresh_bc.fn(odoo_id)
        timer = Timer()
        timer.start()
        wait_until(BC.objects.filter(odoo_id=odoo_id).exists, what="the copy")
        process_state.stopping.set()
        timer.join()
        process_state.stopping.clear()
    assert protocol.status == 202, protocol.sent
    intake().close()
    intake.cache_clear()
    check(found, "A webhook")


async def posted(served: site_server.Server, scope: Scope, protocol: Protocol) -> None:
    await served.__rsgi__(scope, protocol)
    served._threads.submit(connections.close_all).result()


def test_a_run_of_the_reconciliation(simulator: Simulator, nightly: Callable[[], None]) -> None:
    order_id = simulator.create_order()
    refresh(order_id)
    call_command("sync_BcLinbc", verbosity=0)
    simulator.write_order(order_id, {"partner_ref": "changed"})
    with calls() as found:
        nightly()
    assert SyncLog.objects.latest("id").status == SyncLog.Status.OK
    check(found, "A run of the reconciliation", "A webhook")


@pytest.fixture
def nightly(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the scheduler find that a nightly run is due, and the worker do it."""
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(reconcile_nightly, "send", lambda *arguments: sent.append(arguments))

    def tick() -> None:
        settings.SYNC_NIGHTLY_AT = time(0, 0)
        Ticker().tick()
        (message,) = sent
        reconcile_nightly.fn(*message)

    return tick


def test_a_replay() -> None:
    failed(7, error_class="MappingError", last_error="bad", failure="bad")
    with calls() as found:
        call_command("replay", all=True, yes=True, verbosity=0)
    assert PendingBC.objects.get().failed_at is None
    check(found, "A replay", "A webhook")


def test_a_button(simulator: Simulator, client: Client) -> None:
    order_id = simulator.create_order()
    failed(order_id, error_class="MappingError", last_error="bad", failure="bad")
    client.force_login(get_user_model().objects.create_superuser("chief"))
    client.get("/failures/")
    with calls() as found:
        asked = client.post("/ask/replay/", {"failure": "bad", "next": "/failures/"})
        assert asked.status_code == 302, asked.content
        ActionsThread().run_round()
        wait_until(lambda: PendingBC.objects.get().failed_at is None, what="its mark")
    work_off()
    wait_until(lambda: not OperatorAction.objects.get().is_unfinished, what="the outcome")
    check(found, "A button", "A replay", "A webhook", "A run of the reconciliation")
