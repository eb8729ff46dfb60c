"""Plans made, checked, changed, explained and run, over the films."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from engine import Database, SqlEngine
from models import Embedder
from promptql import Answer, Explanation, PlanCheck, PlanError, PromptQL, Proposal
from promptql.answer import Band
from promptql.events import Event

TOTAL_OF_TITLES = {"op": "group", "by": [], "aggs": [{"fn": "sum", "field": "title", "as": "x"}]}
YEAR = {"l": {"field": "year"}}
BAD: list[tuple[Any, str]] = [
    (None, ""),
    ([], ""),
    ({}, "/steps"),
    ({"steps": [{"op": "drop"}], "output": "s1"}, "/steps/0/op"),
    ({"steps": [{"id": "a", "op": "answer", "input": "a"}], "output": "a"}, "/steps/0/input"),
    (
        {
            "steps": [
                {"id": "a", "op": "sort", "input": "b", "by": [{"field": "year"}]},
                {"id": "b", "op": "limit", "input": "a", "n": 1},
                {"id": "c", "op": "answer", "input": "b"},
            ],
            "output": "c",
        },
        "/steps/0/input",
    ),
    (
        {
            "steps": [{"id": "a", "op": "scan", "collection": "mvies"}, {"id": "b", "op": "answer", "input": "a"}],
            "output": "b",
        },
        "/steps/0/collection",
    ),
]


def films(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan over the films: a scan, these steps, an answer."""
    chain: list[dict[str, Any]] = [{"id": "s0", "op": "scan", "collection": "movies"}]
    for number, step in enumerate(steps, 1):
        chain.append({"id": f"s{number}", "input": f"s{number - 1}", **step})
    chain.append({"id": "end", "op": "answer", "input": chain[-1]["id"]})
    return {"question": "films", "steps": chain, "output": "end", **more}


def test_a_question_is_planned_and_its_plan_run(promptql: PromptQL) -> None:
    """The plan is the one that asking runs; it can be changed and run again."""
    proposal = promptql.plan("how many movies were made after 1990", collections=["movies"])
    assert Proposal.from_json(json.loads(json.dumps(proposal.to_json()))) == proposal
    assert promptql.execute(proposal.plan).values == (5,)
    edited = json.loads(json.dumps(proposal.plan).replace("1990", "2000"))
    answer = promptql.execute(edited)
    assert answer.values == (1,)
    assert (answer.planner.value, answer.band, answer.confidence) == ("given", Band.ANSWER, 1.0)


@pytest.mark.parametrize(("plan", "pointer"), BAD)
def test_bad_plans_are_checked_with_a_pointer(promptql: PromptQL, plan: Any, pointer: str) -> None:
    """Checking says so; running and explaining refuse."""
    check = promptql.validate(plan)
    assert (check.valid, check.plan_hash, check.faults[0].pointer) == (False, None, pointer)
    assert PlanCheck.from_json(json.loads(json.dumps(check.to_json()))) == check
    for call in (promptql.execute, promptql.explain):
        with pytest.raises(PlanError):
            call(plan)


@pytest.mark.parametrize(
    ("step", "pointer", "hint"),
    [
        ({"op": "sort", "by": [{"field": "yaer"}]}, "/steps/1/by/0/field", 'did you mean "year"?'),
        ({"op": "limit", "n": 10**9}, "/steps/1/n", None),
        (
            {"op": "group", "by": [], "aggs": [{"fn": "sum", "field": "title", "as": "x"}]},
            "/steps/1/aggs/0/field",
            "number",
        ),
        (
            {"op": "filter", "where": {"op": ">", "l": {"field": "year"}, "r": {"value": "x"}}},
            "/steps/1/where",
            "number",
        ),
    ],
)
def test_faults_have_hints(promptql: PromptQL, step: dict[str, Any], pointer: str, hint: str | None) -> None:
    """Unknown fields, huge limits, wrong types: where, and what would be right."""
    (fault,) = promptql.validate(films(step)).faults
    assert fault.pointer.startswith(pointer)
    assert hint is None or hint in (fault.hint or "")


def test_a_plan_stays_within_its_collections(promptql: PromptQL) -> None:
    """What is not in the list does not exist for it."""
    assert promptql.validate(films(), collections=["movies"]).valid
    check = promptql.validate(films(), collections=["stdlib"])
    assert check.faults[0].pointer == "/steps/0/collection"
    with pytest.raises(PlanError):
        promptql.execute(films(), collections=["stdlib"])


def test_columns_are_told(promptql: PromptQL) -> None:
    """Of every step, by name, with the types of values."""
    check = promptql.validate(
        films({"op": "group", "by": ["genre"], "aggs": [{"fn": "avg", "field": "rating", "as": "r"}]})
    )
    assert check.columns["s1"] == {"genre": "keyword", "r": "number"}
    assert check.columns["s0"]["genre"] == "list of keyword"


def test_parameters_are_bound_when_a_plan_runs(promptql: PromptQL) -> None:
    """By name; a wrong type is refused with its place."""
    where = {"op": ">", "l": {"field": "year"}, "r": {"param": "since"}}
    count = {"op": "group", "by": [], "aggs": [{"fn": "count", "as": "n"}]}
    plan = films({"op": "filter", "where": where}, count, params={"since": {"type": "number"}})
    assert promptql.execute(plan, params={"since": 1990}).values == (5,)
    for params, pointer in (({}, "/params/since"), ({"since": "x"}, "/params/since/value"), ({"a": 1}, "/params/a")):
        with pytest.raises(PlanError) as caught:
            promptql.execute(plan, params=params)
        assert caught.value.pointer == pointer


