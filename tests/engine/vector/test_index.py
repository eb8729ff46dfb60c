"""engine.vector.index: preparing vectors, scores, plain scans."""

from __future__ import annotations

import numpy as np
import pytest

from engine.schema import Metric
from engine.vector.index import prepare_vectors, search_exact, to_scores
from tests.engine.vector.data import brute

RNG = np.random.default_rng(3)
VECTORS = RNG.standard_normal((500, 12)).astype(np.float32)
QUERIES = RNG.standard_normal((4, 12)).astype(np.float32)


def test_unit_length_is_for_cosine_only() -> None:
    """Zero vectors stay zero rather than becoming NaN."""
    assert prepare_vectors(np.array([[3, 4], [0, 0]], np.float32), Metric.COSINE).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0, 0],
    ]
    assert prepare_vectors(np.array([[3, 4]], np.float32), Metric.DOT).tolist() == [[3, 4]]


@pytest.mark.parametrize("length", [1e-25, 1e25])
def test_vectors_whose_squares_leave_float32_have_a_direction_all_the_same(length: float) -> None:
    """Their lengths are computed in float64."""
    prepared = prepare_vectors(np.array([[3 * length, 4 * length]], np.float32), Metric.COSINE)
    np.testing.assert_allclose(prepared, [[0.6, 0.8]], rtol=1e-5)


def test_scores_are_larger_for_nearer() -> None:
    """Squared distances become minus distances, and a rounding below zero none at all."""
    distances = np.array([4.0, -1e-7], np.float32)
    assert to_scores(distances, Metric.L2).tolist() == [-2.0, 0.0]
    assert to_scores(distances, Metric.DOT) is distances


@pytest.mark.parametrize("metric", list(Metric))
def test_plain_scans_agree_with_numpy(metric: Metric) -> None:
    """The head's search."""
    scores, rows = search_exact(
        prepare_vectors(QUERIES, metric), prepare_vectors(VECTORS, metric), 5, metric, threads=1
    )
    expected = brute(QUERIES, VECTORS, metric)
    assert rows.tolist() == np.argsort(-expected, axis=1)[:, :5].tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(expected, rows, 1), rtol=1e-4, atol=1e-5)
