"""engine.vector.sealed: what a segment's vectors answer, in every kind, under every metric and filter."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.allowed import Allowed
from engine.vector.build import build_vectors, load_vectors, save_vectors
from engine.vector.index import prepare_vectors
from engine.vector.ivf import InvertedLists
from engine.vector.parameters import DEFAULT, SearchParameters
from engine.vector.sealed import SealedVectors
from tests.engine.vector.data import brute, clustered, recall

ROWS, DIM, K = 2_000, 64, 10
KINDS = [
    (IndexKind.FLAT, Quantization.NONE),
    (IndexKind.FLAT, Quantization.FP16),
    (IndexKind.FLAT, Quantization.SQ8),
    (IndexKind.HNSW, Quantization.NONE),
    (IndexKind.HNSW, Quantization.FP16),
    (IndexKind.HNSW, Quantization.SQ8),
    (IndexKind.IVF_FLAT, Quantization.NONE),
    (IndexKind.IVF_FLAT, Quantization.FP16),
    (IndexKind.IVF_FLAT, Quantization.SQ8),
    (IndexKind.IVF_PQ, Quantization.PQ4),
    (IndexKind.IVF_PQ, Quantization.RABITQ),
]
VECTORS, QUERIES = clustered(ROWS, DIM), clustered(20, DIM, 1)
EXACT = SearchParameters(exact=True)


@cache
def built(kind: IndexKind, quantization: Quantization, metric: Metric) -> SealedVectors:
    spec = VectorField(DIM, metric, kind, m=8, ef_construction=60, quantization=quantization)
    return build_vectors(prepare_vectors(VECTORS, metric), spec, 1, lambda: False)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize(("kind", "quantization"), KINDS)
def test_every_kind_finds_what_is_near_and_survives_its_files(
    tmp_path: Path, kind: IndexKind, quantization: Quantization, metric: Metric
) -> None:
    """Recall of at least 0.95 by the kind that was declared, exact scores, and the same answers from the files."""
    index = built(kind, quantization, metric)
    assert (index.kind, index.info.quantization, index.info.reason) == (kind, quantization, "declared")
    queries, scores = prepare_vectors(QUERIES, metric), brute(QUERIES, VECTORS, metric)
    found = index.search(queries, K, allowed=None, parameters=DEFAULT, threads=1)
    assert found.how.startswith(kind.value)
    assert recall(found.rows, scores) >= 0.95
    half = quantization is Quantization.FP16 and kind is not IndexKind.IVF_FLAT
    tolerance = 2e-2 if half else 1e-3  # float16 keeps 11 bits of each component
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, found.rows, 1), rtol=tolerance, atol=tolerance)

    save_vectors(index, tmp_path / "index", tmp_path / "exact")
    assert (tmp_path / "exact").exists() is index.separate
    spec = VectorField(DIM, metric, kind, quantization=quantization)
    loaded = load_vectors(tmp_path / "index", tmp_path / "exact", index.info, spec)
    again = loaded.search(queries, K, allowed=None, parameters=DEFAULT, threads=1)
    assert again.rows.tolist() == found.rows.tolist()
    assert loaded.stats() == index.stats()
    kept = prepare_vectors(VECTORS, metric)
    if half:
        np.testing.assert_allclose(loaded.vectors, kept, rtol=2**-11, atol=1e-7)
    else:
        assert loaded.vectors.tobytes() == kept.tobytes()


@pytest.mark.parametrize(("kind", "quantization"), KINDS)
def test_exact_is_exact_whatever_the_kind(kind: IndexKind, quantization: Quantization) -> None:
    """By comparing with every row, and under a filter with every allowed one."""
    index, scores = built(kind, quantization, Metric.L2), brute(QUERIES, VECTORS, Metric.L2)
    if index.exact.bytes < 4 * VECTORS.size:  # kept in float16
        scores = brute(QUERIES, index.vectors, Metric.L2)
    answer = index.search(QUERIES, K, allowed=None, parameters=EXACT, threads=1)
    assert answer.rows.tolist() == np.argsort(-scores, axis=1)[:, :K].tolist()
    allowed = Allowed(np.arange(ROWS) % 3 == 0)
    scores[:, ~allowed.mask] = -np.inf
    answer = index.search(QUERIES, K, allowed=allowed, parameters=EXACT, threads=1)
    assert answer.rows.tolist() == np.argsort(-scores, axis=1)[:, :K].tolist()


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("placed", ["anywhere", "near", "far"])
@pytest.mark.parametrize(("kind", "quantization"), [KINDS[3], KINDS[5], KINDS[6], KINDS[9], KINDS[10]])
def test_no_filter_starves_or_misleads_a_search(
    kind: IndexKind, quantization: Quantization, placed: str, share: float
) -> None:
    """Full results and recall of at least 0.95, also where what is allowed is just what is farthest away."""
    index = built(kind, quantization, Metric.COSINE)
    queries, scores = prepare_vectors(QUERIES, Metric.COSINE), brute(QUERIES, VECTORS, Metric.COSINE)
    order, count, found = np.argsort(-scores, axis=1), int(ROWS * share), []
    for q, query in enumerate(queries):
        mask = np.zeros(ROWS, dtype=bool)
        places = {"anywhere": np.random.default_rng(q).permutation(ROWS)[:count], "near": order[q, :count]}
        mask[places.get(placed, order[q, -count:])] = True
        answer = index.search(query[None], K, allowed=Allowed(mask), parameters=DEFAULT, threads=1)
        assert mask[answer.rows].all()
        assert len(set(answer.rows[0].tolist())) == K
        found.append(answer.rows[0])
        scores[q, ~mask] = -np.inf
    assert recall(np.array(found), scores) >= 0.95


def test_queries_of_one_batch_are_answered_each_in_its_own_way() -> None:
    """Of a batch, the filter avoids some queries and not others; all get what they would get alone."""
    index = built(IndexKind.IVF_PQ, Quantization.PQ4, Metric.L2)
    scores = brute(QUERIES, VECTORS, Metric.L2)
    mask = np.zeros(ROWS, dtype=bool)
    mask[np.argsort(-scores[0])[ROWS // 2 :]] = True
    answer = index.search(QUERIES, K, allowed=Allowed(mask), parameters=DEFAULT, threads=1)
    scores[:, ~mask] = -np.inf
    assert recall(answer.rows, scores) >= 0.95
    assert set(answer.rows[0].tolist()) == set(np.argsort(-scores[0])[:K].tolist())


def test_more_results_than_the_lists_hold_are_completed() -> None:
    """One list of 16 has no 500 rows: the rest is found by comparing with all."""
    index = built(IndexKind.IVF_FLAT, Quantization.NONE, Metric.L2)
    answer = index.search(QUERIES[:1], 500, allowed=None, parameters=SearchParameters(nprobe=1), threads=1)
    assert answer.how == "ivf_flat, nprobe 1, no filter, then exact"
    assert answer.rows[0].tolist() == np.argsort(-brute(QUERIES[:1], VECTORS, Metric.L2)[0])[:500].tolist()


def test_a_target_is_met_by_what_calibration_found() -> None:
    """`recall` chooses an effort that reached it, and says which; 0.99 is no cheaper than 0.95."""
    index, scores = built(IndexKind.HNSW, Quantization.NONE, Metric.L2), brute(QUERIES, VECTORS, Metric.L2)
    low, high = (index.effort(SearchParameters(recall=target)) for target in (0.95, 0.99))
    assert low is not None
    assert high is not None
    assert low.ef_search <= high.ef_search
    answer = index.search(QUERIES, K, allowed=None, parameters=SearchParameters(recall=0.99), threads=1)
    assert answer.how == f"hnsw, ef_search {high.ef_search}, no filter"
    assert recall(answer.rows, scores) >= 0.97


def test_what_the_caller_says_is_done() -> None:
    """ef_search, nprobe and oversample reach FAISS; what is not said comes from the calibration."""
    graph = built(IndexKind.HNSW, Quantization.NONE, Metric.L2)
    assert (
        "ef_search 33,"
        in graph.search(QUERIES, K, allowed=None, parameters=SearchParameters(ef_search=33), threads=1).how
    )
    codes = built(IndexKind.IVF_PQ, Quantization.PQ4, Metric.L2)
    poor = SearchParameters(nprobe=1, oversample=1.0)
    answer = codes.search(QUERIES, K, allowed=None, parameters=poor, threads=1)
    assert answer.how.startswith("ivf_pq pq4, nprobe 1 oversample 1, no filter")
    scores = brute(QUERIES, VECTORS, Metric.L2)
    usual = codes.search(QUERIES, K, allowed=None, parameters=DEFAULT, threads=1)
    assert recall(answer.rows, scores) < recall(usual.rows, scores)


def test_memory_counts_what_searches_go_through() -> None:
    """Codes are small and their vectors only mapped; float16 halves a graph's vectors."""
    size = 4 * ROWS * DIM
    plain = built(IndexKind.HNSW, Quantization.NONE, Metric.L2)
    half = built(IndexKind.HNSW, Quantization.FP16, Metric.L2)
    codes = built(IndexKind.IVF_PQ, Quantization.PQ4, Metric.L2)
    assert plain.memory_bytes() - half.memory_bytes() == size // 2
    assert plain.mapped_bytes() == half.mapped_bytes() == 0
    assert codes.memory_bytes() < size / 4
    assert codes.mapped_bytes() == size


