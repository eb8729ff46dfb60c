"""Which segments to join or to write again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

MERGE_FAN = 8  # segments of like size that are joined; amortised cost n log n
DEAD_SHARE_MAX = 0.15  # of a segment's documents; with more dead it is written again, so disk stays within 1.2 ×


def choose_run(live: Sequence[int], dead: Sequence[int], dead_share: float = DEAD_SHARE_MAX) -> slice | None:
    """The neighbours to write as one segment next, None where all is well.

    Args:
        live: documents of each segment that are not deleted.
        dead: and those that are.
        dead_share: segments with at least this share of dead ones are due, and with `0` those with any.
    """
    due = [gone > 0 and gone >= dead_share * (kept + gone) for kept, gone in zip(live, dead, strict=True)]
    if any(due):
        return first_run(due)
    run = merge_run([max(1, kept) for kept in live])
    return slice(len(live) - run, len(live)) if run else None


def first_run(due: Sequence[bool]) -> slice:
    """The first neighbours of which all are due; at least one is."""
    first = due.index(True)
    return slice(first, first + sum(1 for _ in itertools.takewhile(bool, due[first:])))


def merge_run(sizes: Sequence[int]) -> int:
    """How many of the last segments to join: `MERGE_FAN` of one size class, and the smaller ones among them.

    The class of a size is its logarithm to the base `MERGE_FAN`. Smaller segments do not count: one large segment
    and a few small ones behind it would else be joined again and again. So a document is rewritten at most about once
    a class on its way up.
    """
    classes = [int(math.log(size, MERGE_FAN) + 1e-9) for size in sizes]
    for limit in sorted(set(classes)):
        run = list(itertools.takewhile(lambda each: each <= limit, reversed(classes)))  # noqa: B023  (used at once)
        if run.count(limit) >= MERGE_FAN:
            return len(run)
    return 0
