"""engine.search: the best documents over all parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import (
    Collection,
    Database,
    DimensionMismatchError,
    InvalidInputError,
    Metric,
    Passage,
    Schema,
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


def test_explain_says_what_ran(collection: Collection) -> None:
    """Parts, rows, allowed rows, and how."""
    collection.add([{"id": str(i), "n": i, "vector": [1.0, i]} for i in range(10)])
    hits = collection.snapshot().search(np.ones(2), 3, where=parse_filter({"n": {"$lt": 4}}))
    (part,) = hits.explain["parts"]
    assert (part["rows"], part["allowed"], part["how"]) == (10, 4, "head, exact")
    assert (hits.explain["k"], hits.explain["vector_field"]) == (3, "vector")