@pytest.mark.parametrize("share", [0.9, 0.3, 0.02])
@pytest.mark.parametrize("near", [True, False])
def test_one_query_needs_the_lists_that_it_needs_in_a_batch(share: float, near: bool) -> None:
    """Counted by numbers alone, and by arrays beside itself."""
    index = built(IndexKind.IVF_FLAT, Quantization.SQ8, Metric.COSINE)
    lists, effort = index.approximate, index.effort(DEFAULT)
    assert isinstance(lists, InvertedLists)
    assert effort is not None
    queries, order = prepare_vectors(QUERIES, Metric.COSINE), np.argsort(-brute(QUERIES, VECTORS, Metric.COSINE))
    for q, query in enumerate(queries):
        mask = np.zeros(ROWS, dtype=bool)
        mask[order[q, : int(ROWS * share)] if near else order[q, -int(ROWS * share) :]] = True
        allowed = Allowed(mask)
        needed, thin, avoided = index._lists_needed(lists, query[None], K, allowed, effort)
        wanted, thins, avoids = index._lists_needed(lists, np.array([query, query]), K, allowed, effort)
        assert (needed, thin.tolist(), avoided.tolist()) == (wanted, thins.tolist()[:1], avoids.tolist()[:1])


def test_what_faiss_is_told_is_kept_with_the_filter() -> None:
    """The second search under a filter tells it the same again; another limit something else."""
    index = built(IndexKind.IVF_FLAT, Quantization.SQ8, Metric.L2)
    allowed = Allowed(np.arange(ROWS) % 2 == 0)
    answers = [
        index.search(QUERIES[:1], k, allowed=allowed, parameters=DEFAULT, threads=1).rows.tolist() for k in (K, K, 5)
    ]
    assert answers[0] == answers[1]
    assert answers[2][0] == answers[0][0][:5]
    assert len(allowed.options) == 2
