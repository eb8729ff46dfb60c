"""engine.search.nearest: the best documents over all parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import (
    Collection,
    Database,
    DimensionMismatchError,
    IndexKind,
    InvalidInputError,
    Metric,
    Nearest,
    Passage,
    Quantization,
    Schema,
    SearchParameters,
    SearchRequest,
    VectorField,
    VectorRows,
    parse_filter,
)


def passages(collection: Collection, first: int, documents: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Documents with 1 to 6 passages each; the vectors of each."""
    given: dict[str, np.ndarray] = {}
    vectors, places, spans = [], [], []
    for i in range(documents):
        rows = rng.standard_normal((1 + (first + i) % 6, 5)).astype(np.float32)
        given[str(first + i)] = rows
        vectors.append(rows)
        places += [i] * len(rows)
        spans += [Passage("text", 10 * j, 10 * j + 9) for j in range(len(rows))]
    bodies = [{"id": str(first + i), "text": "x", "n": first + i} for i in range(documents)]
    collection.add(bodies, {"v": VectorRows(np.concatenate(vectors), np.array(places), spans)})
    return given


@pytest.mark.parametrize("metric", list(Metric))
def test_the_best_passage_stands_for_its_document(database: Database, metric: Metric) -> None:
    """As many distinct documents, scored and spanned by their best passage, over two segments and a head; as numpy."""
    rng = np.random.default_rng(8)
    collection = database.create_collection("c", Schema(vectors={"v": VectorField(5, metric)}))
    given = passages(collection, 0, 60, rng)
    collection.state.seal()
    given |= passages(collection, 60, 60, rng)
    collection.state.seal()
    given |= passages(collection, 120, 30, rng)
    collection.delete(ids=["7", "70", "130"])
    for id_ in ("7", "70", "130"):
        del given[id_]
    snapshot = collection.snapshot()
    assert len(snapshot.parts) == 3

    def score(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if metric is Metric.L2:
            return np.asarray(-np.linalg.norm(rows - query, axis=1))
        if metric is Metric.COSINE:
            return np.asarray(rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query))
        return np.asarray(rows @ query)

    queries = rng.standard_normal((6, 5)).astype(np.float32)
    for where, wanted in ((None, range(1000)), ({"n": {"$lt": 90}}, range(90)), ({"n": {"$in": [3, 65]}}, (3, 65))):
        condition = None if where is None else parse_filter(where)
        allowed = {id_: rows for id_, rows in given.items() if int(id_) in wanted}
        for k in (1, 10, 1000):
            batch = snapshot.search_batch(queries, k, where=condition)
            for query, together in zip(queries, batch, strict=True):
                best = {id_: score(query, rows) for id_, rows in allowed.items()}
                expected = sorted(best, key=lambda id_: -best[id_].max())[:k]
                hits = snapshot.search(query, k, where=condition)
                assert hits.ids == expected == together.ids
                np.testing.assert_allclose(hits.scores, [best[id_].max() for id_ in expected], rtol=1e-3, atol=1e-3)
                assert hits.passages == [
                    Passage("text", 10 * j, 10 * j + 9) for j in (int(best[id_].argmax()) for id_ in expected)
                ]


def test_documents_crowded_by_one_neighbour_are_all_found(collection: Collection) -> None:
    """One document with 500 near passages does not push the others out of k."""
    near = np.tile(np.array([[1.0, 0.0]], np.float32), (500, 1))
    far = np.array([[0.5, 1.0], [0.4, 1.0]], np.float32)
    rows = VectorRows(np.concatenate([near, far]), np.array([0] * 500 + [1, 2]))
    collection.add([{"id": "many"}, {"id": "a"}, {"id": "b"}], {"v": rows})
    for _ in range(2):
        assert collection.snapshot().search(np.array([1.0, 0.0]), 3).ids == ["many", "a", "b"]
        collection.optimize()


