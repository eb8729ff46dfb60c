"""engine.fields.parser: filters written like SQL."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import FilterError
from engine.fields.filter import And, Comparison, Filter, Not, Or, parse_filter
from engine.fields.parser import CHARACTERS_MAX
from engine.schema import Field, FieldType, Schema
from tests.work import calls_of


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("price < 10 AND tag IN ('a','b')", {"$and": [{"price": {"$lt": 10}}, {"tag": {"$in": ["a", "b"]}}]}),
        ("a = 1 OR b <> 2 OR c != 3", {"$or": [{"a": 1}, {"b": {"$ne": 2}}, {"c": {"$ne": 3}}]}),
        ("a = 1 OR b = 2 AND c = 3", {"$or": [{"a": 1}, {"$and": [{"b": 2}, {"c": 3}]}]}),
        ("(a = 1 OR b = 2) AND c = 3", {"$and": [{"$or": [{"a": 1}, {"b": 2}]}, {"c": 3}]}),
        ("10 > a and 1 <= b", {"$and": [{"a": {"$lt": 10}}, {"b": {"$gte": 1}}]}),
        ("NOT a = 'it''s'", {"$not": {"a": "it's"}}),
        ("a NOT IN (1, -2.5)", {"a": {"$nin": [1, -2.5]}}),
        ("a BETWEEN 1 AND 2", {"$and": [{"a": {"$gte": 1}}, {"a": {"$lte": 2}}]}),
        ("a NOT BETWEEN 1 AND 2", {"$not": {"$and": [{"a": {"$gte": 1}}, {"a": {"$lte": 2}}]}}),
        ("a IS NULL AND b IS NOT NULL", {"$and": [{"a": {"$is_null": True}}, {"b": {"$is_null": False}}]}),
        ("EXISTS(a) OR NOT EXISTS(b)", {"$or": [{"a": {"$exists": True}}, {"$not": {"b": {"$exists": True}}}]}),
        ("a IS TRUE AND b = FALSE AND c = NULL", {"$and": [{"a": True}, {"b": False}, {"c": None}]}),
        ("a LIKE 'x%' AND b NOT LIKE '_y'", {"$and": [{"a": {"$like": "x%"}}, {"$not": {"b": {"$like": "_y"}}}]}),
        ("a ~ '^x+$'", {"a": {"$regex": "^x+$"}}),
        ("CONTAINS(a, 'x')", {"a": {"$contains": "x"}}),
        ("CONTAINS_ANY(a, 'x', 2)", {"a": {"$contains_any": ["x", 2]}}),
        ("CONTAINS_ALL(a, 'x')", {"a": {"$contains_all": ["x"]}}),
        (
            "starts_with(a, 'x') AND Ends_With(b, 'y')",
            {"$and": [{"a": {"$starts_with": "x"}}, {"b": {"$ends_with": "y"}}]},
        ),
        ("MATCHES(a, 'some words')", {"a": {"$match": "some words"}}),
        ("PHRASE(a, 'some words')", {"a": {"$phrase": "some words"}}),
        ("GEO_RADIUS(p, 52.5, -13, 1e3)", {"p": {"$geo_radius": {"lat": 52.5, "lon": -13, "meters": 1000}}}),
        ("GEO_BOX(p, 1, 170, 3, -170)", {"p": {"$geo_box": {"south": 1, "west": 170, "north": 3, "east": -170}}}),
        ('a.b."c d".e.f.g = 1', {"a.b.c d.e.f.g": 1}),
        ("\"select\" = 1 AND date >= '2020-01-01'", {"$and": [{"select": 1}, {"date": {"$gte": "2020-01-01"}}]}),
        ("größe = 9223372036854775808", {"größe": 2**63}),
        ("a = 'x [y] ; ? * (('", {"a": "x [y] ; ? * (("}),
    ],
)
def test_strings_and_json_make_the_same_tree(text: str, data: Any) -> None:
    """Each row of the module's table."""
    assert parse_filter(text) == parse_filter(data)


NAMES = st.sampled_from(["a", "b.c", "größe", "my field", "select", "a~b"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
VALUES = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS | st.booleans()
ORDERED = st.integers() | TEXTS


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Filter]:
    """A comparison as a string, and its tree."""
    name = draw(NAMES)
    field = ".".join(f'"{part}"' for part in name.split("."))
    kind = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "IN", "NOT IN", "NULL", "LIKE", "STARTS_WITH"]))
    if kind in ("IN", "NOT IN"):
        values = draw(st.lists(VALUES | st.none(), min_size=1, max_size=3))
        op = "$in" if kind == "IN" else "$nin"
        return f"{field} {kind} ({', '.join(map(literal, values))})", Comparison(name, op, tuple(values))
    if kind == "NULL":
        return f"{field} IS NOT NULL", Comparison(name, "$is_null", False)
    if kind == "LIKE":
        text = draw(TEXTS)
        return f"{field} LIKE {literal(text)}", Comparison(name, "$like", text)
    if kind == "STARTS_WITH":
        text = draw(TEXTS)
        return f"STARTS_WITH({field}, {literal(text)})", Comparison(name, "$starts_with", text)
    value = draw(VALUES if kind in ("=", "<>") else ORDERED)
    op = {"=": "$eq", "<>": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}[kind]
    return f"{field} {kind} {literal(value)}", Comparison(name, op, value)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value).upper() if isinstance(value, bool) else repr(value)


