"""``./test --quick`` sets TEST_QUICK: fewer examples and shapes of what ``./test`` plays in full.

What can't be played with fewer is marked ``slow`` with the reason, and left out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

QUICK = os.environ.get("TEST_QUICK", "") not in {"", "0"}


def examples(number: int) -> int:
    """Return how many examples Hypothesis plays: all, or a tenth of them."""
    return max(5, number // 10) if QUICK else number


def some(shapes: Sequence[T], every: int = 4) -> Sequence[T]:
    """Return all shapes, or each fourth of them, the first included."""
    return shapes[::every] if QUICK else shapes
