"""engine.vector.checks: vectors that could not be compared are refused, and those that can be have finite scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import (
    DimensionMismatchError,
    Examples,
    InvalidDocumentsError,
    InvalidInputError,
    Metric,
    Schema,
    SearchRequest,
    VectorField,
)
from engine.database import Database
from engine.vector.checks import LENGTH_MAX, check_vectors


def test_of_several_vectors_the_first_that_is_wrong_is_named() -> None:
    """By its row, and by what is wrong with it."""
    for wrong, metric, message in (
        ([np.inf, 1], Metric.L2, "not finite .*: component=0 got=inf"),
        ([0, 0], Metric.COSINE, "zero"),
        ([3e38, 1], Metric.DOT, r"too long .*: metric=dot maximum=1e\+18 got=3e\+38"),
    ):
        vectors: Any = np.array([[1, 1], wrong, wrong], dtype=np.float64)
        with pytest.raises(InvalidInputError, match=message) as raised:
            check_vectors(vectors, VectorField(2, metric))
        assert raised.value.details["row"] == 1
    with pytest.raises(DimensionMismatchError, match="expected=3 got=2"):
        check_vectors(np.ones((1, 2), np.float32), VectorField(3))


def test_a_direction_may_be_as_long_as_float32_has_it() -> None:
    """Under cosine lengths do not count."""
    assert check_vectors(np.array([3e38, 3e38], np.float32), VectorField(2)).tolist() == [np.float32(3e38)] * 2


@pytest.mark.parametrize("metric", [Metric.L2, Metric.DOT])
@pytest.mark.parametrize("sealed", [False, True])
def test_the_longest_vectors_are_found_with_finite_scores(database: Database, metric: Metric, sealed: bool) -> None:
    """What is accepted is found: as many as there are, however far apart, by vectors as long as they."""
    long = 0.99 * LENGTH_MAX
    collection = database.create_collection("c", Schema(vectors={"v": VectorField(2, metric)}))
    collection.add([{"id": "a", "v": [long, 0]}, {"id": "b", "v": [-long, 0]}, {"id": "c", "v": [1, 2]}])
    if sealed:
        collection.optimize()
    for query in ([long, 0], [-long, 0], [1, 0]):
        hits = collection.snapshot().search(np.array(query), 3)
        assert sorted(hits.ids) == ["a", "b", "c"]
        assert np.isfinite(hits.scores).all()


def test_vectors_that_are_too_long_are_not_stored(database: Database) -> None:
    """Nothing of their batch is written, and the document is named; nor can they be asked for."""
    collection = database.create_collection("c", Schema(vectors={"v": VectorField(2, Metric.L2)}))
    with pytest.raises(InvalidDocumentsError, match="too long") as raised:
        collection.add([{"id": "a", "v": [1, 0]}, {"id": "b", "v": [2e18, 0]}])
    assert [(error.index, error.pointer) for error in raised.value.errors] == [(1, "/1/v")]
    assert collection.snapshot().count() == 0
    snapshot = collection.snapshot()
    with pytest.raises(InvalidInputError, match="too long"):
        snapshot.search(np.array([2e18, 0]), 1)
    with pytest.raises(InvalidInputError, match="too long") as refused:
        snapshot.search_batch(np.array([[1, 0], [2e18, 0]]), 1)
    assert refused.value.pointer == "/vectors/1"
    examples = Examples(np.array([[9e17, 0]]), np.array([[-9e17, 0]]), "v")
    with pytest.raises(InvalidInputError, match="too long") as beyond:
        snapshot.query(SearchRequest((examples,)))
    assert beyond.value.pointer == "/positive"
