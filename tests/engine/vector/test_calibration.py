"""engine.vector.calibration: the cheapest effort that finds enough."""

from __future__ import annotations

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, VectorField
from engine.vector.build import build_vectors
from engine.vector.calibration import Calibration, Level, beside, recall_of
from engine.vector.index import prepare_vectors, search_exact
from engine.vector.parameters import Effort, SearchParameters

LEVELS = (
    Level(Effort(nprobe=4, oversample=3.0), 0.90, 20.0),
    Level(Effort(nprobe=4, oversample=6.0), 0.96, 31.0),
    Level(Effort(nprobe=8, oversample=3.0), 0.957, 25.0),
    Level(Effort(nprobe=8, oversample=6.0), 0.999, 50.0),
)


def test_the_cheapest_effort_that_reaches_a_target_is_chosen() -> None:
    """With a margin for the sample; none where none reaches it."""
    calibration = Calibration(LEVELS)
    assert calibration.effort(0.95) == Effort(nprobe=8, oversample=3.0)
    assert Calibration((*LEVELS, Level(Effort(nprobe=16), 0.97, 28.0))).effort(0.95) == Effort(
        nprobe=16
    )  # about as cheap
    assert calibration.effort(0.96) == Effort(nprobe=8, oversample=6.0)
    assert calibration.effort(0.99) == Effort(nprobe=8, oversample=6.0)
    assert Calibration(LEVELS[:3]).effort(0.99) is None
    assert Calibration().effort(0.95) is None


def test_the_best_level_finds_most_and_of_equals_is_the_cheapest() -> None:
    """By recall first."""
    assert Calibration((*LEVELS, Level(Effort(nprobe=16), 0.999, 49.0))).best().microseconds == 49.0


def test_recall_counts_neighbours_without_the_query_itself() -> None:
    """Each query is one of the rows and finds itself; rows as near as the last true one count, whichever they are."""
    truth = np.array([[0.0, -1.0, -2.0], [0.0, -1.0, -1.0]], np.float32)
    rows = np.array([[5, 6, 9], [7, 8, -1]])
    scores = np.array([[0.0, -1.0, -3.0], [0.0, -1.0, 0.0]], np.float32)
    assert recall_of(scores, rows, truth, own=True) == 0.5  # one of two neighbours each
    assert recall_of(truth, np.zeros((2, 3), int), truth, own=True) == 1.0
    assert recall_of(scores, rows, truth, own=False) == pytest.approx(2 / 3, abs=1e-4)


def test_queries_beside_rows_are_as_far_from_them_as_neighbours_are_apart() -> None:
    """The difference of the sixth and the eleventh neighbour away; the row itself, where it has not so many."""
    vectors = np.zeros((12, 2), np.float32)
    vectors[5], vectors[10] = (3, 0), (1, 2)
    neighbours = np.array([range(11), [*range(10), -1]])
    found = beside(np.array([[1, 1], [4, 4]], np.float32), vectors, neighbours, Metric.L2)
    assert found.tolist() == [[3, -1], [4, 4]]
    unit = beside(np.array([[1, 1], [4, 4]], np.float32), vectors, neighbours, Metric.COSINE)
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1)


def test_a_graph_is_tried_by_queries_that_it_does_not_know() -> None:
    """A target is met for queries that are no rows, but for what the sample is wrong by.

    Tried by its own rows, the graph would find 0.75 where 0.95 was asked for, and 0.90 instead of 0.99.
    """
    rng = np.random.default_rng(0)
    everything = prepare_vectors(rng.normal(size=(8_300, 32)).astype(np.float32), Metric.COSINE)
    base, queries = everything[:8_000], np.ascontiguousarray(everything[8_000:])
    built = build_vectors(base, VectorField(32, Metric.COSINE, IndexKind.HNSW), 2, lambda: False)
    truth = search_exact(queries, base, 10, Metric.COSINE, threads=1)[1]
    for recall in (0.95, 0.99):
        asked = SearchParameters(recall=recall)
        answer = built.search(queries, 10, allowed=None, parameters=asked, threads=1)
        found = [len(set(a) & set(b)) / 10 for a, b in zip(answer.rows.tolist(), truth.tolist(), strict=True)]
        assert np.mean(found) >= recall - 0.01
        assert "ef_search" in answer.how  # not by comparing with all
