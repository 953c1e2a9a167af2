"""PostgreSQL stands still, and people look at pages: webhook and /healthz answer all the same."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import dj_database_url
import pytest
import pytest_django
from django.db import ProgrammingError
from django.db.utils import ConnectionHandler
from psycopg2 import extensions

from bc_consumer.core import database_deadline
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.conftest import or_skip, show_when_it_fails
from tests.harness import Deployment
from tests.probing import RATE, probing
from tests.services.postgres import Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.session import Services

VIEWS = 64
"""As many as a web process has threads."""
THEIR_PATIENCE_SECONDS = 5.0
SECONDS = 14
SETTINGS = {"ODOO_WEBHOOK_TIMING": "committed"}

pytestmark = [
    pytest.mark.calm,
    pytest.mark.timeout(180),
    pytest.mark.simulator(version=17, webhook_timing="committed"),
]


@pytest.fixture(scope="module")
def private_postgres(services: Services) -> Iterator[Postgres]:
    """One for all these tests: each leaves it running."""
    server = or_skip(services.start_postgres)
    yield server
    server.resume()
    server.stop()


@pytest.fixture(scope="module")
def simulator(simulator_of_module: Simulator) -> Simulator:
    return simulator_of_module


@pytest.fixture(scope="module")
def started(
    services: Services,
    private_postgres: Postgres,
    rabbitmq: RabbitMQ,
    simulator: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    database = private_postgres.create_database()
    Deployment.migrate(database.url, tmp_path_factory.mktemp("migrate"))
    with Deployment(
        tmp_path_factory.mktemp("deployment"),
        services.reaper,
        database_url=database.url,
        rabbitmq_url=rabbitmq.url(rabbitmq.new_vhost()),
        odoo_url=simulator.url,
        settings=SETTINGS,
    ) as made:
        yield made.start(workers=1, scheduler=False)


@pytest.fixture
def deployment(started: Deployment, request: pytest.FixtureRequest) -> Deployment:
    show_when_it_fails(request.node, started)
    started.wait_until(lambda: started.get("/").status in {200, 302}, what="pages to be there")
    return started


def look(deployment: Deployment, path: str = "/") -> socket.socket:
    """Ask for a page as somebody who was logged in once."""
    connection = socket.create_connection(("127.0.0.1", deployment.port), timeout=30)
    cookie = f"Cookie: sessionid={secrets.token_hex(16)}\r\nAccept-Language: fr\r\n"
    host = f"Host: 127.0.0.1:{deployment.port}\r\n"
    connection.sendall(f"GET {path} HTTP/1.1\r\n{host}{cookie}\r\n".encode())
    return connection


def read(connection: socket.socket) -> str:
    """Return the answer, to its end."""
    text = b""
    while b"</html>" not in text and (part := connection.recv(65536)):
        text += part
    return text.decode()


def test_page_views_while_postgresql_stands_still(
    deployment: Deployment, simulator: Simulator, private_postgres: Postgres
) -> None:
    ids = list(simulator.bulk_create(SECONDS * RATE // 2, 1))
    with probing(deployment, ids) as probed, ExitStack() as viewers:
        private_postgres.pause()
        try:
            for path in ["/"] * VIEWS + ["/today/", "/admin/"] * 5:
                viewers.enter_context(look(deployment, path))
            threading.Event().wait(THEIR_PATIENCE_SECONDS)
            viewers.close()
            # Open tabs of the live page go on asking, once a second.
            for _ in range(3):
                for _tab in range(10):
                    viewers.enter_context(look(deployment, "/today/"))
                threading.Event().wait(1.0)
        finally:
            private_postgres.resume()
    assert probed.late() == []
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, ids), 40, what="all that got a 202"
    )


def test_a_page_says_what_is_the_matter(deployment: Deployment, private_postgres: Postgres) -> None:
    private_postgres.pause()
    began = time.monotonic()
    try:
        with look(deployment) as connection:
            answer = read(connection)
    finally:
        private_postgres.resume()
    assert answer.startswith("HTTP/1.1 503 "), answer[:200]
    assert time.monotonic() - began < 10
    assert "retry-after: " in answer.lower()
    assert "default-src 'none'" in answer
    assert '<html lang="fr">' in answer
    assert "Traceback" not in deployment.logs()
    deployment.wait_until(
        lambda: deployment.get("/").status in {200, 302}, what="pages to be there again"
    )


def test_what_django_asks_between_two_requests_has_a_deadline(
    private_postgres: Postgres, django_db_blocker: pytest_django.DjangoDbBlocker
) -> None:
    """After an error of a statement it asks whether the connection works, outside of any page."""
    url = private_postgres.create_database().url
    given_up: list[float] = []

    def asked() -> None:
        with django_db_blocker.unblock():
            connection = ConnectionHandler({"default": dict(dj_database_url.parse(url))})["default"]
            with pytest.raises(ProgrammingError), connection.cursor() as cursor:
                cursor.execute("SELECT no_such_column")
            private_postgres.pause()
            began = time.monotonic()
            connection.close_if_unusable_or_obsolete()
            given_up.append(time.monotonic() - began)
            assert connection.connection is None

    before = extensions.get_wait_callback()
    database_deadline.install()
    thread = threading.Thread(target=asked, daemon=True)
    thread.start()
    thread.join(4 * database_deadline.LONGEST_SECONDS)
    private_postgres.resume()
    extensions.set_wait_callback(before)
    assert given_up
    assert given_up[0] >= database_deadline.LONGEST_SECONDS


def test_a_page_says_it_of_a_database_that_is_shut_down(
    deployment: Deployment, private_postgres: Postgres
) -> None:
    private_postgres.stop()
    with look(deployment) as connection:
        answer = read(connection)
    private_postgres.start()
    assert answer.startswith("HTTP/1.1 503 "), answer[:200]
    assert "Traceback" not in deployment.logs()
