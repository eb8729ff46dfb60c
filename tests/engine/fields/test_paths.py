"""engine.fields.paths: the leaves of objects against a walk in plain Python, their bounds, and who reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Database, FieldType, Schema, Snapshot, SqlEngine, count_facets, ordered, parse_filter, parse_order
from engine.errors import SqlError
from engine.fields.paths import DEPTH_MAX, PATHS_MAX, SEEN_MAX, Leaves, find_leaves, listed, wholly_listed
from engine.schema import FIELD_NAME_BYTES_MAX, Field

KEYS = ["a", "b", "size", "x.y", "", "at"]
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, -1.25]), st.integers(2**63, 2**64),
    st.sampled_from(["red", "blue", "2024-01-05", "2023-11-30T10:00:00Z", "a b c d e f", ""]),
)  # fmt: skip
_values = st.recursive(
    _scalars | st.just({"lat": 1.5, "lon": 2}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
_plain = st.fixed_dictionaries({}, optional={"a": st.integers(-3, 3), "b": st.sampled_from(["red", "blue"])})
_objects = st.fixed_dictionaries(
    {}, optional={"city": st.sampled_from(["Oslo", "Rome"]), "in": _plain, "n": st.none() | st.integers(0, 9)}
)


def column_of(values: Sequence[Any]) -> Any:
    return pa.array([None if value is None else json.dumps(value) for value in values], type=pa.large_string())


def leaves_of(*values: Any) -> Leaves:
    return find_leaves("v", column_of(values))


def fields_of(*values: Any) -> dict[str, Field]:
    return listed(leaves_of(*values), {"v"})


def follow(value: Any, keys: Sequence[str]) -> Any:
    """What stands at a path: a list of all where a list of objects is on the way; None where nothing is."""
    if not keys:
        return value
    if isinstance(value, list):
        found = [follow(item, keys) for item in value if isinstance(item, dict) and reaches(item, keys)]
        flat = [each for item in found for each in (item if isinstance(item, list) else [item])]
        return flat if found else None
    return follow(value[keys[0]], keys[1:]) if isinstance(value, dict) and keys[0] in value else None


def reaches(value: Any, keys: Sequence[str]) -> bool:
    if not keys:
        return True
    if isinstance(value, list):
        return any(isinstance(item, dict) and reaches(item, keys) for item in value)
    return isinstance(value, dict) and keys[0] in value and reaches(value[keys[0]], keys[1:])


def same(field: Field, value: Any) -> Any:
    """A value as a field of that type gives it."""
    if value is None:
        return None
    if field.many:
        items = value if isinstance(value, list) else [value]
        return [same(Field(field.type), item) for item in items]
    if field.type is FieldType.DATETIME:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def test_leaves_have_the_types_of_their_values() -> None:
    """Numbers widen, ISO 8601 is a datetime, lists are many, and objects in objects go on."""
    first = {
        "city": "Oslo",
        "n": 1,
        "at": "2020-01-01",
        "tags": ["a"],
        "in": {"on": True},
        "place": {"lat": 1, "lon": 2},
    }
    fields = fields_of(first, {"n": 2.5, "at": "2021-02-03T04:05:06Z", "tags": []}, None, {})
    assert fields == {
        "v.city": Field(FieldType.KEYWORD),
        "v.n": Field(FieldType.NUMBER),
        "v.at": Field(FieldType.DATETIME),
        "v.tags": Field(FieldType.KEYWORD, many=True),
        "v.in.on": Field(FieldType.BOOLEAN),
        "v.place": Field(FieldType.GEO),
    }


def test_what_is_of_no_one_type_is_no_field() -> None:
    """An object here and a scalar there; numbers and strings; only nulls; lists of lists."""
    assert fields_of({"x": 1}, {"x": {"y": 2}}) == {"v.x.y": Field(FieldType.INTEGER)}
    assert fields_of({"x": 1}, {"x": "one"}) == {}
    assert fields_of({"x": None}, {"x": []}) == {}
    assert fields_of({"x": [[1]]}, {"x": [1]}) == {}
    assert fields_of({"x": 2**63}) == {}
    assert fields_of(3, [1, 2], "text") == {}


def test_lists_of_objects_make_lists_of_their_leaves() -> None:
    """The object itself stays JSON."""
    leaves = leaves_of({"items": [{"sku": "a", "n": 1}, {"sku": "b"}]}, {"items": []})
    assert listed(leaves, ()) == {
        "v.items.sku": Field(FieldType.KEYWORD, many=True),
        "v.items.n": Field(FieldType.INTEGER, many=True),
    }
    assert not wholly_listed("v", leaves, listed(leaves, ()))
    assert fields_of([{"sku": "a"}]) == {"v.sku": Field(FieldType.KEYWORD, many=True)}


def test_keys_that_no_path_can_spell_are_left_out() -> None:
    """With a dot, empty, too long: the rest is found, and the object is said to hold more."""
    leaves = leaves_of({"a.b": 1, "": 2, "k" * (FIELD_NAME_BYTES_MAX + 1): 3, "ok": 4, "a": {"b.c": 5}})
    assert list(listed(leaves, ())) == ["v.ok"]
    assert leaves.cut == {"v"}
    assert find_leaves("dotted.name", column_of([{"a": 1}])).found == {}


def test_the_depth_and_number_of_paths_are_bounded() -> None:
    """Thousands of different keys, of which the most filled are fields; and objects without end."""
    many = [{"common": 1, f"k{i}": i} for i in range(3 * SEEN_MAX)]
    leaves = leaves_of(*many)
    assert (len(leaves.found), leaves.cut | leaves.full) == (SEEN_MAX, frozenset({"v"}))
    fields = listed(leaves, ())
    assert (len(fields), "v.common" in fields) == (PATHS_MAX, True)
    deep: dict[str, Any] = {"end": 1}
    for _ in range(200):
        deep = {"k": deep}
    assert fields_of(deep) == {}
    assert leaves_of(deep).cut == {"v"}
    shallow: Any = 1
    for _ in range(DEPTH_MAX):
        shallow = {"k": shallow}
    assert len(fields_of(shallow)) == 1


def test_a_path_that_one_part_did_not_look_at_is_no_field() -> None:
    """Its values there may be of another type."""
    full = leaves_of(*({f"k{i}": i} for i in range(SEEN_MAX + 5)))
    other = leaves_of({f"k{SEEN_MAX + 1}": "text", "k0": 7})
    for both in (full.joined(other), other.joined(full)):
        assert f"v.k{SEEN_MAX + 1}" not in both.found
        assert both.found["v.k0"].field == Field(FieldType.INTEGER)


@settings(max_examples=150, deadline=None)
@given(first=st.lists(_values, max_size=5), second=st.lists(_values, max_size=5))
def test_parts_together_have_the_leaves_of_all(first: list[Any], second: list[Any]) -> None:
    """Types and counts are those of one part with all documents."""
    apart, whole = leaves_of(*first).joined(leaves_of(*second)), leaves_of(*first, *second)
    assert listed(apart, ()).keys() == listed(whole, ()).keys()
    assert {path: leaf.filled for path, leaf in apart.found.items()} == {
        path: leaf.filled for path, leaf in whole.found.items()
    }


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.lists(_values | _objects, min_size=1, max_size=4), min_size=1, max_size=3))
def test_columns_of_leaves_hold_what_the_documents_hold(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Any]]
) -> None:
    """Over segments and head: values, filters and values by place; whatever the documents look like."""
    documents: list[dict[str, Any]] = []
    with Database.open(tmp_path_factory.mktemp("paths") / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema.from_json({"fields": {"v": "json"}}))
        for part in parts:
            some = [{"id": str(len(documents) + i), "v": value} for i, value in enumerate(part)]
            documents += some
            collection.add(some)
            if len(documents) % 2:
                collection.state.seal()
        snapshot = collection.snapshot()
        _compare(snapshot, documents)


def _compare(snapshot: Snapshot, documents: Sequence[dict[str, Any]]) -> None:
    relation = snapshot.relation(list(snapshot.fields))
    for path, field in snapshot.fields.items():
        found = [follow(document, path.split(".")) for document in documents]
        wanted = [same(field, value) for value in found]
        assert relation.column(path) == wanted
        assert snapshot.values_of(path, snapshot.ordinals()) == wanted
        filled = snapshot.count(parse_filter({path: {"$is_null": False}}, snapshot.schema))
        assert filled == sum(value is not None for value in found)
    if snapshot.unfolded:
        assert all(document["v"] is None or isinstance(document["v"], dict) for document in documents)
        assert not any(field.many for path, field in snapshot.fields.items() if path != "v")


VENUES = [
    {"id": "1", "venue": {"city": "Oslo", "seats": 300, "opened": "1950-02-01"}},
    {"id": "2", "venue": {"city": "Rome", "seats": 80.5}},
    {"id": "3", "venue": {"city": "Oslo", "seats": 120, "opened": "2001-05-06"}},
    {"id": "4"},
]


@pytest.mark.parametrize("sealed", [False, True])
def test_a_leaf_is_a_field_for_every_reader(tmp_path: Path, *, sealed: bool) -> None:
    """Filters, facets, orders, groups and SQL read one column of one type."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add(VENUES)
        if sealed:
            collection.state.seal()
        snapshot = collection.snapshot()
        assert snapshot.unfolded == {"venue"}
        spec = {"cities": {"field": "venue.city"}, "years": {"field": "venue.opened", "interval": "year"}}
        facets = count_facets(snapshot, {**spec, "both": {"by": ["venue.city", "venue.opened"]}})
        assert facets["cities"]["values"] == [{"value": "Oslo", "count": 2}, {"value": "Rome", "count": 1}]
        assert facets["years"]["missing"] == 2
        assert facets["both"]["distinct"] == 4
        assert snapshot.field_values("venue.city") == [("Oslo", 2), ("Rome", 1)]
        assert snapshot.ids(ordered(snapshot, parse_order("venue.seats desc"))) == ["1", "3", "2", "4"]
        assert snapshot.relation(["venue.opened"]).column("venue.opened")[0] == "1950-02-01T00:00:00Z"


