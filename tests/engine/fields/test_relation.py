"""engine.fields.relation: rows against plain Python."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidInputError
from engine.fields.aggregates import Aggregate
from engine.fields.columns import build_column
from engine.fields.filter import parse_filter
from engine.fields.order import SortKey
from engine.fields.relation import Relation
from engine.fields.values import relation_types
from engine.schema import Field, FieldType

FIELDS = {
    "k": Field(FieldType.KEYWORD),
    "i": Field(FieldType.INTEGER),
    "n": Field(FieldType.NUMBER),
    "b": Field(FieldType.BOOLEAN),
    "ks": Field(FieldType.KEYWORD, many=True),
    "d": Field(FieldType.DATETIME),
    "g": Field(FieldType.GEO),
    "j": Field(FieldType.JSON),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from([None, "a", "b", "c"]),
            "i": st.sampled_from([None, 0, 1, 2, -5]),
            "n": st.sampled_from([None, 0.5, 1.25, -2.0]),
            "b": st.sampled_from([None, True, False]),
            "ks": st.sampled_from([None, [], ["a"], ["a", "b"], ["b", "b"], [None]]),
        }
    ),
    max_size=12,
)


def relation(rows: Sequence[dict[str, Any]], chunks: int = 2) -> Relation:
    size = max(1, len(rows) // chunks)
    pieces = [rows[i : i + size] for i in range(0, len(rows), size)] or [[]]
    tables = [
        pa.table({name: build_column(field, [row.get(name) for row in piece]) for name, field in FIELDS.items()})
        for piece in pieces
    ]
    ordinals = np.arange(len(rows), dtype=np.uint32)
    return Relation.of_documents(pa.concat_tables(tables), FIELDS, ordinals, lambda found: [str(o) for o in found])


def figure(fn: str, values: list[Any]) -> Any:
    if fn == "count":
        return len(values)
    if fn == "count_distinct":
        return len(set(values))
    if not values:
        return None
    table: dict[str, Any] = {"sum": sum, "avg": statistics.fmean, "min": min, "max": max, "median": statistics.median}
    return table[fn](values)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.sampled_from([[], ["k"], ["k", "b"], ["i", "k", "b"], ["ks"], ["ks", "k"]]))
def test_groups_agree_with_plain_python(rows: list[dict[str, Any]], by: list[str]) -> None:
    """Groups in order of first appearance, nulls a group of their own, lists unnested, and the documents behind."""
    aggregates = [Aggregate("count", None, "rows")]
    aggregates += [
        Aggregate(fn, field, f"{fn}_{field}")
        for field in ("i", "n")
        for fn in ("count", "count_distinct", "sum", "avg", "min", "max", "median")
    ]
    aggregates += [Aggregate("min", "k", "min_k"), Aggregate("max", "b", "max_b")]
    groups: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {} if by else {(): []}
    for place, row in enumerate(rows):
        for element in (row["ks"] or [None]) if "ks" in by else [row["ks"]]:
            key = tuple(element if name == "ks" else row[name] for name in by)
            groups.setdefault(key, []).append((place, row))
    grouped = relation(rows).group(by, aggregates)
    expected = []
    for key, members in groups.items():
        line = dict(zip(by, key, strict=True))
        for a in aggregates:
            values = [row[a.field] for _, row in members if row[a.field] is not None] if a.field else members
            line[a.alias] = figure(a.fn, values)
        expected.append(line)
    assert grouped.rows() == [pytest.approx(line) for line in expected]
    for i, members in enumerate(groups.values()):
        places = sorted({place for place, _ in members})
        assert grouped.sources(i, limit=2) == ([str(place) for place in places[:2]], len(places))


@settings(max_examples=150, deadline=None)
@given(
    ROWS,
    st.lists(st.tuples(st.sampled_from(["k", "i", "n", "b"]), st.booleans()), max_size=3, unique_by=lambda key: key[0]),
    st.integers(0, 8),
)
def test_sorting_is_stable_with_nulls_last(rows: list[dict[str, Any]], keys: list[tuple[str, bool]], n: int) -> None:
    """Nulls stand last in either direction, ties as they stood; `limit` takes the first."""
    expected = list(rows)
    for name, descending in reversed(keys):
        present = [row for row in expected if row[name] is not None]
        missing = [row for row in expected if row[name] is None]
        expected = sorted(present, key=lambda row, name=name: row[name], reverse=descending) + missing  # type: ignore[misc]
    found = relation(rows).sort([SortKey(name, descending) for name, descending in keys])
    assert [row["k"] for row in found.limit(n).rows()] == [row["k"] for row in expected[:n]]
    assert [row["i"] for row in found.rows()] == [row["i"] for row in expected]


def test_filter_project_and_sources_keep_the_origin() -> None:
    """Rows remember their documents through every step, also through two groupings."""
    rows = [{"k": "a", "i": 1}, {"k": "b", "i": 2}, {"k": "a", "i": 3}]
    kept = relation(rows).filter(parse_filter({"i": {"$gte": 2}})).project(["k"])
    assert kept.rows() == [{"k": "b"}, {"k": "a"}]
    assert kept.sources(1) == (["2"], 1)
    once = relation(rows).group(["k"], [Aggregate("count", None, "n")])
    twice = once.group([], [Aggregate("max", "n", "most")])
    assert twice.rows() == [{"most": 2}]
    assert twice.sources(0) == (["0", "1", "2"], 3)


def test_values_come_back_as_json() -> None:
    """Dates as ISO 8601 in UTC, points as objects, JSON as it was."""
    row = {"d": "2020-01-01T01:00+01:00", "g": {"lat": 1, "lon": 2}, "j": {"a": [1, None]}}
    values = relation([row]).project(["d", "g", "j"]).rows()[0]
    assert values == {"d": "2020-01-01T00:00:00Z", "g": {"lat": 1.0, "lon": 2.0}, "j": {"a": [1, None]}}


def test_no_rows_make_one_row_of_totals() -> None:
    """Without rows, counts are 0 and other figures null."""
    aggregates = [Aggregate("count", None, "n"), Aggregate("sum", "i", "s"), Aggregate("avg", "i", "a")]
    aggregates += [Aggregate("median", "i", "m"), Aggregate("count_distinct", "ks", "c")]
    assert relation([]).group([], aggregates).rows() == [{"n": 0, "s": None, "a": None, "m": None, "c": 0}]
    assert relation([]).group(["k"], aggregates).rows() == []


def test_many_columns_do_not_run_together() -> None:
    """Groups by columns whose combinations exceed 64 bits stay apart."""
    count = 3000
    columns = {f"c{i}": pa.array(np.random.default_rng(i).permutation(count)) for i in range(7)}
    types = {name: Field(FieldType.INTEGER) for name in columns}
    wide = Relation.of_documents(pa.table(columns), types, np.arange(count), lambda _: [])
    assert len(wide.group(list(columns), [Aggregate("count", None, "n")])) == count


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.project(["x"]),
        lambda r: r.column("x"),
        lambda r: r.sort([SortKey("ks")]),
        lambda r: r.sort([SortKey("g")]),
        lambda r: r.limit(-1),
        lambda r: r.group(["x"], []),
        lambda r: r.group(["g"], []),
        lambda r: r.group(["k"], [Aggregate("count", None, "k")]),
        lambda r: r.group([], [Aggregate("sum", "k", "s")]),
        lambda r: r.group([], [Aggregate("sum", None, "s")]),
        lambda r: r.group([], [Aggregate("mode", "i", "s")]),
        lambda r: r.group([], [Aggregate("min", "ks", "s")]),
        lambda r: r.group([], [Aggregate("count_distinct", "g", "s")]),
    ],
)
def test_what_has_no_answer_is_refused(call: Any) -> None:
    """Unknown columns and figures that do not fit their type are the caller's fault."""
    with pytest.raises(InvalidInputError):
        call(relation([{"k": "a"}]))


def test_columns_of_documents_begin_with_the_id() -> None:
    """All fields by default; an unknown one is refused."""
    assert list(relation_types(FIELDS, None)) == ["id", *FIELDS]
    assert list(relation_types(FIELDS, ["i", "id"])) == ["id", "i"]
    with pytest.raises(InvalidInputError, match="unknown field"):
        relation_types(FIELDS, ["x"])
