"""A random walk of a database and its model, without hypothesis: as fast as the engine is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.model.clock import Clock
from tests.model.pair import KINDS, RARE_STEPS, STEPS, Pair

STEPS_SHARE, RARE_SHARE = 0.25, 0.015  # of what is no write; of what takes tens of milliseconds
PROGRESS_SECONDS = 10.0


def walk(
    path: Path, seed: int, operations: int, report: Callable[[int], None] | None = None, *, rarely: float = 1.0
) -> Counter[str]:
    """Take a database through `operations` steps; how often each kind was taken.

    Args:
        path: a directory that may hold nothing.
        seed: of all choices: the same seed takes the same steps.
        operations: steps.
        report: called with the number of steps taken, every few seconds.
        rarely: scales the share of the steps that are no writes; less for long runs.

    Raises:
        AssertionError: the database and its model disagree; the message has the seed and the step.
    """
    random = Random(seed)
    shares = [rarely * RARE_SHARE, rarely * STEPS_SHARE]
    reported = time.monotonic()
    with Clock() as clock:
        pair = Pair(path, random, clock)
        try:
            for step in range(operations):
                (weights,) = random.choices([RARE_STEPS, STEPS, KINDS], [*shares, 1 - sum(shares)])
                kind = random.choices(list(weights), list(weights.values()))[0]
                try:
                    pair.step(kind)
                except Exception as error:
                    raise AssertionError(f"seed={seed} step={step} kind={kind}: {error!r:.2000}") from error
                if report is not None and time.monotonic() - reported > PROGRESS_SECONDS:
                    report(step + 1)
                    reported = time.monotonic()
            pair.close()
        finally:
            pair.abandon()
    return pair.done
