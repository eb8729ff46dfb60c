"""engine.writes.batch: documents checked and made ready."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.document import Passage
from engine.errors import DimensionMismatchError, InvalidInputError
from engine.schema import Embedding, Field, FieldType, Metric, Schema, VectorField
from engine.writes.batch import VectorRows, as_vector, check_rows, prepare
from engine.writes.inference import UNTYPED

STRICT = Schema({"a": Field(FieldType.INTEGER, declared=True)}, strict=True)


def test_every_bad_document_is_named() -> None:
    """Faults come in the order of the batch, with code and JSON Pointer, and good documents are not among them."""
    errors = prepare([{"id": "1"}, 5, {"id": 7}, {"id": "x", "a": math.nan}, {"id": "y", "a": "s"}], STRICT).errors
    assert [(e.index, e.id, e.pointer, e.code) for e in errors] == [
        (1, None, "/1", "type_mismatch"),
        (2, None, "/2/id", "id_invalid"),
        (3, "x", "/3/a", "number_not_finite"),
        (4, "y", "/4/a", "type_mismatch"),
    ]
    assert errors[-1].expected == "integer"
    assert errors[-1].got == "keyword"


def test_a_strict_schema_refuses_unknown_fields() -> None:
    """The pointer names the field."""
    (error,) = prepare([{"b/c": 1}], STRICT).errors
    assert (error.code, error.pointer) == ("unknown_field", "/0/b~1c")


def test_of_one_document_so_many_faults_are_named() -> None:
    """The first hundred of a thousand unknown fields; the other document's are named as well."""
    errors = prepare([{f"b{number}": 1 for number in range(1_000)}, {"c": 1}], STRICT).errors
    assert [error.pointer for error in errors[-2:]] == ["/0/b99", "/1/c"]
    assert len(errors) == 101


def test_the_schema_grows_with_the_batch() -> None:
    """New fields are inferred, integers widen to numbers, single values to lists."""
    first = prepare([{"n": 1, "s": "x"}], Schema()).schema
    assert first.fields == {"n": Field(FieldType.INTEGER), "s": Field(FieldType.KEYWORD)}
    grown = prepare([{"n": 1.5, "s": ["y"]}], first).schema
    assert grown.fields == {"n": Field(FieldType.NUMBER), "s": Field(FieldType.KEYWORD, many=True)}


def test_the_few_that_contradict_a_new_field_are_refused() -> None:
    """Each with its place and the share of the others; without them the batch is as if they had not been there."""
    documents = [{"id": str(i), "year": 1990 + i} for i in range(38)]
    documents[5:5] = [{"id": "bad", "year": "soon"}, {"id": "list", "year": [1990, "soon"]}]
    batch = prepare(documents, Schema())
    assert [(e.index, e.id, e.pointer, e.code, e.expected, e.got) for e in batch.errors] == [
        (5, "bad", "/5/year", "type_mismatch", "integer", "keyword"),
        (6, "list", "/6/year", "type_mismatch", "integer", "keyword"),
    ]
    assert batch.errors[0].message.endswith("(38 of 40 documents have integer; a declared type decides)")
    rest = prepare([document for document in documents if document["id"] not in ("bad", "list")], Schema())
    assert rest.errors == []
    assert rest.schema == batch.schema == Schema({"year": Field(FieldType.INTEGER)})


def test_a_mixture_stays_a_json_field() -> None:
    """Where few values, or none in their great majority, agree, nothing is refused."""
    batch = prepare([{"n": 1}] * 18 + [{"n": "one"}, {"n": "two"}], Schema())
    assert batch.errors == []
    assert batch.schema.fields == {"n": Field(FieldType.JSON)}


def test_the_first_element_types_an_empty_list() -> None:
    """A list without elements is known as a list, of a type that is still open."""
    first = prepare([{"tags": []}], Schema()).schema
    assert first.fields == {"tags": UNTYPED}
    assert prepare([{"tags": []}], first).schema is first
    assert prepare([{"tags": "x"}], first).schema.fields == {"tags": Field(FieldType.KEYWORD, many=True)}
    assert prepare([{"tags": [[1]]}], first).schema.fields == {"tags": Field(FieldType.JSON)}


def test_vectors_are_taken_out_of_documents() -> None:
    """A list of numbers called `vector` makes a vector field, and is not stored as a field."""
    batch = prepare([{"id": "1", "vector": [1, 2.5]}, {"id": "2", "vector": None}], Schema())
    assert batch.errors == []
    assert batch.schema.vectors == {"vector": VectorField(2)}
    assert batch.bodies == [b'{"id":"1"}', b'{"id":"2"}']
    assert batch.own_vectors["vector"].vectors.tolist() == [[1.0, 2.5]]
    assert batch.own_vectors["vector"].documents.tolist() == [0]


