"""Fixtures for all tiers. What is real here: PostgreSQL, RabbitMQ, processes, HTTP."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from django.db import connections
from django.utils import translation

from bc_consumer.core.counters import totals
from bc_consumer.operations import heartbeats
from odoo_simulator import Simulator
from tests import emptying
from tests.dealing import dealt
from tests.harness import Deployment
from tests.services.gate import Gate
from tests.services.owned import ServiceMissingError
from tests.services.postgres import Database, Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.session import Services
from tests.services.waiting import DeadlineMissedError, wait_until

T = TypeVar("T")

DEPLOYMENTS = pytest.StashKey[list[Deployment]]()
ON_SQLITE = os.environ.get("TEST_DATABASE", "postgresql") == "sqlite"

emptying.install()

# Each test drops thousands of objects. With Python's own limit of 700 the collector looks through
# them some hundred times a test, which takes a sixteenth of the suite's processor time.
gc.set_threshold(100_000, 20, 50)


def or_skip(start: Callable[[], T]) -> T:
    """Start a server; where it can't be had, skip with the reason, in CI fail."""
    try:
        return start()
    except ServiceMissingError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def same_on_sqlite(item: pytest.Item) -> bool:
    """Tell whether a test of tests/db has servers of its own, and nothing of Django's database."""
    used = set(getattr(item, "fixturenames", ()))
    return (
        item.path.parent.name == "db"
        and "services" in used
        and not used & {"db", "transactional_db"}
        and item.get_closest_marker("django_db") is None
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let what takes long begin first, where several processes share the tests.

    On SQLite, leave out what would be played as on PostgreSQL.
    """
    if ON_SQLITE and (twice := [item for item in items if same_on_sqlite(item)]):
        config.hook.pytest_deselected(items=twice)
        items[:] = [item for item in items if item not in twice]
    gc.collect()
    gc.freeze()
    for item in items:
        slow = item.get_closest_marker("slow")
        if slow and not (slow.args and slow.args[0]):
            raise pytest.UsageError(f"{item.nodeid} is slow and does not say why")
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        items[:] = dealt(items, processes)


@pytest.fixture(autouse=True)
def _no_language_left_behind() -> Iterator[None]:
    """A request in French leaves its thread French; the next test reads English."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    """What an earlier test counted is not flushed in this one."""
    totals.take()


@pytest.fixture(autouse=True, scope="session")
def _the_tests_are_no_web_process() -> Iterator[None]:
    """Loading the site starts a web process's heart, which would beat in every later test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heartbeats, "start_web_heart", lambda: None)
        yield


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """The servers of this run; nothing is started before it is asked for."""
    started = Services()
    yield started
    started.close()


@pytest.fixture(scope="session")
def postgres(services: Services) -> Postgres:
    """A PostgreSQL that all tests share; break a ``private_postgres`` instead."""
    return or_skip(lambda: services.postgres)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database, which PostgreSQL drops only once nobody else is connected to it."""
    yield
    if ON_SQLITE:
        return

    def others() -> list[tuple[object, ...]]:
        gc.collect()  # connections of ended threads may be held in cycles
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT pid, state, now() - state_change, query FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return list(cursor.fetchall())

    with django_db_blocker.unblock():
        try:
            wait_until(lambda: not others(), 30, every=0.1)
        except DeadlineMissedError:
            pytest.fail(f"Sessions that some test has left behind: {others()}")
        finally:
            connections["default"].close()


@pytest.fixture(scope="session")
def rabbitmq(services: Services) -> RabbitMQ:
    """A RabbitMQ that all tests share; break the ``private_rabbitmq`` instead."""
    return or_skip(lambda: services.rabbitmq)


@pytest.fixture
def private_postgres(services: Services) -> Iterator[Postgres]:
    """A PostgreSQL of this test alone, to be paused, stopped, killed."""
    server = or_skip(services.start_postgres)
    yield server
    server.resume()
    server.stop()


@pytest.fixture
def postgres_with_own_clock(services: Services) -> Iterator[Postgres]:
    """A PostgreSQL of this test alone, whose clock ``step_clock()`` sets while it runs."""
    server = or_skip(services.start_postgres_with_own_clock)
    yield server
    server.stop()


@pytest.fixture
def private_rabbitmq(services: Services) -> Iterator[RabbitMQ]:
    """A RabbitMQ that tests may break, one after the other; put right again after each."""
    broker = or_skip(lambda: services.private_rabbitmq)
    yield broker
    broker.resume()
    if not broker.accepts():
        broker.stop()
        broker.start()
    broker.clear_memory_alarm()


@pytest.fixture
def vhost_url(rabbitmq: RabbitMQ) -> str:
    """The AMQP URL of an empty virtual host."""
    return rabbitmq.url(rabbitmq.new_vhost())


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest) -> None:
    """Point Django at the PostgreSQL of this run, before its test database is made."""
    if ON_SQLITE:
        return
    server: Postgres = request.getfixturevalue("postgres")
    where = server.address
    connections["default"].settings_dict.update(
        HOST=where.host,
        PORT=str(where.port),
        USER=where.user,
        PASSWORD=where.password,
        # Not «test_bc»: another run on the same server would drop it.
        NAME=f"bc_{os.getpid()}",
    )


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A database with all migrations, to be copied; never connect to it."""
    template = postgres.create_database(name=f"template_{os.getpid()}")
    Deployment.migrate(template.url, tmp_path_factory.mktemp("migrate"))
    return template


@pytest.fixture
def flow_database(postgres: Postgres, migrated_template: Database) -> Iterator[Database]:
    """A fresh, migrated database of this test alone, for processes outside this one."""
    database = postgres.create_database(template=migrated_template.name)
    yield database
    postgres.drop_database(database.name)


@pytest.fixture
def gate_to_rabbitmq(rabbitmq: RabbitMQ) -> Iterator[Gate]:
    """A forwarder in front of RabbitMQ that can refuse or swallow everything."""
    with Gate(rabbitmq.address.host, rabbitmq.address.port) as gate:
        yield gate


@pytest.fixture
def gate_to_postgres(postgres: Postgres) -> Iterator[Gate]:
    """A forwarder in front of PostgreSQL that can refuse or swallow everything."""
    with Gate(postgres.address.host, postgres.address.port) as gate:
        yield gate


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """A running simulated Odoo; ``@pytest.mark.simulator(version=19)`` chooses how it is built."""
    if _shares(request.node):
        yield request.getfixturevalue("simulator_of_module")
        return
    with Simulator(**_options(request.node, "simulator")) as started:
        yield started


@pytest.fixture(scope="module")
def simulator_of_module(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """The ``simulator`` of a module whose tests share one deployment."""
    with Simulator(**_options(request.node, "simulator")) as started:
        yield started


def show_when_it_fails(test: pytest.Item, deployment: Deployment) -> None:
    """Have the logs of its processes beside the test's traceback."""
    test.stash.setdefault(DEPLOYMENTS, []).append(deployment)


def _options(node: pytest.Item, name: str) -> dict[str, Any]:
    marker = node.get_closest_marker(name)
    return dict(marker.kwargs) if marker else {}


def _shares(node: pytest.Item) -> bool:
    return bool(_options(node, "deployment").get("shared"))


class Deploy(Protocol):
    """What the fixture ``deploy`` is."""

    def __call__(self, *, settings: Mapping[str, str] | None = None, **options: str) -> Deployment:
        """Make a deployment; ``options`` replace URLs, e.g. ``rabbitmq_url`` by a gate's."""


@pytest.fixture
def deploy(request: pytest.FixtureRequest, services: Services, tmp_path: Path) -> Iterator[Deploy]:
    """Make deployments that are not started yet, on fresh databases and virtual hosts."""
    made: list[Deployment] = []

    def make(*, settings: Mapping[str, str] | None = None, **options: str) -> Deployment:
        for name, fixture in (("odoo_url", "simulator"), ("database_url", "flow_database")):
            if name not in options:
                options[name] = request.getfixturevalue(fixture).url
        if "rabbitmq_url" not in options:
            options["rabbitmq_url"] = request.getfixturevalue("vhost_url")
        directory = tmp_path / f"deployment-{len(made)}"
        directory.mkdir()
        deployment = Deployment(
            directory,
            services.reaper,
            database_url=options["database_url"],
            rabbitmq_url=options["rabbitmq_url"],
            odoo_url=options["odoo_url"],
            settings=settings,
        )
        made.append(deployment)
        show_when_it_fails(request.node, deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.close()


@pytest.fixture
def deployment(request: pytest.FixtureRequest, deploy: Deploy, simulator: Simulator) -> Deployment:
    """A running deployment whose webhook is installed in the ``simulator``.

    ``@pytest.mark.deployment(workers=2, settings={…})`` chooses the number of workers (1), whether
    there is a scheduler (True), and further settings. With ``shared=True`` in a module's
    ``pytestmark`` all its tests have the same one, and the same simulator: each test makes orders
    of its own.
    """
    if _shares(request.node):
        shared: Deployment = request.getfixturevalue("deployment_of_module")
        show_when_it_fails(request.node, shared)
        return shared
    options = _options(request.node, "deployment")
    made = deploy(settings=options.pop("settings", None))
    made.start(**options)
    simulator.install_rules(made.webhook_url)
    return made


@pytest.fixture(scope="module")
def deployment_of_module(
    request: pytest.FixtureRequest,
    services: Services,
    postgres: Postgres,
    migrated_template: Database,
    rabbitmq: RabbitMQ,
    simulator_of_module: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """The ``deployment`` of a module whose tests share one."""
    options = _options(request.node, "deployment")
    del options["shared"]
    database = postgres.create_database(template=migrated_template.name)
    with Deployment(
        tmp_path_factory.mktemp("deployment"),
        services.reaper,
        database_url=database.url,
        rabbitmq_url=rabbitmq.url(rabbitmq.new_vhost()),
        odoo_url=simulator_of_module.url,
        settings=options.pop("settings", None),
    ) as made:
        made.start(**options)
        simulator_of_module.install_rules(made.webhook_url)
        yield made
    postgres.drop_database(database.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of a failed test's processes beside its traceback."""
    report = yield
    deployments = item.stash.get(DEPLOYMENTS, [])
    if report.failed and call.when == "call":
        for deployment in deployments:
            report.sections.append(("processes", deployment.log_tails()))
    return report
