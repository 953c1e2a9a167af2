"""What a stranger can do to a web server with a few hundred connections, from one process.

Each attack goes on until it is told to end, and returns how many requests or connections it made
and which statuses it saw (0: closed without one).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from urllib.parse import quote

FROM = "127.0.0.2"
"""Another address than the probes', for limits that count by caller."""
SLOW_CONNECTIONS = 200
IDLE_CONNECTIONS = 1_000
BUSY_CONNECTIONS = 8
PAUSE_SECONDS = 0.05
"""Between two requests of one connection: an attack of cunning, not of mass."""
DRIP_SECONDS = 0.5

UNITS = ("'", '"', "\\", ":", "[", "]", "{", "(", "%5C", "%27", "%", "@", "=", ";", ",", "\t", " ")
ADVERSARIAL = (
    "'password':'" + "\\" * 38,
    "'password':'" + "\\" * 4_000,
    '"password":"' + '\\"' * 2_000,
    "'password':'" * 300,
    "password='\\" * 300,
    "://" * 500 + "@:" * 500,
    "authorization:" * 200 + " " * 1_000,
    "basic " * 300 + "bearer " * 300,
    *(unit * (size // len(unit)) for unit in UNITS for size in (1_000, 4_000, 16_000)),
)

Seen = Counter[int]
Attack = Callable[[int, Seen], Awaitable[None]]


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(FROM, 0))


def _status(line: bytes) -> int:
    return int(line.split()[1]) if line.startswith(b"HTTP/") else 0


def _head(port: int, method: str, path: str, *lines: str) -> bytes:
    host = f"Host: 127.0.0.1:{port}"
    return "\r\n".join([f"{method} {path} HTTP/1.1", host, *lines, "", ""]).encode("latin-1")


async def _drip(port: int, seen: Seen, beginning: bytes, piece: bytes) -> None:
    """Send a piece twice a second until the server has had enough; then begin anew."""
    reader, writer = await _connected(port)
    try:
        writer.write(beginning)
        while not reader.at_eof():
            with contextlib.suppress(TimeoutError):
                seen[_status(await asyncio.wait_for(reader.readline(), DRIP_SECONDS))] += 1
                return
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()
        await asyncio.sleep(DRIP_SECONDS)


async def _ask(port: int, seen: Seen, request: bytes) -> None:
    """Send one request on a connection of its own, and read the answer's status."""
    reader, writer = await _connected(port)
    try:
        writer.write(request)
        seen[_status(await asyncio.wait_for(reader.readline(), 30))] += 1
    finally:
        writer.close()
    await asyncio.sleep(PAUSE_SECONDS)


async def slow_headers(port: int, seen: Seen) -> None:
    await _drip(port, seen, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n")


async def slow_bodies(port: int, seen: Seen) -> None:
    path = secrets.choice(["/admin/login/", "/odoo/webhook/", "/i18n/setlang/"])
    kind = "Content-Type: application/x-www-form-urlencoded"
    await _drip(port, seen, _head(port, "POST", path, "Content-Length: 2000", kind), b"a")


async def idle_connections(port: int, seen: Seen) -> None:
    """Say nothing at all; or one request, and then nothing."""
    reader, writer = await _connected(port)
    try:
        if secrets.randbelow(2):
            writer.write(_head(port, "GET", "/healthz"))
            await reader.readline()
        await reader.read()
        seen[0] += 1
    finally:
        writer.close()


_texts: Iterator[int] = count()


async def adversarial_texts(port: int, seen: Seen) -> None:
    """Each text as a path, a query, a header, a cookie, a user name, a form's type."""
    number = next(_texts)
    text = ADVERSARIAL[number // 6 % len(ADVERSARIAL)]
    quoted = quote(text, safe="%")
    await _ask(
        port,
        seen,
        [
            _head(port, "GET", f"/{quoted}"),
            _head(port, "GET", f"/admin/login/?next={quoted}"),
            _head(port, "GET", "/nowhere/", f"Authorization: {text}", f"Referer: {text}"),
            _head(port, "GET", "/admin/login/", f"Cookie: sessionid={text}; csrftoken={text}"),
            _head(
                port, "POST", "/odoo/webhook/", f"Authorization: Basic {text}", "Content-Length: 0"
            ),
            _head(port, "POST", "/admin/login/", f"Content-Type: {text}", "Content-Length: 0"),
        ][number % 6],
    )


async def random_cookies(port: int, seen: Seen) -> None:
    path = secrets.choice(["/", "/admin/", "/today/", "/bc/1/"])
    await _ask(port, seen, _head(port, "GET", path, f"Cookie: sessionid={secrets.token_hex(16)}"))


async def quoted_cookies(port: int, seen: Seen) -> None:
    """What Python's reader of cookies takes quadratic time for; on every path."""
    path = secrets.choice(["/healthz", "/odoo/webhook/", "/", "/admin/login/"])
    inner = secrets.choice(["\\" * 8_150, "\\" * 4_000, "\\x" * 4_000, "\\05" * 2_000])
    name = secrets.choice(["sessionid", "csrftoken", "django_language", "x"])
    await _ask(port, seen, _head(port, "GET", path, f'Cookie: {name}="{inner}"'))


async def odd_types(port: int, seen: Seen) -> None:
    """Bodies and queries in codecs that the caller chooses, and uploads."""
    codec = secrets.choice(["punycode", "base64", "idna", "unicode_escape", "zlib", "utf-7"])
    form = "application/x-www-form-urlencoded"
    kind = secrets.choice(
        [
            f"{form}; charset={codec}",
            f"{form}; charset*=utf-8''{codec}",
            f"multipart/form-data; boundary=B; charset={codec}",
            "multipart/form-data; boundary=B",
            f"{form}; " + ";" * 8_000,
        ]
    )
    value = "a" * secrets.choice([2_000, 60_000, 250_000])
    part = f'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}\r\n--B--\r\n'
    body = (part if kind.startswith("multipart") else f"a={value}-").encode()
    lines = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    path = secrets.choice(["/admin/login/", "/i18n/setlang/"])
    query = _head(port, "GET", "/healthz?q==", f"Content-Type: {kind}")
    await _ask(port, seen, secrets.choice([_head(port, "POST", path, *lines) + body, query]))


async def huge_headers(port: int, seen: Seen) -> None:
    lines = secrets.choice(
        [
            ["X-A: " + "a" * 60_000],
            ["X-A: " + "a" * 400_000],
            [f"X-{i}: a" for i in range(4_000)],
            ["Cookie: " + "; ".join(f"a{i}=b" for i in range(6_000))],
            ["Accept-Language: " + "en;q=0.5," * 6_000],
        ]
    )
    await _ask(port, seen, _head(port, "GET", "/admin/login/", *lines))


async def pipelining(port: int, seen: Seen) -> None:
    """Fifty requests before the first answer is read."""
    reader, writer = await _connected(port)
    try:
        writer.write(_head(port, "GET", "/admin/login/") * 50)
        for _ in range(50):
            seen[_status(await asyncio.wait_for(reader.readline(), 30))] += 1
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
    finally:
        writer.close()
    await asyncio.sleep(1.0)


ATTACKS: dict[str, tuple[Attack, int]] = {
    "slow headers": (slow_headers, SLOW_CONNECTIONS),
    "slow bodies": (slow_bodies, SLOW_CONNECTIONS),
    "idle connections": (idle_connections, IDLE_CONNECTIONS),
    "adversarial texts": (adversarial_texts, BUSY_CONNECTIONS),
    "random cookies": (random_cookies, BUSY_CONNECTIONS),
    "quoted cookies": (quoted_cookies, BUSY_CONNECTIONS),
    "odd types": (odd_types, BUSY_CONNECTIONS),
    "huge headers": (huge_headers, BUSY_CONNECTIONS),
    "pipelining": (pipelining, 4),
}


def attack(name: str, port: int, seconds: float) -> Seen:
    """Let an attack go on for so long; return what it saw."""
    play, connections = ATTACKS[name]
    seen: Seen = Counter()

    async def one(end: float, after: float) -> None:
        await asyncio.sleep(after)
        while time.monotonic() < end:
            try:
                await play(port, seen)
            except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError):
                seen[0] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def all_of_them() -> None:
        end = time.monotonic() + seconds
        gap = seconds / 3 / connections  # one after the other: they are there, they don't rush in
        tasks = [asyncio.create_task(one(end, gap * number)) for number in range(connections)]
        _done, pending = await asyncio.wait(tasks, timeout=seconds)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    asyncio.run(all_of_them())
    return seen
