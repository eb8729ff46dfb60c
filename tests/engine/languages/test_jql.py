"""JQL: what its statements are read into, and where faults are."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import QueryError
from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.languages.jql import read_jql
from engine.languages.tree import Delete, Drop, Group, Insert, Match, Project, Query, Slice, Sort, Update


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        ({"find": "f"}, Query("f")),
        (
            '{"find": "f", "filter": {"a": 1}, "fields": ["b"], "sort": {"b": -1}, "skip": 1, "limit": 2}',
            Query("f", (Match({"a": 1}), Sort((SortKey("b", True),)), Slice(1, 2), Project({"id": "id", "b": "b"}))),
        ),
        ({"count": "f"}, Query("f", (Group((), (Aggregate("count", None, "count"),)),))),
        (
            {
                "aggregate": "f",
                "pipeline": [
                    {"$match": "a > 1"},
                    {"$group": {"_id": "$g", "n": {"$sum": 1}, "m": {"$avg": "$a"}}},
                    {"$sort": {"n": 1}},
                    {"$skip": 1},
                    {"$limit": 3},
                    {"$project": {"g": "$_id", "n": 1, "m": 0}},
                ],
            },
            Query(
                "f",
                (
                    Match("a > 1"),
                    Group(("g",), (Aggregate("count", None, "n"), Aggregate("avg", "a", "m"))),
                    Project({"_id": "g", "n": "n", "m": "m"}),
                    Sort((SortKey("n"),)),
                    Slice(1, None),
                    Slice(0, 3),
                    Project({"g": "_id", "n": "n"}),
                ),
            ),
        ),
        ({"insert": "f", "documents": [{"a": 1}]}, Insert("f", ({"a": 1},))),
        ({"update": "f", "filter": {"a": 1}, "set": {"b": None}}, Update("f", {"a": 1}, {"b": None})),
        ({"delete": "f", "filter": {}}, Delete("f", {})),
        ({"drop": "f"}, Drop("f")),
    ],
)
def test_statements(body: Any, tree: Any) -> None:
    assert read_jql(body) == tree


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ("{", ""),
        ("[]", ""),
        ("[" * 10_000, ""),
        ({}, ""),
        ({"find": "a", "count": "b"}, ""),
        ({"find": 1}, "/find"),
        ({"find": "f", "nope": 1}, "/nope"),
        ({"find": "f", "limit": -1}, "/limit"),
        ({"find": "f", "limit": 2**32}, "/limit"),
        ({"find": "f", "skip": 10**30}, "/skip"),
        ({"find": "f", "sort": {"a": 2}}, "/sort/a"),
        ({"find": "f", "filter": 1}, "/filter"),
        ({"delete": "f"}, "/filter"),
        ({"update": "f", "set": {}}, "/set"),
        ({"insert": "f", "documents": [1]}, "/documents"),
        ({"aggregate": "f"}, "/pipeline"),
        ({"aggregate": "f", "pipeline": [{"$nope": 1}]}, "/pipeline/0"),
        ({"aggregate": "f", "pipeline": [{"$group": {"_id": 1}}]}, "/pipeline/0/$group/_id"),
        ({"aggregate": "f", "pipeline": [{"$group": {"_id": None, "a": {"$nope": 1}}}]}, "/pipeline/0/$group/a"),
    ],
)
def test_faults_have_their_place(body: Any, pointer: str) -> None:
    with pytest.raises(QueryError) as caught:
        read_jql(body)
    assert caught.value.pointer == pointer