def test_nothing_to_search_gives_nothing(database: Database) -> None:
    """An empty collection, one without vectors yet, and one whose documents are all deleted."""
    collection = database.create_collection("c", Schema(vectors={"v": VectorField(2)}))
    query = np.array([1.0, 2.0])
    assert collection.snapshot().search(query, 5).ids == []
    assert collection.snapshot().relation().rows() == []
    collection.add([{"id": "1"}])
    assert collection.snapshot().search(query, 5).documents() == []
    collection.add([{"id": "2", "v": [1, 2]}])
    collection.optimize()
    collection.delete(ids=["2"])
    hits = collection.snapshot().search_batch(np.array([query, query]), 5)
    assert [len(each) for each in hits] == [0, 0]
    collection.delete(ids=["1"])
    collection.optimize()
    assert collection.snapshot().count() == 0
    assert collection.snapshot().search_batch(np.empty((0, 2), np.float32), 5) == []


def test_ties_are_broken_by_age(collection: Collection) -> None:
    """Equal scores come in order of writing, the same each time."""
    collection.add([{"id": id_, "vector": [1.0, 1.0]} for id_ in "dbca"])
    assert collection.snapshot().search(np.array([1.0, 1.0]), 3).ids == ["d", "b", "c"]


@pytest.mark.parametrize(
    ("query", "options", "error"),
    [
        ([1.0], {}, DimensionMismatchError),
        ([np.nan, 1.0], {}, InvalidInputError),
        ([0.0, 0.0], {}, InvalidInputError),
        (["a", "b"], {}, InvalidInputError),
        (1.0, {}, InvalidInputError),
        ([[1.0, 2.0]], {}, InvalidInputError),
        ([1.0, 2.0], {"k": 0}, InvalidInputError),
        ([1.0, 2.0], {"vector_field": "w"}, InvalidInputError),
    ],
)
def test_bad_queries_are_refused(collection: Collection, query: Any, options: dict[str, Any], error: Any) -> None:
    """Wrong size, not finite, zero, no numbers, no such field."""
    collection.add([{"id": "1", "vector": [1, 2]}])
    with pytest.raises(error):
        collection.snapshot().search(np.asarray(query), options.pop("k", 5), **options)


def test_the_field_must_be_named_where_there_are_several(collection: Collection) -> None:
    """With one, it need not; without any, the error says so."""
    with pytest.raises(InvalidInputError, match="no vector field"):
        collection.snapshot().search(np.ones(2), 1)
    collection.add(
        [{"id": "1"}],
        {name: VectorRows(np.ones((1, 2), np.float32), np.array([0])) for name in ("a", "b")},
    )
    with pytest.raises(InvalidInputError, match="which vector field"):
        collection.snapshot().search(np.ones(2), 1)
    assert collection.snapshot().search(np.ones(2), 1, vector_field="b").ids == ["1"]


def test_each_query_of_a_batch_has_its_own_ids(collection: Collection) -> None:
    """In any order of asking, over segments and head, and where a query finds fewer; as one query at a time."""
    collection.add([{"id": f"a{i}", "n": i, "vector": [1.0, i]} for i in range(7)])
    collection.optimize()
    collection.add([{"id": f"b{i}", "n": i, "vector": [i, 1.0]} for i in range(7)])
    snapshot = collection.snapshot()
    queries = np.array([[1, 0], [0, 1], [1, 1], [-1, 2]], np.float32)
    for where in (None, parse_filter({"n": 3}), parse_filter({"n": 99})):
        hits = snapshot.search_batch(queries, 5, where=where)
        for number in (2, 0, 3, 1):
            assert hits[number].ids == snapshot.search(queries[number], 5, where=where).ids
    assert snapshot.search_batch(queries[:1], 3)[0].ids == snapshot.search(queries[0], 3).ids


