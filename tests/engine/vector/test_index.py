"""engine.vector.index: FAISS against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, VectorField
from engine.vector.index import BuildStoppedError, VectorIndex, prepare_vectors, search_exact

RNG = np.random.default_rng(3)
VECTORS = RNG.standard_normal((500, 12)).astype(np.float32)
QUERIES = RNG.standard_normal((4, 12)).astype(np.float32)


def brute(queries: np.ndarray, vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """Scores (q, n) in float64."""
    q, v = queries.astype(np.float64), vectors.astype(np.float64)
    if metric is Metric.L2:
        return np.asarray(-np.sqrt(((q[:, None] - v[None]) ** 2).sum(-1)))
    if metric is Metric.COSINE:
        q, v = q / np.linalg.norm(q, axis=1, keepdims=True), v / np.linalg.norm(v, axis=1, keepdims=True)
    return np.asarray(q @ v.T)


def built(metric: Metric, kind: IndexKind) -> VectorIndex:
    spec = VectorField(12, metric, kind)
    return VectorIndex.build(prepare_vectors(VECTORS, metric), spec, 1, lambda: False)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", [IndexKind.FLAT, IndexKind.HNSW])
@pytest.mark.parametrize("masked", [False, True])
def test_exact_search_agrees_with_numpy(metric: Metric, kind: IndexKind, masked: bool) -> None:
    """Rows and scores, larger is nearer, under a filter or not, and the same after saving and loading."""
    index = built(metric, kind)
    assert index.kind is kind
    allowed = np.arange(500) % 3 == 0 if masked else None
    scores = brute(QUERIES, VECTORS, metric)
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    expected = np.argsort(-scores, axis=1)[:, :7]
    found, rows = index.search(
        prepare_vectors(QUERIES, metric), 7, allowed=allowed, ef_search=64, exact=True, threads=1
    )
    assert rows.tolist() == expected.tolist()
    np.testing.assert_allclose(found, np.take_along_axis(scores, expected, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", list(Metric))
def test_an_index_survives_its_file(tmp_path: Path, metric: Metric) -> None:
    """Loading gives the same answers and the same vectors; another dimension is refused."""
    index = built(metric, IndexKind.HNSW)
    index.save(tmp_path / "i")
    spec = VectorField(12, metric)
    loaded = VectorIndex.load(tmp_path / "i", spec)
    queries = prepare_vectors(QUERIES, metric)
    for exact in (False, True):
        one = index.search(queries, 5, allowed=None, ef_search=64, exact=exact, threads=1)
        two = loaded.search(queries, 5, allowed=None, ef_search=64, exact=exact, threads=1)
        assert one[1].tolist() == two[1].tolist()
    assert loaded.vectors.tobytes() == prepare_vectors(VECTORS, metric).tobytes()
    assert loaded.memory_bytes() > 500 * 12 * 4
    with pytest.raises(RuntimeError, match="another dimension"):
        VectorIndex.load(tmp_path / "i", VectorField(13, metric))


def test_rows_that_the_graph_does_not_reach_are_minus_one() -> None:
    """A graph asked for more rows than may be returned says so."""
    index = built(Metric.L2, IndexKind.HNSW)
    allowed = np.zeros(500, dtype=bool)
    allowed[[4, 400]] = True
    _, rows = index.search(QUERIES[:1], 3, allowed=allowed, ef_search=500, exact=False, threads=1)
    assert sorted(rows[0].tolist()) == [-1, 4, 400]


def test_auto_is_a_graph_only_where_it_pays() -> None:
    """Below 8,192 rows an exact scan is as quick."""
    assert built(Metric.COSINE, IndexKind.AUTO).kind is IndexKind.FLAT
    many = RNG.standard_normal((8192, 4)).astype(np.float32)
    assert VectorIndex.build(many, VectorField(4, Metric.L2), 2, lambda: False).kind is IndexKind.HNSW


def test_a_build_stops_when_asked() -> None:
    """Between pieces of the rows."""
    with pytest.raises(BuildStoppedError):
        VectorIndex.build(VECTORS, VectorField(12, Metric.L2), 1, lambda: True)


def test_a_file_that_cannot_be_written_is_the_disks_fault(tmp_path: Path) -> None:
    """An OSError, which upkeep tries again."""
    with pytest.raises(OSError, match="cannot be written"):
        built(Metric.L2, IndexKind.FLAT).save(tmp_path / "missing" / "i")


def test_unit_length_is_for_cosine_only() -> None:
    """Zero vectors stay zero rather than becoming NaN."""
    assert prepare_vectors(np.array([[3, 4], [0, 0]], np.float32), Metric.COSINE).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0, 0],
    ]
    assert prepare_vectors(np.array([[3, 4]], np.float32), Metric.DOT).tolist() == [[3, 4]]


@pytest.mark.parametrize("metric", list(Metric))
def test_plain_scans_agree_with_numpy(metric: Metric) -> None:
    """The head's search."""
    scores, rows = search_exact(
        prepare_vectors(QUERIES, metric), prepare_vectors(VECTORS, metric), 5, metric, threads=1
    )
    expected = brute(QUERIES, VECTORS, metric)
    assert rows.tolist() == np.argsort(-expected, axis=1)[:, :5].tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(expected, rows, 1), rtol=1e-4, atol=1e-5)
