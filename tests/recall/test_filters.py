"""Filtered search at default settings, for every selectivity and every way a filter can lie beside its query.

A filter is random, correlated (what is allowed is what is nearest to the query), anti-correlated (what is farthest), or
"not the query's own label", which leaves results that are full and wrong where a search only looks nearby.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engine import (
    Collection,
    Database,
    Field,
    FieldType,
    IndexKind,
    Metric,
    Schema,
    SearchParameters,
    VectorField,
    VectorRows,
    parse_filter,
)
from engine.vector.allowed import Allowed
from engine.vector.build import build_vectors
from engine.vector.index import prepare_vectors
from engine.vector.parameters import DEFAULT
from engine.vector.sealed import SealedVectors
from tests.recall.data import clustered, fashion

FLOOR = 0.95
K = 10
SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001, 0.0001)
EXACT = SearchParameters(exact=True)


def recall_of(index: SealedVectors, queries: np.ndarray, masks: list[np.ndarray]) -> float:
    """Mean recall@10, rows as near as the last true one counting alike; every result must be full and allowed."""
    shares = []
    for query, mask in zip(queries, masks, strict=True):
        allowed = Allowed(mask)
        k = min(K, allowed.count)
        found = index.search(query[None], k, allowed=allowed, parameters=DEFAULT, threads=1)
        truth = index.search(query[None], k, allowed=allowed, parameters=EXACT, threads=1).scores[0, -1]
        assert mask[found.rows[0]].all()
        assert len(set(found.rows[0].tolist())) == k
        shares.append(float((found.scores[0] >= truth - 1e-4 * abs(truth)).mean()))
    return float(np.mean(shares))


def masks_of(index: SealedVectors, queries: np.ndarray, placed: str, share: float) -> list[np.ndarray]:
    """For each query, so many rows: anywhere, or the nearest to it, or the farthest from it."""
    rows, masks = len(index), []
    count = max(1, int(share * rows))
    for q, query in enumerate(queries):
        squares = np.einsum("ij,ij->i", index.vectors, index.vectors)
        order = np.argsort(squares - 2 * index.vectors @ query)
        mask = np.zeros(rows, dtype=bool)
        anywhere = np.random.default_rng(q).permutation(rows)[:count]
        mask[{"random": anywhere, "near": order[:count], "far": order[-count:]}[placed]] = True
        masks.append(mask)
    return masks


@pytest.fixture(scope="module", params=["ivf_pq", "hnsw"])
def small(request: pytest.FixtureRequest) -> SealedVectors:
    """10,000 × 128, clustered."""
    spec = VectorField(128, Metric.COSINE, IndexKind(request.param), m=8, ef_construction=60)
    return build_vectors(prepare_vectors(clustered(10_000, 128, 1), Metric.COSINE), spec, 2, lambda: False)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("placed", ["random", "near", "far"])
def test_no_filter_starves_or_misleads(small: SealedVectors, placed: str, share: float) -> None:
    """Every selectivity, however the filter lies beside the query."""
    queries = prepare_vectors(clustered(5, 128, 2), Metric.COSINE)
    assert recall_of(small, queries, masks_of(small, queries, placed, share)) >= FLOOR


@pytest.fixture(scope="module", params=["fashion", "clustered"])
def data(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, Metric]:
    """100,000 rows and 10 queries: fashion-mnist tiled with small noise, or clustered vectors of 384."""
    if request.param == "clustered":
        return clustered(100_000, 384, 1), clustered(10, 384, 2), Metric.COSINE
    base = fashion("train").astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 4, (40_000, 784)).astype(np.float32)
    queries = fashion("test")[:10].astype(np.float32)
    return np.concatenate([base, base[:40_000] + noise]), queries, Metric.L2


@pytest.fixture(scope="module", params=["auto", "hnsw", "ivf_flat"])
def large(
    request: pytest.FixtureRequest, data: tuple[np.ndarray, np.ndarray, Metric]
) -> tuple[SealedVectors, np.ndarray]:
    base, queries, metric = data
    spec = VectorField(base.shape[1], metric, IndexKind(request.param), ef_construction=60)
    return build_vectors(prepare_vectors(base, metric), spec, 2, lambda: False), prepare_vectors(queries, metric)


@pytest.mark.slow
@pytest.mark.parametrize("placed", ["random", "near", "far"])
def test_the_full_matrix(large: tuple[SealedVectors, np.ndarray], placed: str) -> None:
    """100,000 rows, all selectivities: recall@10 of at least 0.95 in each cell."""
    index, queries = large
    found = {share: recall_of(index, queries, masks_of(index, queries, placed, share)) for share in SHARES}
    assert min(found.values()) >= FLOOR, found


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collection, np.ndarray, np.ndarray]]:
    """10,000 rows of fashion-mnist with their labels, and 20 queries with theirs, through a collection."""
    base = fashion("train")[:10_000].astype(np.float32)
    labels = fashion("train_labels")[:10_000]
    queries = fashion("test")[:20].astype(np.float32)
    with Database.open(tmp_path_factory.mktemp("labels") / "db", seal_rows=1_000_000) as database:
        schema = Schema({"label": Field(FieldType.INTEGER)}, {"v": VectorField(784, Metric.L2)})
        collection = database.create_collection("c", schema)
        documents = [{"id": str(i), "label": int(label)} for i, label in enumerate(labels)]
        collection.add(documents, {"v": VectorRows(base, np.arange(len(base)))})
        collection.optimize()
        yield collection, queries, fashion("test_labels")[:20]


def test_a_filter_against_the_own_label_finds_what_is_nearest_elsewhere(
    labelled: tuple[Collection, np.ndarray, np.ndarray],
) -> None:
    """90 % are allowed, and hardly any of them near the query: graph searches return full and wrong lists here."""
    collection, queries, labels = labelled
    snapshot, shares, avoided = collection.snapshot(), [], 0
    for query, label in zip(queries, labels, strict=True):
        where = parse_filter({"label": {"$ne": int(label)}})
        found = snapshot.search(query, K, where=where)
        assert len(found) == K
        avoided += "avoids the query" in found.explain["parts"][0]["how"]
        shares.append(len(set(found.ids) & set(snapshot.search(query, K, where=where, exact=True).ids)) / K)
    assert np.mean(shares) >= FLOOR
    assert avoided > len(queries) / 2  # the others lie among images of other labels


def test_one_batch_mixes_queries_that_a_filter_avoids_with_others(
    labelled: tuple[Collection, np.ndarray, np.ndarray],
) -> None:
    """Each gets what it gets alone."""
    collection, queries, labels = labelled
    snapshot, where = collection.snapshot(), parse_filter({"label": {"$ne": int(labels[0])}})
    together = snapshot.search_batch(queries, K, where=where)
    exact = snapshot.search_batch(queries, K, where=where, parameters=EXACT)
    assert np.mean([len(set(a.ids) & set(b.ids)) / K for a, b in zip(together, exact, strict=True)]) >= FLOOR
