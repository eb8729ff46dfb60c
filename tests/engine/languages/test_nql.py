"""NQL: what its questions are read into."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import QueryError
from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.languages.nql import read_nql
from engine.languages.tree import Group, Match, Query, Slice, Sort

COUNT = (Aggregate("count", None, "count"),)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (
            "find all users where age is greater than 21 sorted by name limit 5",
            Query("users", (Match({"age": {"$gt": 21}}), Sort((SortKey("name"),)), Slice(0, 5))),
        ),
        (
            "Show me the first 3 films ordered by year descending.",
            Query("films", (Sort((SortKey("year", True),)), Slice(0, 3))),
        ),
        ("how many films are there?", Query("films", (Group((), COUNT),))),
        ("explain how many films are there", Query("films", (Group((), COUNT),), explain=True)),
        ("EXPLAIN find films limit 3", Query("films", (Slice(0, 3),), explain=True)),
        (
            "explain average rating of films",
            Query("films", (Group((), (Aggregate("avg", "rating", "avg_rating"),)),), explain=True),
        ),
        ("count films by genre", Query("films", (Group(("genre",), COUNT),))),
        (
            (
                "how many films are there where year is between 1970 and 1980 "
                "and genre is science fiction or rating >= 8.5"
            ),
            Query(
                "films",
                (
                    Match(
                        {
                            "$or": [
                                {
                                    "$and": [
                                        {"$and": [{"year": {"$gte": 1970}}, {"year": {"$lte": 1980}}]},
                                        {"genre": {"$eq": "science fiction"}},
                                    ]
                                },
                                {"rating": {"$gte": 8.5}},
                            ]
                        }
                    ),
                    Group((), COUNT),
                ),
            ),
        ),
        (
            "what is the average rating of films by genre",
            Query("films", (Group(("genre",), (Aggregate("avg", "rating", "avg_rating"),)),)),
        ),
        (
            "highest rating in films where title starts with 'A'",
            Query(
                "films",
                (Match({"title": {"$starts_with": "A"}}), Group((), (Aggregate("max", "rating", "max_rating"),))),
            ),
        ),
        (
            "list films where genre is one of drama, horror",
            Query("films", (Match({"genre": {"$in": ["drama", "horror"]}}),)),
        ),
        ("find films where rating is missing", Query("films", (Match({"rating": {"$is_null": True}}),))),
        (
            "find films whose title does not contain 'x'",
            Query("films", (Match({"$not": {"title": {"$contains": "x"}}}),)),
        ),
    ],
)
def test_questions(text: str, tree: Any) -> None:
    assert read_nql(text) == tree


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("hello there", 0),
        ("find", 4),
        ("find films where", 16),
        ("find films where year", 21),
        ("find films where year is", 24),
        ("find films sorted name", 18),
        ("find films limit many", 17),
        ("find films limit 4294967296", 17),
        ("find films limit " + "9" * 1_900, 17),
        ("count films §", 11),
    ],
)
def test_what_is_not_understood_has_its_place(text: str, offset: int) -> None:
    with pytest.raises(QueryError) as caught:
        read_nql(text)
    assert caught.value.details["offset"] == offset


@given(
    st.lists(
        st.sampled_from("find count films where age is and or not by sorted limit 5 'x' , ? in".split()), max_size=12
    )
)
def test_no_words_break_the_parser(words: list[str]) -> None:
    with suppress(QueryError):
        read_nql(" ".join(words))
