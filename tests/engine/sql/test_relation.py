"""engine.sql.relation: every run of operations gives over DuckDB what it gives over Arrow, in the same order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Database, QueryCancelledError, SqlEngine
from engine.expressions import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Branch,
    Bucket,
    Call,
    Case,
    Compare,
    DateUnit,
    Expression,
    FieldRef,
    Not,
    Operator,
    Or,
    Predicate,
    ScalarFunction,
    Value,
)
from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.fields.relation import Relation
from engine.fields.windows import WindowCall
from engine.sql.relation import SqlRelation
from tests.engine.fields.test_relation import relation

Either: TypeAlias = Any  # a Relation, or an SqlRelation: they have the same operations
Act: TypeAlias = Callable[[Either, Either], Either]

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from([None, "a", "b", "Ä b", "a%c"]),
            "i": st.sampled_from([None, 0, 1, 2, -5, 2**62]),
            "n": st.sampled_from([None, 0.5, 1.25, -2.5, 0.0, 8.0]),
            "b": st.sampled_from([None, True, False]),
            "ks": st.sampled_from([None, [], ["a"], ["a", "b"], ["b", "b"], [None]]),
            "d": st.sampled_from([None, "1969-12-31T23:59:59.5Z", "2024-02-29T12:00:00Z", "2024-12-30T00:00:00Z"]),
        }
    ),
    max_size=8,
)
NUMBERS, TEXTS = ["i", "n"], ["k"]
PLAIN = ["k", "i", "n", "b", "d"]
UNITS = [unit.value for unit in DateUnit]


def _call(fn: str, *args: Expression) -> Call:
    return Call(ScalarFunction(fn), args)


_numbers: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(
        st.sampled_from([FieldRef("i"), FieldRef("n")]),
        st.builds(Value, st.sampled_from([0, 1, 3, -2, 0.5, 1.5])),
        st.builds(lambda fn: _call(fn, FieldRef("d")), st.sampled_from(["year", "month", "day", "weekday"])),
        st.builds(lambda name: _call("length", FieldRef(name)), st.sampled_from(["k", "ks"])),
        st.builds(
            lambda unit: _call("date_diff", Value(unit), FieldRef("d"), Value("2023-05-17T10:00:00Z")),
            st.sampled_from(UNITS),
        ),
        st.just(_call("to_number", FieldRef("b"))),
    ),
    lambda inner: st.one_of(
        st.builds(Arithmetic, st.sampled_from(list(ArithmeticOperator)), inner, inner),
        st.builds(_call, st.sampled_from(["abs", "floor", "ceil", "round"]), inner),
        st.builds(lambda x, digits: _call("round", x, Value(digits)), inner, st.integers(0, 3)),
        st.builds(lambda x, y: _call("coalesce", x, y), inner, inner),
    ),
    max_leaves=4,
)
_texts: st.SearchStrategy[Expression] = st.one_of(
    st.just(FieldRef("k")),
    st.builds(lambda fn: _call(fn, FieldRef("k")), st.sampled_from(["lower", "upper"])),
    st.builds(
        lambda start, n: _call("substring", FieldRef("k"), Value(start), Value(n)), st.integers(1, 3), st.integers(0, 2)
    ),
    st.just(_call("concat", FieldRef("k"), Value("-"), FieldRef("k"))),
    st.just(_call("to_text", FieldRef("i"))),
)
_comparisons: st.SearchStrategy[Predicate] = st.one_of(
    st.builds(
        Compare,
        st.sampled_from([Operator.EQ, Operator.NE, Operator.LT, Operator.LE, Operator.GT, Operator.GE]),
        _numbers,
        _numbers,
    ),
    st.builds(
        lambda op, value: Compare(op, FieldRef("k"), Value(value)),
        st.sampled_from(
            [Operator.EQ, Operator.NE, Operator.LT, Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH]
        ),
        st.sampled_from(["a", "b", "%", ""]),
    ),
    st.builds(
        lambda pattern: Compare(Operator.LIKE, FieldRef("k"), Value(pattern)), st.sampled_from(["a%", "_", "a\\%c"])
    ),
    st.builds(
        lambda pattern: Compare(Operator.MATCHES, FieldRef("k"), Value(pattern)), st.sampled_from(["^a", "b|c", "."])
    ),
    st.builds(lambda name: Compare(Operator.IS_NULL, FieldRef(name), None), st.sampled_from([*PLAIN, "ks"])),
    st.builds(
        lambda op, value: Compare(op, FieldRef("ks"), Value(value)),
        st.sampled_from([Operator.EQ, Operator.NE, Operator.CONTAINS]),
        st.sampled_from(["a", "b", "c"]),
    ),
    st.just(Compare(Operator.NE, FieldRef("ks"), FieldRef("k"))),
    st.just(Compare(Operator.IN, FieldRef("i"), Value((0, 1.0, 1.5)))),
    st.builds(
        lambda op: Compare(op, FieldRef("d"), Value("2024-02-29T12:00:00+00:00")),
        st.sampled_from([Operator.EQ, Operator.LT, Operator.GE]),
    ),
)
_predicates: st.SearchStrategy[Predicate] = st.recursive(
    _comparisons,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda items: And(tuple(items)), st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda items: Or(tuple(items)), st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=3,
)
_values: st.SearchStrategy[Expression] = st.one_of(
    _numbers,
    _texts,
    st.builds(lambda unit: _call("date_trunc", Value(unit), FieldRef("d")), st.sampled_from(UNITS)),
    st.builds(lambda p, x, y: Case((Branch(p, x),), y), _predicates, _numbers, _numbers),
    st.just(_call("same_text", FieldRef("k"), Value("ä B"))),
)
_keys = st.lists(
    st.builds(SortKey, st.sampled_from(PLAIN), st.booleans()), min_size=1, max_size=2, unique_by=lambda key: key.field
)


def _window(fn: str, partition: list[str], order: list[SortKey], n: int) -> Act:
    field = None if fn in ("row_number", "rank", "dense_rank") else "n"
    call = WindowCall(fn, "w", field, tuple(partition), tuple(order), n)
    return lambda rows, _: (
        rows.window(call).project(["w", *PLAIN[1:], "ks"]).compute([("k", _call("to_text", FieldRef("i")))])
    )


def _joined(how: str, key: str) -> Act:
    def act(rows: Either, other: Either) -> Either:
        if "right_n" in rows.types:
            return rows
        right = other.project(["k", "i", "n", "d"])
        names = {"n": "right_n", "d": "right_d"}
        found = rows.join(right, [(key, key)], how=how, names={} if how in ("semi", "anti") else names)
        return found[0] if isinstance(found, tuple) else found

    return act


def _combined(kind: str, keep_all: bool) -> Act:
    names = ["i", "n", "k", "b", "d", "ks"]
    return lambda rows, other: rows.project(names).combine(other.project(names), kind, keep_all=keep_all)


_steps: st.SearchStrategy[Act] = st.one_of(
    st.builds(lambda predicate: lambda rows, _: rows.where(predicate), _predicates),
    st.builds(lambda keys: lambda rows, _: rows.sort(keys), _keys),
    st.builds(lambda n, offset: lambda rows, _: rows.limit(n, offset), st.integers(0, 5), st.integers(0, 2)),
    st.builds(lambda fields: lambda rows, _: rows.distinct(fields), st.sampled_from([None, ["k"], ["i", "b"], ["ks"]])),
    st.builds(_joined, st.sampled_from(["inner", "left", "semi", "anti"]), st.sampled_from(["k", "i", "d"])),
    st.builds(_combined, st.sampled_from(["union", "intersect", "except"]), st.booleans()),
)
AGGREGATES = [
    Aggregate("count", None, "rows"),
    Aggregate("count", "k", "known"),
    Aggregate("count_distinct", "ks", "different"),
    Aggregate("count_distinct", "n", "numbers"),
    Aggregate("sum", "n", "total"),
    Aggregate("sum", "i", "whole"),
    Aggregate("avg", "n", "mean"),
    Aggregate("min", "k", "first"),
    Aggregate("max", "d", "last"),
    Aggregate("median", "n", "middle"),
    Aggregate("percentile", "n", "upper", p=0.75),
    Aggregate("stddev", "n", "spread"),
    Aggregate("argmax", "k", "top", by="n"),
    Aggregate("argmin", "ks", "low", by="d"),
]
_groups = st.sampled_from([[], ["k"], ["ks"], ["b", "n"], [Bucket("d", DateUnit.MONTH), "b"], [Bucket("n", width=2)]])
_ends: st.SearchStrategy[Act] = st.one_of(
    st.builds(lambda by: lambda rows, _: rows.group(by, AGGREGATES), _groups),
    st.builds(lambda expression: lambda rows, _: rows.compute([("new", expression)]), _values),
    st.builds(
        _window,
        st.sampled_from(["row_number", "rank", "dense_rank", "lag", "lead", "running_sum", "share"]),
        st.sampled_from([[], ["k"], ["b", "i"]]),
        _keys,
        st.integers(1, 2),
    ),
    st.just(lambda rows, _: rows.group(["k"], AGGREGATES[:5]).group([], [Aggregate("max", "rows", "most")])),
)


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlEngine]:
    with Database.open(tmp_path_factory.mktemp("sql")) as database:
        engine = SqlEngine(database)
        yield engine
        engine.close()


def same(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal values by column; figures to nine digits, as sums may be made in another order."""
    return all(
        other[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)
        for name, value in row.items()
    )


