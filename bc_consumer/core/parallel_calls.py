"""Calls several functions at once, and waits for all of them for a limited time."""

import contextvars
import threading
import time
from collections.abc import Callable, Mapping

_running: dict[str, threading.Thread] = {}
"""Threads that were still running when their time was over, by the name of their call."""


def call_all(
    calls: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, Exception | None]:
    """Call each function in a thread of its own; return its error, or None if it succeeded.

    A function that has not returned after ``seconds`` counts as failed, with a TimeoutError. Its
    thread, a daemon, is left alone. While it runs, a call of the same name fails at once, so that
    something that hangs for ever costs a process one thread.
    """
    errors: dict[str, Exception | None] = {}
    threads = {}
    for name, call in calls.items():
        errors[name] = TimeoutError(f"no answer within {seconds:g} s")
        former = _running.pop(name, None)
        if former is not None and former.is_alive():
            _running[name] = former
            errors[name] = TimeoutError("the previous attempt is still running")
            continue
        outcome = _Outcome(errors, name, call)
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(outcome.find,), name=name, daemon=True)
        thread.start()
        threads[name] = thread
    end = time.monotonic() + seconds
    for name, thread in threads.items():
        thread.join(max(end - time.monotonic(), 0.0))
        if thread.is_alive():
            _running[name] = thread
    return dict(errors)


class _Outcome:
    """How one call ends."""

    def __init__(
        self, errors: dict[str, Exception | None], name: str, call: Callable[[], object]
    ) -> None:
        self._errors = errors
        self._name = name
        self._call = call

    def find(self) -> None:
        """Call, and note the error."""
        try:
            self._call()
        except Exception as error:  # noqa: BLE001 (returned to the caller)
            self._errors[self._name] = error
        else:
            self._errors[self._name] = None