def test_explain_says_what_ran(collection: Collection) -> None:
    """Parts, rows, allowed rows, and how."""
    collection.add([{"id": str(i), "n": i, "vector": [1.0, i]} for i in range(10)])
    hits = collection.snapshot().search(np.ones(2), 3, where=parse_filter({"n": {"$lt": 4}}))
    (part,) = hits.explain["parts"]
    assert (part["rows"], part["allowed"], part["how"]) == (10, 4, "head, exact")
    assert part["why"] == "not sealed yet"
    collection.optimize()
    (part,) = collection.snapshot().search(np.ones(2), 3).explain["parts"]
    assert part["how"].startswith("flat, exact")
    assert part["why"] == "auto: 0.0 MiB are compared with quickly enough"
    assert (hits.explain["k"], hits.explain["vector_field"]) == (3, "vector")


def one_a_document(vectors: np.ndarray) -> dict[str, VectorRows]:
    """Of each document in turn, one vector."""
    return {"v": VectorRows(vectors, np.arange(len(vectors)))}


@pytest.fixture(scope="module")
def duplicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[Metric, Quantization], Collection]]:
    """900 documents with six different vectors, in two segments and a head, a collection a metric and quantization."""
    made = {}
    rng = np.random.default_rng(3)
    kinds = rng.integers(-2, 3, (6, 4)).astype(np.float32) + np.float32(0.5)
    with Database.open(tmp_path_factory.mktemp("duplicated")) as database:
        for metric in Metric:
            for quantization in (Quantization.NONE, Quantization.FP16):
                field = VectorField(4, metric, IndexKind.FLAT, quantization=quantization)
                collection = database.create_collection(f"{metric}-{quantization}", Schema(vectors={"v": field}))
                for first in (0, 300, 600):
                    chosen = kinds[rng.integers(0, len(kinds), 300)]
                    collection.add([{"id": str(first + i), "n": first + i} for i in range(300)], one_a_document(chosen))
                    if first < 600:
                        collection.state.seal()
                made[metric, quantization] = collection
        yield made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metric=st.sampled_from(list(Metric)),
    quantization=st.sampled_from([Quantization.NONE, Quantization.FP16]),
    sizes=st.lists(st.integers(1, 130), min_size=2, max_size=6),
    least=st.sampled_from([None, 0, 450, 870]),
    exact=st.booleans(),
    seed=st.integers(0, 5),
)
def test_pages_over_many_equal_vectors_neither_overlap_nor_leave_out(
    duplicated: dict[tuple[Metric, Quantization], Collection],
    metric: Metric,
    quantization: Quantization,
    sizes: list[int],
    least: int | None,
    exact: bool,
    seed: int,
) -> None:
    """Pages of any sizes are the beginning of one order: best first, equal scores as they were written."""
    snapshot = duplicated[metric, quantization].snapshot()
    where = None if least is None else parse_filter({"n": {"$gte": least}})
    query = Nearest(
        np.random.default_rng(seed).standard_normal(4).astype(np.float32), "v", SearchParameters(exact=exact)
    )
    everything = snapshot.query(SearchRequest((query,), 900, 0, where))
    found: list[str] = []

    for size in sizes:
        found += snapshot.query(SearchRequest((query,), size, len(found), where)).ids

    assert found == everything.ids[: sum(sizes)]
    assert snapshot.search(query.vector, sizes[0], where=where, parameters=query.parameters).ids == found[: sizes[0]]
    places = [(-score, int(id_)) for score, id_ in zip(everything.scores.tolist(), everything.ids, strict=True)]
    assert places == sorted(places)


def test_one_query_among_many_that_ties_is_completed(database: Database) -> None:
    """In a batch, too, the first of the equal ones are those that were written first."""
    collection = database.create_collection("c", Schema(vectors={"v": VectorField(2, Metric.DOT)}))
    vectors = np.array([[1, 0]] * 50 + [[0, 1], [0, 2], [0, 3]], dtype=np.float32)
    collection.add([{"id": str(i)} for i in range(53)], one_a_document(vectors))

    found = collection.snapshot().search_batch(np.array([[0, 1], [1, 0], [0, -1]], dtype=np.float32), 3)

    assert [list(hits.ids) for hits in found] == [["52", "51", "50"], ["0", "1", "2"], ["0", "1", "2"]]
