"""From an older version to this one, by the steps of docs/upgrade.md, while webhooks keep coming.

With the old version's own code where the repository's history is at hand. A clone without it plays
the other half alone: a database as the old version left it, and this version's processes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from bc_consumer.ledger import Mark
from bc_consumer.messaging.intake import encode
from odoo_simulator import Simulator
from tests.certificates import self_signed
from tests.comparing import differences
from tests.conftest import Deploy, or_skip
from tests.flow.test_fallback_queue import put
from tests.harness import ROOT, Deployment
from tests.services.owned import OwnedProcess
from tests.services.postgres import Database, Postgres
from tests.services.proxy import TlsNginx
from tests.services.session import Services
from tests.services.waiting import free_port

OLD = "ce93381fe0e6d1432e6efe2300c7442eca531010"
"""The last commit before operators' actions; no tag names it, for it was no release.

Once there is a release after 1.0.0, this becomes the tag of the release before, and what is in
``OLD_MIGRATION`` and ``GROUPS`` follows it."""
OLD_MIGRATION = "0030_split_sentences_from_parts"
ORDERS = 5_000
DESK = {"name": "Desk", "product_id": 1, "product_qty": 2, "price_unit": 12.35}
RELEASE = "/opt/bc-consumer/releases/1.0.0"
SOME_ORDERS = 1_000
"""Where the other test has the 5,000."""
OPERATOR = "operator"
GROUPS = {"BC operators": "BC operator", "BC viewers": "BC viewer"}
"""Their names now, and the older version's."""
UNITS = ("bc-web@8000", "bc-web@8001", "bc-worker@1", "bc-scheduler")
QUIET = {"ODOO_WEBHOOK_TIMING": "committed", "LOG_LEVEL": "INFO"}

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.simulator(version=17, webhook_timing="committed"),
]


