"""The HTTP layer against servers that misbehave in each way we know of."""

import gc
import gzip
import itertools
import socket
import ssl
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bc_consumer.odoo import (
    MissingEndpoint,
    Odoo,
    OdooError,
    OdooInterrupted,
    OdooProtocolError,
    OdooRefused,
    OdooSettings,
    OdooTimeout,
    OdooUnavailable,
    ResponseTooLarge,
)
from bc_consumer.odoo.call_observer import NoObserver
from tests.services.waiting import wait_until
from tests.unit.odoo.serving import (
    PASSWORD,
    Incoming,
    RawServer,
    TinyOdoo,
    captured,
    http,
    serving,
    settings_for,
)

VERSION = http(captured("17_01_version.txt"))


def version_is_answered(_incoming: Incoming) -> bytes:
    return VERSION


def answer(data: bytes) -> Callable[[Incoming], bytes]:
    return lambda _incoming: data


def drip(_incoming: Incoming) -> Iterator[bytes]:
    """Send a byte now and then: each single read is quick, the whole never ends."""
    for position in itertools.count():
        yield VERSION[position : position + 1] or b" "
        time.sleep(0.05)


def wait_for_ever(_incoming: Incoming) -> bytes:
    threading.Event().wait(30)
    return b""


def test_captured_versions_are_read() -> None:
    for name, major in (("17_01_version.txt", 17), ("19_01_version.txt", 19)):
        with serving(answer(http(captured(name)))) as (_server, odoo):
            assert odoo.version().major == major
            assert odoo.version().text == f"{major}.0"


@pytest.mark.parametrize("respond", [drip, wait_for_ever])
def test_the_deadline_holds_for_the_call_as_a_whole(respond: Callable[[Incoming], bytes]) -> None:
    with serving(respond, timeout=0.6) as (_server, odoo):
        began = time.monotonic()
        with pytest.raises(OdooTimeout, match=r"within 0\.6 s"):
            odoo.version()
        assert 0.5 < time.monotonic() - began < 15  # the server would take 30, or for ever


def test_a_stop_breaks_a_call_off_at_once() -> None:
    stop = threading.Event()
    with serving(wait_for_ever, stop=stop) as (_server, odoo):
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(OdooInterrupted):
            odoo.version()
        assert time.monotonic() - began < 15  # the answer would take 30
        with pytest.raises(OdooInterrupted, match="not started"):
            odoo.version()


def test_a_thread_that_ends_leaves_no_socket_open() -> None:
    """Nor does it wait until Python looks for cycles, which it does rarely."""
    sockets = Path("/proc/self/fd")
    gc.disable()
    try:
        with serving(answer(VERSION)) as (_server, odoo):
            odoo.version()
            before = len(list(sockets.iterdir()))
            for _ in range(20):
                thread = threading.Thread(target=odoo.version)
                thread.start()
                thread.join(10)
            wait_until(lambda: len(list(sockets.iterdir())) < before + 10, what="sockets to close")
    finally:
        gc.enable()


def test_an_error_is_forgotten_with_its_handler() -> None:
    """Its frames hold the batch that was under way: they must not wait for the collector."""
    gc.disable()
    try:
        with serving(answer(b"")) as (_server, odoo):
            held = weakref.WeakSet[OdooError]()
            for _ in range(5):
                try:
                    odoo.version()
                except OdooError as error:
                    held.add(error)
            assert not held
    finally:
        gc.enable()


def test_a_stop_ends_the_wait_for_a_free_slot() -> None:
    stop = threading.Event()
    with serving(wait_for_ever, stop=stop, concurrent_calls=1, timeout=5.0) as (server, odoo):
        errors: list[OdooError] = []

        def call() -> None:
            try:
                odoo.version()
            except OdooError as error:
                errors.append(error)

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        while not server.requests:
            time.sleep(0.01)
        stop.set()
        for thread in threads:
            thread.join(20)
        assert [type(error) for error in errors] == [OdooInterrupted] * 3
        assert len(server.requests) == 1


