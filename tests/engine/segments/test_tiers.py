"""engine.segments.tiers: what to merge."""

from __future__ import annotations

import pytest

from engine.segments.tiers import choose_run, merge_run


@pytest.mark.parametrize(
    ("live", "dead", "share", "expected"),
    [
        ([], [], 0.15, None),
        ([100, 100], [0, 17], 0.15, None),
        ([100, 100], [0, 18], 0.15, slice(1, 2)),
        ([0, 100, 50, 0, 100], [9, 0, 50, 9, 0], 0.15, slice(0, 1)),
        ([100, 50, 0, 100], [0, 50, 9, 0], 0.15, slice(1, 3)),
        ([100, 100], [1, 0], 0.0, slice(0, 1)),
        ([100, 100], [0, 0], 0.0, None),
        ([100] * 9, [0] * 9, 0.15, slice(0, 9)),
        ([300_000] + [100] * 8, [0] * 9, 0.15, slice(1, 9)),
    ],
)
def test_much_that_is_dead_comes_first(live: list[int], dead: list[int], share: float, expected: slice | None) -> None:
    """Neighbours of which much is dead are written again together; else those of like size are joined."""
    assert choose_run(live, dead, share) == expected


@pytest.mark.parametrize(
    ("sizes", "run"),
    [
        ([], 0),
        ([4096] * 7, 0),
        ([4096] * 8, 8),
        ([32_768] + [4096] * 8, 8),
        ([32_768] * 8, 8),
        ([300_000, 4096, 4096, 10], 0),
        ([32_768] * 7 + [4096] * 8, 8),
        ([32_768] + [4096] * 7, 0),
        ([4096, 1] * 8, 16),
        ([1] * 20, 20),
    ],
)
def test_runs_of_like_size_are_joined(sizes: list[int], run: int) -> None:
    """At least eight of the class of the last, or smaller; a large one before them is left alone."""
    assert merge_run(sizes) == run


def test_documents_are_rewritten_seldom() -> None:
    """1,000 equal segments are merged so that each document is written at most once a class of size."""
    sizes: list[int] = []
    written = 0
    for _ in range(1000):
        sizes.append(4096)
        while run := merge_run(sizes):
            merged = sum(sizes[-run:])
            sizes[-run:] = [merged]
            written += merged
    assert written <= 4096 * 1000 * 4  # log8(1000) is 3.3
    assert len(sizes) <= 28
