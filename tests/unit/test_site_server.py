"""The bridge from granian's RSGI to a WSGI application: threads, bodies, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from granian._granian import RSGIProtocolClosed

from odoo_webhook import site_server
from odoo_webhook.fast_path import Reply
from odoo_webhook.site_server import (
    BodyReader,
    Refused,
    RequestPolicy,
    Server,
    ThreadQuota,
    environ_of,
)

FOR_EVER = 60.0
BODIES = BodyReader(1, 4, FOR_EVER)


class Fields:
    """Headers, as granian gives them."""

    def __init__(self, *fields: tuple[str, str]) -> None:
        self._fields = fields

    def items(self) -> list[tuple[str, str]]:
        return list(self._fields)

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self._fields if key == name), default)

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self._fields)


@dataclass
class Scope:
    """A request's head."""

    method: str = "GET"
    path: str = "/"
    headers: Fields = field(default_factory=Fields)
    query_string: str = ""
    proto: str = "http"
    http_version: str = "1.1"
    scheme: str = "http"
    server: str = "127.0.0.1:8000"
    client: str = "[::1]:4711"


@dataclass
class Protocol:
    """Gives a body, or never comes to its end, or is closed; keeps the answer."""

    body: bytes | None = b""
    closed: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    reads: int = 0

    async def __call__(self) -> bytes:
        self.reads += 1
        if self.closed:
            raise RSGIProtocolClosed
        if self.body is None:
            await asyncio.sleep(FOR_EVER)
        return self.body or b""

    def response_str(self, status: int, headers: list[tuple[str, str]], body: str) -> None:
        self.response_bytes(status, headers, body.encode())

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.response_bytes(status, headers, b"")

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers = status, dict(headers)
        self.sent.append(body)

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Protocol:
        self.status, self.headers = status, dict(headers)
        return self

    async def send_bytes(self, piece: bytes) -> None:
        self.sent.append(piece)


Application = Callable[..., Iterable[bytes]]


def echo(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read()]


def serve(
    scope: Scope,
    protocol: Protocol,
    application: Application = echo,
    *,
    quota: ThreadQuota | None = None,
    bodies: BodyReader | None = None,
    strict: bool = True,
    on_lost: Callable[[], object] | None = None,
) -> Protocol:
    policy = RequestPolicy(quota or ThreadQuota(4, 4, 1.0), bodies, strict, on_lost=on_lost)
    server = Server(application, 4, lambda _scope: policy)
    asyncio.run(server.__rsgi__(scope, protocol))
    return protocol


def post(length: int | str = 4) -> Scope:
    return Scope("POST", headers=Fields(("content-length", str(length))))


def test_a_body_reaches_the_application() -> None:
    told = serve(post(), Protocol(b"body"), bodies=BodyReader(1, 4, FOR_EVER))
    assert (told.status, told.sent) == (200, [b"body"])
    assert "connection" not in told.headers


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (post(5), 413),
        (post("9" * 40), 413),
        (Scope("POST", headers=Fields(("transfer-encoding", "chunked"))), 411),
    ],
)
def test_bodies_that_are_refused_by_their_head(scope: Scope, status: int) -> None:
    for strict in (True, False):
        told = serve(scope, Protocol(b"body"), bodies=BodyReader(1, 4, FOR_EVER), strict=strict)
        # Where the application refuses by itself, it gets the head alone.
        assert told.status == (status if strict else 200)
        assert told.reads == 0
        assert told.headers["connection"] == "close"


@pytest.mark.parametrize("scope", [post(), Scope("GET", headers=Fields(("content-length", "4")))])
def test_a_body_that_nobody_wants_is_not_read(scope: Scope) -> None:
    bodies = BodyReader(1, 4, FOR_EVER) if scope.method == "GET" else None
    told = serve(scope, Protocol(None), bodies=bodies)
    assert (told.status, told.reads, told.headers["connection"]) == (200, 0, "close")


def test_a_body_has_a_deadline() -> None:
    told = serve(post(), Protocol(None), bodies=BodyReader(1, 4, 0.05))
    assert (told.status, told.headers["connection"]) == (408, "close")