def test_what_steps_gave_is_used_again(promptql: PromptQL) -> None:
    """From a step on; the same answer, and the report says what did not run."""
    plan = films(
        {"op": "sort", "by": [{"field": "year"}]},
        {"op": "limit", "n": 2},
        {"op": "project", "fields": ["title", "year"]},
    )
    first = promptql.execute(plan)
    assert not any(step.cached for step in first.steps)
    again = promptql.execute(plan, from_step="s2")
    assert again.values == first.values == (("Alien", 1979), ("Blade Runner", 1982))
    cached = {step.id for step in again.steps if step.cached}
    assert "s0" in cached
    assert "s2" not in cached
    with pytest.raises(PlanError) as caught:
        promptql.execute(plan, from_step="s9")
    assert (caught.value.pointer, caught.value.hint) == ("/from_step", 'did you mean "s3"?')


def test_a_plan_is_explained(promptql: PromptQL) -> None:
    """What would run, what the optimizer did, and the columns; nothing runs."""
    where = {"op": ">", "l": {"field": "year"}, "r": {"value": 1990}}
    explained = promptql.explain(films({"op": "filter", "where": where}, {"op": "limit", "n": 2}))
    assert explained.rewrites
    assert explained.rewrites[-1].after == explained.plan_hash
    assert "where year > 1990" in explained.text
    assert Explanation.from_json(json.loads(json.dumps(explained.to_json()))) == explained


def test_two_results_are_compared(promptql: PromptQL) -> None:
    """Action has four films, horror two; the sentence names both by what tells them apart."""
    steps: list[dict[str, Any]] = []
    for number, genre in enumerate(("action", "horror")):
        where = {"op": "=", "l": {"field": "genre"}, "r": {"value": genre}}
        steps.append({"id": f"s{number}", "op": "scan", "collection": "movies", "where": where})
        aggs = [{"fn": "count", "as": "n"}]
        steps.append({"id": f"g{number}", "op": "group", "input": f"s{number}", "by": [], "aggs": aggs})
    compare = {"id": "c", "op": "compare", "left": "g0", "right": "g1", "comparison": "difference", "as": "more"}
    steps += [compare, {"id": "a", "op": "answer", "input": "c"}]
    answer = promptql.execute({"question": "?", "steps": steps, "output": "a"})
    assert answer.text.startswith("action has 4, horror 2: 2 more, 100 %.")
    assert {citation.cell for citation in answer.citations} == {"a1[0].n", "a1[0].right_n", "a1[0].more"}


def test_a_template_speaks_for_itself(promptql: PromptQL) -> None:
    """Columns of the first row, and how many rows there are; what is no column stays."""
    plan = films({"op": "sort", "by": [{"field": "year"}]})
    plan["steps"][-1]["template"] = "{rows} films, the oldest {title} of {year}."
    assert promptql.execute(plan).text == "8 films, the oldest Alien of 1979."


def test_a_question_back_is_asked(promptql: PromptQL) -> None:
    """With its options; nothing runs."""
    options = [{"text": "the film", "value": "film"}, {"text": "the book", "value": "book"}]
    plan = {
        "question": "?",
        "steps": [{"id": "c", "op": "clarify", "question": "Which one?", "options": options}],
        "output": "c",
    }
    answer = promptql.execute(plan)
    assert (answer.band, answer.text) == (Band.CLARIFY, "Which one?\n\n1. the film\n2. the book")
    assert answer.options == tuple(options)
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer


def test_what_happens_is_told(promptql: PromptQL) -> None:
    """Every step that ran begins and ends, between the plan and the answer."""
    events: list[Event] = []
    answer = promptql.execute(films({"op": "limit", "n": 3}), tell=events.append)
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == ("plan", "answer")
    assert kinds.count("step_started") == kinds.count("step_finished") == len(answer.steps)


def test_programs_are_saved_from_plans(promptql: PromptQL) -> None:
    """A constant becomes a parameter; the schemas say what goes in and comes out; a plan that is not valid is none."""
    proposal = promptql.plan("how many movies were made after 1990", collections=["movies"])
    program, is_new = promptql.save_program("since", proposal.plan, params={"since": 1990})
    assert is_new
    assert program.inputs["properties"] == {"since": {"type": "number", "default": 1990}}
    assert program.outputs["items"]["properties"] == {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}
    assert promptql.execute(program.plan, params={"since": 2000}).values == (1,)
    assert promptql.execute(program.plan).values == (5,)
    with pytest.raises(PlanError):
        promptql.save_program("bad", films({"op": "sort", "by": [{"field": "nothing"}]}))
    promptql.programs.delete("since")


def test_large_plans_run_as_queries(
    database: Database, embedder_of: Callable[[str], Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows and documents as over Arrow; the report shows the query."""
    for module in ("engine", "relating"):
        monkeypatch.setattr(f"promptql.{module}.SQL_ROWS_MIN", 1)
    plan = films(
        {"op": "group", "by": ["director"], "aggs": [{"fn": "avg", "field": "rating", "as": "r"}]},
        {"op": "sort", "by": [{"field": "r", "dir": "desc"}]},
    )
    with closing(SqlEngine(database)) as sql:
        queried = PromptQL(database, embedder_of, sql=lambda: sql).execute(plan)
    plain = PromptQL(database, embedder_of).execute(plan)
    assert any(step.sql for step in queried.steps)
    assert not any(step.sql for step in plain.steps)
    assert (queried.values, queried.citations) == (plain.values, plain.citations)
