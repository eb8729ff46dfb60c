"""Timing that survives a noisy machine: both sides in turn, medians, ratios."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 5) -> tuple[float, float, float]:
    """Median seconds of each, run alternately, and the median of the ratio theirs / ours (above 1: we are faster)."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratio = statistics.median(b / a for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def percentiles(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds of `work(i)`, i from 0."""
    times = sorted(seconds(lambda i=i: work(i)) for i in range(count))  # type: ignore[misc]
    return 1000 * times[len(times) // 2], 1000 * times[int(len(times) * 0.99)]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def rss_bytes(pid: int) -> int:
    """Resident memory of a process (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return 1024 * int(line.split()[1])
    return 0


def load_average() -> str:
    """How many processes wanted a processor in the last minute."""
    return f"{os.getloadavg()[0]:.1f}"
