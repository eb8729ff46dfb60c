"""engine.fields.evaluate: filters over columns, against plain Python over documents."""

from __future__ import annotations

import math
import re
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.arrays import Mask
from engine.errors import FilterError
from engine.fields.columns import build_column, path_column
from engine.fields.evaluate import NullsOf, ScalarsOf, evaluate
from engine.fields.filter import And, Comparison, Filter, Not, Or, parse_filter
from engine.schema import Field, FieldType
from engine.text.analyzer import Analyzer
from engine.writes.inference import parse_datetime
from tests.engine.fields.plain import like

FIELDS = {
    "i": Field(FieldType.INTEGER),
    "n": Field(FieldType.NUMBER),
    "b": Field(FieldType.BOOLEAN),
    "k": Field(FieldType.KEYWORD),
    "d": Field(FieldType.DATETIME),
    "g": Field(FieldType.GEO),
    "j": Field(FieldType.JSON),
    "t": Field(FieldType.TEXT, language="en"),
    "is": Field(FieldType.INTEGER, many=True),
    "ks": Field(FieldType.KEYWORD, many=True),
    "ts": Field(FieldType.TEXT, many=True),
    "gs": Field(FieldType.GEO, many=True),
}
INTEGERS = st.sampled_from([0, 1, 2, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
NUMBERS = st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0, -1.5, 1e300, 9007199254740992.0])
WORDS = st.sampled_from(["", "a", "ab", "b", "None", "é😀"])
DATES = st.sampled_from(["2020-01-01", "2020-01-01T00:00Z", "2021-06-01T12:00+02:00", "1969-12-31"])
POINTS = st.sampled_from([{"lat": 1.0, "lon": 2.0}, {"lat": -3.5, "lon": 0.0}, {"lat": 0.0, "lon": -179.5}])
PROSE = st.lists(st.sampled_from(["run", "Running", "café", "a", "B.", "東京大学"]), max_size=4).map(" ".join)
PATTERNS = st.sampled_from(["", "%", "a%", "_", "a_", "%b", r"\%", "é%", "%run%"])
REGEXES = st.sampled_from(["", "^a", "b$", "[ab]", "(?i)RUN", "^$", "é", "京"])
QUERIES = st.sampled_from(["", "run", "cafe", "CAFE a", "a b", "大学", "…"])
CIRCLES = st.fixed_dictionaries(
    {
        "lat": st.sampled_from([0.0, 1.0, -3.0]),
        "lon": st.sampled_from([0.0, 2.0, 180.0]),
        "meters": st.sampled_from([0.0, 60_000.0, 400_000.0, 1e7]),
    }
)
BOXES = st.fixed_dictionaries(
    {
        "south": st.sampled_from([-90.0, 0.0]),
        "west": st.sampled_from([0.0, 170.0]),
        "north": st.sampled_from([1.0, 90.0]),
        "east": st.sampled_from([2.0, -170.0]),
    }
)
SCALARS = st.one_of(INTEGERS, NUMBERS, WORDS, st.booleans())
OBJECTS = st.fixed_dictionaries(
    {}, optional={"p": SCALARS | st.none(), "q": st.none() | WORDS | st.lists(WORDS, max_size=2)}
)
JSONS = st.one_of(SCALARS, PROSE, POINTS, st.lists(SCALARS | PROSE | POINTS, max_size=3), OBJECTS)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "i": maybe(INTEGERS),
        "n": maybe(NUMBERS | st.sampled_from([1, 2, 2**53 + 1])),
        "b": maybe(st.booleans()),
        "k": maybe(WORDS),
        "d": maybe(DATES),
        "g": maybe(POINTS),
        "j": maybe(JSONS),
        "is": maybe(st.lists(maybe(INTEGERS), max_size=3) | INTEGERS),
        "ks": maybe(st.lists(maybe(WORDS), max_size=3) | WORDS),
        "t": maybe(PROSE),
        "ts": maybe(st.lists(maybe(PROSE), max_size=3) | PROSE),
        "gs": maybe(st.lists(maybe(POINTS), max_size=2)),
    },
)
NAMES = st.sampled_from([*FIELDS, "j.p", "j.q", "unknown"])
OPERANDS = st.one_of(INTEGERS, NUMBERS, WORDS, DATES, st.booleans(), st.sampled_from([10**400, -(10**400), math.inf]))


