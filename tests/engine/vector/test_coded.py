"""engine.vector.coded: codes of rows that are not sealed yet."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.allowed import Allowed
from engine.vector.build import build_vectors
from engine.vector.coded import CodedVectors, best_of, wants_codes
from engine.vector.index import BuildStoppedError, prepare_vectors
from engine.vector.ivf import InvertedLists
from engine.vector.parameters import DEFAULT, SearchParameters
from tests.engine.vector.data import brute, clustered, recall

ROWS, DIM, K = 3_000, 64, 10
QUERIES = clustered(20, DIM, 1)


@cache
def model(metric: Metric) -> InvertedLists:
    """Of an older segment, whose rows are others."""
    spec = VectorField(DIM, metric, IndexKind.IVF_PQ, quantization=Quantization.PQ4)
    built = build_vectors(prepare_vectors(clustered(2_000, DIM, 9), metric), spec, 1, lambda: False).approximate
    assert isinstance(built, InvertedLists)
    return built


def coded(vectors: np.ndarray, metric: Metric = Metric.L2, *, alone: bool = False) -> CodedVectors | None:
    prepared = prepare_vectors(vectors, metric)
    return CodedVectors.begin(prepared, VectorField(DIM, metric), None if alone else model(metric), lambda: False)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("metric", list(Metric))
def test_codes_find_what_is_near_with_exact_scores(metric: Metric, alone: bool) -> None:
    """By an older segment's centroids and by their own; one query as many."""
    vectors = clustered(ROWS, DIM)
    codes = coded(vectors, metric, alone=alone)
    assert codes is not None
    queries, scores = prepare_vectors(QUERIES, metric), brute(QUERIES, vectors, metric)
    found = codes.search(queries, K, allowed=None, parameters=DEFAULT, threads=1)
    assert found.how.startswith("ivf_pq pq4, nprobe ")
    assert recall(found.rows, scores) >= 0.95
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, found.rows, 1), rtol=1e-3, atol=1e-3)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    for q in range(3):
        single = codes.search(queries[q : q + 1], K, allowed=None, parameters=DEFAULT, threads=1)
        assert single.rows[0].tolist() == found.rows[q].tolist()


@pytest.mark.parametrize("share", [0.5, 0.05, 0.004])
def test_a_filter_gets_full_results_of_allowed_rows(share: float) -> None:
    """As many as asked for, and those that are nearest."""
    vectors = clustered(ROWS, DIM)
    codes = coded(vectors)
    assert codes is not None
    mask = np.random.default_rng(0).random(ROWS) < share
    allowed = Allowed(mask)
    k = min(K, allowed.count)
    found = codes.search(QUERIES, k, allowed=allowed, parameters=DEFAULT, threads=1)
    assert mask[found.rows].all()
    scores = np.where(mask, brute(QUERIES, vectors, Metric.L2), -np.inf)
    assert recall(found.rows, scores) >= 0.95


def test_more_rows_make_new_codes_and_leave_the_old() -> None:
    """Which go on answering for the rows they had; at twice the rows the effort is found anew."""
    vectors = clustered(ROWS, DIM)
    first = coded(vectors[:1_200])
    assert first is not None
    second = first.extended(vectors[:1_300], lambda: False)
    third = first.extended(vectors, lambda: False)
    assert second is not None
    assert third is not None
    assert [len(codes) for codes in (first, second, third)] == [1_200, 1_300, 3_000]
    assert second.info is first.info
    assert third.info is not first.info
    for codes in (first, second, third):
        nearest = codes.search(vectors[len(codes) - 1 :][:1], 1, allowed=None, parameters=DEFAULT, threads=1)
        assert nearest.rows.tolist() == [[len(codes) - 1]]
    exact = SearchParameters(exact=True)
    assert second.search(QUERIES[:1], K, allowed=None, parameters=exact, threads=1).how.endswith("exact")


def test_rows_that_have_moved_are_compared_with_where_they_are() -> None:
    """A growing array moves to a larger buffer; codes that held the old one would keep both in memory."""
    vectors = clustered(ROWS, DIM)
    codes = coded(vectors[:2_000])
    assert codes is not None
    moved = vectors.copy()[:2_000]
    again = codes.over(moved)
    assert np.shares_memory(again.vectors, moved)
    assert again.over(moved.base[:2_000]) is again  # type: ignore[index]
    answers = [each.search(QUERIES, K, allowed=None, parameters=DEFAULT, threads=1) for each in (codes, again)]
    assert answers[0].rows.tolist() == answers[1].rows.tolist()


def test_codes_that_find_too_little_are_not_used() -> None:
    """Rows far from all that the centroids were learnt from, whose codes cannot tell them apart."""
    assert coded((clustered(ROWS, DIM, 3) * 0.001 + 500).astype(np.float32)) is None
    assert coded(clustered(500, DIM), alone=True) is None  # too few to learn from


def test_it_stops_when_asked() -> None:
    """Whether it begins or goes on."""
    vectors = clustered(ROWS, DIM)
    codes = coded(vectors[:2_000])
    assert codes is not None
    with pytest.raises(BuildStoppedError):
        codes.extended(vectors, lambda: True)
    with pytest.raises(BuildStoppedError):
        CodedVectors.begin(vectors, VectorField(DIM, Metric.L2), model(Metric.L2), lambda: True)


@pytest.mark.parametrize(
    ("rows", "coded", "model", "wanted"),
    [
        (2_674, 0, True, False),  # 8 MiB
        (2_675, 0, True, True),
        (16_383, 0, False, False),
        (16_384, 0, False, True),
        (3_668, 3_000, True, False),  # 2 MiB behind the codes
        (3_669, 3_000, True, True),
        (200_000 + 3_125, 200_000, True, False),  # a sixty-fourth of what is coded
        (200_000 + 3_126, 200_000, True, True),
    ],
)
def test_when_a_head_of_784_dimensions_gets_codes(rows: int, coded: int, model: bool, wanted: bool) -> None:
    """Not before comparing with all of it takes 0.3 ms; then whenever the rest takes 0.1 ms."""
    assert wants_codes(rows, coded, 784, model=model) is wanted


def test_the_best_of_one_line_and_of_several() -> None:
    """Least first, ties as they came."""
    distances = np.array([[3, 1, 1, 2], [0, 5, 4, 4]], dtype=np.float32)
    rows = np.array([[10, 11, 12, 13], [20, 21, 22, 23]])
    for lines in (slice(0, 1), slice(1, 2), slice(0, 2)):
        near, found = best_of(distances[lines], rows[lines], 3)
        assert found.tolist() == [[11, 12, 13], [20, 22, 23]][lines]
        assert near.tolist() == [[1, 1, 2], [0, 4, 4]][lines]