def joined(parts: list[tuple[str, Filter]], word: str) -> tuple[str, Filter]:
    tree = And if word == "AND" else Or
    return "(" + f" {word} ".join(text for text, _ in parts) + ")", tree(tuple(each for _, each in parts))


def flat(tree: Filter) -> Filter:
    """`a AND (b AND c)` and `(a AND b) AND c` are one tree or another; here they are one."""
    match tree:
        case And(clauses) | Or(clauses):
            kind = type(tree)
            inner = [flat(clause) for clause in clauses]
            return kind(tuple(y for x in inner for y in (x.clauses if isinstance(x, kind) else (x,))))
        case Not(clause):
            return Not(flat(clause))
        case _:
            return tree


def has_no_opposite(each: tuple[str, Filter]) -> bool:
    """Whether its negation is a Not, and no operator of its own."""
    return not isinstance(each[1], Comparison) or each[1].op not in ("$in", "$nin", "$is_null")


TREES = st.recursive(
    written(),
    lambda inner: st.one_of(
        st.builds(joined, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["AND", "OR"])),
        inner.filter(has_no_opposite).map(lambda each: (f"NOT ({each[0]})", Not(each[1]))),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_what_is_written_is_what_is_read(given_: tuple[str, Filter]) -> None:
    """Any filter as a string makes the tree that was meant, to the last value and type."""
    text, tree = given_
    assert repr(flat(parse_filter(text))) == repr(flat(tree))


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text("aAND OR=<>()'\"123,.~-\n"))
def test_no_string_does_worse_than_a_filter_error(text: str) -> None:
    """Whatever it is."""
    fault: FilterError | None = None
    try:
        parse_filter(text)
    except FilterError as error:
        fault = error
    assert fault is None or (fault.pointer == "" and 0 <= fault.details["offset"] <= len(text))


SCHEMA = Schema({"year": Field(FieldType.INTEGER), "title": Field(FieldType.TEXT)}, strict=True)


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "cannot be read"),
        ("year = 1 year", 9, "near 'year'"),
        ("year =\n  1 AND\n  year", 17, "this is no condition: got='year'"),
        ("year = 'x", 7, "string is not closed"),
        ("year = title", 7, "expected a string in single quotes"),
        ("year = 1 AND year = 'x'", 13, "operand has the wrong type: expected=integer got='x'"),
        ("year = 1 AND (title = 'x' OR nope = 1)", 29, "unknown field 'nope': the collection is strict"),
        ("year = 1 AND title ~ '('", 13, r"regular expression cannot be used: reason=missing \)"),
        ("year = 1 AND year LIKE 'x'", 13, r"\$like does not apply to its type"),
        ("year = 1; DROP TABLE x", 8, "unexpected character ';'"),
        ("year = ?", 7, "unexpected character '\\?'"),
        ("year IN (SELECT 1)", 0, "query is not supported"),
        ("NOPE(year, 1)", 0, "unknown function 'NOPE' of 1 values: expected one of CONTAINS"),
        ("title LIKE 'x' ESCAPE '!'", 0, "this is no condition"),
        ('"$and" = 1', 0, "unknown field"),
        ("upper(title) = 'X'", 0, "expected"),
        ("DELETE FROM x", 7, "cannot be read: near 'FROM'"),
        ("year = " + "date(" * 30 + "1" + ")" * 30, 17, "nested too deep"),
        ("year = 1 -- why", 9, "unexpected character '--'"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(text: str, offset: int, message: str) -> None:
    """An offset in characters, of the fault or of the comparison that it stands in."""
    with pytest.raises(FilterError, match=message) as caught:
        parse_filter(text, SCHEMA)
    assert (caught.value.pointer, caught.value.details["offset"]) == ("", offset)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "a = 1" + ")" * 10_000,
        "(" * 5_000 + "a = 1" + ")" * 5_000,
        "NOT " * 4_000 + "a = 1",
        "a = " + "char(" * 31 + "1" + ")" * 31,
        "a IN (SELECT 1 FROM a" + " JOIN b" * 40 + ")",
        "a = " + "date --.\n(" * 31 + "1" + ")" * 31,
        "a = " + "DECIMAL\n(" * 31 + "1" + ")" * 31,
        "a = " + "- " * 8_000 + "1",
        "a" + "[1]" * 5_000 + " = 1",
        "a = 1" + "+1" * 8_000,
        "a = '" + "x" * 1_000_000 + "'",
        "a = " + "9" * 16_000,
        " OR ".join(["a = 1"] * 1_800),
        "CASE WHEN " * 1_600,
        "a IN (" + "(" * 30 + "1" + ")" * 30 + ")" * 3_000,
        "NOT(" * 40 + "a = 1" + ")" * 40,
    ],
)
def test_nesting_and_size_are_bounded(text: str) -> None:
    """Refused with little work, whatever sqlglot would make of it: linear in the text, and not much a character."""

    def refused() -> None:
        with pytest.raises(FilterError):
            parse_filter(text)

    assert calls_of(refused) < 200 * CHARACTERS_MAX


def test_what_is_within_the_bounds_is_read() -> None:
    """A thousand clauses, and as many values as fit."""
    tree = parse_filter(" OR ".join(["a=1"] * 999))
    assert isinstance(tree, Or)
    assert len(tree.clauses) == 999
    values = ",".join(map(str, range(3_000)))
    assert len(values) < CHARACTERS_MAX
    assert parse_filter(f"a IN ({values})") == Comparison("a", "$in", tuple(range(3_000)))
    assert parse_filter("(" * 25 + "a = 1" + ")" * 25) == Comparison("a", "$eq", 1)
