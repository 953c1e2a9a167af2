"""Many webhooks at once, one connection each as Odoo sends them, from one thread."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

LONGEST_SECONDS = 15.0
BEAT_SECONDS = 0.005
TIMER_SECONDS = 0.001
"""What a sleep may last too long on an idle machine: epoll counts whole milliseconds."""


@dataclass(frozen=True, slots=True)
class Get:
    """In a webhook's place: a page that is asked for, and answers in JSON."""

    path: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One webhook's answer; ``seconds`` from before connecting to its last byte.

    ``lag``: so many of these seconds this process itself had no time to see it.
    """

    status: int
    seconds: float
    body: Any
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """The answers to a steady stream, and by how many seconds the sender itself fell behind."""

    answers: list[Answered]
    lag: float


def burst(webhook_url: str, payloads: Sequence[object]) -> list[Answered]:
    """Send all payloads at the same moment; return the answers in their order."""

    async def all_of_them() -> list[Answered]:
        lags = [0.0]
        metronome = asyncio.create_task(_measure_lag(lags))
        answers = await asyncio.gather(*(_send(webhook_url, payload) for payload in payloads))
        metronome.cancel()
        return [replace(answer, lag=max(lags)) for answer in answers]

    return asyncio.run(all_of_them())


async def _measure_lag(lags: list[float]) -> None:
    """Note by how much each short sleep lasts too long: as much too late is an answer seen."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(BEAT_SECONDS)
        lags.append(max(0.0, time.monotonic() - began - BEAT_SECONDS - TIMER_SECONDS))


async def _send(webhook_url: str, payload: object) -> Answered:
    parts = urlsplit(webhook_url)
    login = base64.b64encode(f"{parts.username}:{unquote(parts.password or '')}".encode()).decode()
    host = f"Host: {parts.hostname}:{parts.port}\r\nConnection: close\r\n"
    if isinstance(payload, Get):
        body, head = b"", f"GET {payload.path} HTTP/1.1\r\n{host}\r\n".encode()
    else:
        body = json.dumps(payload).encode()
        head = (
            f"POST {parts.path} HTTP/1.1\r\n{host}"
            f"Authorization: Basic {login}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
    began = time.monotonic()
    async with asyncio.timeout(LONGEST_SECONDS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(head + body)
        answer = await reader.read()
        writer.close()
    seconds = time.monotonic() - began
    header, _, content = answer.partition(b"\r\n\r\n")
    return Answered(int(header.split()[1]), seconds, json.loads(content or b"null"))


def stream(webhook_url: str, payloads: Sequence[object], rate: float) -> Streamed:
    """Send ``rate`` payloads a second; return the answers in the payloads' order.

    A slow answer does not hold the next payload back: Odoo's users don't wait for each other. What
    could not be sent, or was not answered, has the status 0. ``lag`` of an answer is the whole time
    that this process, which has next to nothing to do, was not let run while it waited for it.
    """
    lags: list[float] = []
    beats: list[float] = []

    async def one(planned: float, payload: object) -> Answered:
        await asyncio.sleep(planned - time.monotonic())
        began, beat = time.monotonic(), len(beats)
        lags.append(began - planned)
        try:
            answer = await _send(webhook_url, payload)
        except (OSError, IndexError, ValueError):
            answer = Answered(0, time.monotonic() - began, None)
        return replace(answer, lag=sum(beats[beat:]))

    async def all_of_them() -> list[Answered]:
        metronome = asyncio.create_task(_measure_lag(beats))
        began = time.monotonic()
        tasks = (one(began + number / rate, payload) for number, payload in enumerate(payloads))
        answers = await asyncio.gather(*tasks)
        metronome.cancel()
        return answers

    return Streamed(asyncio.run(all_of_them()), max(lags, default=0.0))
