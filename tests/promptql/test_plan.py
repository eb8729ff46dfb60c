from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptql.errors import PlanError
from promptql.expressions import And, Compare, FieldRef, Operator, Param, Value
from promptql.plan import Assumption, Parameter, ParameterType, Plan, Support
from promptql.steps import Aggregation, AnswerStep, Filter, Function, Group, Limit, Order, Scan, Sort
from tests.promptql.strategies import plans

# The design's own example, without the steps that later issues add.
DESIGN: dict[str, Any] = {
    "version": 1,
    "question": "which products have most reviews since March?",
    "params": {"since": {"type": "date"}},
    "steps": [
        {"id": "s1", "op": "scan", "collection": "reviews"},
        {
            "id": "s2",
            "op": "filter",
            "input": "s1",
            "where": {"and": [{"op": ">=", "l": {"field": "date"}, "r": {"param": "since"}}]},
        },
        {"id": "s4", "op": "group", "input": "s2", "by": [{"field": "product"}], "aggs": [{"fn": "count", "as": "n"}]},
        {"id": "s5", "op": "sort", "input": "s4", "by": [{"field": "n", "dir": "desc"}]},
        {"id": "s6", "op": "limit", "input": "s5", "n": 5},
        {"id": "s7", "op": "answer", "input": "s6"},
    ],
    "output": "s7",
    "assumptions": [{"text": "'since March' = 2025-03-01", "support": "inferred"}],
}


def changed(*path: str | int, to: object) -> dict[str, Any]:
    """The design's example with one place changed."""
    data = copy.deepcopy(DESIGN)
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return data


def test_the_designs_example_becomes_typed_steps() -> None:
    """Every part of the JSON arrives in the step that it belongs to."""
    plan = Plan.from_json(DESIGN)
    assert plan.steps == (
        Scan("s1", "reviews"),
        Filter("s2", "s1", And((Compare(Operator.GE, FieldRef("date"), Param("since")),))),
        Group("s4", "s2", ("product",), (Aggregation(Function.COUNT, None, "n"),)),
        Sort("s5", "s4", (Order("n", descending=True),)),
        Limit("s6", "s5", 5),
        AnswerStep("s7", "s6"),
    )
    assert plan.params == {"since": Parameter(ParameterType.DATE)}
    assert plan.assumptions == (Assumption("'since March' = 2025-03-01", Support.INFERRED),)
    assert plan.to_json() == DESIGN


@settings(max_examples=60, deadline=None)
@given(plans())
def test_reading_what_was_written_gives_the_same_plan(plan: Plan) -> None:
    """from_json is the inverse of to_json, through text too, and the hash is the same."""
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.hash == plan.hash


def test_the_hash_is_the_checksum_of_the_canonical_json() -> None:
    """Order of keys does not matter; any change of content does."""
    reordered = dict(reversed(DESIGN.items()))
    assert Plan.from_json(reordered).hash == Plan.from_json(DESIGN).hash
    assert len(Plan.from_json(DESIGN).hash) == 64
    assert Plan.from_json(changed("steps", 4, "n", to=6)).hash != Plan.from_json(DESIGN).hash


@pytest.mark.parametrize(
    ("data", "pointer", "hint"),
    [
        (changed("steps", 0, "op", to="scam"), "/steps/0/op", 'did you mean "scan"?'),
        (changed("steps", 0, "colection", to="x"), "/steps/0/colection", 'did you mean "collection"?'),
        (changed("steps", 1, "input", to="s11"), "/steps/1/input", 'did you mean "s1"?'),
        (changed("steps", 1, "input", to="s6"), "/steps/1/input", None),
        (changed("steps", 1, "id", to="s1"), "/steps/1/id", None),
        (
            changed("steps", 1, "where", "and", 0, "op", to="contain"),
            "/steps/1/where/and/0/op",
            'did you mean "contains"?',
        ),
        (changed("steps", 1, "where", "and", to=[]), "/steps/1/where/and", None),
        (changed("steps", 2, "aggs", 0, "fn", to="cnt"), "/steps/2/aggs/0/fn", 'did you mean "count"?'),
        (changed("steps", 2, "aggs", 0, "fn", to="avg"), "/steps/2/aggs/0/field", None),
        (changed("steps", 3, "by", 0, "dir", to="down"), "/steps/3/by/0/dir", None),
        (changed("steps", 4, "n", to=0), "/steps/4/n", None),
        (changed("steps", 4, "n", to=10_001), "/steps/4/n", None),
        (changed("steps", 4, "n", to=True), "/steps/4/n", None),
        (changed("steps", to=[]), "/steps", None),
        (changed("output", to="s6"), "/output", '"s7"'),
        (changed("version", to=2), "/version", None),
        (changed("assumptions", 0, "support", to="sure"), "/assumptions/0/support", None),
        ([], "", None),
        ("drop table", "", None),
    ],
)
def test_a_fault_is_named_by_its_place_and_a_hint(data: object, pointer: str, hint: str | None) -> None:
    """The pointer leads to the fault; where something known is near, the hint names it."""
    with pytest.raises(PlanError) as caught:
        Plan.from_json(data)
    assert caught.value.pointer == pointer
    assert hint is None or caught.value.hint == hint


def test_steps_that_read_each_other_are_refused() -> None:
    """A cycle is no plan."""
    data = changed("steps", 1, "input", to="s5")
    with pytest.raises(PlanError, match="cycle"):
        Plan.from_json(data)


def test_a_comparison_with_null_points_to_is_null() -> None:
    """Null is asked for by its own operator."""
    data = changed("steps", 1, "where", to={"op": "=", "l": {"field": "a"}, "r": {"value": None}})
    with pytest.raises(PlanError) as caught:
        Plan.from_json(data)
    assert caught.value.hint == "use is_null"


def test_endless_nesting_is_refused() -> None:
    """Hostile depth ends in an error, not in a full stack."""
    where: dict[str, Any] = {"op": "is_null", "l": {"field": "a"}}
    for _ in range(5_000):
        where = {"not": where}
    with pytest.raises(PlanError, match="too deep"):
        Plan.from_json(changed("steps", 1, "where", to=where))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
places: st.SearchStrategy[tuple[str | int, ...]] = st.sampled_from(
    [
        ("steps",),
        ("steps", 0),
        ("steps", 1, "where"),
        ("steps", 1, "where", "and", 0),
        ("steps", 2, "by"),
        ("steps", 2, "aggs"),
        ("steps", 3, "by"),
        ("steps", 4, "n"),
        ("params",),
        ("output",),
        ("assumptions",),
        ("question",),
    ]
)


@settings(max_examples=150, deadline=None)
@given(places, json_values)
def test_any_json_is_read_or_refused(place: tuple[str | int, ...], value: object) -> None:
    """Whatever stands in a plan, the outcome is a plan or a PlanError, never another error."""
    with suppress(PlanError):
        Plan.from_json(changed(*place, to=value))


def test_a_value_keeps_its_type() -> None:
    """True is not 1 in a predicate's JSON."""
    data = changed("steps", 1, "where", to={"op": "=", "l": {"field": "a"}, "r": {"value": True}})
    step = Plan.from_json(data).steps[1]
    assert isinstance(step, Filter)
    assert step.where == Compare(Operator.EQ, FieldRef("a"), Value(value=True))
    assert step.where.right.value is True  # type: ignore[union-attr]
