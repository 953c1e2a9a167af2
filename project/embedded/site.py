"""The site, served by waitress in a thread of this process."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.wasyncore import dispatcher

THREADS = 8
LARGEST_BODY_BYTES = 8 * 2**20
STOP_SECONDS = 2
"""Seconds for running requests to end, and then for their answers to be sent."""
LOOK_SECONDS = 0.01


class Site:
    """Listens as soon as it is constructed. Raises OSError if it can't."""

    def __init__(self, application: Any, host: str, port: int) -> None:
        self._polled: dict[int, Any] = {}
        """What waitress's loop polls, by descriptor: listening sockets, connections, triggers."""
        self._server = create_server(
            application,
            map=self._polled,
            host=host,
            port=port,
            threads=THREADS,
            ident=None,
            max_request_body_size=LARGEST_BODY_BYTES,
        )
        # One per address of the host: "localhost" may have two.
        self._listening: list[Any] = self._all(BaseWSGIServer)
        self._thread = threading.Thread(target=self._server.run, name="site", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let running requests end, and accept no more.

        The loop's own thread closes everything. If another thread did, the loop would fail with
        "Bad file descriptor", and a request that ends would wake it by writing into whatever file
        then has the trigger's descriptor.
        """
        self._in_loop(self._accept_no_more)
        deadline = time.monotonic() + STOP_SECONDS
        while self._busy() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        self._server.task_dispatcher.shutdown(timeout=STOP_SECONDS)
        self._in_loop(self._end)
        self._thread.join(timeout=STOP_SECONDS)

    def _in_loop(self, do: Callable[[], None]) -> None:
        """Run ``do`` in the loop's thread and wait for it."""
        done = threading.Event()

        def do_and_tell() -> None:
            do()
            done.set()

        # An awake loop may already have run it, and closed its trigger, before the trigger is
        # pulled.
        with contextlib.suppress(OSError):
            self._listening[0].trigger.pull_trigger(do_and_tell)
        done.wait(STOP_SECONDS)

    def _accept_no_more(self) -> None:
        for listening in self._listening:
            dispatcher.close(listening)  # its own close() would close the trigger too
        for connection in self._all(HTTPChannel):
            if not connection.requests:
                connection.close_when_flushed = True

    def _busy(self) -> bool:
        return any(connection.requests for connection in self._all(HTTPChannel))

    def _end(self) -> None:
        """Leave the loop nothing to poll but answers not yet read by their clients."""
        for connection in self._all(HTTPChannel):
            connection.close_when_flushed = True
        for listening in self._listening:
            listening.trigger.close()

    def _all(self, kind: type[Any]) -> list[Any]:
        return [one for one in list(self._polled.values()) if isinstance(one, kind)]