def shown(found: Relation) -> tuple[Any, Any, Any]:
    """Rows, types, and the documents behind every cell."""
    sources = [
        {name: [(p.collection, p.ids, p.count) for p in found.provenance(row, name)] for name in found.types}
        for row in range(len(found))
    ]
    kinds = {name: (field.type, field.many) for name, field in found.types.items()}
    return found.rows(), kinds, sources


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.lists(_steps, max_size=3), _ends)
def test_both_ways_give_the_same(
    sql: SqlEngine, left: list[dict[str, Any]], right: list[dict[str, Any]], steps: list[Act], end: Act
) -> None:
    """Equal rows in equal order, equal types, equal documents behind every cell."""
    columns = [*PLAIN, "ks"]
    ours, other = relation(left).project(columns), relation(right).project(columns)
    theirs, second = SqlRelation.of(ours), SqlRelation.of(other)
    for act in [*steps, end]:
        ours, theirs = act(ours, other), act(theirs, second)
    collected, coverages = sql.collect(theirs)
    rows, kinds, sources = shown(ours)
    found_rows, found_kinds, found_sources = shown(collected)
    assert len(found_rows) == len(rows)
    assert [pair for pair in zip(rows, found_rows, strict=True) if not same(*pair)] == []
    assert found_kinds == kinds
    assert found_sources == sources
    assert len(coverages) == len(theirs.joins)