def test_a_field_is_never_both_scalar_and_vector() -> None:
    """A string called `vector` before a vector of that name in one batch is an error, not a second field."""
    batch = prepare([{"id": "1", "vector": "north"}, {"id": "2", "vector": [1.0]}], Schema())
    assert [(e.index, e.pointer, e.code) for e in batch.errors] == [(0, "/0/vector", "type_mismatch")]
    only = prepare([{"id": "1", "vector": "north"}], Schema())
    assert only.errors == []
    assert only.schema.fields == {"vector": Field(FieldType.KEYWORD)}


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1, 2], DimensionMismatchError, "vector has wrong size: expected=3 got=2"),
        ([0, 0, 0], InvalidInputError, "zero"),
        ([1, 2, math.nan], InvalidInputError, r"not finite .*: component=2 got=nan"),
        ([1, 2, 1e39], InvalidInputError, "not finite"),
        ([1, 2, "3"], InvalidInputError, "list of numbers"),
        ([1, 2, True], InvalidInputError, "list of numbers"),
        ("abc", InvalidInputError, "list of numbers"),
        (5, InvalidInputError, "list of numbers"),
        ([[1, 2, 3]], InvalidInputError, "list of numbers"),
        ([], DimensionMismatchError, "vector has wrong size: expected=3 got=0"),
    ],
)
def test_bad_vectors_are_refused(value: Any, error: type[Exception], message: str) -> None:
    """Wrong size, not finite in float32, without direction, or no numbers."""
    with pytest.raises(error, match=message):
        as_vector(value, VectorField(3))


def test_big_integers_and_zero_are_vectors_where_the_metric_allows() -> None:
    """Integers beyond 64 bits become float32; a zero vector has no direction, but a place."""
    assert as_vector([10**30, 0, 0], VectorField(3)).tolist() == [np.float32(1e30), 0, 0]
    assert as_vector([0, 0], VectorField(2, Metric.L2)).tolist() == [0, 0]


@pytest.mark.parametrize(
    "rows",
    [
        VectorRows(np.ones((2, 3), np.float32), np.array([1, 0])),
        VectorRows(np.ones((2, 3), np.float32), np.array([0, 2])),
        VectorRows(np.ones((2, 3), np.float32), np.array([-1, 0])),
        VectorRows(np.ones((2, 3), np.float32), np.array([0])),
        VectorRows(np.ones((2, 3), np.float32), np.array([0, 1]), [None]),
        VectorRows(np.ones((1, 3), np.float32), np.array([0]), [Passage("t", 5, 4)]),
        VectorRows(np.ones((1, 0), np.float32), np.array([0])),
        VectorRows(np.ones(3, np.float32), np.array([0])),
        VectorRows(np.array([["a"]]), np.array([0])),
    ],
)
def test_rows_that_do_not_fit_their_documents_are_refused(rows: VectorRows) -> None:
    """Places must ascend and lie within the batch, one a vector; passages likewise."""
    with pytest.raises(InvalidInputError):
        check_rows(prepare([{"id": "1"}, {"id": "2"}], Schema()), {"v": rows})


def test_vectors_cannot_be_given_twice_or_to_a_scalar_field() -> None:
    """Within documents or beside them, not both; and not under a scalar's name."""
    rows = VectorRows(np.ones((1, 2), np.float32), np.array([0]))
    with pytest.raises(InvalidInputError, match="twice"):
        check_rows(prepare([{"vector": [1, 2]}], Schema()), {"vector": rows})
    with pytest.raises(InvalidInputError, match="unknown vector field"):
        check_rows(prepare([{"a": 1}], Schema()), {"a": rows})


def test_something_to_embed_is_found_where_all_text_is() -> None:
    """Without a text field, the keyword field with the longest values becomes one if all text is embedded."""
    schema = Schema(vectors={"v": VectorField(2)}, embed={"v": Embedding(None, "m")})
    grown = prepare([{"a": "x", "b": "longer words"}], schema).schema
    assert grown.fields == {"a": Field(FieldType.KEYWORD), "b": Field(FieldType.TEXT)}


def test_ids_made_once_stay() -> None:
    """Preparing again keeps the ids that were made, and key order with the id first."""
    batch = prepare([{"a": 1}, {"id": "x", "a": 2}], Schema())
    again = prepare(batch.with_ids(), batch.schema)
    assert again.ids == batch.ids
    assert batch.bodies[0] == b'{"id":"%s","a":1}' % batch.ids[0].encode()
