"""Calls a function in a thread of its own, so that nobody has to wait for its end.

For functions that may hang, and for those that take longer than their callers want to wait.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """Calls ``function``, in one thread at a time. Thread-safe."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    def start(self) -> "Future[T]":
        """Return the future result, or error, of a call: of the one still under way, if any.

        Wait for it by ``result(seconds)``, which raises TimeoutError.
        """
        with self._lock:
            if self._under_way is None or self._under_way.done():
                self._under_way = Future()
                threading.Thread(
                    target=self._call, args=(self._under_way,), name="background call", daemon=True
                ).start()
            return self._under_way

    def _call(self, future: "Future[T]") -> None:
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
            future.set_exception(error)
        else:
            future.set_result(result)
