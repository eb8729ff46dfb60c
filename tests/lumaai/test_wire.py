from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from lumaai import wire
from lumaai.wire.faults import KNOWN_SAID_MAX, invalid_request


def test_base64_and_lists_give_the_same_vector() -> None:
    """Little-endian float32 in base64 is the list of those numbers."""
    encoded = base64.b64encode(np.array([1.5, -2.0], dtype="<f4").tobytes()).decode()
    assert wire.vector_of(encoded).tolist() == [1.5, -2.0]
    assert wire.vector_of([1.5, -2.0]).tolist() == [1.5, -2.0]
    assert wire.vector_of([1, 2]).dtype == np.float32


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("not base64!", "not base64"),
        (base64.b64encode(b"12345").decode(), "whole float32"),
        (base64.b64encode(np.array([math.nan], dtype="<f4").tobytes()).decode(), "not finite"),
        ([1e300], "not finite"),
    ],
)
def test_vectors_that_are_none_are_refused(given: Any, says: str) -> None:
    """Bad base64, cut-off numbers, NaN and numbers beyond float32 are errors that say so."""
    with pytest.raises(ValueError, match=says):
        wire.vector_of(given)


def test_base64_rows_are_cut_by_the_dimension() -> None:
    """Four numbers are two rows of two; three are none."""
    encoded = base64.b64encode(np.arange(4, dtype="<f4").tobytes()).decode()
    assert wire.vectors_of(encoded, 2).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    with pytest.raises(ValueError, match="dim=3 got=4"):
        wire.vectors_of(encoded, 3)


def test_rows_of_unequal_length_are_refused() -> None:
    """The message names the smallest and the largest."""
    with pytest.raises(ValueError, match="smallest=1 largest=2"):
        wire.vectors_of([[1.0], [1.0, 2.0]], 2)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": "a", "vector": [1.0]},
        {"query": 1},
        {"query": None},
        {"vector": []},
        {"vector": [True]},
        {"vector": ["1"]},
        {"vector": [math.nan]},
        {"vector": [math.inf]},
        {"query": "a", "limit": True},
        {"query": "a", "limit": 0},
        {"query": "a", "limit": 1.5},
        {"query": "a", "limit": "10"},
        {"query": "a", "offset": -1},
        {"query": "a", "mode": "telepathic"},
        {"query": "a", "unknown": 1},
        {"query": "a", "params": {"ef": 1}},
        {"query": "a", "params": None},
        {"query": "a", "filter": []},
        {"query": "a", "filter": {"year": {"$gte": math.nan}}},
        {"query": "a", "filter": {"year": {"$in": [math.inf]}}},
        {"query": "a", "select": "title"},
        {"query": "a", "explain": 1},
    ],
)
def test_search_requests_that_mean_nothing_are_refused(body: dict[str, Any]) -> None:
    """Exactly one of query, vector and id; right types; no unknown keys; no numbers that are not finite."""
    with pytest.raises(ValidationError):
        wire.SearchRequest.model_validate(body)


def test_whole_numbers_may_have_a_point() -> None:
    """10.0 is the integer 10, as JSON Schema has it; 10.5 is none."""
    assert wire.SearchRequest.model_validate({"query": "a", "limit": 10.0}).limit == 10
    with pytest.raises(ValidationError):
        wire.SearchRequest.model_validate({"query": "a", "limit": 10.5})


def test_search_request_has_the_documented_defaults() -> None:
    """Ten hits, from the first, semantic, all fields, no explanation."""
    request = wire.SearchRequest.model_validate({"query": "space opera"})
    assert (request.limit, request.offset, request.mode, request.select, request.explain) == (
        10, 0, "semantic", None, False,
    )  # fmt: skip


@pytest.mark.parametrize("body", [{}, {"ids": ["1"], "filter": {}}, {"ids": [1]}, {"filter": None}])
def test_delete_names_documents_in_one_way(body: dict[str, Any]) -> None:
    """Ids or a filter, never neither and never both: a filter of {} deletes all, so it has to be said."""
    with pytest.raises(ValidationError):
        wire.DeleteDocuments.model_validate(body)


