"""engine.vector.device.resident: the device finds what plain comparison finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.schema import IndexKind, Metric, Quantization
from engine.vector.allowed import Allowed
from engine.vector.device.backend import Nearest, Resident, Source
from engine.vector.device.resident import best_of
from engine.vector.device.source import source_of
from engine.vector.device.tensors import TorchBackend, half_scale
from engine.vector.index import prepare_vectors
from tests.engine.vector.data import Array, brute, recall
from tests.gpu.material import DIM, EXACT, K, questions, segment, some


def loaded(backend: TorchBackend, source: Source) -> Resident:
    steps = backend.load(source)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            resident: Resident = finished.value
            return resident


def nearest(
    backend: TorchBackend,
    source: Source,
    queries: Array,
    k: int,
    allowed: Allowed | None = None,
    nprobe: int | None = None,
) -> Nearest:
    found = loaded(backend, source).search(queries, k, allowed, nprobe)
    assert found is not None
    return found


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("metric", list(Metric))
def test_exact_search_is_exact(backend: TorchBackend, metric: Metric, precision: str) -> None:
    """Whatever the precision of the products, the rows are those of float32, and so are the scores."""
    index, queries = segment(metric), questions(metric)

    found = nearest(TorchBackend(backend.device.type, precision), source_of(index), queries, K)

    expected = index.search(queries, K, allowed=None, parameters=EXACT, threads=1)
    assert found.sure.all()
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.05, 0.01])
@pytest.mark.parametrize("kind", [IndexKind.FLAT, IndexKind.IVF_FLAT])
@pytest.mark.parametrize("metric", list(Metric))
def test_filters_hold(backend: TorchBackend, metric: Metric, kind: IndexKind, share: float) -> None:
    """Only allowed rows are found, and of these the nearest, with padded lists and without."""
    index, queries, allowed = segment(metric, kind), questions(metric), some(share)

    found = nearest(backend, source_of(index), queries, K, allowed)

    expected = index.search(queries, K, allowed=allowed, parameters=EXACT, threads=1)
    assert allowed.mask[found.rows].all()
    np.testing.assert_array_equal(found.rows, expected.rows)


def test_all_that_is_allowed_can_be_asked_for(backend: TorchBackend) -> None:
    """K as large as the allowed rows gives each of them once."""
    allowed = some(0.01)

    found = nearest(backend, source_of(segment()), questions(), allowed.count, allowed)

    np.testing.assert_array_equal(np.sort(found.rows, axis=1), np.tile(allowed.rows, (len(found.rows), 1)))


@pytest.mark.parametrize("metric", list(Metric))
def test_lists_find_most_and_all_of_them_find_all(backend: TorchBackend, metric: Metric) -> None:
    """A quarter of the lists gives recall above 0.9 and fewer rows looked at; every list gives what is nearest."""
    index, queries = segment(metric, IndexKind.IVF_FLAT), questions(metric)
    source, scores = source_of(index), brute(questions(metric), index.vectors, metric)

    assert source.lists >= 16
    some_lists = nearest(backend, source, queries, K, nprobe=source.lists // 4)
    assert "ivf nprobe" in some_lists.how
    assert recall(some_lists.rows, scores) > 0.9
    assert recall(nearest(backend, source, queries, K, nprobe=1).rows, scores) < 1.0
    assert recall(nearest(backend, source, queries, K, nprobe=source.lists).rows, scores) == 1.0


def test_half_precision_segments_are_compared_as_the_processor_does(backend: TorchBackend) -> None:
    """fp16 segments give the processor's rows and scores: those of the vectors as they are kept."""
    index, queries = segment(Metric.COSINE, IndexKind.HNSW, Quantization.FP16), questions(Metric.COSINE)

    found = nearest(backend, source_of(index), queries, K)

    expected = index.search(queries, K, allowed=None, parameters=EXACT, threads=1)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)


def test_tiles_make_no_difference(backend: TorchBackend) -> None:
    """However few scores are held at a time, the answer is the same."""
    index, queries = segment(), questions()
    whole = nearest(backend, source_of(index), queries, K)

    backend.tile_elements = 1 << 12
    tiled = nearest(backend, source_of(index), queries, K)

    np.testing.assert_array_equal(tiled.rows, whole.rows)


