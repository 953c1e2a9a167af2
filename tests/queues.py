"""A queue bound to the exchange, as an application has one; read by the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika

QUEUE = "application"


@contextmanager
def channel_to(url: str) -> Iterator[Any]:
    """Open a channel for a moment."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def bind(url: str, exchange: str, routing_key: str = "bc.#") -> None:
    """Declare a durable queue and bind it, as an application does once."""
    with channel_to(url) as channel:
        channel.exchange_declare(exchange, exchange_type="topic", durable=True)
        channel.queue_declare(QUEUE, durable=True)
        channel.queue_bind(QUEUE, exchange, routing_key)


class Announced:
    """What has come so far, and what comes with each look."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[dict[str, Any]] = []
        self.properties: list[Any] = []
        self.routing_keys: list[str] = []

    def look(self) -> list[dict[str, Any]]:
        """Take what is in the queue; return everything so far."""
        with channel_to(self.url) as channel:
            while True:
                method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
                if method is None:
                    return self.bodies
                self.bodies.append(json.loads(body))
                self.properties.append(properties)
                self.routing_keys.append(method.routing_key)

    def versions(self) -> list[int]:
        """Return each version once, in the order in which it came first."""
        return list(dict.fromkeys(body["version"] for body in self.look()))
