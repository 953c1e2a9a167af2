"""Counts what happens in this process, until the counts are taken away.

Counting is a dictionary and a lock, so it may be done anywhere, on an event loop too: no statement,
no file, no waiting. What a metric is, and which values its labels may have, its definition says;
the memory that counts take is therefore bounded.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, product

OTHER = "other"
"""What a label's value becomes that its definition does not list."""


@dataclass(frozen=True, slots=True, eq=False)
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
        pairs = ",".join(f'{label}="{value}"' for label, value in {**labels, **further}.items())
        return f"{self.name}{part}{{{pairs}}}" if pairs else f"{self.name}{part}"


class Totals:
    """The counts of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[_Key, float] = {}
        self._histograms: dict[_Key, _Observed] = {}
        self._given_back: dict[str, float] = {}

    def add(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        """Add to a counter; adding 0 does nothing."""
        if not amount:
            return
        key = _key(metric, labels)
        with self._lock:
            self._counters[key] = self._counters.get(key, 0.0) + amount

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Add one value to a histogram."""
        key, place = _key(metric, labels), bisect_left(metric.buckets, value)
        with self._lock:
            observed = self._histograms.get(key)
            if observed is None:
                observed = self._histograms[key] = _Observed([0] * len(metric.bounds))
            observed.counts[place] += 1
            observed.sum += value

    def take(self) -> dict[str, float]:
        """Return what was counted since the last call, as series → amount, and begin anew."""
        with self._lock:
            amounts, self._given_back = self._given_back, {}
            counters, self._counters = self._counters, {}
            histograms, self._histograms = self._histograms, {}
        for (metric, values), amount in counters.items():
            _add(amounts, metric.series(_labels(metric, values)), amount)
        for (metric, values), observed in histograms.items():
            labels = _labels(metric, values)
            _add(amounts, metric.series(labels, "_sum"), observed.sum)
            # A bucket has what fits in the ones before it, too.
            for bound, count in zip(metric.bounds, accumulate(observed.counts), strict=True):
                if count:
                    _add(amounts, metric.series(labels, "_bucket", le=label_of(bound)), count)
        return amounts

    def give_back(self, amounts: Mapping[str, float]) -> None:
        """Count what was taken, and could not be stored, once more."""
        with self._lock:
            for series, amount in amounts.items():
                _add(self._given_back, series, amount)


_Key = tuple[Metric, tuple[str, ...]]


@dataclass(slots=True)
class _Observed:
    counts: list[int]
    """How many values were between each bound and the one before it."""
    sum: float = 0.0


def _key(metric: Metric, labels: Mapping[str, str]) -> _Key:
    known = metric.labels.items()
    return metric, tuple(
        labels[name] if labels[name] in values else OTHER for name, values in known
    )


def _labels(metric: Metric, values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(metric.labels, values, strict=True))


def _add(amounts: dict[str, float], series: str, amount: float) -> None:
    amounts[series] = amounts.get(series, 0.0) + amount


def label_of(bound: float) -> str:
    """Return a bucket's bound as the label ``le`` writes it."""
    return "+Inf" if bound == float("inf") else repr(float(bound))


totals = Totals()
"""Those of this process."""