def test_no_more_calls_at_once_than_the_setting_allows() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def respond(_incoming: Incoming) -> bytes:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return VERSION

    with serving(respond, concurrent_calls=3) as (_server, odoo):
        threads = [threading.Thread(target=odoo.version) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert most == 3
    assert odoo.calls == 12
    assert odoo.bytes == 12 * len(captured("17_01_version.txt"))


def test_an_answer_over_the_size_cap_is_cut_off() -> None:
    def endless(_incoming: Incoming) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n"
        while True:
            yield b"x" * 65536

    with serving(endless, max_response_bytes=1_000_000) as (_server, odoo):
        with pytest.raises(ResponseTooLarge, match="fewer orders"):
            odoo.version()
        assert odoo.bytes < 3_000_000


def test_the_size_cap_counts_what_a_compressed_answer_expands_to() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    respond = answer(http(bomb, Content_Encoding="gzip"))
    with (
        serving(respond, max_response_bytes=1_000_000) as (_server, odoo),
        pytest.raises(ResponseTooLarge),
    ):
        odoo.version()


def test_a_compressed_answer_is_read() -> None:
    packed = gzip.compress(captured("17_01_version.txt"))
    with serving(answer(http(packed, Content_Encoding="gzip"))) as (server, odoo):
        assert odoo.version().major == 17
        assert "gzip" in server.requests[0].headers["accept-encoding"]


def test_a_connection_is_kept_where_the_server_keeps_it() -> None:
    with serving(version_is_answered, keep_alive=True) as (server, odoo):
        for _ in range(5):
            odoo.version()
        assert (server.connections, len(server.requests)) == (1, 5)
    with serving(version_is_answered) as (server, odoo):
        for _ in range(5):
            odoo.version()
        assert server.connections == 5


def test_a_server_that_refuses_is_unavailable() -> None:
    with RawServer(version_is_answered) as server:
        settings = settings_for(server)
    with pytest.raises(OdooUnavailable, match="can't be reached"):
        Odoo(settings).version()


def test_an_unknown_host_is_unavailable() -> None:
    settings = OdooSettings("http://no-such-host.invalid", "x", "x", PASSWORD, timeout=5)
    with pytest.raises(OdooUnavailable, match=r"no-such-host\.invalid"):
        Odoo(settings).version()


def test_a_connection_closed_or_cut_short_is_unavailable() -> None:
    for cut in (b"", VERSION[:-40]):
        with serving(answer(cut)) as (_server, odoo), pytest.raises(OdooUnavailable):
            odoo.version()


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (429, OdooUnavailable, "overloaded"),
        (502, OdooUnavailable, "restarting"),
        (503, OdooUnavailable, "HTTP 503"),
        (401, OdooRefused, "proxy or firewall"),
        (403, OdooRefused, "proxy or firewall"),
        (404, MissingEndpoint, "ODOO_URL is wrong"),
        (405, MissingEndpoint, "ODOO_URL is wrong"),
        (204, OdooProtocolError, "HTTP 204"),
    ],
)
def test_each_status_tells_what_to_do(status: int, kind: type[OdooError], advice: str) -> None:
    with (
        serving(answer(http(b"", status))) as (_server, odoo),
        pytest.raises(kind, match=advice) as caught,
    ):
        odoo.version()
    assert type(caught.value) is kind


def test_a_server_s_wish_to_wait_is_handed_on() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    for text, low, high in (("17", 17, 17), (later, 90, 100)):
        with (
            serving(answer(http(b"", 429, Retry_After=text))) as (_server, odoo),
            pytest.raises(OdooUnavailable) as caught,
        ):
            odoo.version()
        assert caught.value.retry_after is not None
        assert low <= caught.value.retry_after <= high
    for text in ("", "soon"):
        with (
            serving(answer(http(b"", 503, Retry_After=text))) as (_server, odoo),
            pytest.raises(OdooUnavailable) as caught,
        ):
            odoo.version()
        assert caught.value.retry_after is None


@pytest.mark.parametrize(
    ("transport", "path"),
    [("xmlrpc", "/xmlrpc/2/common"), ("jsonrpc", "/jsonrpc"), ("json2", "/web/version")],
)
def test_a_redirect_is_not_followed_and_names_the_address_to_use(transport: str, path: str) -> None:
    location = f"https://user:pass@odoo.example.com/shop{path}?x=1"
    respond = answer(http(b"", 301, Location=location))
    with (
        serving(respond, transport=transport) as (server, odoo),
        pytest.raises(OdooRefused, match=r"https://odoo\.example\.com/shop:") as caught,
    ):
        odoo.version()
    assert "pass" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_web_page_is_no_answer() -> None:
    page = b"<!DOCTYPE html><html><body>Welcome</body></html>"
    for content_type in ("text/html; charset=utf-8", "text/xml"):
        with (
            serving(answer(http(page, content_type=content_type))) as (_server, odoo),
            pytest.raises(OdooProtocolError, match="web page"),
        ):
            odoo.version()


def test_what_is_not_http_is_garbage() -> None:
    for data in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02" * 50):
        with serving(answer(data)) as (_server, odoo), pytest.raises(OdooProtocolError):
            odoo.version()


