"""Asks a question in a thread of its own, so that nobody has to wait for its end.

For questions that may hang, and for those that take longer than the caller wants to wait.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedQuestion(Generic[T]):
    """Asks ``question``, in one thread at a time. Thread-safe."""

    def __init__(self, question: Callable[[], T]) -> None:
        self._question = question
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    def ask(self) -> "Future[T]":
        """Return the future answer, or error, of the question: of the one still under way, if any.

        Wait for it by ``result(seconds)``, which raises TimeoutError.
        """
        with self._lock:
            if self._under_way is None or self._under_way.done():
                self._under_way = Future()
                threading.Thread(
                    target=self._answer, args=(self._under_way,), name="asking", daemon=True
                ).start()
            return self._under_way

    def _answer(self, future: "Future[T]") -> None:
        try:
            answer = self._question()
        except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
            future.set_exception(error)
        else:
            future.set_result(answer)
