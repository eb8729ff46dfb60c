from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import Database, Field, FieldType
from promptql.errors import ArgumentError, PlanError, ProgramError, ProgramNotFoundError
from promptql.plan import Assumption, Parameter, ParameterType, Plan, Support
from promptql.program_store import VERSIONS_MAX, ProgramStore
from promptql.programs import Program, bound, input_schema, with_parameters

COLUMNS = {"n": Field(FieldType.INTEGER), "tags": Field(FieldType.KEYWORD, many=True)}


def plan_of(year: int = 1990, **params: Any) -> Plan:
    """The films of a genre after some year."""
    where = {
        "and": [
            {"op": "=", "l": {"field": "genre"}, "r": {"value": "drama"}},
            {"op": ">", "l": {"field": "year"}, "r": {"value": year}},
        ]
    }
    steps = [
        {"id": "s1", "op": "scan", "collection": "films", "where": where},
        {"id": "s2", "op": "answer", "input": "s1"},
    ]
    return Plan.from_json({"question": "dramas", "steps": steps, "output": "s2", "params": params})


def test_constants_become_parameters_with_types_and_defaults() -> None:
    """By their value, wherever it stands; the value is what a run uses that gives none."""
    plan = with_parameters(plan_of(), {"genre": "drama", "since": {"type": "number", "value": 1990}})
    assert plan.params == {
        "genre": Parameter(ParameterType.TEXT, "drama"),
        "since": Parameter(ParameterType.NUMBER, 1990),
    }
    assert json.dumps(plan.to_json()).count('{"param": "genre"}') == 1
    assert input_schema(plan)["properties"]["since"] == {"type": "number", "default": 1990}
    assert input_schema(plan)["required"] == []


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"genre": "comedy"}, "/params/genre"),
        ({"year": "1990"}, "/params/year"),
        ({"year": [1990]}, "/params/year"),
        ({"year": {"type": "integer", "value": 1990}}, "/params/year/type"),
        ({"year": {"kind": 1}}, "/params/year"),
        ({f"p{i}": 1990 for i in range(65)}, "/params"),
    ],
)
def test_what_is_no_constant_of_the_plan_is_no_parameter(given: dict[str, Any], pointer: str) -> None:
    """With its place."""
    with pytest.raises(PlanError) as caught:
        with_parameters(plan_of(), given)
    assert caught.value.pointer == pointer


def test_parameters_are_bound() -> None:
    """What is given wins over what is kept; unknown names and missing values are refused, with a hint."""
    plan = plan_of(since={"type": "date"}, genre={"type": "text", "value": "drama"})
    assert bound(plan, {"since": "2000-01-01"}).params["since"].value == "2000-01-01"
    for given, pointer, hint in (({}, "/params/since", "date"), ({"sinc": 1}, "/params/sinc", 'did you mean "since"?')):
        with pytest.raises(PlanError) as caught:
            bound(plan, given)
        assert (caught.value.pointer, caught.value.hint) == (pointer, hint)


def test_a_run_does_not_tell_how_the_value_before_was_read() -> None:
    """What another value of the parameter was taken for is no assumption of this run; the others stay."""
    about = Assumption("the question is about the collection films", Support.EXACT)
    read = Assumption("'after 1990' = year > 1990", Support.EXACT)
    longer = Assumption("'19901' = a number", Support.EXACT)
    plan = with_parameters(replace(plan_of(), assumptions=(read, longer, about)), {"since": 1990})
    assert bound(plan, {"since": 2000}).assumptions == (longer, about)
    assert bound(plan, {"since": 1990}).assumptions == (read, longer, about)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_parameter_is_finite(value: float) -> None:
    """Refused with its place, as it cannot be written down."""
    plan = with_parameters(plan_of(), {"since": 1990})
    with pytest.raises(ArgumentError, match="finite") as caught:
        bound(plan, {"since": value})
    assert caught.value.pointer == "/params/since"


def test_versions_survive_a_restart(tmp_path: Path) -> None:
    """Each other plan is a version; the same one is none; all are there after opening again."""
    with Database.open(tmp_path) as database:
        store = ProgramStore(database)
        assert store.all() == []
        first, is_new = store.save("dramas", plan_of(), COLUMNS, "Films")
        assert (first.version, first.description, is_new) == (1, "Films", True)
        assert store.save("dramas", plan_of(), COLUMNS, None) == (first, False)
        second, _ = store.save("dramas", plan_of(2000), COLUMNS, None)
        assert (second.version, second.versions, second.description) == (2, (1, 2), "Films")
        assert database.collections() == []
    with Database.open(tmp_path) as database:
        store = ProgramStore(database)
        assert store.get("dramas") == second
        assert store.get("dramas", 1).plan == first.plan
        assert [program.name for program in store.all()] == ["dramas"]
        assert Program.from_json(json.loads(json.dumps(second.to_json()))) == second
        store.delete("dramas")
        with pytest.raises(ProgramNotFoundError):
            store.get("dramas")


def test_outputs_are_described(tmp_path: Path) -> None:
    """Rows are objects by column; what is missing is null."""
    with Database.open(tmp_path) as database:
        program, _ = ProgramStore(database).save("p", plan_of(), COLUMNS, None)
    items = program.outputs["items"]
    assert items["properties"]["n"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert items["properties"]["tags"]["anyOf"][0] == {"type": "array", "items": {"type": "string"}}
    assert items["required"] == ["n", "tags"]


def test_old_versions_are_forgotten_and_unknown_ones_refused(tmp_path: Path) -> None:
    """The newest twenty stay."""
    with Database.open(tmp_path) as database:
        store = ProgramStore(database)
        for year in range(VERSIONS_MAX + 2):
            store.save("p", plan_of(year), COLUMNS, None)
        assert store.get("p").versions == tuple(range(3, VERSIONS_MAX + 3))
        with pytest.raises(ProgramNotFoundError):
            store.get("p", 1)
        for call in (lambda: store.get("q"), lambda: store.delete("q")):
            with pytest.raises(ProgramNotFoundError):
                call()
        for name, description in ((".p", None), ("a/b", None), ("", None), ("p", "x" * 2_001), ("p", "\ud800")):
            with pytest.raises(ProgramError):
                store.save(name, plan_of(), COLUMNS, description)
