"""LQL: what its statements are read into, and where faults are."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import QueryError
from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.languages.lql import read_lql
from engine.languages.tree import (
    CreateCollection,
    CreateIndex,
    Delete,
    Drop,
    Group,
    Insert,
    Match,
    Project,
    Query,
    Slice,
    Sort,
    Update,
)

COUNT = Aggregate("count", None, "n")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("SELECT * FROM films", Query("films")),
        (
            "select title, year as y from films limit 5 offset 2;",
            Query("films", (Slice(2, 5), Project({"title": "title", "y": "year"}))),
        ),
        (
            "SELECT title AS t FROM films WHERE year > 1990 AND title CONTAINS 'x' ORDER BY t DESC, year",
            Query(
                "films",
                (
                    Match("year > 1990 AND CONTAINS(title, 'x')"),
                    Sort((SortKey("title", True), SortKey("year"))),
                    Project({"t": "title"}),
                ),
            ),
        ),
        (
            "SELECT genre, count(*) AS n FROM films GROUP BY genre HAVING n > 1",
            Query("films", (Group(("genre",), (COUNT,)), Match("n > 1"), Project({"genre": "genre", "n": "n"}))),
        ),
        (
            "SELECT count(DISTINCT genre) FROM films",
            Query(
                "films",
                (
                    Group((), (Aggregate("count_distinct", "genre", "count_distinct_genre"),)),
                    Project({"count_distinct_genre": "count_distinct_genre"}),
                ),
            ),
        ),
        ("EXPLAIN SELECT * FROM films", Query("films", (), explain=True)),
        (
            "SELECT * FROM \"my-films\" WHERE NOT a STARTS WITH 'x' OR b ENDS WITH 'y' AND c MATCHES 'z'",
            Query("my-films", (Match("NOT STARTS_WITH(a, 'x') OR ENDS_WITH(b, 'y') AND MATCHES(c, 'z')"),)),
        ),
        (
            "INSERT INTO f (a, b) VALUES (1, 'it''s'), (-2.5, null)",
            Insert("f", ({"a": 1, "b": "it's"}, {"a": -2.5, "b": None})),
        ),
        ('INSERT INTO f [{"a": [1, {"b": null}]}]', Insert("f", ({"a": [1, {"b": None}]},))),
        ("UPDATE f SET a = 1, b = true WHERE c = 'x'", Update("f", "c = 'x'", {"a": 1, "b": True})),
        ("UPDATE f SET a = null", Update("f", {}, {"a": None})),
        ("DELETE FROM f WHERE a IN (1, 2)", Delete("f", "a IN ( 1 , 2 )")),
        ("DELETE FROM f", Delete("f", {})),
        (
            "CREATE COLLECTION f (a keyword, b integer)",
            CreateCollection("f", {"a": {"type": "keyword"}, "b": {"type": "integer"}}),
        ),
        ("CREATE COLLECTION f", CreateCollection("f", {})),
        ("CREATE INDEX i ON f (a)", CreateIndex("f", "a")),
        ("DROP COLLECTION f", Drop("f")),
    ],
)
def test_statements(text: str, tree: Any) -> None:
    assert read_lql(text) == tree


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("SELEC", 0),
        ("SELECT", 6),
        ("SELECT * FROM", 13),
        ("SELECT * FROM f x", 16),
        ("SELECT 'x", 7),
        ("SELECT * FROM f WHERE", 21),
        ("SELECT * FROM f LIMIT x", 22),
        ("SELECT * FROM f LIMIT 4294967296", 22),
        ("SELECT * FROM f LIMIT " + "9" * 5_000, 22),
        ("INSERT INTO f (a) VALUES (1, 2)", 30),
        ("INSERT INTO f [1]", 14),
        ("UPDATE f SET a", 14),
        ("DROP f", 5),
        ("SELECT nope(a) FROM f", 7),
        ("SELECT a FROM f; SELECT b FROM f", 17),
        ("SELECT sum(DISTINCT a) FROM f", 21),
        ("SELECT ? FROM f", 7),
    ],
)
def test_faults_have_their_place(text: str, offset: int) -> None:
    with pytest.raises(QueryError) as caught:
        read_lql(text)
    assert caught.value.details["offset"] == offset


@given(st.text(max_size=30).filter(lambda text: "\ud800" not in text))
def test_parameters_cannot_break_out(value: str) -> None:
    """Whatever a parameter holds, the statement around it stays as it is."""
    assert read_lql("INSERT INTO f (a) VALUES (?)", [value]) == Insert("f", ({"a": value},))
    quoted = value.replace("'", "''")
    assert read_lql("DELETE FROM f WHERE a = ?", [value]) == Delete("f", f"a = '{quoted}'")


def test_parameters_are_as_many_as_marks() -> None:
    with pytest.raises(QueryError, match="missing"):
        read_lql("DELETE FROM f WHERE a = ?", [])
    with pytest.raises(QueryError, match="too many"):
        read_lql("DELETE FROM f WHERE a = 1", [1])
    with pytest.raises(QueryError, match="must be a string"):
        read_lql("DELETE FROM f WHERE a = ?", [[1]])


@given(st.text(alphabet="SELECTFROMWHERE f*'\"(),;=?<>1a\n{}", max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    with suppress(QueryError):
        read_lql(text)