@st.composite
def comparisons(draw: st.DrawFn) -> Filter:
    name, op = draw(NAMES), draw(st.sampled_from(OPERATORS))
    if op in ("$exists", "$is_null"):
        return Comparison(name, op, draw(st.booleans()))
    if op in ("$in", "$nin", "$contains_any", "$contains_all"):
        return Comparison(name, op, tuple(draw(st.lists(maybe(OPERANDS), max_size=3))))
    if op in STRING_OPERANDS:
        return Comparison(name, op, draw(STRING_OPERANDS[op]))
    if op in ("$gt", "$gte", "$lt", "$lte"):
        return Comparison(name, op, draw(OPERANDS.filter(lambda value: not isinstance(value, bool))))
    return Comparison(name, op, draw(maybe(OPERANDS)))


OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$is_null"]
OPERATORS += ["$like", "$regex", "$match", "$phrase", "$geo_radius", "$geo_box"]
STRING_OPERANDS: dict[str, st.SearchStrategy[Any]] = {
    "$starts_with": WORDS,
    "$ends_with": WORDS,
    "$like": PATTERNS,
    "$regex": REGEXES,
    "$match": QUERIES,
    "$phrase": QUERIES,
    "$geo_radius": CIRCLES,
    "$geo_box": BOXES,
}
OPERATORS += ["$contains", "$contains_any", "$contains_all", "$starts_with", "$ends_with"]
FILTERS = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda clauses: And(tuple(clauses))),
        st.lists(inner, max_size=3).map(lambda clauses: Or(tuple(clauses))),
        inner.map(Not),
    ),
    max_leaves=5,
)


def holds(document: dict[str, Any], where: Filter) -> bool:
    """The published rules, in plain Python."""
    match where:
        case And(clauses):
            return all(holds(document, clause) for clause in clauses)
        case Or(clauses):
            return any(holds(document, clause) for clause in clauses)
        case Not(clause):
            return not holds(document, clause)
        case Comparison(name, "$exists", wanted):
            return present(document, name) is wanted
        case Comparison(name, op, value):
            return compare(stored(document, name), FIELDS.get(name, Field(FieldType.JSON)), op, value)


def present(document: dict[str, Any], name: str) -> bool:
    """Whether the key is there, be it with null."""
    root, _, key = name.partition(".")
    if not key:
        return name in document
    within = document.get(root)
    if isinstance(within, list):
        return any(isinstance(item, dict) and key in item for item in within)
    return isinstance(within, dict) and key in within


def stored(document: dict[str, Any], name: str) -> Any:
    root, _, key = name.partition(".")
    value = document.get(root)
    if key:
        value = value.get(key) if isinstance(value, dict) else None
    return [value] if name == "is" and isinstance(value, int) else value


def compare(value: Any, field: Field, op: str, operand: Any) -> bool:
    match op:
        case "$is_null":
            return (value is None) is operand
        case "$ne" | "$nin":
            return not compare(value, field, {"$ne": "$eq", "$nin": "$in"}[op], operand)
        case "$in":
            return any(compare(value, field, "$eq", item) for item in operand)
        case "$eq" if operand is None:
            return value is None
        case "$contains_any":
            return value is not None and any(compare(value, field, "$contains", item) for item in operand)
        case "$contains_all":
            return value is not None and all(compare(value, field, "$contains", item) for item in operand)
        case "$contains" if isinstance(value, str) and field.type is not FieldType.DATETIME:
            return isinstance(operand, str) and operand in value
        case "$contains":
            op = "$eq"
    items = value if isinstance(value, list) else [value]
    return any(one(item, field, op, operand) for item in items if item is not None)