def test_sql_reads_a_leaf_as_a_column(tmp_path: Path) -> None:
    """In quotes, in any case, of its own type; `*` has the object alone."""
    with Database.open(tmp_path / "db") as database:
        database.create_collection("c", Schema()).add(VENUES)
        with closing(SqlEngine(database)) as sql:
            assert [column.name for column in sql.run("SELECT * FROM c").columns] == ["id", "venue"]
            query = 'SELECT "venue.city" AS city, sum("venue.seats") AS n FROM c GROUP BY 1 ORDER BY 1 NULLS LAST'
            assert sql.run(query).rows() == [["Oslo", 420.0], ["Rome", 80.5], [None, None]]
            assert sql.run("SELECT count(*) FROM c WHERE \"Venue.Opened\" > '1960-01-01'").rows() == [[1]]
            assert sql.run("SELECT venue->>'city' FROM c WHERE id = '2'").rows() == [["Rome"]]
            with pytest.raises(SqlError, match=r"venue\.nothing"):
                sql.run('SELECT "venue.nothing" FROM c')


def test_leaves_that_differ_only_by_case_are_told_apart_in_sql(tmp_path: Path) -> None:
    """As fields are: the second has a number."""
    with Database.open(tmp_path / "db") as database:
        database.create_collection("c", Schema()).add([{"id": "1", "v": {"Size": "wide", "size": "42"}}])
        with closing(SqlEngine(database)) as sql:
            assert sql.run('SELECT "v.Size", "v.size_1" FROM c').rows() == [["wide", "42"]]


def test_values_by_place_are_taken_of_columns_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of 200 leaves had read the same few large documents 200 times."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema())
        collection.add(VENUES)
        snapshot = collection.snapshot()
        snapshot.relation(["venue.city", "venue.seats"])
        monkeypatch.setattr("engine.snapshot.path_values", lambda *_: pytest.fail("the documents were read again"))
        assert snapshot.values_of("venue.city", snapshot.ordinals()) == ["Oslo", "Rome", "Oslo", None]
        assert snapshot.values_of("venue.seats", snapshot.ordinals()[1:2]) == [80.5]


def test_sql_reads_the_objects_once_for_all_of_their_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query of 150 leaves had read every document 150 times."""
    with Database.open(tmp_path / "db") as database, closing(SqlEngine(database)) as sql:
        database.create_collection("c", Schema()).add(VENUES)
        monkeypatch.setattr("engine.filtering.path_column", lambda *_: pytest.fail("one leaf was read by itself"))
        rows = sql.run('SELECT "venue.city", "venue.seats" FROM c ORDER BY id').rows()
    assert rows == [["Oslo", 300.0], ["Rome", 80.5], ["Oslo", 120.0], [None, None]]