def test_a_field_may_be_declared_by_its_type_alone() -> None:
    """A bare string is a scalar type; "vector" needs an object."""
    body = wire.CreateCollection.model_validate({"fields": {"year": "integer"}})
    assert body.model_dump(exclude_unset=True) == {"fields": {"year": "integer"}}
    with pytest.raises(ValidationError):
        wire.CreateCollection.model_validate({"fields": {"v": "vector"}})


def test_what_is_not_given_is_not_passed_on() -> None:
    """`{}` stays `{}`: the database decides its own defaults, and null `embed` is not `{}`."""
    assert wire.CreateCollection.model_validate({}).model_dump(exclude_unset=True) == {}
    spec = {"embed": {"vector": {"from": ["title"]}}}
    assert wire.CreateCollection.model_validate(spec).model_dump(by_alias=True, exclude_unset=True) == spec


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ("AAAA", "invalid_value", "string should have at least 8 characters"),
        (5, "wrong_type", "input should be a valid list"),
        ([1, "x"], "wrong_type", "input should be a valid number"),
    ],
)
def test_of_a_choice_of_types_the_given_one_is_told_about(given: Any, code: str, says: str) -> None:
    """Who sends a string is not told that lists are expected."""
    body = {"vector": given}
    with pytest.raises(ValidationError) as raised:
        wire.SearchRequest.model_validate(body)
    error = invalid_request(raised.value, body, "body does not have the right shape", wire.SearchRequest).errors[0]
    assert (error.code, error.message) == (code, says)


def test_no_class_of_pythons_is_named() -> None:
    """A list where an object is expected."""
    with pytest.raises(ValidationError) as raised:
        wire.WriteDocuments.model_validate([])
    assert invalid_request(raised.value, [], "body", wire.WriteDocuments).message == "body: input should be an object"


def test_many_unknown_keys_are_not_all_compared() -> None:
    """The first are told what would be right, and all are named."""
    body: dict[str, Any] = {"query": "a", **{f"limit{number}": 1 for number in range(60)}}
    with pytest.raises(ValidationError) as raised:
        wire.SearchRequest.model_validate(body)
    errors = invalid_request(raised.value, body, "body", wire.SearchRequest).errors
    assert len(errors) == 60
    assert sum("did you mean limit?" in error.message for error in errors) == KNOWN_SAID_MAX
    assert errors[-1].message == "unknown key"


@pytest.mark.parametrize(
    ("model", "body", "pointer", "says"),
    [
        (wire.SearchRequest, {"query": "a", "top_k": 3}, "/top_k", "did you mean limit? known are cursor, "),
        (wire.SearchRequest, {"query": "a", "fliter": {}}, "/fliter", "did you mean filter? "),
        (wire.SearchRequest, {"query": "a", "params": {"ef": 3}}, "/params/ef", "did you mean ef_search? "),
        (wire.SearchRequest, {"positive": [{"text": "a", "w": 1}]}, "/positive/0/w", "known are id, text, vector"),
        (wire.SearchBatchRequest, {"searches": [{"query": "a", "where": {}}]}, "/searches/0/where", "mean filter?"),
        (
            wire.CreateCollection,
            {"fields": {"v": {"type": "vector", "dim": 4, "distance": "l2"}}},
            "/fields/v/distance",
            "did you mean metric? known are dim, ef_construction, index, m, metric, ",
        ),
        (
            wire.CreateCollection,
            {"fields": {"y": {"type": "integer", "dim": 4}}},
            "/fields/y/dim",
            "unknown key: known are declared, description, leaves, many, references, synonyms, type",
        ),
        (wire.WriteDocuments, {"documents": [{}], "x" * 100: 1}, "/" + "x" * 100, "unknown key: known are atomic, "),
        (wire.NoQuery, {"a": "b"}, "/a", "unknown key: there is none to give here"),
    ],
)
def test_what_is_known_is_said_where_a_key_is_not(model: Any, body: dict[str, Any], pointer: str, says: str) -> None:
    """Of the object that the key is in, with the one that is meant, also where it is another database's word."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    (error,) = invalid_request(raised.value, body, "body", model).errors
    assert (error.pointer, error.code) == (pointer, "unknown_key")
    assert says in error.message
