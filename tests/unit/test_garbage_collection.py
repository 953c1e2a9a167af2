"""How often Python looks for cycles."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bc_consumer.core import garbage_collection
from bc_consumer.core.garbage_collection import ALLOCATED, collect_rarely


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_process_that_copies_looks_rarely() -> None:
    gc.set_threshold(garbage_collection.PYTHONS_OWN, 10, 10)
    collect_rarely()
    assert gc.get_threshold()[0] == ALLOCATED
    assert gc.get_freeze_count(), "what is loaded is not looked through again"


def test_limits_that_somebody_has_set_stay() -> None:
    gc.set_threshold(5_000, 7, 9)
    collect_rarely()
    assert gc.get_threshold() == (5_000, 7, 9)


def test_pythons_own_limit_is_as_told() -> None:
    """By another one ``collect_rarely`` would do nothing at all."""
    said = subprocess.run(
        [sys.executable, "-c", "import gc; print(gc.get_threshold()[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(said.stdout) == garbage_collection.PYTHONS_OWN