@pytest.mark.parametrize(
    "url", ["odoo.example.com", "ftp://odoo.example.com", "http://", "file:///etc", "http://h:x"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(OdooRefused, match="ODOO_URL"):
        OdooSettings(url, "x", "x", PASSWORD)


def test_a_path_in_front_and_final_slashes_are_understood() -> None:
    with RawServer(version_is_answered) as server:
        Odoo(settings_for(server, url=f"{server.url}/shop//")).version()
        assert server.requests[0].path == "/shop/xmlrpc/2/common"


@pytest.mark.parametrize(
    ("data", "is_odoo"), [(VERSION, True), (http(b"busy", 503), False), (b"SSH-2.0\r\n", False)]
)
def test_whoever_wants_to_know_is_told_that_odoo_answered(data: bytes, is_odoo: bool) -> None:
    answered = []

    class Observer(NoObserver):
        def answered(self) -> None:
            answered.append(1)

    with RawServer(answer(data)) as server:
        odoo = Odoo(settings_for(server), observer=Observer())
        try:
            odoo.version()
        except OdooError:
            assert not is_odoo
    assert bool(answered) is is_odoo


def test_the_server_s_clock_is_read_from_its_answer() -> None:
    moment = datetime(2026, 11, 24, 1, 50, 34, tzinfo=UTC)
    body = captured("17_01_version.txt")
    with serving(answer(http(body, Date=format_datetime(moment, usegmt=True)))) as (_s, odoo):
        assert odoo.server_time() == moment - timedelta(seconds=1)
    with (
        serving(answer(http(body, Date="yesterday"))) as (_s, odoo),
        pytest.raises(OdooProtocolError, match="Date header"),
    ):
        odoo.server_time()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, own = folder / "key.pem", folder / "own.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*words, *names, "-keyout", str(key), "-out", str(own)], check=True, capture_output=True
    )
    return folder


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "own.pem", certificate / "key.pem")
    return context


def test_a_certificate_of_nobody_we_trust_is_refused(tls: ssl.SSLContext) -> None:
    with (
        serving(version_is_answered, tls=tls) as (server, odoo),
        pytest.raises(OdooRefused, match="TLS certificate"),
    ):
        odoo.version()
    assert not server.requests


def test_a_company_s_own_authority_can_be_named(tls: ssl.SSLContext, certificate: Path) -> None:
    own = str(certificate / "own.pem")
    with serving(version_is_answered, tls=tls, ca_file=own) as (_server, odoo):
        assert odoo.version().major == 17


def test_a_certificate_of_another_host_is_refused(tls: ssl.SSLContext, certificate: Path) -> None:
    own = str(certificate / "own.pem")
    with RawServer(version_is_answered, tls=tls) as server:
        url = f"https://localhost:{server.port}"
        with pytest.raises(OdooRefused, match="TLS certificate"):
            Odoo(settings_for(server, url=url, ca_file=own)).version()


def test_tls_spoken_to_a_server_without_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak_in_clear() -> None:
            connection, _address = listener.accept()
            connection.recv(1000)
            connection.sendall(http(b"", 400))
            connection.close()

        thread = threading.Thread(target=speak_in_clear)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(OdooRefused, match="http://"):
            Odoo(OdooSettings(url, "x", "x", PASSWORD, timeout=5)).version()
        thread.join(5)


def test_a_blackholed_address_ends_at_the_deadline() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    # Fill the queue of connections that nobody accepts: the next one gets no answer at all.
    address = listener.getsockname()
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(address)
        fillers.append(filler)
    settings = OdooSettings(f"http://127.0.0.1:{address[1]}", "x", "x", PASSWORD, timeout=0.5)
    began = time.monotonic()
    with pytest.raises(OdooTimeout):
        Odoo(settings).version()
    assert time.monotonic() - began < 15  # Linux itself tries for two minutes
    for one in (listener, *fillers):
        one.close()


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(version_is_answered) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        settings = OdooSettings("http://odoo.example.com", "x", "x", PASSWORD, timeout=5)
        assert Odoo(settings).version().major == 17
        assert proxy.requests[0].path == "http://odoo.example.com/xmlrpc/2/common"


def test_the_password_travels_in_the_body_alone() -> None:
    tiny = TinyOdoo(lambda *_: 3)
    with serving(tiny.respond) as (server, odoo):
        assert odoo.call("res.partner", "search_count", [[]]) == 3
        for incoming in server.requests:
            assert PASSWORD not in incoming.path
            assert PASSWORD not in str(incoming.headers)
