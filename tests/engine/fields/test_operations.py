"""engine.fields.relation: joins, sets, windows, distinct rows and computed columns against plain Python."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidInputError, MemoryLimitError
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
    ScalarFunction,
    Value,
)
from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.fields.windows import WindowCall
from tests.engine.fields.test_relation import ROWS, relation

K, INT, N = FieldRef("k"), FieldRef("i"), FieldRef("n")
KEYS = st.sampled_from([["k"], ["i"], ["k", "i"]])


def keyed(row: dict[str, Any], names: list[str]) -> tuple[Any, ...] | None:
    key = tuple(row[name] for name in names)
    return None if None in key else key


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, KEYS, st.sampled_from(["inner", "left", "semi", "anti"]))
def test_joins_agree_with_two_loops(
    left: list[dict[str, Any]], right: list[dict[str, Any]], names: list[str], how: str
) -> None:
    """Rows in the order of the left side, missing keys match nothing, and both sides are told of."""
    pairs: list[tuple[int, int | None]] = []
    for i, ours in enumerate(left):
        met = [j for j, other in enumerate(right) if keyed(ours, names) and keyed(ours, names) == keyed(other, names)]
        if how in ("semi", "anti"):
            pairs += [(i, None)] if bool(met) == (how == "semi") else []
        else:
            pairs += [(i, j) for j in met] or ([(i, None)] if how == "left" else [])
    other = relation(right).project(["n", "b", *names]).rename({"rn": "n", "rb": "b", **{f"r{x}": x for x in names}})
    found, coverage = relation(left).join(other, [(name, f"r{name}") for name in names], how=how)
    assert [row["n"] for row in found.rows()] == [left[i]["n"] for i, _ in pairs]
    assert coverage.rows == len(pairs)
    assert coverage.left_rows == len(left)
    assert coverage.right_rows == len(right)
    keys = {keyed(row, names) for row in right} - {None}
    assert coverage.left_matched == sum(keyed(row, names) in keys for row in left)
    if how in ("inner", "left"):
        assert [row["rn"] for row in found.rows()] == [None if j is None else right[j]["n"] for _, j in pairs]
        for place, (i, j) in enumerate(pairs):
            assert [p.ids for p in found.provenance(place, "n")] == [(str(i),)]
            assert [p.ids for p in found.provenance(place, "rn")] == ([] if j is None else [(str(j),)])


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.sampled_from(["union", "intersect", "except"]), st.booleans())
def test_sets_agree_with_counted_rows(
    left: list[dict[str, Any]], right: list[dict[str, Any]], kind: str, keep_all: bool
) -> None:
    """As SQL counts them; rows in the order in which they first appear."""
    ours = [(row["k"], row["i"]) for row in left]
    theirs = [(row["k"], row["i"]) for row in right]
    counts, seen, expected = Counter(theirs), Counter[Any](), []
    for row in ours + theirs if kind == "union" else ours:
        seen[row] += 1
        if keep_all:
            kept = kind == "union" or (seen[row] <= counts[row]) == (kind == "intersect")
        else:
            kept = seen[row] == 1 and (kind == "union" or (row in counts) == (kind == "intersect"))
        expected += [row] if kept else []
    found = relation(left).project(["k", "i"]).combine(relation(right).project(["k", "i"]), kind, keep_all=keep_all)
    assert [(row["k"], row["i"]) for row in found.rows()] == expected
    for place, row in enumerate(expected):
        sources = {id_ for p in found.provenance(place) for id_ in p.ids}
        mine = {str(i) for i, other in enumerate(ours) if other == row}
        if kind == "except" and not keep_all:
            assert sources == mine
        elif not keep_all:
            assert sources == mine | {str(i) for i, other in enumerate(theirs) if other == row}


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from([["k"], ["i", "b"], ["ks"]]))
def test_distinct_keeps_the_first_and_all_sources(rows: list[dict[str, Any]], names: list[str]) -> None:
    """Missing values equal each other; the row stands for all that are equal."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(repr([row[name] for name in names]), []).append(place)
    found = relation(rows).distinct(names)
    assert [row["n"] for row in found.rows()] == [rows[members[0]]["n"] for members in groups.values()]
    for place, members in enumerate(groups.values()):
        assert found.sources(place) == ([str(member) for member in members], len(members))


