"""Questions and plans over objects in documents: leaves are fields of their own, in the catalog and in every step."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Database, FieldType, Schema, SqlEngine
from models import Embedder
from promptql import PromptQL
from promptql.answer import Band
from promptql.catalog import read_catalog
from promptql.catalog.semantics import SemanticType
from promptql.executor import Executed, Limits, Way, execute
from promptql.plan import Plan
from promptql.validation import validate

Sites = Sequence[dict[str, Any] | None]
EmbedderOf = Callable[[str], Embedder]

TOWNS = ("Oslo", "Bergen", "Turin")
STATIONS: list[dict[str, Any]] = [
    {
        "id": f"s{i}",
        "code": f"K{i:02}",
        "kind": ("wind", "rain", "heat")[i % 3],
        "level": 10 + 7 * i % 23,
        "site": {
            "town": TOWNS[i * i % 3],
            "name": f"{('North', 'South', 'East', 'West')[i % 4]} Pier",
            "area_km2": 5 + 11 * i % 17,
            "owner": {"company": ("Arva", "Belt")[i % 2], "since": f"20{10 + i % 9}-03-04"},
        },
    }
    for i in range(36)
]
REPAIRS: list[dict[str, Any]] = [
    {"id": f"r{i}", "station": {"code": f"K{i % 9:02}"}, "bill": {"amount": 40 + i, "paid": i % 3 == 0}}
    for i in range(20)
]


@pytest.fixture(scope="module")
def stations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database.open(tmp_path_factory.mktemp("stations") / "db") as database:
        database.create_collection("stations", Schema()).add(STATIONS)
        database.create_collection("repairs", Schema()).add(REPAIRS)
        yield database


@pytest.fixture(scope="module")
def ask(stations: Database, embedder_of: Callable[[str], Embedder]) -> Callable[[str], Any]:
    planner = PromptQL(stations, embedder_of)
    return lambda question: planner.ask(question, collections=["stations"])


def test_the_catalog_tells_of_leaves_what_it_tells_of_fields(stations: Database) -> None:
    """Types, ranges, values, units, kinds, and the words that they go by."""
    info = read_catalog(stations.snapshot()).collections["stations"]
    town, area, since = (info.fields[f"site.{name}"] for name in ("town", "area_km2", "owner.since"))
    assert (town.type, town.semantic, dict(town.values)) == (
        FieldType.KEYWORD,
        SemanticType.PLACE,
        {name: sum(s["site"]["town"] == name for s in STATIONS) for name in {s["site"]["town"] for s in STATIONS}},
    )
    assert (area.unit, area.least, area.greatest, area.filled) == ("km²", 5, 21, 36)
    assert since.type is FieldType.DATETIME
    assert (town.synonyms, since.synonyms) == (("town",), ("since", "owner since"))
    assert (info.fields["site"].unfolded, info.fields["site.name"].names, info.label) == (True, "site", "code")


def _towns(town: str) -> list[dict[str, Any]]:
    return [item for item in STATIONS if item["site"]["town"] == town]


def test_questions_name_leaves_by_all_their_words(ask: Callable[[str], Any]) -> None:
    """By value, by the last key, by the object before it or behind an "of", and the object by its name."""
    oslo = _towns("Oslo")
    largest = max(STATIONS, key=lambda item: item["site"]["area_km2"])["site"]["area_km2"]
    expected: dict[str, Sequence[Any]] = {
        "How many stations are in Oslo?": [len(oslo)],
        "total level in Oslo": [sum(item["level"] for item in oslo)],
        "how many stations of Arva in Oslo": [sum(item["site"]["owner"]["company"] == "Arva" for item in oslo)],
        "how many different companies": [2],
        "how many different sites are there": [4],
        "What is the town of the site of K07?": [STATIONS[7]["site"]["town"]],
        "owner company of K07": [STATIONS[7]["site"]["owner"]["company"]],
        "What is the site of K02?": [STATIONS[2]["site"]["name"]],
        "maximum area of the site": [largest],
    }
    found = {question: list(ask(question).values) for question in expected}
    assert found == {question: list(values) for question, values in expected.items()}


def test_questions_group_sort_and_compare_by_leaves(ask: Callable[[str], Any]) -> None:
    """Averages by town, stations above a size, the biggest site, and those since a year."""
    towns = {item["site"]["town"] for item in STATIONS}
    means = {town: statistics.mean(item["site"]["area_km2"] for item in _towns(town)) for town in towns}
    assert dict(ask("average site area by town of the site").values) == pytest.approx(means)
    counts = {town: len(_towns(town)) for town in towns}
    assert dict(ask("How many stations are there in each town?").values) == counts
    large = {item["code"] for item in STATIONS if item["site"]["area_km2"] > 15}
    assert set(ask("stations with an area above 15").values) == large
    recent = {item["code"] for item in STATIONS if item["site"]["owner"]["since"] >= "2016"}
    assert set(ask("stations since 2016").values) == recent
    biggest = {item["site"]["name"] for item in STATIONS if item["site"]["area_km2"] == 21}
    assert set(ask("biggest site").values) == biggest
    highest = max(STATIONS, key=lambda item: item["level"])
    answer = ask("What is the town of the station with the highest level?")
    assert answer.values == (highest["site"]["town"],)
    assert highest["site"]["town"] in answer.text


def test_answers_cite_the_documents_whose_leaves_they_tell(ask: Callable[[str], Any]) -> None:
    """Every citation is borne out by the documents, and none is lost."""
    answer = ask("What is the town of the site of K07?")
    assert (answer.band in (Band.ANSWER, Band.ASSUMPTIONS), answer.warnings) == (True, ())
    assert [citation.ids for citation in answer.citations] == [("s7",)]


def test_collections_are_joined_by_leaves(stations: Database, embedder_of: EmbedderOf) -> None:
    """A key within an object leads to the other collection, and conditions on leaves of both hold."""
    found = read_catalog(stations.snapshot()).relationships
    assert [(item.left_field, item.right_field) for item in found] == [("station.code", "code")]
    town_of = {item["code"]: item["site"]["town"] for item in STATIONS}
    amounts = [item["bill"]["amount"] for item in REPAIRS if town_of[item["station"]["code"]] == "Oslo"]
    planner = PromptQL(stations, embedder_of)
    assert planner.ask("total bill amount of repairs in Oslo").values == (sum(amounts),)
    assert dict(planner.ask("How many repairs were there in each town?").values)["Oslo"] == len(amounts)


# ── plans ──

_towns_drawn = st.sampled_from([*TOWNS, None])
_site = st.fixed_dictionaries(
    {},
    optional={
        "town": _towns_drawn,
        "area": st.none() | st.integers(-5, 5) | st.sampled_from([0.5, 2.25]),
        "open": st.booleans(),
        "built": st.sampled_from(["1999-01-01", "2005-06-07T08:09:10Z"]),
        "owner": st.fixed_dictionaries({}, optional={"company": st.sampled_from(["Arva", "Belt"])}),
    },
)
_documents = st.lists(st.none() | _site, min_size=1, max_size=12)
_FULL = {"town": "Oslo", "area": 1.5, "open": True, "built": "1999-01-01", "owner": {"company": "Arva"}}


def plan_of(*steps: dict[str, Any]) -> Plan:
    """A plan whose steps each read the one before."""
    chain: list[dict[str, Any]] = [{"id": "s0", "op": "scan", "collection": "c"}]
    for number, step in enumerate(steps, 1):
        chain.append({"id": f"s{number}", "input": f"s{number - 1}", **step})
    answer = {"id": "end", "op": "answer", "input": chain[-1]["id"]}
    return Plan.from_json({"steps": [*chain, answer], "output": "end"})


def at(site: dict[str, Any] | None, *keys: str) -> Any:
    found: Any = site
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def both_ways(sql: SqlEngine, database: Database, plan: Plan, embedder_of: EmbedderOf) -> Executed:
    """What the plan gives over Arrow, once SQL has given the same rows, types and documents."""
    snapshots = database.snapshot()
    validate(plan, read_catalog(snapshots))
    arrow, query = (execute(plan, snapshots, embedder_of, Limits(), sql=sql, way=way) for way in (Way.ARROW, Way.SQL))
    assert query.rows.relation.rows() == arrow.rows.relation.rows()
    assert query.rows.relation.types == arrow.rows.relation.types
    for row in range(len(arrow.rows.relation)):
        for name in arrow.rows.relation.types:
            assert query.rows.relation.provenance(row, name) == arrow.rows.relation.provenance(row, name)
    return arrow


@settings(max_examples=12, deadline=None)
@given(sites=_documents, sealed=st.booleans(), least=st.integers(-4, 4), town=st.sampled_from(TOWNS))
def test_plans_over_random_objects_give_what_plain_python_does(
    tmp_path_factory: pytest.TempPathFactory,
    embedder_of: Callable[[str], Embedder],
    sites: list[dict[str, Any] | None],
    *,
    sealed: bool,
    least: int,
    town: str,
) -> None:
    """Filters, groups with figures, orders and joins by leaves, over segments and head, as SQL and over Arrow."""
    sites = [_FULL, *sites]
    with Database.open(tmp_path_factory.mktemp("nested") / "db") as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(i), "site": site} for i, site in enumerate(sites)])
        if sealed:
            collection.state.seal()
            collection.add([{"id": "x", "site": {"town": "Bergen", "area": 3}}])
            sites = [*sites, {"town": "Bergen", "area": 3}]
        with closing(SqlEngine(database)) as sql:
            _check_filters(sql, database, embedder_of, sites, least, town)
            _check_groups(sql, database, embedder_of, sites)
            _check_joins(sql, database, embedder_of, sites)


def _check_filters(
    sql: SqlEngine, database: Database, embedder_of: EmbedderOf, sites: Sites, least: int, town: str
) -> None:
    area = {"op": ">=", "l": {"field": "site.area"}, "r": {"value": least}}
    other = {"op": "!=", "l": {"field": "site.town"}, "r": {"value": town}}
    built = {"op": ">", "l": {"field": "site.built"}, "r": {"value": "2000-01-01"}}
    conditions: list[tuple[dict[str, Any], Callable[[Any], bool]]] = [
        (area, lambda site: at(site, "area") is not None and at(site, "area") >= least),
        (other, lambda site: at(site, "town") not in (None, town)),
        (built, lambda site: (at(site, "built") or "") > "2000"),
        ({"not": area}, lambda site: at(site, "area") is None or at(site, "area") < least),
    ]
    for where, holds in conditions:
        wanted = [at(site, "owner", "company") for site in sites if holds(site)]
        plan = plan_of({"op": "filter", "where": where}, {"op": "project", "fields": ["site.owner.company"]})
        assert both_ways(sql, database, plan, embedder_of).rows.relation.column("site.owner.company") == wanted


def _check_groups(sql: SqlEngine, database: Database, embedder_of: EmbedderOf, sites: Sites) -> None:
    figures = [{"fn": "sum", "field": "site.area", "as": "sum"}, {"fn": "count", "field": "site.open", "as": "n"}]
    plan = plan_of(
        {"op": "group", "by": [{"field": "site.town"}], "aggs": figures},
        {"op": "sort", "by": [{"field": "site.town", "dir": "asc"}]},
    )
    rows = both_ways(sql, database, plan, embedder_of).rows.relation.rows()
    assert [row["site.town"] for row in rows] == sorted({at(s, "town") for s in sites}, key=lambda t: (t is None, t))
    for row in rows:
        group = [site for site in sites if at(site, "town") == row["site.town"]]
        areas = [at(site, "area") for site in group if at(site, "area") is not None]
        assert row["sum"] == (pytest.approx(sum(areas)) if areas else None)
        assert row["n"] == sum(at(site, "open") is not None for site in group)


def _check_joins(sql: SqlEngine, database: Database, embedder_of: EmbedderOf, sites: Sites) -> None:
    steps: list[dict[str, Any]] = [
        {"id": "l", "op": "scan", "collection": "c", "fields": ["site.town", "site.area"]},
        {"id": "r", "op": "scan", "collection": "c", "fields": ["site.town", "site.open"]},
        {"id": "j", "op": "join", "left": "l", "right": "r", "keys": [{"l": "site.town", "r": "site.town"}]},
        {"id": "n", "op": "group", "input": "j", "by": [], "aggs": [{"fn": "count", "as": "n"}]},
        {"id": "end", "op": "answer", "input": "n"},
    ]
    plan = Plan.from_json({"steps": steps, "output": "end"})
    towns = [at(site, "town") for site in sites]
    pairs = sum(left == right for left in towns if left is not None for right in towns)
    assert both_ways(sql, database, plan, embedder_of).rows.relation.rows() == [{"n": pairs}]


def test_objects_that_are_no_records_never_stop_a_question(tmp_path: Path, embedder_of: EmbedderOf) -> None:
    """Thousands of keys, an object here and a scalar there, lists of objects, keys with dots, objects without end."""
    deep: Any = 1
    for _ in range(60):
        deep = {"k": deep}
    odd: list[dict[str, Any]] = [
        {"kind": "many", "data": {f"key{i}": i for i in range(5_000)}},
        {"kind": "scalar", "data": {"shop": "Arva"}},
        {"kind": "object", "data": {"shop": {"name": "Arva"}}},
        {"kind": "list", "data": {"items": [{"sku": "a"}, {"sku": "b"}]}},
        {"kind": "dots", "data": {"a.b": 1, "": 2}},
        {"kind": "deep", "data": deep},
        {"kind": "none", "data": None},
        {"kind": "number", "data": 7},
    ]
    with Database.open(tmp_path / "db") as database:
        database.create_collection("things", Schema()).add([{"id": str(i), **item} for i, item in enumerate(odd)])
        assert len(read_catalog(database.snapshot()).collections["things"].fields) < 300
        planner = PromptQL(database, embedder_of)
        assert planner.ask("how many things are there").values == (8,)
        assert planner.ask("how many things of kind scalar").values == (1,)
        assert planner.validate(
            {
                "steps": [
                    {"id": "a", "op": "scan", "collection": "things"},
                    {"id": "b", "op": "answer", "input": "a"},
                ],
                "output": "b",
            }
        ).valid
