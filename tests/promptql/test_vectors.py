"""promptql.vectors: clusters, near copies and diverse choices, by hand and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptql.vectors import Vectors, best_clusters, diverse_best, k_means, near_copies, unit


def blobs(sizes: list[int], seed: int = 0) -> Vectors:
    """Unit vectors around one axis a group, in groups one after the other."""
    generator = np.random.default_rng(seed)
    parts = [np.eye(8)[place] + 0.05 * generator.standard_normal((size, 8)) for place, size in enumerate(sizes)]
    return unit(np.concatenate(parts))


def test_clusters_are_the_groups_that_were_made() -> None:
    """Three groups are found, with and without being told how many; the largest is number 0."""
    vectors = blobs([5, 12, 8])
    expected = [2] * 5 + [0] * 12 + [1] * 8
    assert k_means(vectors, 3).tolist() == expected
    assert best_clusters(vectors).tolist() == expected
    assert best_clusters(vectors).tolist() == best_clusters(vectors).tolist()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_rows_are_one_cluster(count: int) -> None:
    """There is nothing to tell apart."""
    assert best_clusters(blobs([2])[:count]).tolist() == [0] * count


def test_equal_rows_can_be_clustered() -> None:
    """Seeds are drawn though all distances are zero."""
    vectors = np.repeat(unit(np.ones((1, 4))), 6, axis=0)
    assert set(k_means(vectors, 3).tolist()) <= {0, 1, 2}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.sampled_from([0.5, 0.9, 0.99]))
def test_near_copies_agree_with_one_by_one(kinds: list[int], threshold: float) -> None:
    """Each row joins the first kept row that is alike; a row of zeros is like nothing."""
    angles = np.array(kinds) * 0.2
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1)) if kinds else np.zeros((0, 2), dtype=np.float32)
    vectors[[place for place, kind in enumerate(kinds) if kind == 5]] = 0
    kept: list[int] = []
    expected = []
    for row, vector in enumerate(vectors):
        alike = [place for place, other in enumerate(kept) if float(vector @ vectors[other]) >= threshold - 1e-6]
        expected.append(alike[0] if alike else len(kept))
        kept += [] if alike else [row]
    assert near_copies(vectors, threshold).tolist() == expected


def test_the_second_choice_is_another_one() -> None:
    """Of two equal rows one is chosen before a row that scores less."""
    vectors = unit(np.array([[1, 0], [1, 0], [0, 1]]))
    assert diverse_best(vectors, np.array([0.9, 0.9, 0.5]), 2) == [0, 2]
    assert diverse_best(vectors, np.array([0.9, 0.9, 0.5]), 9) == [0, 2, 1]
