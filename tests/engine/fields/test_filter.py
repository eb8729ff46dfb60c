"""engine.fields.filter: reading filters."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import numpy as np
import pytest

from engine.errors import FilterError
from engine.fields.filter import And, Comparison, Not, Or, parse_filter
from engine.schema import Field, FieldType, Schema, VectorField

SCHEMA = Schema(
    {
        "year": Field(FieldType.INTEGER),
        "when": Field(FieldType.DATETIME),
        "title": Field(FieldType.TEXT),
        "flag": Field(FieldType.BOOLEAN),
        "place": Field(FieldType.GEO),
        "extra": Field(FieldType.JSON),
    },
    {"vector": VectorField(2)},
    strict=True,
)


def test_short_forms_are_spelled_out() -> None:
    """A value means $eq, a list $in, several keys all of them."""
    assert parse_filter({"year": 1}) == Comparison("year", "$eq", 1)
    assert parse_filter({"year": [1, 2]}) == Comparison("year", "$in", (1, 2))
    assert parse_filter({}) == And(())
    assert parse_filter({"a": 1, "b": {"$gt": 2, "$lt": 3}}) == And(
        (Comparison("a", "$eq", 1), And((Comparison("b", "$gt", 2), Comparison("b", "$lt", 3))))
    )
    assert parse_filter({"$or": [{"a": 1}, {"$not": {"b": None}}]}) == Or(
        (Comparison("a", "$eq", 1), Not(Comparison("b", "$eq", None)))
    )
    assert parse_filter({"a": {"$not": {"$gt": 1}}}) == Not(Comparison("a", "$gt", 1))


@pytest.mark.parametrize(
    "data",
    [{}, {"a": {"$in": [1, "x", None]}}, {"$or": [{"a": {"$exists": True}}, {"$not": {"b": {"$starts_with": "x"}}}]}],
)
def test_json_form_reads_back_the_same(data: Any) -> None:
    """`to_json` is read back as the same tree."""
    tree = parse_filter(data)
    assert parse_filter(tree.to_json()) == tree


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ([], ""),
        ("x", ""),
        ({"$nor": []}, "/$nor"),
        ({"$and": {}}, "/$and"),
        ({"$or": [{"year": 1}, 5]}, "/$or/1"),
        ({"year": {}}, "/year"),
        ({"year": {"$gte": "x"}}, "/year/$gte"),
        ({"year": {"$gte": None}}, "/year/$gte"),
        ({"year": {"$gt": True}}, "/year/$gt"),
        ({"year": True}, "/year"),
        ({"year": {"$in": 5}}, "/year/$in"),
        ({"year": {"$in": [1, "a"]}}, "/year/$in/1"),
        ({"year": {"$near": 5}}, "/year/$near"),
        ({"year": {"$eq": {"a": 1}}}, "/year/$eq"),
        ({"year": math.nan}, "/year"),
        ({"when": "yesterday"}, "/when"),
        ({"when": {"$starts_with": "2020"}}, "/when/$starts_with"),
        ({"title": {"$starts_with": 5}}, "/title/$starts_with"),
        ({"title": {"$contains": "\ud800"}}, "/title/$contains"),
        ({"title": {"$exists": 1}}, "/title/$exists"),
        ({"place": 5}, "/place"),
        ({"year": {"$like": "2%"}}, "/year/$like"),
        ({"title": {"$like": 5}}, "/title/$like"),
        ({"title": {"$regex": "("}}, "/title/$regex"),
        ({"title": {"$match": "x" * 1_001}}, "/title/$match"),
        ({"title": {"$phrase": "\ud800"}}, "/title/$phrase"),
        ({"when": {"$regex": "2020"}}, "/when/$regex"),
        ({"title": {"$geo_radius": {"lat": 1, "lon": 1, "meters": 1}}}, "/title/$geo_radius"),
        ({"place": {"$geo_radius": [1, 2, 3]}}, "/place/$geo_radius"),
        ({"place": {"$geo_radius": {"lat": 1, "lon": 1}}}, "/place/$geo_radius"),
        ({"place": {"$geo_radius": {"lat": 91, "lon": 1, "meters": 1}}}, "/place/$geo_radius/lat"),
        ({"place": {"$geo_radius": {"lat": 1, "lon": True, "meters": 1}}}, "/place/$geo_radius/lon"),
        ({"place": {"$geo_radius": {"lat": 1, "lon": 1, "meters": math.nan}}}, "/place/$geo_radius/meters"),
        ({"place": {"$geo_box": {"south": 2, "west": 0, "north": 1, "east": 1}}}, "/place/$geo_box/south"),
        ({"place": {"$geo_box": {"south": 0, "west": 0, "north": 1, "east": 10**400}}}, "/place/$geo_box/east"),
        ({"vector": 5}, "/vector"),
        ({"unknown": 5}, "/unknown"),
        ({"year.x": 5}, "/year.x"),
        ({"a/b~": 5}, "/a~1b~0"),
        ({"title": "x" * 65_537}, "/title"),
    ],
)
def test_a_bad_filter_is_refused_with_its_place(data: Any, pointer: str) -> None:
    """Every fault carries a JSON Pointer into the filter."""
    with pytest.raises(FilterError) as caught:
        parse_filter(data, SCHEMA)
    assert caught.value.pointer == pointer


def test_paths_into_json_are_allowed_in_strict_schemas() -> None:
    """`extra.a.b` asks within the JSON field `extra`."""
    assert parse_filter({"extra.a.b": "x"}, SCHEMA) == Comparison("extra.a.b", "$eq", "x")


def test_depth_and_size_are_bounded() -> None:
    """10,000 levels, 1,001 clauses or 100,001 values are refused, not run."""
    deep: Any = {"a": 1}
    for _ in range(10_000):
        deep = {"$not": deep}
    same: Any = {"$eq": 1}
    for _ in range(10_000):
        same = {"$not": same}
    some = [str(i) for i in range(501)]
    illegal: list[Any] = [
        deep,
        {"a": same},
        {"$or": [{"a": 1}] * 1001},
        {"$and": [{}] * 1000},
        {"$or": [{"$and": []}] * 1000},
        {"$or": [{"a": {"$gt": 1, "$lt": 9}}] * 500},
        {"a": {"$in": list(range(100_001))}},
        {"a": {"$contains_any": [str(i) for i in range(1001)]}},
        {"a": {"$contains_any": some}, "b": {"$contains_all": some}},
        {"$or": [{"a": {"$regex": "x"}}] * 65},
    ]
    for data in illegal:
        with pytest.raises(FilterError, match=r"too (many|deep)"):
            parse_filter(data)


def test_what_is_within_the_bounds_is_read() -> None:
    """1,000 clauses, 100,000 values of $in, and 1,000 of $contains_any are legal."""
    legal: list[Any] = [
        {"$or": [{"a": 1}] * 999},
        {"a": {"$in": list(range(100_000))}},
        {"a": {"$contains_any": [str(i) for i in range(1000)]}},
    ]
    any_of, one_of, containing = (parse_filter(data) for data in legal)
    assert isinstance(any_of, Or)
    assert len(any_of.clauses) == 999
    assert isinstance(one_of, Comparison)
    assert len(one_of.value) == 100_000
    assert isinstance(containing, Comparison)
    assert len(containing.value) == 1000


def test_an_operand_of_the_wrong_type_names_its_field() -> None:
    """So that the message alone says what to mend."""
    with pytest.raises(FilterError, match="field 'year': operand has the wrong type: expected=integer got='x'"):
        parse_filter({"year": {"$gte": "x"}}, SCHEMA)


def test_points_may_be_asked_for_in_json_too() -> None:
    """Whole numbers become numbers, so that equal filters are equal."""
    where = {"extra.where": {"$geo_radius": {"meters": 5, "lon": 2, "lat": 1}}}
    circle = {"lat": 1.0, "lon": 2.0, "meters": 5.0}
    assert parse_filter(where, SCHEMA) == Comparison("extra.where", "$geo_radius", circle)
    assert parse_filter(where).to_json() == {"extra.where": {"$geo_radius": circle}}


def test_operands_may_be_what_documents_may_hold() -> None:
    """Dates, decimals and NumPy's scalars, alone and in lists; what they stand for is refused as it would be."""
    assert parse_filter({"a": {"$gte": dt.date(2024, 2, 29)}}) == Comparison("a", "$gte", "2024-02-29")
    assert parse_filter({"a": {"$in": [np.int64(3), decimal.Decimal("2.5")]}}) == Comparison("a", "$in", (3, 2.5))
    assert parse_filter({"a": np.bool_(True)}) == Comparison("a", "$eq", True)
    with pytest.raises(FilterError, match="takes a JSON value: got=timedelta"):
        parse_filter({"a": dt.timedelta(1)})
    with pytest.raises(FilterError, match="takes a number, a string or a date: got=None"):
        parse_filter({"a": {"$lt": np.datetime64("NaT")}})
