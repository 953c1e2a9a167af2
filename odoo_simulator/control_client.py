"""Drives a simulator in another process: the same verbs, over its control endpoint."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from odoo_simulator.call_log import Call

_TIMEOUT = 120.0  # seconds; a held transaction ends within that time


class RemoteError(RuntimeError):
    """The simulator failed to carry out a command; the text is its own."""


class RemoteFaults:
    """`remote.faults.latency(2)` and the like; between_calls takes commands, no callback."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self._do = do

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._do(f"faults.{name}", *args, **kwargs)


class RemoteTransaction:
    """A transaction in the other process; end it with `commit(hold)` or `rollback()`."""

    def __init__(self, remote: RemoteSimulator, number: int, started: str) -> None:
        self._remote = remote
        self._number = number
        self.started = started
        self.finished = False

    def commit(self, hold: float | None = None) -> None:
        self._end("commit", hold)

    def rollback(self) -> None:
        self._end("rollback", None)

    def _end(self, how: str, hold: float | None) -> None:
        if not self.finished:
            self.finished = True
            kwargs = {"hold": hold} if hold else {}
            self._remote.send({"do": how, "kwargs": kwargs, "transaction": self._number})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._remote.send(
            {"do": name, "args": args, "kwargs": kwargs, "transaction": self._number}
        )


class RemoteSimulator:
    """The API of `Simulator` for one at `url`: create_order, write_order, faults, calls, …"""

    def __init__(self, url: str, wait: float = 10.0) -> None:
        """Wait up to `wait` seconds until it answers. Raises TimeoutError after that."""
        self.url = url.rstrip("/")
        about = self._about(time.monotonic() + wait)
        self.version: int = about["version"]
        self.database: str = about["database"]
        self.control_url: str = about["control_url"]
        self.faults = RemoteFaults(self.do)

    def do(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.send({"do": name, "args": args, "kwargs": kwargs})

    def send(self, order: dict[str, Any]) -> Any:
        """Send one command. Raises RemoteError if it failed there."""
        request = urllib.request.Request(  # noqa: S310 - the URL is a simulator's own
            f"{self.control_url}/simulator/control",
            json.dumps(order).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                return json.load(answer)["result"]
        except urllib.error.HTTPError as error:
            raise RemoteError(json.load(error)["error"]) from None

    @contextmanager
    def transaction(self, hold: float | None = None) -> Iterator[RemoteTransaction]:
        begun = self.do("begin")
        handle = RemoteTransaction(self, begun["transaction"], begun["started"])
        try:
            yield handle
        except BaseException:
            handle.rollback()
            raise
        handle.commit(hold)

    def begin(self) -> RemoteTransaction:
        begun = self.do("begin")
        return RemoteTransaction(self, begun["transaction"], begun["started"])

    def bulk_create(self, *args: Any, **kwargs: Any) -> range:
        made = self.do("bulk_create", *args, **kwargs)
        return range(made["first"], made["first"] + made["count"])

    @property
    def calls(self) -> list[Call]:
        return [Call(**call) for call in self.do("calls")]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.do(name, *args, **kwargs)

    def _about(self, deadline: float) -> dict[str, Any]:
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/simulator", timeout=5) as answer:  # noqa: S310
                    about: dict[str, Any] = json.load(answer)
                    return about
            except (OSError, ValueError):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no simulator answers at {self.url}") from None
                time.sleep(0.05)