def test_candidates_travel_where_float32_does_not_fit(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for half precision only, float32 vectors are sent along; what is unsure is said to be."""
    index, queries = segment(), questions()
    monkeypatch.setattr(backend, "free_bytes", lambda: 1)

    resident = loaded(backend, source_of(index))
    found = resident.search(queries, K, None, None)

    expected = index.search(queries, K, allowed=None, parameters=EXACT, threads=1)
    assert found is not None
    assert resident.bytes < index.vectors.nbytes
    assert found.sure.any()
    np.testing.assert_array_equal(found.rows[found.sure], expected.rows[found.sure])


def test_what_half_precision_cannot_tell_apart_is_compared_again(backend: TorchBackend) -> None:
    """A thousand rows that differ by less than half precision sees are still ranked by float32."""
    random = np.random.default_rng(3)
    one = random.standard_normal(DIM).astype(np.float32)
    near = one + 1e-5 * random.standard_normal((1_000, DIM)).astype(np.float32)
    vectors, query = prepare_vectors(near, Metric.COSINE), prepare_vectors(one[np.newaxis], Metric.L2)

    found = nearest(backend, Source(vectors, Metric.DOT), query, 3)

    products = (vectors.astype(np.float64) @ query[0].astype(np.float64))[found.rows[0]]
    best = np.sort(vectors.astype(np.float64) @ query[0].astype(np.float64))[::-1][:3]
    assert found.sure.all()
    np.testing.assert_allclose(products, best, rtol=2e-7)


@pytest.mark.parametrize("size", [1e-18, 1e-4, 1e4, 1e17])
def test_any_size_of_numbers_fits(backend: TorchBackend, size: float) -> None:
    """Vectors that float16 could not hold are scaled; the order is theirs."""
    random = np.random.default_rng(4)
    vectors = (random.standard_normal((500, DIM)) * size).astype(np.float32)
    queries = (random.standard_normal((5, DIM))).astype(np.float32)

    found = nearest(backend, Source(vectors, Metric.DOT), queries, 5)

    assert recall(found.rows, brute(queries, vectors, Metric.DOT)) == 1.0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3), st.integers(1, 3_000), st.integers(1, 40), st.booleans(), st.integers(0, 1_000))
def test_best_of_is_topk(backend: TorchBackend, queries: int, count: int, wanted: int, holes: bool, seed: int) -> None:
    """Looking at groups first finds the same as sorting everything, with ties and excluded rows."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, 50, (queries, count)).astype(np.float32)
    if holes:
        scores[random.random(scores.shape) < 0.9] = -np.inf
    wanted = min(wanted, count)

    values, places = best_of(backend.upload(scores), wanted)

    np.testing.assert_array_equal(values.cpu().numpy(), -np.sort(-scores, axis=1)[:, :wanted])
    chosen = places.cpu().numpy()
    np.testing.assert_array_equal(np.take_along_axis(scores, chosen, 1), values.cpu().numpy())
    assert all(len(set(row)) == wanted for row in chosen.tolist())


def test_the_largest_component_keeps_clear_of_the_end_of_half_precision() -> None:
    """Scales are powers of two that bring any number between 2^12 and 2^13."""
    for largest in (1e-20, 0.5, 1.0, 255.0, 65_504.0, 1e30):
        assert 2.0**12 <= largest * half_scale(largest) <= 2.0**13
    assert half_scale(0.0) == 1.0


def test_k_means_finds_the_clusters(backend: TorchBackend) -> None:
    """Forty tight clusters are found by forty centroids, each near its own."""
    random = np.random.default_rng(5)
    centres = 100 * random.standard_normal((40, DIM)).astype(np.float32)
    points = np.repeat(centres, 50, axis=0) + random.standard_normal((2_000, DIM)).astype(np.float32)

    centroids = backend.centroids(points, 40, 20)

    spread = np.sqrt(((points[:, None] - centroids[None]) ** 2).sum(2).min(1)).mean()
    one_round = backend.centroids(points, 40, 1)
    assert spread < np.sqrt(((points[:, None] - one_round[None]) ** 2).sum(2).min(1)).mean()
    assert centroids.shape == (40, DIM)
    assert np.isfinite(centroids).all()


def test_k_means_leaves_no_cluster_empty(backend: TorchBackend) -> None:
    """Fewer distinct points than clusters still give finite centroids."""
    points = np.repeat(np.eye(DIM, dtype=np.float32)[:4], 25, axis=0)

    assert np.isfinite(backend.centroids(points, 10, 5)).all()
