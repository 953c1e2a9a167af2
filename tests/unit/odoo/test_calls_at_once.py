"""The limits of calls of one process."""

import threading
import time

import pytest

from bc_consumer.odoo import OdooBusy, OdooInterrupted
from bc_consumer.odoo.calls_at_once import ProcessCallLimits


def test_no_more_calls_at_once_than_allowed() -> None:
    gate = ProcessCallLimits(2, 0.0, threading.Event())
    inside, most = [0], [0]
    lock = threading.Lock()

    def call() -> None:
        with gate(10):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]


def test_calls_begin_no_faster_than_allowed() -> None:
    gate = ProcessCallLimits(4, 20.0, threading.Event())
    started = time.monotonic()
    for number in range(5):
        with gate(10):
            assert time.monotonic() - started > 0.045 * number


def test_a_call_that_has_to_wait_too_long_is_not_begun() -> None:
    gate = ProcessCallLimits(1, 0.0, threading.Event())
    with gate(1), pytest.raises(OdooBusy, match="ODOO_CONCURRENT_CALLS"), gate(0.05):
        pass
    slow = ProcessCallLimits(4, 0.1, threading.Event())
    with slow(1):
        pass
    with pytest.raises(OdooBusy), slow(1):
        pass


@pytest.mark.parametrize("calls_per_second", [0.0, 0.1])
def test_a_stop_ends_the_waiting(calls_per_second: float) -> None:
    stop = threading.Event()
    gate = ProcessCallLimits(1 if not calls_per_second else 4, calls_per_second, stop)
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with gate(30), pytest.raises(OdooInterrupted), gate(30):
        pass
    assert time.monotonic() - began < 15


def test_what_a_failed_call_held_is_free_again() -> None:
    gate = ProcessCallLimits(1, 0.0, threading.Event())
    for _ in range(3):
        with pytest.raises(ValueError, match="no"), gate(1):
            raise ValueError("no")
    with gate(0.1):
        pass
