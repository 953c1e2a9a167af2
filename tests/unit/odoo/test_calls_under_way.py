"""How long Odoo has been silent, while a call waits for it."""

from __future__ import annotations

import threading
import time

import pytest

from bc_consumer.odoo import CALLS, Odoo, OdooSettings, OdooTimeout
from bc_consumer.odoo.calls_under_way import Calls
from tests.unit.odoo.serving import RawServer


def test_a_silence_begins_with_the_call_or_with_the_last_that_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    calls = Calls()
    assert calls.silence() is None
    with calls.under_way(30.0):
        now += 4
        with calls.under_way(10.0):
            silence = calls.silence()
            assert silence is not None
            assert (silence.seconds, silence.timeout) == (4.0, 30.0)
            calls.hear()  # whichever call it was of: Odoo answers
            now += 1
            silence = calls.silence()
            assert silence is not None
            assert silence.seconds == 1.0
    assert calls.silence() is None
    now += 100
    with calls.under_way(30.0):
        silence = calls.silence()
        assert silence is not None
        assert silence.seconds == 0.0


def test_a_call_of_the_gateway_that_gets_no_answer_is_silent_until_it_ends() -> None:
    over = threading.Event()

    def never(_incoming: object) -> bytes:
        over.wait(20)
        return b""

    with RawServer(never) as server:
        settings = OdooSettings(
            url=server.url, database="odoo", login="admin", password="admin", timeout=0.6
        )
        seen: list[float] = []

        def watch() -> None:
            while not over.wait(0.02):
                if silence := CALLS.silence():
                    assert silence.timeout == 0.6
                    seen.append(silence.seconds)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with pytest.raises(OdooTimeout):
                Odoo(settings).version()
            assert CALLS.silence() is None
        finally:
            over.set()
            watcher.join()
    assert seen == sorted(seen)
    assert seen[-1] > 0.3
