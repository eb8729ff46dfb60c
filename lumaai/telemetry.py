"""What the service says about itself: one canonical line per request, and metrics for Prometheus.

Lines hold ids, routes, numbers and names of errors: never document text, questions or keys.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from lumaai.lines import EventFormatter, Lines, places
from lumaai.slow import explained

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST

# Upper bounds in seconds: from a search of a small collection to an answer of a slow language model.
SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(slots=True)
class RequestRecord:
    """What is known of one request at its end."""

    id: str
    method: str
    route: str = "unmatched"
    status: int = 0
    seconds: float = 0.0
    rows: int | None = None
    code: str | None = None
    caller: str | None = None
    explain: Callable[[], Any] | None = None


class Telemetry:
    """Metrics (a registry of its own, so that two apps in a process do not meet) and the request log.

    Args:
        log_file: where lines go; stderr if not given.
        slow_seconds: requests that take longer are logged a second time, with how they ran; None: no request.
    """

    def __init__(self, log_file: BinaryIO | None = None, *, slow_seconds: float | None = None) -> None:
        self.slow_seconds = slow_seconds
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "lumaai_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lumaai_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ["method", "route"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self._rows = Counter(
            "lumaai_http_rows", "Documents taken in or given out.", ["method", "route"], registry=self.registry
        )
        self._slow = Counter("lumaai_http_slow_requests", "Requests that took long.", registry=self.registry)
        self._children: dict[tuple[str, str, int], tuple[Any, Any, Any]] = {}
        ProcessCollector(registry=self.registry)
        self._lines = Lines(log_file)

    def watch(self, gauges: Callable[[], Iterable[tuple[str, str, dict[str, str], float]]]) -> None:
        """Show `gauges()` (name, help, labels, value) whenever metrics are read; what ends in `_total` only grows."""
        self.registry.register(_Gauges(gauges))

    def record(self, request: RequestRecord) -> None:
        """Count a finished request and write its line."""
        requests, seconds, rows = self._children_of(request)
        requests.inc()
        seconds.observe(request.seconds)
        if request.rows:
            rows.inc(request.rows)
        fields: dict[str, Any] = {
            "id": request.id,
            "method": request.method,
            "route": request.route,
            "status": request.status,
            "seconds": round(request.seconds, 6),
        }
        if request.rows is not None:
            fields["rows"] = request.rows
        if request.code is not None:
            fields["code"] = request.code
        if request.caller is not None:
            fields["caller"] = request.caller
        self._lines.write("request", fields)
        if self.slow_seconds is not None and request.seconds > self.slow_seconds:
            self._slow.inc()
            how = None if request.explain is None else explained(request.explain())
            slow = fields if how is None else {**fields, "explain": how}
            self._lines.write("request.slow", slow, level="warning")

    def audit(self, fields: Mapping[str, Any]) -> None:
        """Write an administrative act into the log; see `lumaai.audit`."""
        self._lines.write("audit", fields)

    def failed(self, request: RequestRecord, error: BaseException) -> None:
        """Write where an unexpected error came from: classes, files and lines, without its message.

        The message of an exception from a library may quote the document it was working on.
        """
        fields = {"id": request.id, "error": type(error).__name__, "at": places(error)}
        self._lines.write("request.failed", fields, level="error")

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _children_of(self, request: RequestRecord) -> tuple[Any, Any, Any]:
        # `labels()` validates and locks; the combinations are few (routes × statuses) and known after a while.
        key = (request.method, request.route, request.status)
        found = self._children.get(key)
        if found is None:
            found = (
                self._requests.labels(request.method, request.route, str(request.status)),
                self._seconds.labels(request.method, request.route),
                self._rows.labels(request.method, request.route),
            )
            self._children[key] = found
        return found


class _Gauges(Collector):
    def __init__(self, gauges: Callable[[], Iterable[tuple[str, str, dict[str, str], float]]]) -> None:
        self._gauges = gauges

    def describe(self) -> list[Any]:
        """Nothing known beforehand: otherwise registering would read the database."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for name, help_text, labels, value in self._gauges():
            if name not in families:
                kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                families[name] = kind(name, help_text, labels=list(labels))
            families[name].add_metric(list(labels.values()), value)
        return families.values()


def log_core(level: int = logging.INFO) -> None:
    """Send the `noun.verbed` events of engine, models and promptql, and uvicorn's warnings, to stderr as JSON lines.

    Exceptions come as classes and places: their messages may quote documents, their frames hold keys.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    levels = dict.fromkeys(("engine", "models", "promptql", "lumaai"), level) | {
        "uvicorn": logging.WARNING,
        "asyncio": logging.WARNING,
    }
    for name, least in levels.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False
