"""The two charts of the first page, as bars whose heights the template draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bc_consumer.console import formatting
from bc_consumer.console.correctness import Night
from bc_consumer.console.freshness import HourOfDelays

HEIGHT = 40
"""Size of a chart, in SVG units."""
WIDTH = 10
"""Of a bar with its gap."""
LOWEST = 1
"""The height of a bar that is not empty, however small its value."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: where it stands, how high it is, and its tooltip."""

    left: int
    top: int
    height: int
    text: str
    level: str = "ok"


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars from left to right, and one sentence for readers who can't see them."""

    bars: Sequence[Bar]
    summary: str
    first: str
    last: str
    """What stands below the first and the last bar."""

    @property
    def width(self) -> int:
        """The width of all bars together."""
        return len(self.bars) * WIDTH

    @property
    def height(self) -> int:
        """The height of the highest bar."""
        return HEIGHT


def delay_chart(hours: Sequence[HourOfDelays]) -> Chart:
    """Return the delays of the last day: a bar for each hour, as high as its 95th percentile."""
    values = [hour.delays.p95 or 0.0 for hour in hours]
    texts = [
        _("%(hour)s: %(count)s changes, median %(p50)s, 95 %% within %(p95)s")
        % {
            "hour": f"{timezone.localtime(hour.hour):%H:%M}",
            "count": formatting.number(hour.delays.count),
            "p50": formatting.duration(hour.delays.p50),
            "p95": formatting.duration(hour.delays.p95),
        }
        for hour in hours
    ]
    highest = max(values, default=0.0)
    summary = _("Delays of the last 24 hours: in the slowest hour 95 %% within %(p95)s.") % {
        "p95": formatting.duration(highest or None)
    }
    return Chart(
        _bars(values, texts),
        summary,
        f"{timezone.localtime(hours[0].hour):%H:%M}" if hours else "",
        f"{timezone.localtime(hours[-1].hour + timedelta(hours=1)):%H:%M}" if hours else "",
    )


def night_chart(nights: Sequence[Night]) -> Chart:
    """Return what webhooks missed: a bar for each of the last nights."""
    values = [float(night.missed_by_webhooks) for night in nights]
    texts = [
        _("%(day)s: %(count)s missed")
        % {"day": formatting.day(night.day), "count": formatting.number(night.missed_by_webhooks)}
        if night.ran
        else _("%(day)s: no run completed") % {"day": formatting.day(night.day)}
        for night in nights
    ]
    missed = sum(night.missed_by_webhooks for night in nights)
    summary = ngettext(
        "Webhooks missed %(count)s change in %(nights)s nights.",
        "Webhooks missed %(count)s changes in %(nights)s nights.",
        missed,
    ) % {"count": formatting.number(missed), "nights": len(nights)}
    return Chart(
        _bars(values, texts),
        summary,
        formatting.day(nights[0].day) if nights else "",
        formatting.day(nights[-1].day) if nights else "",
    )


def _bars(values: Sequence[float], texts: Sequence[str]) -> list[Bar]:
    highest = max(values, default=0.0) or 1.0
    bars = []
    for place, (value, text) in enumerate(zip(values, texts, strict=True)):
        height = max(round(HEIGHT * value / highest), LOWEST) if value else 0
        bars.append(Bar(place * WIDTH, HEIGHT - height, height, text))
    return bars