@settings(max_examples=80, deadline=None)
@given(
    ROWS,
    st.sampled_from(["row_number", "rank", "dense_rank", "lag", "lead", "running_sum", "share"]),
    st.sampled_from([(), ("k",), ("k", "b")]),
    st.sampled_from([(), (SortKey("i"),), (SortKey("i", descending=True), SortKey("b"))]),
    st.integers(1, 3),
)
def test_windows_agree_with_plain_python(
    rows: list[dict[str, Any]], fn: str, partition: tuple[str, ...], order: tuple[SortKey, ...], n: int
) -> None:
    """Partitions in the order asked for, ties as they stand; rows stay in their places."""
    if fn in ("rank", "dense_rank") and not order:
        order = (SortKey("i"),)
    places = list(range(len(rows)))
    for key in reversed(order):
        known = [p for p in places if rows[p][key.field] is not None]
        known.sort(key=lambda p, key=key: rows[p][key.field], reverse=key.descending)  # type: ignore[misc]
        places = known + [p for p in places if rows[p][key.field] is None]
    expected: list[Any] = [None] * len(rows)
    members: dict[Any, list[int]] = {}
    for place in places:
        members.setdefault(tuple(rows[place][name] for name in partition), []).append(place)
    for group in members.values():
        values = [rows[place]["n"] for place in group]
        keys = [tuple(rows[place][key.field] for key in order) for place in group]
        total = sum(value for value in values if value is not None)
        for at, place in enumerate(group):
            known = [value for value in values[: at + 1] if value is not None]
            there = at + (n if fn == "lead" else -n)
            expected[place] = {
                "row_number": at + 1,
                "rank": keys.index(keys[at]) + 1,
                "dense_rank": len(dict.fromkeys(keys[: at + 1])),
                "lag": values[there] if 0 <= there < len(group) else None,
                "lead": values[there] if 0 <= there < len(group) else None,
                "running_sum": sum(known) if known else None,
                "share": None if values[at] is None or total == 0 else values[at] / total,
            }[fn]
    field = "n" if fn in ("lag", "lead", "running_sum", "share") else None
    found = relation(rows).window(WindowCall(fn, "w", field, partition, order, n))
    assert found.column("w") == pytest.approx(expected)
    assert found.column("i") == [row["i"] for row in rows]


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from([[], ["k"]]))
def test_figures_of_order_agree_with_plain_python(rows: list[dict[str, Any]], by: list[str]) -> None:
    """Percentiles between neighbours, a sample's deviation, and the first row of the greatest and the least."""
    groups: dict[Any, list[dict[str, Any]]] = {} if by else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    items = [
        Aggregate("stddev", "n", "spread"),
        Aggregate("percentile", "i", "third", p=0.3),
        Aggregate("argmax", "k", "top", by="i"),
        Aggregate("argmin", "ks", "low", by="n"),
    ]
    expected = []
    for members in groups.values():
        n = [row["n"] for row in members if row["n"] is not None]
        i = sorted(row["i"] for row in members if row["i"] is not None)
        at = 0.3 * (len(i) - 1)
        third = i[math.floor(at)] + (i[math.ceil(at)] - i[math.floor(at)]) * (at - math.floor(at)) if i else None
        top = [row["k"] for row in members if i and row["i"] == i[-1]]
        low = [row["ks"] for row in members if n and row["n"] == min(n)]
        spread = statistics.stdev(n) if len(n) > 1 else None
        expected.append([spread, third, top[0] if top else None, low[0] if low else None])
    found = relation(rows).group(by, items)
    for row, line in zip(found.rows(), expected, strict=True):
        assert [row["spread"], row["third"]] == pytest.approx(line[:2])
        assert [row["top"], row["low"]] == line[2:]


def computed(expression: Expression, **row: Any) -> Any:
    """The value of an expression over one row."""
    return relation([row]).compute([("out", expression)]).column("out")[0]


def call(fn: str, *args: Any) -> Call:
    parts = [arg if isinstance(arg, FieldRef | Call) else Value(arg) for arg in args]
    return Call(ScalarFunction(fn), tuple(parts))


def arithmetic(op: str, left: Expression, right: Expression) -> Arithmetic:
    return Arithmetic(ArithmeticOperator(op), left, right)


D = FieldRef("d")
DAY = "2024-02-29T13:45:10Z"  # a Thursday


