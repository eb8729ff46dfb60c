"""engine.vector.allowed: a mask in the forms that FAISS and the planner ask for."""

from __future__ import annotations

import faiss
import numpy as np

from engine.vector.allowed import Allowed

MASK = np.zeros(70, dtype=bool)
MASK[[0, 7, 8, 63, 69]] = True


def test_every_form_says_the_same() -> None:
    """Count, share, rows, and both selectors, also where the rows are no multiple of eight."""
    allowed = Allowed(MASK)
    assert (allowed.count, allowed.share) == (5, 5 / 70)
    assert allowed.rows.tolist() == [0, 7, 8, 63, 69]
    for selector in (allowed.by_bits, allowed.by_rows):
        assert [row for row in range(70) if selector.is_member(row)] == [0, 7, 8, 63, 69]
    assert not allowed.by_bits.is_member(1000)


def test_selectors_outlive_what_made_them() -> None:
    """They only point to their bytes, which must not be let go."""
    selector = Allowed(MASK.copy()).by_rows
    index = faiss.IndexFlatL2(1)
    index.add(np.arange(70, dtype=np.float32)[:, None])
    for _ in range(3):
        np.random.default_rng(0).random(100_000)  # would take the place of what was freed
        _, rows = index.search(np.zeros((1, 1), np.float32), 5, params=faiss.SearchParameters(sel=selector))
        assert rows.tolist() == [[0, 7, 8, 63, 69]]


def test_allowed_rows_are_counted_by_list() -> None:
    """Of lists that hold every third row, in which list how many are allowed."""
    assert Allowed(MASK).in_lists(np.arange(70) % 3, 4).tolist() == [3, 1, 1, 0]