def one(item: Any, field: Field, op: str, operand: Any) -> bool:
    if op in ("$like", "$regex", "$match", "$phrase"):
        return isinstance(item, str) and field.type is not FieldType.DATETIME and matches(item, field, op, operand)
    if op in ("$geo_radius", "$geo_box"):
        return isinstance(item, dict) and item.keys() == {"lat", "lon"} and lies(item, op, operand)
    if op in ("$starts_with", "$ends_with"):
        if not isinstance(item, str) or field.type is FieldType.DATETIME:
            return False
        return item.startswith(operand) if op == "$starts_with" else item.endswith(operand)
    if field.type is FieldType.DATETIME:
        item, operand = parse_datetime(item), parse_datetime(operand) if isinstance(operand, str) else None
        if operand is None:
            return False
    if field.type is FieldType.NUMBER:
        item = float(item)
        if isinstance(operand, int) and not isinstance(operand, bool):
            operand = float(operand) if abs(operand) < 10**300 else math.copysign(math.inf, 1 if operand > 0 else -1)
    if isinstance(item, bool) != isinstance(operand, bool):
        return False
    if op == "$eq":
        return bool(item == operand)
    try:
        return (
            not isinstance(item, bool)
            and {
                "$gt": lambda: item > operand,
                "$gte": lambda: item >= operand,
                "$lt": lambda: item < operand,
                "$lte": lambda: item <= operand,
            }[op]()
        )
    except TypeError:
        return False


def matches(text: str, field: Field, op: str, operand: str) -> bool:
    if op == "$like":
        return like(text, operand)
    if op == "$regex":
        return re.search(operand, text) is not None
    words = [term.term for term in Analyzer(field.language).terms(text)]
    wanted = [term.term for term in Analyzer(field.language).query_terms(operand)]
    if op == "$match":
        return bool(wanted) and set(wanted) <= set(words)
    return bool(wanted) and any(words[i : i + len(wanted)] == wanted for i in range(len(words)))


def lies(point: dict[str, float], op: str, operand: dict[str, float]) -> bool:
    lat, lon = point["lat"], point["lon"]
    if op == "$geo_box":
        west, east = operand["west"], operand["east"]
        across = west <= lon <= east if west <= east else lon >= west or lon <= east
        return operand["south"] <= lat <= operand["north"] and across
    cosine = math.sin(math.radians(lat)) * math.sin(math.radians(operand["lat"])) + math.cos(
        math.radians(lat)
    ) * math.cos(math.radians(operand["lat"])) * math.cos(math.radians(lon - operand["lon"]))
    # Rounding makes the cosine of nothing a little less than one: 20 cm.
    return 6_371_008.8 * math.acos(max(-1.0, min(1.0, cosine))) <= operand["meters"] + 0.2


def given_by(documents: list[dict[str, Any]]) -> tuple[NullsOf, ScalarsOf]:
    """What documents tell that columns do not."""

    def nulls_of(name: str) -> Mask | None:
        flags = [present(document, name) and stored(document, name) is None for document in documents]
        return np.array(flags, dtype=bool) if any(flags) else None

    def scalars_of(name: str, places: npt.NDArray[np.int64]) -> Mask:
        values = [stored(documents[place], name) for place in places.tolist()]
        return np.array([not isinstance(value, list) for value in values], dtype=bool)

    return nulls_of, scalars_of