class Installation:
    """A machine as docs/deployment.md sets it up: two web services, a worker, a scheduler.

    Attributes:
        current: the directory of the release that processes run when they are started.
    """

    def __init__(self, deployment: Deployment, services: Services, current: Path) -> None:
        self.deployment = deployment
        self.current = current
        self.ports = {"8000": free_port(), "8001": free_port()}
        self._services = services
        self._running: dict[str, OwnedProcess] = {}
        self._started = 0

    def manage(self, *words: str) -> str:
        """Run a command of the current release; return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=self.current,
            env=self.deployment.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, unit: str) -> None:
        """Start a unit's process with the current release."""
        kind, _, instance = unit.removeprefix("bc-").partition("@")
        web = ("web", "--host", "127.0.0.1", "--port", str(self.ports.get(instance)))
        worker = ("--processes=1", "--threads=4", "--worker-shutdown-timeout=10000")
        words = {
            "web": web,
            "worker": ("rundramatiq", *worker),
            "scheduler": ("scheduler",),
        }[kind]
        self._started += 1
        self._running[unit] = OwnedProcess(
            [sys.executable, "manage.py", *words],
            environment=self.deployment.environment,
            log=self.deployment.directory / f"{self._started:02}-{unit}.log",
            reaper=self._services.reaper,
            directory=self.current,
        )

    def stop(self, unit: str) -> None:
        """End a unit's process, as systemd does, if it runs."""
        process = self._running.pop(unit, None)
        if process is None:
            return
        process.stop(30)
        assert "Traceback" not in process.log.read_text(), process.log.read_text()[-4000:]

    def ready(self, port: int) -> bool:
        self.deployment.port = port
        try:
            return self.deployment.get("/readyz").status == 200
        except OSError:
            return False

    def wait_ready(self, port: int) -> None:
        self.deployment.wait_until(lambda: self.ready(port), 40, what=f"web on {port}")

    def close(self) -> None:
        for unit in list(self._running):
            self._running.pop(unit).stop(10)

    def logs(self) -> str:
        files = sorted(self.deployment.directory.glob("*-bc-*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files)


def documented_steps() -> list[str]:
    """The commands of docs/upgrade.md that change over to a new release."""
    text = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
    (block,) = re.findall(
        r"test_upgrade\.py plays this block -->\n\s*```sh\n(.*?)```", text, re.DOTALL
    )
    return [line.strip() for line in block.strip().splitlines()]


def play(step: str, machine: Installation, release: Path) -> None:
    """Do what one documented command does on a machine with systemd."""
    words = step.split()
    match words:
        case ["ln", "-sfn", target, "/opt/bc-consumer/current"]:
            assert target == RELEASE
            machine.current = release
        case ["install", *_] | ["systemctl", "daemon-reload"]:
            pass  # tests/unit/test_systemd.py reads the units.
        case ["systemctl", "start", "bc-migrate"]:
            machine.manage("migrate", "--no-input")
        case ["systemctl", "restart", unit]:
            machine.stop(unit)
            machine.start(unit)
        case ["systemctl", "start", unit]:
            machine.start(unit)
        case ["systemctl", "stop", unit]:
            machine.stop(unit)
        case ["sleep", seconds]:
            time.sleep(int(seconds))
        case ["curl", "--silent", "--fail", *_, url]:
            (port,) = re.findall(r"^http://127\.0\.0\.1:(\d+)/readyz$", url)
            machine.wait_ready(machine.ports[port])
        case _:
            pytest.fail(f"docs/upgrade.md has a step that this test can't play: {step}")


@contextmanager
def people_at_work(simulator: Simulator, ids: range) -> Iterator[list[int]]:
    """Have orders changed, made and deleted all the while; the list gets the ids of new ones."""
    made: list[int] = []
    over = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        number = 0
        try:
            while not over.wait(0.04):
                number += 1
                simulator.write_order(ids[number % 900], partner_ref=f"change {number}")
                if number % 5 == 0:
                    made.append(simulator.create_order(lines=[DESK]))
                if number % 20 == 0:
                    simulator.delete_order(made.pop(0))
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join(20)
    assert errors == []


def old_release(directory: Path) -> Path | None:
    """Unpack the old version's code, if the repository's history has it."""
    packed = subprocess.run(
        ["git", "archive", OLD, "bc_consumer", "odoo_webhook", "project", "manage.py"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if packed.returncode != 0:
        return None
    directory.mkdir()
    subprocess.run(["tar", "-x"], cwd=directory, input=packed.stdout, check=True)  # noqa: S607
    return directory


def has_history() -> bool:
    words = ["git", "cat-file", "-e", f"{OLD}^{{commit}}"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[Database]:
    database = postgres.create_database()
    yield database
    postgres.drop_database(database.name)


def numbers(deployment: Deployment, query: str) -> list[Any]:
    return [row[0] for row in deployment.sql(query)]


JOURNAL = "SELECT id FROM bc_consumer_journalentry ORDER BY id"
RUNS = "SELECT id FROM bc_consumer_synclog WHERE status = 'ok'"
FAILED = "SELECT odoo_id FROM bc_consumer_pendingbc WHERE failed_at IS NOT NULL"
HELD = "SELECT odoo_id FROM bc_consumer_pendingbc WHERE held_reason <> ''"
CAUSE = "SELECT last_error FROM bc_consumer_pendingbc WHERE failed_at IS NOT NULL"
WATERMARK = "SELECT last_sync FROM bc_consumer_syncstate"
GROUPS_OF_USER = (
    "SELECT g.name FROM auth_group g JOIN auth_user_groups ug ON ug.group_id = g.id"
    " JOIN auth_user u ON u.id = ug.user_id WHERE u.username = %s"
)


def write_down(deployment: Deployment) -> dict[str, list[Any]]:
    """Return what must be there after the upgrade too."""
    return {query: numbers(deployment, query) for query in (JOURNAL, RUNS, WATERMARK)}


def assert_nothing_is_lost(
    machine: Installation, simulator: Simulator, bad: int, before: dict[str, list[Any]]
) -> None:
    """Compare the copy with Odoo, field by field, and what was owed with what is."""
    deployment = machine.deployment
    # On a busy machine an answer may come after Odoo's second: the event is taken in all the same.
    refused = [
        sent
        for sent in simulator.webhook_deliveries()
        if sent.status != 202 and "timed out" not in sent.error
    ]
    assert refused == []
    others = [odoo_id for odoo_id in simulator.order_ids() if odoo_id != bad]
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, others), 90, what="the copy"
    )
    # What has failed is still told, with its cause, and read again once it can be.
    assert numbers(deployment, FAILED) == [bad]
    assert "cannot compute the amount" in numbers(deployment, CAUSE)[0]
    simulator.faults.cure(bad)
    machine.manage("replay", "--bc", str(bad), "--yes")
    deployment.wait_until(lambda: not differences(simulator, deployment.sql), 60, what="all")
    deployment.wait_until(lambda: deployment.pending() == 0, 30, what="an empty ledger")
    for query in (JOURNAL, RUNS):
        assert set(before[query]) <= set(numbers(deployment, query)), query
    assert numbers(deployment, WATERMARK)[0] >= before[WATERMARK][0]
    assert deployment.sql(GROUPS_OF_USER, OPERATOR) == [("BC operators",)]
    assert "No planned" in machine.manage("migrate", "--plan")


@pytest.fixture
def machine(deploy: Deploy, empty_database: Database, services: Services) -> Iterator[Installation]:
    deployment = deploy(database_url=empty_database.url, settings=QUIET)
    made = Installation(deployment, services, ROOT)
    yield made
    made.close()
    print(made.logs())


@pytest.fixture
def webhook_url(machine: Installation, services: Services, tmp_path: Path) -> Iterator[str]:
    """The address of an nginx in front of both web services."""
    certificate = self_signed(tmp_path / "certificate")
    directory = tmp_path / "nginx"
    directory.mkdir()
    ports = machine.ports.values()
    nginx = or_skip(lambda: TlsNginx(directory, services.reaper, ports, certificate))
    yield f"http://odoo:{machine.deployment.secret}@127.0.0.1:{nginx.port}/odoo/webhook/"
    nginx.stop()


def test_the_steps_lose_nothing_while_both_versions_run(
    machine: Installation, webhook_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    old = old_release(tmp_path / "old")
    if old is None:
        pytest.skip(f"no history: commit {OLD[:7]} is not in this clone (git fetch --unshallow)")
    assert not (old / "bc_consumer/migrations/0031_operator_actions.py").exists()
    deployment, machine.current = machine.deployment, old
    machine.manage("migrate", "--no-input")
    ids = simulator.bulk_create(ORDERS, 2)
    machine.manage("sync_BcLinbc")
    assert deployment.sql("SELECT count(*) FROM bc_consumer_bc") == [(ORDERS,)]
    add_an_operator(deployment)
    for unit in UNITS:
        machine.start(unit)
    for port in machine.ports.values():
        machine.wait_ready(port)
    simulator.install_rules(webhook_url)
    bad = ids[-1]
    make_unreadable(simulator, bad)
    deployment.wait_until(lambda: numbers(deployment, FAILED) == [bad], 60, what="a failure")
    before = write_down(deployment)

    with people_at_work(simulator, ids) as made:
        deployment.wait_until(lambda: len(made) > 5, 30, what="work")
        for step in documented_steps():
            play(step, machine, ROOT)
        deployment.port = machine.ports["8000"]
        written = len(simulator.webhook_deliveries())
        deployment.wait_until(
            lambda: len(simulator.webhook_deliveries()) > written + 50, 30, what="more work"
        )
    assert_nothing_is_lost(machine, simulator, bad, before)


def test_what_the_older_version_left_is_taken_over(
    machine: Installation,
    flow_database: Database,
    webhook_url: str,
    deploy: Deploy,
    simulator: Simulator,
) -> None:
    # A copy with all that may wait in it: made by this version, and left in the older one's tables.
    now = deploy(
        database_url=flow_database.url,
        rabbitmq_url=machine.deployment.environment["RABBITMQ_URL"],
        settings=QUIET,
    )
    now.start(scheduler=False)
    simulator.install_rules(now.webhook_url)
    ids = simulator.bulk_create(SOME_ORDERS if has_history() else ORDERS, 2)
    now.manage("sync_BcLinbc")
    make_unreadable(simulator, bad := ids[-1])
    now.wait_until(lambda: numbers(now, FAILED) == [bad], 60, what="a failure")
    now.stop_workers()
    for odoo_id in ids[:200]:
        simulator.write_order(odoo_id, partner_ref="waits in the ledger")
    waiting = now.owed()
    assert waiting == 200 + 1
    now.sql("UPDATE bc_consumer_pendingbc SET held_reason = 'brake' WHERE odoo_id = %s", ids[0])
    now.close()
    simulator.remove_rules()
    for odoo_id in ids[200:250]:
        simulator.write_order(odoo_id, partner_ref="waits in RabbitMQ")
    deployment = machine.deployment
    put(deployment, [encode([(odoo_id, Mark("webhook"))]) for odoo_id in ids[200:250]])
    simulator.webhooks_clear()

    machine.manage("migrate", "--no-input", "bc_consumer", OLD_MIGRATION)
    for app in ("auth", "admin", "sessions", "django_dramatiq"):
        machine.manage("migrate", "--no-input", app)
    copy_into_older_tables(flow_database, deployment)
    for new, older in GROUPS.items():
        deployment.sql("UPDATE auth_group SET name = %s WHERE name = %s", older, new)
    add_an_operator(deployment)
    assert deployment.sql("SELECT count(*) FROM bc_consumer_bc") == [(len(ids),)]
    assert deployment.owed() == waiting
    before = write_down(deployment)

    for step in documented_steps():
        play(step, machine, ROOT)
    deployment.port = machine.ports["8000"]
    simulator.install_rules(webhook_url)
    with people_at_work(simulator, ids[250:]) as made:
        deployment.wait_until(lambda: len(made) > 10, 30, what="work")
    deployment.wait_drained(90)
    assert numbers(deployment, HELD) == [ids[0]]
    simulator.write_order(ids[0], partner_ref="its webhook lets it go")
    assert_nothing_is_lost(machine, simulator, bad, before)


def make_unreadable(simulator: Simulator, odoo_id: int) -> None:
    simulator.faults.poison(odoo_id, text="ValueError: cannot compute the amount")
    simulator.write_order(odoo_id, partner_ref="unreadable")


def add_an_operator(deployment: Deployment) -> None:
    """Give somebody the older version's group of operators."""
    deployment.sql(
        "INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active, first_name,"
        " last_name, email, date_joined) VALUES (%s, '!', false, true, true, '', '', '', now())",
        OPERATOR,
    )
    deployment.sql(
        "INSERT INTO auth_user_groups (user_id, group_id)"
        " SELECT u.id, g.id FROM auth_user u, auth_group g"
        " WHERE u.username = %s AND g.name = 'BC operator'",
        OPERATOR,
    )


def copy_into_older_tables(source: Database, deployment: Deployment) -> None:
    """Copy all rows of this service, without the columns that the older version has not got."""
    giving, taking = psycopg2.connect(source.url), psycopg2.connect(deployment.database_url)
    try:
        with giving, taking, giving.cursor() as give, taking.cursor() as take:
            take.execute("SET session_replication_role = replica")  # in whatever order
            tables = columns_of(take)
            take.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
            for table, columns in tables.items():
                shared = ", ".join(
                    f'"{name}"' for name in sorted(columns & columns_of(give).get(table, set()))
                )
                assert shared, table
                rows = BytesIO()
                give.copy_expert(f"COPY (SELECT {shared} FROM {table}) TO STDOUT", rows)
                rows.seek(0)
                take.copy_expert(f"COPY {table} ({shared}) FROM STDIN", rows)
                if "id" in columns:
                    take.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
                    ((sequence,),) = take.fetchall()
                    if sequence:
                        highest = f"(SELECT coalesce(max(id), 0) + 1 FROM {table})"
                        take.execute(f"SELECT setval(%s, {highest}, false)", [sequence])
    finally:
        giving.close()
        taking.close()


def columns_of(cursor: psycopg2.extensions.cursor) -> dict[str, set[str]]:
    """Return this service's tables with their columns."""
    cursor.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name LIKE 'bc\\_consumer\\_%'"
    )
    found: dict[str, set[str]] = {}
    for table, column in cursor.fetchall():
        found.setdefault(table, set()).add(column)
    return found
