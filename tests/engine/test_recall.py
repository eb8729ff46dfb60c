"""engine.recall, and how hard to search, through a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine import (
    Collection,
    Database,
    IndexKind,
    InvalidInputError,
    Metric,
    Schema,
    SearchParameters,
    VectorField,
    VectorRows,
    parse_filter,
)
from tests.engine.vector.data import clustered

ROWS, DIM = 3_000, 64
VECTORS = clustered(ROWS, DIM)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """2,800 sealed rows with an index of codes, 200 in the head, 100 deleted."""
    with Database.open(tmp_path_factory.mktemp("recall") / "db", seal_rows=1_000_000) as database:
        schema = Schema(vectors={"v": VectorField(DIM, Metric.L2, IndexKind.IVF_PQ)})
        made = database.create_collection("c", schema)
        documents = [{"id": str(i), "n": i} for i in range(ROWS)]
        made.add(documents[:2_800], {"v": VectorRows(VECTORS[:2_800], np.arange(2_800))})
        made.optimize()
        made.add(documents[2_800:], {"v": VectorRows(VECTORS[2_800:], np.arange(200))})
        made.delete(ids=[str(i) for i in range(100)])
        yield made


def test_recall_and_latency_are_reported_by_parameter(collection: Collection) -> None:
    """The default first, then the targets, then what there is to choose for lists of codes."""
    report = collection.snapshot().recall(queries=30, k=5)
    assert (report.queries, report.k, report.exact.recall) == (30, 5, 1.0)
    levels = {level.parameters: level for level in report.levels}
    assert list(levels)[:3] == [SearchParameters(), SearchParameters(recall=0.95), SearchParameters(recall=0.99)]
    assert levels[SearchParameters()].recall >= 0.95
    assert levels[SearchParameters(recall=0.99)].recall >= 0.97
    poor, rich = (levels[SearchParameters(nprobe=n, oversample=o)] for n, o in ((4, 3.0), (64, 12.0)))
    assert poor.recall <= rich.recall
    assert rich.recall >= 0.99
    assert not any(level.parameters.ef_search for level in report.levels)
    assert all(0 < level.milliseconds_p50 <= level.milliseconds_p99 for level in (report.exact, *report.levels))


def test_recall_under_a_filter_is_of_what_satisfies_it(collection: Collection) -> None:
    """Against exact search under the same filter."""
    report = collection.snapshot().recall(queries=20, k=5, where=parse_filter({"n": {"$lt": 1_500}}))
    assert report.levels[0].recall >= 0.95


def test_recall_of_nothing_and_out_of_range_is_an_error(collection: Collection, tmp_path: Path) -> None:
    """Naming what was expected and what came."""
    snapshot = collection.snapshot()
    with pytest.raises(InvalidInputError, match="queries must be from 1 to 10000: got=0"):
        snapshot.recall(queries=0)
    with pytest.raises(InvalidInputError, match="k must be from 1 to 1000: got=1001"):
        snapshot.recall(k=1_001)
    with pytest.raises(InvalidInputError, match="unknown vector field 'w'"):
        snapshot.recall(vector_field="w")
    with Database.open(tmp_path / "db") as database:
        empty = database.create_collection("c", Schema(vectors={"v": VectorField(3)}))
        with pytest.raises(InvalidInputError, match="no vectors to measure with: field='v'"):
            empty.snapshot().recall()


def test_parameters_reach_the_index(collection: Collection) -> None:
    """One query and a batch alike; explain says what ran, on the segment and on the head."""
    snapshot, given = collection.snapshot(), SearchParameters(nprobe=3, oversample=2.0)
    for hits in (
        snapshot.search(VECTORS[2_000], 5, parameters=given),
        snapshot.search_batch(VECTORS[2_000:2_002], 5, parameters=given)[0],
    ):
        segment, head = hits.explain["parts"]
        assert segment["how"].startswith("ivf_pq pq4, nprobe ")
        assert "oversample 2" in segment["how"]
        assert head["how"] == "head, exact"
        assert hits.ids[0] == "2000"
    with pytest.raises(InvalidInputError, match="ef_search and exact belong into parameters"):
        snapshot.search(VECTORS[0], 5, parameters=given, exact=True)


def test_the_index_explains_itself_in_the_figures(collection: Collection) -> None:
    """Kind, quantization, why, and what it takes: codes in memory, vectors only mapped."""
    (segment,) = collection.stats()["segments"]
    figures = segment["vectors"]["v"]
    assert (figures["kind"], figures["quantization"], figures["reason"]) == ("ivf_pq", "pq4", "declared")
    assert figures["rows"] == 2_800
    assert figures["memory_bytes"] < figures["mapped_bytes"] == 4 * 2_800 * DIM


def test_deleted_documents_are_no_results_of_codes(collection: Collection) -> None:
    """Nor is their place taken: results are full."""
    snapshot = collection.snapshot()
    for query in VECTORS[:20]:
        hits = snapshot.search(query, 10)
        assert len(hits) == 10
        assert min(map(int, hits.ids)) >= 100


def test_one_field_of_the_results_comes_without_their_documents(collection: Collection) -> None:
    """From the columns of segment and head; the id is a field, too; an unknown one is an error."""
    hits = collection.snapshot().search(VECTORS[2_850], 10)
    assert hits.values("n") == [int(id_) for id_ in hits.ids] == [document["n"] for document in hits.documents()]
    assert hits.values("id") == hits.ids
    with pytest.raises(InvalidInputError, match="unknown field 'm'"):
        hits.values("m")
