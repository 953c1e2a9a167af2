"""Which tests begin first in a run of several processes: what takes long, an equal share in each.

pytest-xdist's «worksteal» gives each process as many tests as the others, in their order; one that
has done all takes from the end of another's. So what takes long must stand in front, or one process
ends with it, alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path

import pytest

TIERS = ("browser", "chaos", "flow")
"""Folders whose tests start processes."""
SECONDS = 10
"""What one of their tests takes, about; one with a timeout of its own takes a share of this."""
SHARE_OF_TIMEOUT = 0.25


@dataclass(slots=True)
class _Share:
    seconds: float = 0.0
    items: list[pytest.Item] = field(default_factory=list)


def dealt(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests in the order in which these processes should have them."""
    slow, quick = _sorted_out(items)
    shares = [_Share() for _ in range(processes)]
    for seconds, together in sorted(slow, key=lambda one: (len(one[1]) > 1, -one[0])):
        share = min(shares, key=lambda one: one.seconds)
        share.seconds += seconds
        share.items += together
    order, left = [], iter(quick)
    for share, size in zip(shares, _sizes(len(items), processes), strict=True):
        order += [*share.items, *islice(left, max(0, size - len(share.items)))]
    return [*order, *left]


def _sorted_out(
    items: Iterable[pytest.Item],
) -> tuple[list[tuple[float, list[pytest.Item]]], list[pytest.Item]]:
    """Return what is slow, with its seconds, and the rest; tests of a module stay together."""
    slow: list[tuple[float, list[pytest.Item]]] = []
    quick: list[pytest.Item] = []
    for path, of_module in groupby(items, key=lambda item: item.path):
        module = list(of_module)
        if not _starts_processes(path):
            quick += module
            continue
        slow += [(_seconds(item), [item]) for item in module if _seconds(item) > SECONDS]
        rest = [item for item in module if _seconds(item) <= SECONDS]
        slow += [(float(SECONDS * len(rest)), rest)] if rest else []
    return slow, quick


def _starts_processes(path: Path) -> bool:
    return path.parent.name in TIERS


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return max(SECONDS, marker.args[0] * SHARE_OF_TIMEOUT) if marker else SECONDS


def _sizes(count: int, processes: int) -> Iterator[int]:
    """Yield how many tests each process is given at first."""
    for left in range(processes, 0, -1):
        yield count // left
        count -= count // left
