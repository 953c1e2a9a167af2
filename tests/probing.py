"""Asks /healthz and sends webhooks all the while something bad happens, from another process."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.burst import Answered, Get, stream
from tests.harness import Deployment

RATE = 20
"""Requests a second, every other one to /healthz."""
ANSWER_SECONDS = 0.3
BEFORE_SECONDS = 0.5


@dataclass
class Probed:
    """What was answered meanwhile; filled when the block ends."""

    health: list[Answered] = field(default_factory=list)
    webhooks: dict[int, Answered] = field(default_factory=dict)
    """By the order that each was about."""

    def late(self) -> list[str]:
        """Return what was not answered with 200 or 202 within 300 ms.

        What this machine itself was not let run meanwhile is not held against the server.
        """
        answers = [("/healthz", answer, 200) for answer in self.health]
        answers += [(f"BC {i}", answer, 202) for i, answer in self.webhooks.items()]
        assert answers
        return [
            f"{name}: {answer.status} after {answer.seconds * 1000:.0f} ms, "
            f"{answer.lag * 1000:.0f} of them the sender had no time"
            for name, answer, status in answers
            if answer.status != status or answer.seconds - answer.lag > ANSWER_SECONDS
        ]

    def slowest(self) -> float:
        """Return the longest time that an answer took, in seconds."""
        return max(answer.seconds for answer in [*self.health, *self.webhooks.values()])


@contextmanager
def probing(deployment: Deployment, ids: Sequence[int], port: int = 0) -> Iterator[Probed]:
    """Tell of one order after the other, and ask /healthz in between, until all ids are told.

    It lasts ``2 * len(ids) / RATE`` seconds; the block should need less. ``port``: of a proxy.
    """
    url = deployment.webhook_url
    if port:
        url = url.replace(f":{deployment.port}/", f":{port}/")
    planned: list[object] = []
    for odoo_id in ids:
        planned += [Get("/healthz"), {"_model": "purchase.order", "_id": odoo_id}]
    probed = Probed()
    # Not in this process, which has its hands full.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        sending = pool.submit(stream, url, planned, RATE)
        threading.Event().wait(BEFORE_SECONDS)
        yield probed
        answers = sending.result().answers
    probed.health += answers[::2]
    probed.webhooks |= dict(zip(ids, answers[1::2], strict=True))