def run(documents: list[dict[str, Any]], where: Filter, chunks: int = 1) -> list[bool]:
    def column_of(name: str) -> tuple[Field, Any] | None:
        root, _, key = name.partition(".")
        if root not in FIELDS:
            return None
        size = max(1, -(-len(documents) // chunks))
        pieces = [documents[i : i + size] for i in range(0, len(documents), size)]
        arrays = [build_column(FIELDS[root], [d.get(root) for d in piece]) for piece in pieces]
        column = pa.chunked_array(arrays, type=build_column(FIELDS[root], []).type)
        return path_column(column, [key]) if key else (FIELDS[root], column)

    mask = evaluate(where, column_of, len(documents), *given_by(documents))
    assert mask.dtype == np.bool_
    return [bool(flag) for flag in mask]


@settings(max_examples=600, deadline=None)
@given(st.lists(DOCUMENTS, max_size=6), FILTERS, st.integers(1, 3))
@example([{"i": 2**53 + 1}], Comparison("i", "$gt", 0.5), 1)
@example([{"n": 2**53 + 1}], Comparison("n", "$in", (1.5,)), 1)
@example([{"k": "None"}], Comparison("k", "$contains", None), 1)
@example([{}], Comparison("ks", "$contains_any", (None,)), 1)
@example([{"j": {"q": "2020-01-01"}}], Comparison("j.q", "$starts_with", "2020"), 1)
def test_filters_agree_with_plain_python(documents: list[dict[str, Any]], where: Filter, chunks: int) -> None:
    """Every operator on every type, lists, nulls and paths, in columns of one chunk or several."""
    expected = [holds(document, where) for document in documents]
    assert run(documents, where, chunks) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(DOCUMENTS, max_size=5), FILTERS)
def test_a_filter_and_its_json_form_agree(documents: list[dict[str, Any]], where: Filter) -> None:
    """Writing a filter as JSON and reading it back changes no answer."""
    try:
        again = parse_filter(where.to_json())
    except FilterError:
        return
    assert run(documents, again) == run(documents, where)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"k": {"$is_null": True}}, [False, True, True]),
        ({"k": {"$exists": True}}, [True, True, False]),
        ({"k": {"$exists": False}}, [False, False, True]),
        ({"k": None}, [False, True, True]),
        ({"k": {"$ne": "a"}}, [False, True, True]),
        ({"k": {"$nin": ["a", None]}}, [False, False, False]),
        ({"ks": {"$is_null": True}}, [False, False, True]),
        ({"ks": {"$contains_all": ["x", "y"]}}, [True, False, False]),
        ({"ks": "x"}, [True, False, False]),
        ({"i": {"$gte": 1.5}}, [True, False, False]),
        ({"d": {"$lt": "2020-01-02"}}, [True, False, False]),
    ],
)
def test_the_rules_for_what_is_missing(where: Any, expected: list[bool]) -> None:
    """Missing and null are the same but for $exists; an empty list is neither; $ne and $nin hold for the missing."""
    documents: list[dict[str, Any]] = [
        {"k": "a", "ks": ["x", "y"], "i": 2, "d": "2020-01-01T23:59+00:00"},
        {"k": None, "ks": [], "i": 1},
        {},
    ]
    assert run(documents, parse_filter(where)) == expected


def test_the_largest_legal_filters_run_in_moments() -> None:
    """100,000 values of $in over a JSON field, and 1,000 of $contains_any over text, each over 2,000 rows."""
    documents = [{"j": {"p": i} if i % 2 else [i, "x"], "t": f"text {i}"} for i in range(2_000)]
    fields = {"j": Field(FieldType.JSON), "t": Field(FieldType.TEXT)}
    columns = {name: build_column(field, [d[name] for d in documents]) for name, field in fields.items()}
    for data, expected in (
        ({"j": {"$in": list(range(10, 100_010))}}, 995),  # the even numbers from 10 to 1,998
        ({"t": {"$contains_any": [f"text {i}" for i in range(1_000, 2_000)]}}, 1_000),
        ({"t": {"$contains_all": ["text"] * 1_000}}, 2_000),
    ):
        started = time.thread_time()
        mask = evaluate(parse_filter(data), lambda name: (fields[name], columns[name]), 2_000)
        assert time.thread_time() - started < 5
        assert int(mask.sum()) == expected


def test_true_is_not_one_among_json_values() -> None:
    """$in tells booleans from numbers, and finds 1 where 1.0 was asked for, and null within a list."""
    field = Field(FieldType.JSON)
    column = build_column(field, [True, 1, {"a": 1}, [None], ["x", 1]])
    mask = evaluate(parse_filter({"j": {"$in": [1.0]}}), lambda _: (field, column), 5)
    assert mask.tolist() == [False, True, False, False, True]
    mask = evaluate(parse_filter({"j": {"$in": [True, None]}}), lambda _: (field, column), 5)
    assert mask.tolist() == [True, False, False, True, False]
