"""Recall of approximate search, where the graph was really used, and of every filter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Collection, Database, IndexKind, Metric, Schema, Snapshot, VectorField, VectorRows, parse_filter
from tests.recall.data import clustered
from tests.recall.data import fashion as fashion_array

FLOOR = 0.95
K = 10
FILTERS = [("ten", 0.1), ("hundred", 0.01), ("thousand", 0.001)]


def build(path: Path, vectors: np.ndarray, metric: Metric, kind: IndexKind) -> tuple[Database, Collection]:
    database = Database.open(path, seal_rows=1_000_000)
    spec = VectorField(vectors.shape[1], metric, kind)
    collection = database.create_collection("c", Schema(vectors={"v": spec}))
    order = np.random.default_rng(2).permutation(len(vectors))
    for begin in range(0, len(vectors), 2000):
        rows = range(begin, min(begin + 2000, len(vectors)))
        documents = [
            {"id": str(i), "ten": int(order[i]) % 10, "hundred": int(order[i]) % 100, "thousand": int(order[i]) % 1000}
            for i in rows
        ]
        collection.add(documents, {"v": VectorRows(vectors[rows.start : rows.stop], np.arange(len(rows)))})
    collection.optimize()
    (segment,) = collection.stats()["segments"]
    expected = "ivf_pq" if kind is IndexKind.AUTO else kind.value
    assert (segment["vectors"]["v"]["kind"], segment["vectors"]["v"]["rows"]) == (expected, len(vectors))
    return database, collection


def recall(snapshot: Snapshot, queries: np.ndarray, where: Any = None) -> float:
    """Mean share of the exact K nearest that were found; every result must be full."""
    condition = None if where is None else parse_filter(where)
    wanted = min(K, snapshot.count(condition))
    shares = []
    for query in queries:
        found = snapshot.search(query, K, where=condition)
        exact = snapshot.search(query, K, where=condition, exact=True)
        assert len(found) == len(exact) == wanted
        shares.append(len(set(found.ids) & set(exact.ids)) / wanted)
    return float(np.mean(shares))


def how(snapshot: Snapshot, query: np.ndarray, where: Any = None) -> str:
    hits = snapshot.search(query, K, where=None if where is None else parse_filter(where))
    (part,) = hits.explain["parts"]
    return str(part["how"])


@pytest.fixture(scope="module", params=[IndexKind.AUTO, IndexKind.HNSW])
def synthetic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    path = tmp_path_factory.mktemp("recall") / "db"
    database, collection = build(path, clustered(20_000, 64, 3), Metric.COSINE, request.param)
    with database:
        yield collection.snapshot()


@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    vectors = fashion_array("train")[:20_000].astype(np.float32)
    database, collection = build(tmp_path_factory.mktemp("recall") / "db", vectors, Metric.L2, IndexKind.AUTO)
    with database:
        yield collection.snapshot()


def fashion_queries(count: int) -> np.ndarray:
    return fashion_array("test")[:count].astype(np.float32)


def test_the_index_finds_what_is_near_in_clustered_data(synthetic: Snapshot) -> None:
    """recall@10 of at least 0.95 with default settings, by the index."""
    queries = clustered(200, 64, 4)
    assert how(synthetic, queries[0]).startswith(("hnsw, ef_search ", "ivf_pq pq4, nprobe "))
    assert how(synthetic, queries[0]).endswith("no filter")
    assert recall(synthetic, queries) >= FLOOR


@pytest.mark.parametrize(("field", "share"), FILTERS)
def test_no_filter_starves_a_result(synthetic: Snapshot, field: str, share: float) -> None:
    """10 %, 1 % and 0.1 % at random: full results, and recall@10 of at least 0.95."""
    assert synthetic.count(parse_filter({field: 3})) == 20_000 * share
    assert recall(synthetic, clustered(100, 64, 5), {field: 3}) >= FLOOR


@pytest.mark.parametrize("least", [9, 5, 1])
def test_wide_filters_use_the_index_and_still_find(synthetic: Snapshot, least: int) -> None:
    """Half and more of all rows."""
    where = {"ten": {"$gte": 10 - least}}
    queries = clustered(100, 64, 6)
    if least == 9:
        assert how(synthetic, queries[0], where).endswith(("nearest, then the filter", "lists under the filter"))
    assert recall(synthetic, queries, where) >= FLOOR


def test_the_index_finds_what_is_near_in_fashion_mnist(fashion: Snapshot) -> None:
    """recall@10 of at least 0.95 on 20,000 × 784 under l2, by the index."""
    queries = fashion_queries(100)
    assert how(fashion, queries[0]).startswith("ivf_pq pq4, nprobe ")
    assert recall(fashion, queries) >= FLOOR


@pytest.mark.parametrize(("field", "share"), FILTERS)
def test_no_filter_starves_a_result_in_fashion_mnist(fashion: Snapshot, field: str, share: float) -> None:
    """10 %, 1 % and 0.1 % at random; and 90 %, where the lists are searched under the filter."""
    assert fashion.count(parse_filter({field: 3})) == 20_000 * share
    queries = fashion_queries(50)
    assert recall(fashion, queries, {field: 3}) >= FLOOR
    if field == "ten":
        where = {"ten": {"$ne": 3}}
        assert how(fashion, queries[0], where).endswith("lists under the filter")
        assert recall(fashion, queries, where) >= FLOOR
