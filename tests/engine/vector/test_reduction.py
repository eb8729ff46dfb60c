"""engine.vector.reduction: principal components in place of many, where few tell vectors apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.build import build_vectors, load_vectors, save_vectors
from engine.vector.index import prepare_vectors
from engine.vector.ivf import InvertedLists
from engine.vector.parameters import DEFAULT
from engine.vector.reduction import principal_components
from tests.engine.vector.data import brute, clustered, recall

DIM, K = 64, 10


def noisy(rows: int, noise: float) -> np.ndarray:
    """Rows of intrinsic dimension 8, and noise of some deviation in all others."""
    random = np.random.default_rng(0)
    points = random.standard_normal((rows, 8)) @ random.standard_normal((8, DIM))
    return np.asarray(points + noise * random.standard_normal((rows, DIM)), dtype=np.float32)


def test_as_many_components_as_hold_nearly_all_of_the_variance() -> None:
    """Eight hold all but the noise; where that is much, or there are few rows, nothing is gained."""
    found = principal_components(noisy(2_000, 0.01), Metric.L2)
    assert found is not None
    assert (found.d_in, found.d_out) == (64, 8)
    assert principal_components(noisy(2_000, 1.0), Metric.L2) is None
    assert principal_components(noisy(500, 0.01), Metric.L2) is None
    assert principal_components(noisy(2_000, 0.01)[:, :31].copy(), Metric.L2) is None  # 8 are more than a quarter


def test_distances_are_kept_around_the_mean_and_products_around_zero() -> None:
    """A mean far away is no variance; but what products are made of."""
    vectors = noisy(2_000, 0.001) + 50
    queries = vectors[:10]
    for metric, count in ((Metric.L2, 8), (Metric.DOT, 8)):
        transform = principal_components(vectors, metric)
        assert transform is not None
        assert transform.d_out == count
        reduced = transform.apply(vectors)
        kept, true = brute(reduced[:10], reduced, metric), brute(queries, vectors, metric)
        np.testing.assert_allclose(kept, true, rtol=0.02, atol=0.02 * float(np.abs(true).max()))


@pytest.mark.parametrize("metric", list(Metric))
def test_an_index_of_few_components_finds_what_is_near(tmp_path: Path, metric: Metric) -> None:
    """With exact scores, from its files as well; it says how many components it codes."""
    vectors = clustered(3_000, DIM)
    spec = VectorField(DIM, metric, IndexKind.IVF_PQ, quantization=Quantization.PQ4)
    index = build_vectors(prepare_vectors(vectors, metric), spec, 1, lambda: False)
    lists = index.approximate
    assert isinstance(lists, InvertedLists)
    assert lists.reduced
    assert lists.ivf.code_size <= DIM // 4 // 2
    assert index.stats()["components"] == lists.ivf.d
    save_vectors(index, tmp_path / "index", tmp_path / "exact")
    loaded = load_vectors(tmp_path / "index", tmp_path / "exact", index.info, spec)
    queries = prepare_vectors(clustered(20, DIM, 1), metric)
    scores = brute(clustered(20, DIM, 1), vectors, metric)
    for each in (index, loaded):
        found = each.search(queries, K, allowed=None, parameters=DEFAULT, threads=1)
        assert recall(found.rows, scores) >= 0.95
        np.testing.assert_allclose(found.scores, np.take_along_axis(scores, found.rows, 1), rtol=1e-3, atol=1e-3)


def test_centroids_lie_where_the_rows_of_their_lists_do() -> None:
    """Also those of components: a device looks lists up by them among the vectors as they were given."""
    vectors = clustered(3_000, DIM)
    spec = VectorField(DIM, Metric.L2, IndexKind.IVF_PQ, quantization=Quantization.PQ4)
    lists = build_vectors(vectors, spec, 1, lambda: False).approximate
    assert isinstance(lists, InvertedLists)
    nearest = brute(vectors, lists.centroids, Metric.L2).argmax(axis=1)
    assert (nearest == lists.list_of).mean() >= 0.95


def test_where_near_rows_differ_in_what_was_left_out_all_components_are_coded() -> None:
    """Tight groups far from one another: nearly all variance lies between groups, and nothing of it tells apart."""
    random = np.random.default_rng(0)
    groups = random.standard_normal((8, DIM)).astype(np.float32) * 100
    tight = groups[random.integers(0, 8, 4_000)] + clustered(4_000, DIM, 2) * 0.5
    vectors = np.asarray(tight + random.standard_normal((4_000, DIM)), dtype=np.float32)
    assert principal_components(vectors, Metric.L2) is not None
    spec = VectorField(DIM, Metric.L2, IndexKind.IVF_PQ, quantization=Quantization.PQ4)
    index = build_vectors(vectors, spec, 1, lambda: False)
    found = index.search(vectors[:50], K, allowed=None, parameters=DEFAULT, threads=1)
    assert recall(found.rows, brute(vectors[:50], vectors, Metric.L2)) >= 0.95
