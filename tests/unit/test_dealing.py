"""The order of a run of several processes: nothing is lost, and what takes long begins first."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dealing import dealt


def item(folder: str, module: str, name: str, timeout: int | None = None) -> Any:
    marker = None if timeout is None else SimpleNamespace(args=(timeout,))
    return SimpleNamespace(
        path=Path("tests") / folder / module, name=name, get_closest_marker=lambda _name: marker
    )


QUICK = [item("unit", "test_a.py", f"quick {number}", 30) for number in range(50)]
SLOW = [item("flow", "test_b.py", f"slow {number}", 400) for number in range(3)]
MEDIUM = [item("flow", "test_c.py", f"medium {number}") for number in range(4)]


@pytest.mark.parametrize("processes", [2, 3, 7, 100])
def test_no_test_is_lost_or_doubled(processes: int) -> None:
    items = [*QUICK, *SLOW, *MEDIUM]
    assert sorted(one.name for one in dealt(items, processes)) == sorted(one.name for one in items)


def test_each_process_begins_with_its_share_of_what_takes_long() -> None:
    order = dealt([*QUICK, *SLOW, *MEDIUM], 3)
    share = len(order) // 3
    assert {order[number * share].name for number in range(3)} == {one.name for one in SLOW}
    (first,) = [number for number, one in enumerate(order) if one is MEDIUM[0]]
    assert order[first : first + 4] == MEDIUM
    assert first % share == 1
