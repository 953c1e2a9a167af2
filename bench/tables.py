"""Figures, the rows that compare them with a baseline and a target, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: the median of several rounds, with the lowest and the highest."""

    value: float
    low: float
    high: float
    unit: str = ""
    rounds: int = 1

    @classmethod
    def of(cls, values: Sequence[float], unit: str = "") -> Figure:
        """Return the median of these values and their spread."""
        return cls(statistics.median(values), min(values), max(values), unit, len(values))

    @classmethod
    def one(cls, value: float, unit: str = "") -> Figure:
        """Return a figure that was measured, or computed, once."""
        return cls(value, value, value, unit)

    def text(self) -> str:
        """Return it for people: ``21.4 s (20.9–23.0)``."""
        shown = f"{plain(self.value)} {self.unit}".strip()
        if self.rounds < 2 or plain(self.low) == plain(self.high):
            return shown
        return f"{shown} ({plain(self.low)}–{plain(self.high)})"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure, or a ratio, has to reach."""

    limit: float
    at_most: bool
    unit: str = "×"

    def is_met(self, value: float) -> bool:
        """Tell whether a value is within the limit."""
        return value <= self.limit if self.at_most else value >= self.limit

    def text(self) -> str:
        """Return it for people: ``≤ 1.3 ×``."""
        return f"{'≤' if self.at_most else '≥'} {plain(self.limit)} {self.unit}".strip()


def at_most(limit: float, unit: str = "×") -> Target:
    """Return a target that lower values meet."""
    return Target(limit, True, unit)


def at_least(limit: float, unit: str = "×") -> Target:
    """Return a target that higher values meet."""
    return Target(limit, False, unit)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its baseline.

    ``judged`` is the value that the target is about; None means the ratio if there is one, and the
    figure itself otherwise.
    """

    what: str
    measured: Figure
    baseline_name: str = ""
    baseline: Figure | None = None
    ratio: float | None = None
    target: Target | None = None
    judged: float | None = None

    @classmethod
    def against(
        cls,
        what: str,
        measured: Figure,
        baseline_name: str,
        baseline: Figure,
        target: Target | None = None,
    ) -> Row:
        """Return a row whose ratio is the figure divided by its baseline."""
        ratio = measured.value / baseline.value if baseline.value else None
        return cls(what, measured, baseline_name, baseline, ratio, target)

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None where there is no target."""
        if self.target is None:
            return None
        value = self.judged
        if value is None:
            value = self.measured.value if self.ratio is None else self.ratio
        return self.target.is_met(value)

    def cells(self) -> list[str]:
        """Return the texts of the row's columns."""
        verdict = {None: "", True: "met", False: "missed"}[self.is_met]
        return [
            self.what,
            self.measured.text(),
            self.baseline_name,
            self.baseline.text() if self.baseline else "",
            "" if self.ratio is None else f"{plain(self.ratio)} ×",
            self.target.text() if self.target else "",
            verdict,
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the row's content for a JSON document."""
        return {
            "what": self.what,
            "measured": _figure_as_json(self.measured),
            "baseline_name": self.baseline_name,
            "baseline": _figure_as_json(self.baseline) if self.baseline else None,
            "ratio": self.ratio,
            "target": self.target.text() if self.target else None,
            "met": self.is_met,
        }


HEADINGS = ["", "measured", "beside it", "baseline", "ratio", "target", ""]


@dataclass(slots=True)
class Table:
    """The result of one bench."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    """A check other than a target has failed; a note says which."""

    @property
    def is_good(self) -> bool:
        """Whether all targets are met and all checks have passed."""
        return not self.failed and all(row.is_met is not False for row in self.rows)

    def text(self) -> str:
        """Return the table as aligned text."""
        cells = [HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
        lines = [self.title, ""]
        for line in cells:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            lines.append("  " + "  ".join(padded).rstrip())
        lines.extend(["", *(f"  {note}" for note in self.notes)] if self.notes else [])
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the table's content for a JSON document."""
        return {
            "title": self.title,
            "rows": [row.as_json() for row in self.rows],
            "notes": self.notes,
            "good": self.is_good,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share, in percent, of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def times(count: int, what: str) -> str:
    """Return a count with its noun: ``1 round``, ``3 rounds``, ``2 processes``."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def plain(number: float) -> str:
    """Return a number with three significant digits at least, and without an exponent."""
    size = abs(number)
    if size >= 100 or number == int(number):
        return f"{number:,.0f}"
    if size >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}" if size >= 0.1 else f"{number:.2g}"


def _figure_as_json(figure: Figure) -> dict[str, Any]:
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "unit": figure.unit,
        "rounds": figure.rounds,
    }