@pytest.mark.parametrize(
    ("expression", "row", "expected"),
    [
        (arithmetic("+", INT, Value(1)), {"i": 2}, 3),
        (arithmetic("+", INT, Value(1)), {}, None),
        (arithmetic("+", INT, Value(1)), {"i": 2**63 - 1}, None),
        (arithmetic("*", INT, INT), {"i": 2**40}, None),
        (arithmetic("/", INT, Value(2)), {"i": 5}, 2.5),
        (arithmetic("/", INT, Value(0)), {"i": 5}, None),
        (arithmetic("%", INT, Value(3)), {"i": -5}, -2),
        (arithmetic("%", INT, Value(-1)), {"i": -(2**63)}, 0),
        (arithmetic("*", N, Value(10)), {"n": 1e308}, None),
        (call("round", N), {"n": -2.5}, -3.0),
        (call("round", N, 1), {"n": 0.25}, 0.3),
        (call("round", INT), {"i": 7}, 7),
        (call("floor", N), {"n": -0.5}, -1.0),
        (call("ceil", N), {"n": 0.25}, 1.0),
        (call("abs", INT), {"i": -7}, 7),
        (call("abs", INT), {"i": -(2**63)}, None),
        (call("upper", K), {"k": "ab"}, "AB"),
        (call("length", K), {"k": "äöü"}, 3),
        (call("length", FieldRef("ks")), {"ks": ["a", "b"]}, 2),
        (call("substring", K, 2, 2), {"k": "abcd"}, "bc"),
        (call("substring", K, 9), {"k": "abcd"}, ""),
        (call("concat", K, "-", K), {"k": "a"}, "a-a"),
        (call("concat", K, "-"), {}, None),
        (call("coalesce", INT, N, 4), {"n": 2.5}, 2.5),
        (call("coalesce", INT, N, 4), {}, 4.0),
        (call("year", D), {"d": DAY}, 2024),
        (call("month", D), {"d": DAY}, 2),
        (call("weekday", D), {"d": DAY}, 4),
        (call("date_trunc", "week", D), {"d": DAY}, "2024-02-26T00:00:00Z"),
        (call("date_trunc", "quarter", D), {"d": "1969-12-31T23:00:00Z"}, "1969-10-01T00:00:00Z"),
        (call("date_diff", "month", D, "2024-03-01"), {"d": DAY}, 1),
        (call("date_diff", "week", "2024-02-25", D), {"d": DAY}, 1),
        (call("date_diff", "hour", D, "2024-02-29T13:00:00Z"), {"d": DAY}, 0),
        (call("date_diff", "year", D, "1999-01-01"), {"d": DAY}, -25),
        (call("to_number", K), {"k": " 1,395.5 "}, 1395.5),
        (call("to_number", K), {"k": "+1e3"}, 1000.0),
        (call("to_number", K), {"k": "12 apples"}, None),
        (call("to_number", K), {"k": "1e999"}, None),
        (call("to_text", INT), {"i": 5}, "5"),
        (call("to_text", N), {"n": 2.0}, "2"),
        (call("to_text", FieldRef("b")), {"b": True}, "true"),
        (call("same_text", K, "STRASSE"), {"k": "strasse"}, True),
        (call("contains", K, K), {"k": "a"}, True),
        (call("starts_with", K, "b"), {}, None),
        (
            Case((Branch(Compare(Operator.GT, INT, Value(5)), Value("big")),), Value("small")),
            {"i": 9},
            "big",
        ),
        (Case((Branch(Compare(Operator.GT, INT, Value(5)), N),)), {"i": 1, "n": 1.5}, None),
    ],
)
def test_expressions_by_hand(expression: Expression, row: dict[str, Any], expected: Any) -> None:
    """Nothing comes of nothing; what has no finite value, or no room in 64 bits, is missing."""
    assert computed(expression, **row) == expected


def test_comparisons_with_missing_values_do_not_hold() -> None:
    """Not even `!=`; `not` turns round what its item says; lists hold by any element."""
    rows: list[dict[str, Any]] = [{"i": 1, "ks": ["ab", "c"]}, {"i": None, "ks": []}, {"i": 2, "ks": None}]
    table = relation(rows)

    def kept(predicate: Any) -> list[Any]:
        return [row["i"] for row in table.where(predicate).rows()]

    assert kept(Compare(Operator.NE, INT, Value(1))) == [2]
    assert kept(Not(Compare(Operator.EQ, INT, Value(1)))) == [None, 2]
    assert kept(Compare(Operator.CONTAINS, FieldRef("ks"), Value("b"))) == [1]
    assert kept(Compare(Operator.NE, FieldRef("ks"), Value("c"))) == []
    assert kept(Compare(Operator.NE, FieldRef("ks"), Value("z"))) == [1]
    assert kept(Compare(Operator.IS_NULL, FieldRef("ks"), None)) == [None, 2]
    assert kept(Compare(Operator.LT, INT, arithmetic("*", INT, Value(2)))) == [1, 2]
    assert kept(And((Compare(Operator.EQ, INT, Value(None)),))) == []