@pytest.mark.parametrize("op", ["=", "!=", "<", ">="])
def test_whole_numbers_beyond_double_precision_are_compared_as_doubles(sql: SqlEngine, op: str) -> None:
    """With fields of type number; no error, and the same by both ways."""
    base = {"k": "a", "b": None, "ks": None, "d": None}
    rows = relation([{**base, "i": 2**62, "n": 1.5}, {**base, "i": 1, "n": 1.5}, {**base, "i": 2, "n": 2.0}]).project(
        PLAIN
    )
    where = Compare(Operator(op), FieldRef("i"), FieldRef("n"))
    collected, _ = sql.collect(SqlRelation.of(rows).where(where))
    assert collected.rows() == rows.where(where).rows()
    assert [row["i"] for row in rows.where(where).rows()] == {
        "=": [2], "!=": [2**62, 1], "<": [1], ">=": [2**62, 2],
    }[op]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_units_between_moments_are_counted_alike_in_both_directions(sql: SqlEngine, unit: str) -> None:
    """On all days of four weeks around a year's end, before and after another moment, and before 1970."""
    days = [f"{month}-{day:02}T{hour}:00:00Z" for month in ("2024-12", "1969-12", "2021-01") for day in range(18, 32)
            for hour in ("00", "23")]  # fmt: skip
    rows = relation([{"d": day} for day in days]).project(["d"])
    for other in ("2023-05-17T10:00:00Z", "2025-01-01T00:00:00Z", "1969-12-22T00:00:00Z"):
        for args in ((FieldRef("d"), Value(other)), (Value(other), FieldRef("d"))):
            new = [("new", Call(ScalarFunction.DATE_DIFF, (Value(unit), *args)))]
            found, _ = sql.collect(SqlRelation.of(rows).compute(new))
            assert [row["new"] for row in found.rows()] == [row["new"] for row in rows.compute(new).rows()]


def test_coverage_is_counted_alike(sql: SqlEngine) -> None:
    """By both ways, with missing keys that match nothing."""
    left = relation([{"k": "a"}, {"k": "a"}, {"k": None}, {"k": "b"}]).project(["k"])
    right = relation([{"k": "a", "i": 1}, {"k": "a", "i": 2}, {"k": None}]).project(["k", "i"])
    _, ours = left.join(right, [("k", "k")], names={"i": "i"})
    joined = SqlRelation.of(left).join(SqlRelation.of(right), [("k", "k")], names={"i": "i"})
    assert sql.collect(joined)[1] == (ours,)
    assert (ours.left_matched, ours.right_matched, ours.rows) == (2, 2, 4)


def test_names_and_values_never_stand_in_the_text(sql: SqlEngine) -> None:
    """A column called like SQL, and a value like it, are a column and a value."""
    evil = 'k"; DROP TABLE x; --'
    rows = relation([{"k": "'; --"}, {"k": "b"}]).project(["k"]).rename({evil: "k"})
    query = SqlRelation.of(rows).where(Compare(Operator.EQ, FieldRef(evil), Value("'; --")))
    assert "DROP" not in query.query(10)
    assert "'; --" not in query.query(10)
    assert sql.collect(query)[0].rows() == [{evil: "'; --"}]


def test_a_query_that_is_cancelled_stops(sql: SqlEngine) -> None:
    """Within a fraction of a second."""
    rows = relation([{"i": i % 2, "n": float(i)} for i in range(20_000)]).project(["i", "n"])
    pairs = SqlRelation.of(rows)
    crossed = pairs.join(SqlRelation.of(rows), [("i", "i")], names={"n": "m"})
    slow = crossed.group(["n", "m"], [Aggregate("count", None, "c")])
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(QueryCancelledError):
        sql.collect(slow, cancelled=stop.is_set)
    timer.join()
    assert time.monotonic() - began < 10


def test_nothing_is_left_behind(sql: SqlEngine, tmp_path: Path) -> None:
    """Tables are forgotten when a query ends, also when it fails."""
    rows = SqlRelation.of(relation([{"i": 1}]).project(["i"]))
    sql.collect(rows)
    with pytest.raises(Exception, match="too many rows"):
        sql.collect(rows, rows_max=0)
    with sql._connections.lease(time.monotonic() + 5, 5) as connection:
        assert connection.native.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]
