from __future__ import annotations

from typing import Any

import pytest

from engine import Database
from promptql.catalog import Catalog, read_catalog
from promptql.errors import PlanError
from promptql.plan import Plan
from promptql.validation import validate


@pytest.fixture(scope="module")
def catalog(database: Database) -> Catalog:
    return read_catalog(database.snapshot())


def chain(*steps: dict[str, Any], params: dict[str, Any] | None = None) -> Plan:
    """Steps s0, s1, … that each read the one before, and an answer."""
    data: list[dict[str, Any]] = []
    for index, step in enumerate([*steps, {"op": "answer"}]):
        data.append({"id": f"s{index}", **({"input": f"s{index - 1}"} if index else {}), **step})
    return Plan.from_json({"steps": data, "output": data[-1]["id"], "params": params or {}})


SCAN = {"op": "scan", "collection": "movies"}


def where(op: str, field: str, value: Any) -> dict[str, Any]:
    return {"op": "filter", "where": {"op": op, "l": {"field": field}, "r": {"value": value}}}


def test_a_plan_that_fits_the_data_passes(catalog: Catalog) -> None:
    """Filters, groups, sorts, ties and projections over fields that exist."""
    group = {"op": "group", "by": ["genre"], "aggs": [{"fn": "avg", "field": "rating", "as": "r"}]}
    sort = {"op": "sort", "by": [{"field": "r", "dir": "desc"}]}
    validate(chain(SCAN, where(">", "year", 1990), group, sort, {"op": "limit", "n": 1, "ties": True}), catalog)
    validate(chain({"op": "search", "collection": "movies", "query": "war"}, where(">", "_score", 0.5)), catalog)
    validate(chain(SCAN, where("=", "released", "2000-01-01"), {"op": "project", "fields": ["id", "title"]}), catalog)


@pytest.mark.parametrize(
    ("plan", "pointer", "hint"),
    [
        (chain({"op": "scan", "collection": "movie"}), "/steps/0/collection", 'did you mean "movies"?'),
        (chain(SCAN, where("=", "gener", "x")), "/steps/1/where/l/field", 'did you mean "genre"?'),
        (chain(SCAN, where(">", "genre", 5)), "/steps/1/where/r", "a string"),
        (chain(SCAN, where("=", "year", "1990")), "/steps/1/where/r", "a number"),
        (chain(SCAN, where("=", "year", True)), "/steps/1/where/r", "a number"),
        (chain(SCAN, where("=", "released", "soon")), "/steps/1/where/r", "an ISO 8601 date"),
        (chain(SCAN, where("=", "released", "0000-01-01")), "/steps/1/where/r", "an ISO 8601 date"),
        (chain(SCAN, where("=", "released", "2000-13-45")), "/steps/1/where/r", "an ISO 8601 date"),
        (chain(SCAN, where("contains", "year", "19")), "/steps/1/where/op", None),
        (chain(SCAN, where("<", "plot", "a")), "/steps/1/where/op", None),
        (
            chain(SCAN, {"op": "group", "by": [], "aggs": [{"fn": "avg", "field": "title", "as": "a"}]}),
            "/steps/1/aggs/0/field",
            "number fields: year, rating",
        ),
        (chain(SCAN, {"op": "sort", "by": [{"field": "genre"}]}), "/steps/1/by/0/field", None),
        (chain(SCAN, {"op": "limit", "n": 2, "ties": True}), "/steps/1/input", None),
        (chain(SCAN, {"op": "project", "fields": ["title"]}, where(">", "year", 1)), "/steps/2/where/l/field", None),
        (chain({**SCAN, "fields": ["titel"]}), "/steps/0/fields/0", 'did you mean "title"?'),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_a_hint(
    catalog: Catalog, plan: Plan, pointer: str, hint: str | None
) -> None:
    """The first fault, its place, and what would be right."""
    with pytest.raises(PlanError) as caught:
        validate(plan, catalog)
    assert caught.value.pointer == pointer
    assert hint is None or caught.value.hint == hint


def test_parameters_must_be_declared_and_fit(catalog: Catalog) -> None:
    """An unknown parameter, and a value of another type than the parameter's."""
    step = {"op": "filter", "where": {"op": ">", "l": {"field": "year"}, "r": {"param": "since"}}}
    validate(chain(SCAN, step, params={"since": {"type": "number", "value": 1990}}), catalog)
    with pytest.raises(PlanError, match="unknown parameter"):
        validate(chain(SCAN, step), catalog)
    with pytest.raises(PlanError, match="does not fit"):
        validate(chain(SCAN, step, params={"since": {"type": "number", "value": "1990"}}), catalog)


def test_a_collection_without_embedded_text_cannot_be_searched(empty_database: Database) -> None:
    """The hint names the way out."""
    from engine import Schema

    empty_database.create_collection("plain", Schema.from_json({"fields": {"a": "keyword"}})).add([{"a": "x"}])
    catalog = read_catalog(empty_database.snapshot())
    with pytest.raises(PlanError) as caught:
        validate(chain({"op": "search", "collection": "plain", "query": "x"}), catalog)
    assert caught.value.hint == "use a scan with a filter"