def test_the_eldest_body_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def outcomes() -> list[object]:
        bodies = BodyReader(2, 4, FOR_EVER)
        slow = [asyncio.create_task(bodies.read(Protocol(None))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="at once"):  # none of them has had time to come
            await bodies.read(Protocol(b"body"))
        monkeypatch.setattr(site_server, "YOUNG_SECONDS", 0.0)
        read = await bodies.read(Protocol(b"body"))
        done, waiting = await asyncio.wait(slow, timeout=0.1)
        for task in waiting:
            task.cancel()
        return [read, [task.exception() for task in done], len(waiting)]

    read, given_up, waiting = asyncio.run(outcomes())
    assert (read, waiting) == (b"body", 1)
    assert isinstance(given_up, list)
    (refused,) = given_up
    assert refused.status == 408


def test_a_quota_bounds_who_is_served_and_who_waits() -> None:
    async def refusals() -> list[str]:
        quota, why = ThreadQuota(1, 1, 0.05), []
        async with quota.turn():
            waiting = asyncio.create_task(quota.turn().__aenter__())
            await asyncio.sleep(0)
            for entering in (quota.turn().__aenter__(), waiting):
                try:
                    await entering
                except Refused as refused:
                    why.append(f"{refused.status} {refused.why}")
        async with quota.turn():
            return why

    assert asyncio.run(refusals()) == [
        "503 too many requests at once; try again in a moment",
        "503 no thread became free in time; try again in a moment",
    ]


def test_who_is_refused_is_told_when_to_come_again() -> None:
    told = serve(Scope(), Protocol(), quota=ThreadQuota(0, 0, 1.0))
    assert (told.status, told.headers["retry-after"]) == (503, "5")


class Lost:
    """Counts what a caller will never know to have been lost."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.mark.parametrize(
    ("scope", "protocol", "quota", "bodies", "status"),
    [
        (Scope(), Protocol(), ThreadQuota(0, 0, 1.0), None, 503),
        (post(), Protocol(None), None, BodyReader(1, 4, 0.05), 408),
        (post(), Protocol(closed=True), None, BODIES, 400),
        (post(5), Protocol(b"body"), None, BODIES, 413),
    ],
)
def test_an_event_that_came_to_nothing_is_made_known(
    scope: Scope,
    protocol: Protocol,
    quota: ThreadQuota | None,
    bodies: BodyReader | None,
    status: int,
) -> None:
    """One that was given up here is known to nobody else."""
    lost = Lost()
    told = serve(scope, protocol, quota=quota, bodies=bodies, on_lost=lost)
    assert (told.status, lost.times) == (status, 1)


def test_an_event_that_was_answered_is_not_lost() -> None:
    lost = Lost()
    serve(post(), Protocol(b"body"), bodies=BODIES, on_lost=lost)
    # What the application refuses by the head is its own matter.
    serve(post(5), Protocol(b"body"), bodies=BODIES, strict=False, on_lost=lost)
    assert lost.times == 0


@pytest.mark.parametrize("status", [500, 503, 400, 401])
def test_an_error_of_ours_is_made_known(status: int) -> None:
    """Whatever failed: a middleware, before the application's own code had the event."""

    def application(_environ: object, start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response(f"{status} x", [])
        return [b"x"]

    lost = Lost()
    serve(post(), Protocol(b"body"), application, bodies=BODIES, on_lost=lost)
    assert lost.times == (status >= 500)


def test_an_application_that_raises_has_lost_the_event() -> None:
    def application(_environ: object, _start_response: object) -> Iterable[bytes]:
        raise ZeroDivisionError

    lost = Lost()
    serve(post(), Protocol(b"body"), application, bodies=BODIES, on_lost=lost)
    assert lost.times == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
def test_an_event_that_failed_on_the_loop_is_made_known(error: type[BaseException]) -> None:
    async def take_in(_scope: object, _body: bytes, _arrived: float) -> None:
        raise error

    lost = Lost()
    policy = RequestPolicy(ThreadQuota(4, 4, 1.0), BODIES, take_in=take_in, on_lost=lost)
    served = Server(echo, 4, lambda _scope: policy)
    with pytest.raises(error):
        asyncio.run(served.__rsgi__(post(), Protocol(b"body")))
    assert lost.times == 1


def test_what_is_not_taken_in_on_the_loop_reaches_the_application() -> None:
    async def take_in(_scope: object, body: bytes, _arrived: float) -> Reply | None:
        return Reply(202, [("x", "y")], b"taken") if body == b"easy" else None

    policy = RequestPolicy(ThreadQuota(4, 4, 1.0), BODIES, take_in=take_in)
    served = Server(echo, 4, lambda _scope: policy)
    told = [Protocol(b"easy"), Protocol(b"body")]
    for protocol in told:
        asyncio.run(served.__rsgi__(post(), protocol))
    assert [(one.status, one.sent) for one in told] == [(202, [b"taken"]), (200, [b"body"])]


def test_an_event_whose_place_another_took_is_made_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_server, "YOUNG_SECONDS", 0.0)
    lost = Lost()

    async def statuses() -> list[int]:
        policy = RequestPolicy(ThreadQuota(4, 4, 1.0), BodyReader(1, 4, FOR_EVER), on_lost=lost)
        server = Server(echo, 4, lambda _scope: policy)
        eldest, newest = Protocol(None), Protocol(b"body")
        reading = asyncio.create_task(server.__rsgi__(post(), eldest))
        await asyncio.sleep(0)
        await server.__rsgi__(post(), newest)
        await asyncio.wait_for(reading, 5)
        return [eldest.status, newest.status]

    assert asyncio.run(statuses()) == [408, 200]
    assert lost.times == 1


def test_the_environment_of_a_request() -> None:
    fields = Fields(
        ("host", "copy.example.com"),
        ("content-type", "application/json"),
        ("x-forwarded-proto", "http"),
        ("x_forwarded_proto", "https"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("accept", "text/html"),
        ("accept", "*/*"),
    )
    environ = environ_of(Scope("POST", "/é", fields, "a=%ff&b=é€"), b"body")
    assert environ["PATH_INFO"] == "/Ã©"
    # As WSGI has it: bytes, each of them as one character.
    assert environ["QUERY_STRING"].encode("latin-1") == "a=%ff&b=é€".encode()
    assert environ["REMOTE_ADDR"] == "::1"
    assert environ["CONTENT_TYPE"] == "application/json"
    assert environ["HTTP_COOKIE"] == "a=b; c=d"
    assert environ["HTTP_ACCEPT"] == "text/html,*/*"
    assert environ["HTTP_X_FORWARDED_PROTO"] == "http", "nobody forges what the proxy set"
    assert environ["wsgi.input"].read() == b"body"


class Answer:
    """What Django returns: pieces, and whether it was closed."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"x" * 1000] * self.pieces)

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(("pieces", "in_how_many"), [(0, 1), (3, 1), (8, 5)])
def test_an_answer_is_sent_whole_or_the_rest_of_it_in_pieces(
    monkeypatch: pytest.MonkeyPatch, pieces: int, in_how_many: int
) -> None:
    monkeypatch.setattr(site_server, "WHOLE_BYTES", 3500)
    answer = Answer(pieces)

    def application(_environ: object, start_response: Callable[..., object]) -> Answer:
        start_response("200 OK", [])
        return answer

    told = serve(Scope(), Protocol(), application)
    assert b"".join(told.sent) == b"x" * 1000 * pieces
    assert len(told.sent) == in_how_many
    assert answer.closed == 1


class MadeWhileRead(Answer):
    """A response of Django's whose length nobody knows."""

    streaming = True


def made_while_read(headers: list[tuple[str, str]]) -> tuple[Application, MadeWhileRead]:
    answer = MadeWhileRead(5)

    def application(_environ: object, start_response: Callable[..., object]) -> MadeWhileRead:
        start_response("200 OK", headers)
        return answer

    return application, answer


def test_an_answer_that_is_made_while_it_is_read_begins_at_once() -> None:
    application, answer = made_while_read([])
    told = serve(Scope(), Protocol(), application)
    assert [len(piece) for piece in told.sent] == [1000] * 5
    assert answer.closed == 1
    application, _answer = made_while_read([("Content-Length", "5000")])
    assert len(serve(Scope(), Protocol(), application).sent) == 1


class SlowReader(Protocol):
    """Reads the first piece, and takes ``seconds`` for each further one."""

    seconds = FOR_EVER

    async def send_bytes(self, piece: bytes) -> None:
        if self.sent:
            await asyncio.sleep(self.seconds)
        self.sent.append(piece)


@pytest.mark.parametrize(("name", "seconds"), [("PIECE_SECONDS", 60.0), ("STREAM_SECONDS", 0.02)])
def test_a_reader_who_is_too_slow_holds_nothing_for_long(
    monkeypatch: pytest.MonkeyPatch, name: str, seconds: float
) -> None:
    monkeypatch.setattr(site_server, name, 0.05)
    monkeypatch.setattr(SlowReader, "seconds", seconds)
    application, answer = made_while_read([])
    quota = ThreadQuota(1, 0, 1.0)
    told = serve(Scope(), SlowReader(), application, quota=quota)
    assert 1 <= len(told.sent) < 5
    assert answer.closed == 1
    assert not quota._free.locked(), "the place is free for the next one"


def test_an_application_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def application(_environ: object, _start_response: object) -> Iterable[bytes]:
        raise ZeroDivisionError

    assert serve(Scope(path="/a"), Protocol(), application).status == 500
    assert "/a: the application failed" in caplog.text
