"""A service's `/metrics`, read twice: what happened in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = tuple[tuple[str, str], ...]

DURATION = "lumaai_http_request_duration_seconds"


@dataclass(frozen=True, slots=True)
class Scrape:
    """All values of one moment, by name and labels."""

    values: Mapping[tuple[str, Labels], float]

    @classmethod
    def of(cls, text: str) -> Scrape:
        """Read Prometheus' text format."""
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return cls({(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples})

    def named(self, name: str) -> dict[Labels, float]:
        """The values of one metric, by labels."""
        return {labels: value for (found, labels), value in self.values.items() if found == name}

    def total(self, name: str) -> float:
        """Their sum."""
        return sum(self.named(name).values())

    def by(self, name: str, label: str) -> dict[str, float]:
        """Their sums by one label's value."""
        found: dict[str, float] = defaultdict(float)
        for labels, value in self.named(name).items():
            found[dict(labels).get(label, "")] += value
        return found


@dataclass(frozen=True, slots=True)
class RouteRate:
    """What one route was asked for: requests and rows a second, milliseconds of the median and of the slowest 1 %."""

    method: str
    route: str
    requests: float
    rows: float
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Between:
    """What happened between two scrapes, `seconds` apart."""

    before: Scrape
    after: Scrape
    seconds: float

    def rate(self, name: str, **labels: str) -> float:
        """A counter's growth in a second, summed over what has these labels. A restart counts from nothing."""
        wanted = set(labels.items())
        grown = 0.0
        for found, value in self.after.named(name).items():
            if wanted <= set(found):
                before = self.before.values.get((name, found), 0.0)
                grown += value - before if value >= before else value
        return grown / self.seconds

    def routes(self) -> list[RouteRate]:
        """Routes that were asked for anything, the busiest first."""
        found = []
        for labels in self.after.named(f"{DURATION}_count"):
            named = dict(labels)
            rate = self.rate(f"{DURATION}_count", **named)
            if rate:
                rows = self.rate("lumaai_http_rows_total", **named)
                quantiles = self._quantile(named, 0.5), self._quantile(named, 0.99)
                found.append(RouteRate(named["method"], named["route"], rate, rows, *quantiles))
        return sorted(found, key=lambda each: -each.requests)

    def _quantile(self, labels: Mapping[str, str], share: float) -> float | None:
        """As Prometheus' histogram_quantile, in milliseconds: straight lines within buckets; None beyond the last."""
        wanted = set(labels.items())
        buckets = []
        for found, value in self.after.named(f"{DURATION}_bucket").items():
            if wanted <= set(found):
                before = self.before.values.get((f"{DURATION}_bucket", found), 0.0)
                buckets.append((float(dict(found)["le"]), value - before if value >= before else value))
        buckets.sort()
        rank = share * buckets[-1][1] if buckets else 0.0
        low, below = 0.0, 0.0
        for bound, count in buckets:
            if count >= rank and count > below:
                if bound == float("inf"):
                    return None
                return 1000 * (low + (bound - low) * (rank - below) / (count - below))
            low, below = bound, count
        return None
