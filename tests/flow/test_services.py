"""The servers and the broken networks that other tests rely on do what they promise."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import pika
import psycopg2
import pytest

from tests.services.gate import Blackhole, Gate, SilentAddress
from tests.services.postgres import Database, Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.session import Services
from tests.services.waiting import DeadlineMissedError, wait_until


def _ask(server: Postgres, seconds: float) -> str:
    """Return "answered", "refused" or "silent"."""
    where = server.address
    try:
        with socket.create_connection((where.host, where.port), timeout=seconds) as one:
            one.settimeout(seconds)
            # PostgreSQL's request for TLS: answered by one letter before any login.
            one.sendall(bytes((0, 0, 0, 8, 4, 210, 22, 47)))
            return "answered" if one.recv(1) else "refused"
    except TimeoutError:
        return "silent"
    except ConnectionError:
        return "refused"


def test_a_paused_postgres_is_silent_and_goes_on(private_postgres: Postgres) -> None:
    connection = private_postgres.connect()
    private_postgres.pause()
    assert _ask(private_postgres, 0.5) == "silent"
    private_postgres.resume()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    connection.close()


def test_a_stopped_and_a_killed_postgres_refuse_and_keep_their_data(
    private_postgres: Postgres,
) -> None:
    database = private_postgres.create_database()
    private_postgres.stop()
    assert _ask(private_postgres, 2) == "refused"
    private_postgres.start()
    private_postgres.kill()
    assert _ask(private_postgres, 2) == "refused"
    private_postgres.start()
    private_postgres.connect(database.name).close()


def test_a_fresh_database_has_the_schema_and_no_rows(
    flow_database: Database, postgres: Postgres
) -> None:
    connection = postgres.connect(flow_database.name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM bc_consumer_pendingbc")
        assert cursor.fetchone() == (0,)
    connection.close()


def test_virtual_hosts_do_not_share_queues(rabbitmq: RabbitMQ) -> None:
    if rabbitmq.control is None:
        pytest.skip("a RabbitMQ given by URL has one virtual host")
    first, second = rabbitmq.new_vhost(), rabbitmq.new_vhost()
    connection = rabbitmq.connect(first)
    connection.channel().queue_declare("one")
    connection.close()
    assert rabbitmq.queues(first) == {"one": 0}
    assert rabbitmq.queues(second) == {}


def test_a_memory_alarm_blocks_publishers(private_rabbitmq: RabbitMQ) -> None:
    vhost = private_rabbitmq.new_vhost()
    private_rabbitmq.raise_memory_alarm()
    connection = private_rabbitmq.connect(vhost)
    blocked: list[object] = []
    connection.add_on_connection_blocked_callback(lambda *_: blocked.append(1))
    connection.channel().basic_publish("", "nowhere", b"x", pika.BasicProperties())
    deadline = time.monotonic() + 30
    while not blocked and time.monotonic() < deadline:
        connection.process_data_events(time_limit=0.1)
    assert blocked
    private_rabbitmq.clear_memory_alarm()
    connection.close()


def test_a_killed_rabbitmq_comes_back_with_what_it_confirmed(private_rabbitmq: RabbitMQ) -> None:
    vhost = private_rabbitmq.new_vhost()
    with closing(private_rabbitmq.connect(vhost)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True)
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", "kept", b"one", persistent, mandatory=True)
    private_rabbitmq.keep_what_was_declared()
    private_rabbitmq.kill()
    assert not private_rabbitmq.accepts(vhost)
    private_rabbitmq.start()

    def what_is_kept() -> bytes | None:
        with closing(private_rabbitmq.connect(vhost)) as again:
            body: bytes | None = again.channel().basic_get("kept")[2]
            return body

    assert wait_until(what_is_kept, what="the message to be back") == b"one"


def test_a_gate_forwards_holds_back_and_resets(postgres: Postgres) -> None:
    with Gate(postgres.address.host, postgres.address.port) as gate:
        where = postgres.address
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=gate.port,
            user=where.user,
            password=where.password,
            dbname="postgres",
        )
        gate.swallow()
        with socket.create_connection(("127.0.0.1", gate.port), timeout=30) as one:
            one.settimeout(0.3)
            one.sendall(bytes((0, 0, 0, 8, 4, 210, 22, 47)))
            with pytest.raises(TimeoutError):
                one.recv(1)
            gate.open()
            one.settimeout(30)
            assert one.recv(1)
        gate.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gate.port), timeout=30)
        with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.close()


def test_a_blackhole_accepts_and_never_answers() -> None:
    with (
        Blackhole() as hole,
        socket.create_connection(("127.0.0.1", hole.port), timeout=30) as one,
    ):
        one.settimeout(0.3)
        one.sendall(b"anybody there?")
        with pytest.raises(TimeoutError):
            one.recv(1)


def test_a_silent_address_does_not_even_connect() -> None:
    with SilentAddress() as silent, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", silent.port), timeout=0.5)


def test_a_missed_deadline_says_what_was_waited_for() -> None:
    with pytest.raises(DeadlineMissedError, match="the moon; last: 0"):
        wait_until(lambda: 0, 0.1, what="the moon")


def test_a_run_removes_its_servers_and_directory(tmp_path: object) -> None:
    services = Services(ignore_kept=True)
    server = services.start_postgres()
    directory = services.directory
    assert directory.exists()
    services.close()
    assert not directory.exists()
    assert _ask(server, 2) == "refused"
