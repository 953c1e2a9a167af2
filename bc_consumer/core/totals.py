"""Counts what happens in this process, until the counts are taken away.

Counting is a dictionary and a lock, so it may be done anywhere, on an event loop too: no statement,
no file, no waiting. What a metric is, and which values its labels may have, its definition says;
the memory that counts take is therefore bounded.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

OTHER = "other"
"""What a label's value becomes that its definition does not list."""


@dataclass(frozen=True, slots=True)
class Metric:
    """The definition of one metric: a histogram if it has buckets, else a counter or a gauge."""

    name: str
    help: str
    """What it measures, in one sentence for whoever reads the exposition."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label → every value that it may have."""
    buckets: tuple[float, ...] = ()
    """Upper bounds, ascending and without infinity."""

    @property
    def bounds(self) -> tuple[float, ...]:
        """The buckets with the last one, which has everything."""
        return (*self.buckets, float("inf"))

    def combinations(self) -> Iterator[dict[str, str]]:
        """Yield each combination of label values."""
        for values in product(*self.labels.values()):
            yield dict(zip(self.labels, values, strict=True))

    def series(self, labels: Mapping[str, str], part: str = "", **further: str) -> str:
        """Return the name of one series, as Prometheus writes it.

        ``part`` is a histogram's ``_bucket`` or ``_sum``; ``further`` is its label ``le``.
        """
        known = {
            label: labels[label] if labels[label] in values else OTHER
            for label, values in self.labels.items()
        }
        pairs = ",".join(f'{label}="{value}"' for label, value in (known | further).items())
        return f"{self.name}{part}{{{pairs}}}" if pairs else f"{self.name}{part}"


class Totals:
    """The counts of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._amounts: dict[str, float] = {}

    def add(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        """Add to a counter; adding 0 does nothing."""
        if amount:
            self.give_back({metric.series(labels): amount})

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Add one value to a histogram: to its sum, and to each bucket that the value fits in."""
        fitting = [bound for bound in metric.bounds if value <= bound]
        amounts = {metric.series(labels, "_bucket", le=label_of(bound)): 1.0 for bound in fitting}
        self.give_back({metric.series(labels, "_sum"): value, **amounts})

    def take(self) -> dict[str, float]:
        """Return what was counted since the last call, as series → amount, and begin anew."""
        with self._lock:
            taken, self._amounts = self._amounts, {}
        return taken

    def give_back(self, amounts: Mapping[str, float]) -> None:
        """Add amounts, e.g. those that were taken and could not be stored."""
        with self._lock:
            for series, amount in amounts.items():
                self._amounts[series] = self._amounts.get(series, 0.0) + amount


def label_of(bound: float) -> str:
    """Return a bucket's bound as the label ``le`` writes it."""
    return "+Inf" if bound == float("inf") else repr(float(bound))


totals = Totals()
"""Those of this process."""