def test_buckets_of_dates_and_numbers() -> None:
    """Named by their beginning; a missing date is a bucket of its own."""
    rows: list[dict[str, Any]] = [{"d": DAY, "n": 7.5}, {"d": "2024-01-01T00:00:00Z", "n": -0.5}, {"d": None, "n": 7.0}]
    count = [Aggregate("count", None, "c")]
    by_year = relation(rows).group([Bucket("d", DateUnit.YEAR)], count)
    assert by_year.rows() == [{"d_year": "2024-01-01T00:00:00Z", "c": 2}, {"d_year": None, "c": 1}]
    by_width = relation(rows).group([Bucket("n", width=5)], count)
    assert by_width.rows() == [{"n_bucket": 5.0, "c": 2}, {"n_bucket": -5.0, "c": 1}]
    assert by_width.sources(0) == (["0", "2"], 2)


def test_cells_know_their_sources_through_a_join_and_a_group() -> None:
    """A column's documents are those of the side it came from; a row count's are of both."""
    left = relation([{"k": "a", "i": 1}, {"k": "a", "i": 2}, {"k": "b", "i": 3}])
    right = relation([{"k": "a", "n": 1.0}]).rename({"key": "k", "weight": "n"})
    joined, coverage = left.join(right, [("k", "key")])
    assert coverage.to_json() == {"left_rows": 3, "left_matched": 2, "right_rows": 1, "right_matched": 1, "rows": 2}
    grouped = joined.group([], [Aggregate("sum", "i", "s"), Aggregate("max", "weight", "w")])
    assert [p.ids for p in grouped.provenance(0, "s")] == [("0", "1")]
    assert [p.ids for p in grouped.provenance(0, "w")] == [("0",)]


def test_joins_are_bounded_before_they_are_made() -> None:
    """A join that would give too much is refused, not begun."""
    rows = relation([{"k": "a"}] * 100)
    other = rows.project(["k"]).rename({"r": "k"})
    with pytest.raises(MemoryLimitError):
        rows.join(other, [("k", "r")], rows_max=9_999)
    assert len(rows.join(other, [("k", "r")], rows_max=10_000)[0]) == 10_000


def test_sums_beyond_64_bits_are_missing() -> None:
    """Rather than wrong."""
    rows = relation([{"i": 2**62}] * 3)
    assert rows.group([], [Aggregate("sum", "i", "s")]).rows() == [{"s": None}]
    assert rows.window(WindowCall("running_sum", "s", "i")).column("s") == [2**62, None, None]


@pytest.mark.parametrize(
    "act",
    [
        lambda r: r.compute([("k", INT)]),
        lambda r: r.compute([("x", arithmetic("+", K, Value(1)))]),
        lambda r: r.compute([("x", FieldRef("y"))]),
        lambda r: r.join(r, [("k", "k")]),
        lambda r: r.join(r, [("k", "i")], names={}),
        lambda r: r.join(r, [("ks", "ks")], names={}),
        lambda r: r.combine(r.project(["k"]), "union"),
        lambda r: r.project(["k"]).combine(r.project(["i"]), "union"),
        lambda r: r.window(WindowCall("share", "x", "k")),
        lambda r: r.window(WindowCall("median", "x")),
        lambda r: r.distinct(["g"]),
        lambda r: r.group([Bucket("k", DateUnit.DAY)], []),
        lambda r: r.group([], [Aggregate("percentile", "i", "p", p=2)]),
        lambda r: r.group([], [Aggregate("argmax", "i", "p", by="ks")]),
    ],
)
def test_what_does_not_fit_is_refused(act: Any) -> None:
    """As the caller's fault."""
    with pytest.raises(InvalidInputError):
        act(relation([{"k": "a", "i": 1}]))


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from(["i", "n", "d"]), st.booleans(), st.integers(1, 6))
def test_the_first_of_a_sort_need_no_sort_of_all(
    rows: list[dict[str, Any]], name: str, descending: bool, first: int
) -> None:
    """The first rows are those of the whole sort, and none that ties with the last of them is left out."""
    keys = [SortKey(name, descending), SortKey("k")]
    dated = [{**row, "d": None if row["i"] is None else f"20{row['i'] + 10:02d}-01-01"} for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.fields.relation.SELECTED_ROWS_MIN", 0)
        found = relation(dated).sort(keys, first).rows()
    whole = relation(dated).sort(keys).rows()
    assert found == whole[: len(found)]
    assert len(found) >= min(first, len(whole))
    if len(found) < len(whole):
        assert whole[len(found)][name] != whole[first - 1][name]
