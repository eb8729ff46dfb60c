"""`make soak`: the long versions of the store's tests; prints a report and keeps it in `benchmarks/results/soak.md`.

    python -m tests.model.soak [--operations 200000] [--kills 200] [--minutes 60] [--seed N]

Three parts, each left out by a 0: a random walk of the database beside its model, kills of a writing process at random
moments, and a mixed load whose memory, descriptors and disk are sampled. With the same seed the walk takes the same
steps; of the kills only the operations are the same, the moments are the machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom

from benchmarks.report import RESULTS, machine
from benchmarks.timing import rss_bytes
from tests.model.kills import ROOT, kill_writers
from tests.model.load import CACHES_BYTES, MEMTABLES_BYTES
from tests.model.walk import walk

WALK_RARELY = 0.2  # else nine tenths of the time are seals, merges and comparisons
SAMPLE_SECONDS = 1.0
PROGRESS_SAMPLES = 10
WARM = 0.25  # of the load, before what it takes is looked at
LAST = 0.25
GROWTH_MAX = 1.10
DESCRIPTORS_MAX = 20  # more at the end than after warming up
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process takes at one moment."""

    rss: int
    descriptors: int
    disk: int


def main(arguments: Sequence[str]) -> int:
    """Run the parts and report; 0 if all went well."""
    options = _parse(arguments)
    seed: int = options.seed
    sizes = f"operations={options.operations} kills={options.kills} minutes={options.minutes}"
    print(f"soak: seed={seed} {sizes}", flush=True)
    lines = [f"\n## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {seed}, {machine()}\n"]
    parts: list[tuple[float, Callable[[Path], str]]] = [
        (options.operations, lambda path: soak_walk(path, seed, options.operations)),
        (options.kills, lambda path: soak_kills(path, seed, options.kills)),
        (options.minutes, lambda path: soak_load(path, seed, 60 * options.minutes)),
    ]
    failed = False
    for _, part in (each for each in parts if each[0]):
        try:
            with tempfile.TemporaryDirectory(prefix="lumaai-soak-", ignore_cleanup_errors=True) as folder:
                line = f"- {part(Path(folder))}"
        except AssertionError as error:
            failed = True
            line = f"- **failed**: {error!s:.1500}"
        print(line, flush=True)
        lines.append(line)
    _keep("\n".join(lines) + "\n")
    return int(failed)


def soak_walk(path: Path, seed: int, operations: int) -> str:
    """A long random walk; a sentence on what it did."""
    started = time.monotonic()

    def report(step: int) -> None:
        _progress(f"walk: {step:,} of {operations:,} operations, {step / (time.monotonic() - started):,.0f}/s")

    done = walk(path, seed, operations, report, rarely=WALK_RARELY)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(done.items()))
    minutes = (time.monotonic() - started) / 60
    return f"walk of {operations:,} operations beside the model: no difference, {minutes:.1f} minutes ({kinds})"


def soak_kills(path: Path, seed: int, kills: int) -> str:
    """Many kills; a sentence on what was compared."""
    started = time.monotonic()
    done = kill_writers(path, seed, kills, lambda count: _progress(f"kills: {count} of {kills}"))
    compared = done.pop("documents")
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(done.items()))
    minutes = (time.monotonic() - started) / 60
    summary = f"{kills} kills of a writer: 0 lost, 0 phantom, 0 resurrected among {compared:,} documents compared"
    return f"{summary}, {minutes:.1f} minutes (acknowledged: {kinds})"


def soak_load(path: Path, seed: int, seconds: float) -> str:
    """A mixed load in a process of its own; a sentence on what it took.

    Raises:
        AssertionError: it failed, or what it takes grows.
    """
    command = [sys.executable, "-m", "tests.model.load", str(path / "db"), str(seconds), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as load:
        samples: list[Sample] = []
        started = time.monotonic()
        while load.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            with contextlib.suppress(OSError):  # it has just ended
                samples.append(_sample(load.pid, path / "db"))
            if len(samples) % PROGRESS_SAMPLES == 0:
                _progress(f"load: {time.monotonic() - started:.0f} of {seconds:.0f} s, {samples[-1].rss // MIB} MiB")
        assert load.stdout is not None
        output = load.stdout.read().splitlines()
    assert load.returncode == 0, f"the load failed: exit code {load.returncode}"
    done = json.loads(output[-1])
    kinds = ", ".join(f"{name} {count:,}" for name, count in done.items())
    return f"load for {seconds / 60:.0f} minutes: {_judge(samples)} ({kinds})"


def _judge(samples: Sequence[Sample]) -> str:
    """Compare the time after warming up with the end.

    Raises:
        AssertionError: something grows.
    """
    count = max(1, int(LAST * len(samples)))
    begin = samples[int(WARM * len(samples)) :][:count]
    end = samples[-count - 2 : -2] or samples  # the last two are of closing
    rss = [statistics.median(each.rss for each in part) for part in (begin, end)]
    descriptors = [statistics.median(each.descriptors for each in part) for part in (begin, end)]
    disk = [statistics.median(each.disk for each in part) for part in (begin, end)]
    words = (
        f"RSS {rss[0] / MIB:.0f} → {rss[1] / MIB:.0f} MiB, descriptors {descriptors[0]:.0f} → {descriptors[1]:.0f}, "
        f"disk {disk[0] / MIB:.0f} → {disk[1] / MIB:.0f} MiB (most: {max(each.disk for each in samples) / MIB:.0f})"
    )
    filling = CACHES_BYTES + MEMTABLES_BYTES  # they have a cap, and may not have reached it while the load warmed up
    assert rss[1] <= GROWTH_MAX * rss[0] + filling, f"memory grows: {words}"
    assert descriptors[1] <= descriptors[0] + DESCRIPTORS_MAX, f"descriptors leak: {words}"
    assert disk[1] <= 2 * GROWTH_MAX * disk[0], f"disk grows: {words}"
    return words


def _sample(pid: int, path: Path) -> Sample:
    disk = 0
    for root, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                disk += Path(root, name).stat().st_size
    return Sample(rss_bytes(pid), len(os.listdir(f"/proc/{pid}/fd")), disk)  # noqa: PTH208  (only their number)


def _progress(line: str) -> None:
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line}", end="", flush=True)
    else:
        print(line, flush=True)


def _keep(text: str) -> None:
    path = RESULTS / "soak.md"
    begin = "" if path.exists() else "# Long runs of the store\n\nWritten by `make soak`, the newest at the end.\n"
    with path.open("a") as file:
        file.write(begin + text)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=200_000, help="steps of the random walk")
    parser.add_argument("--kills", type=int, default=200, help="kills of the writing process")
    parser.add_argument("--minutes", type=float, default=60.0, help="of mixed load")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**31), help="of all choices")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
