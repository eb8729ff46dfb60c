"""Every step's JSON, and what the reader refuses."""

from __future__ import annotations

from typing import Any

import pytest

from engine import Database, Field, FieldType
from promptql.catalog import Catalog, read_catalog
from promptql.errors import PlanError
from promptql.plan import Plan
from promptql.steps import OPERATIONS, step_from_json, step_to_json
from promptql.validation import columns_of, validate

YEAR, TITLE = {"field": "year"}, {"field": "title"}
CASE = {
    "case": [{"when": {"op": ">", "l": YEAR, "r": {"value": 1990}}, "then": {"value": "new"}}],
    "else": {"value": "old"},
}
PLAN: list[dict[str, Any]] = [
    {"id": "films", "op": "scan", "collection": "movies"},
    {
        "id": "found",
        "op": "search",
        "collection": "movies",
        "query": "a film by Scott",
        "k": 5,
        "mode": "hybrid",
        "rerank": True,
        "where": {"op": "matches", "l": TITLE, "r": {"value": "^A"}},
        "fields": ["title", "year"],
    },
    {
        "id": "computed",
        "op": "compute",
        "input": "films",
        "columns": [
            {"expr": {"op": "-", "l": {"value": 2020}, "r": YEAR}, "as": "age"},
            {"expr": CASE, "as": "era"},
            {"expr": {"fn": "date_trunc", "args": [{"value": "month"}, {"field": "released"}]}, "as": "month"},
        ],
    },
    {
        "id": "groups",
        "op": "group",
        "input": "computed",
        "by": [{"field": "released", "bucket": "year"}, {"field": "rating", "width": 0.5}, {"field": "era"}],
        "aggs": [
            {"fn": "count", "as": "n"},
            {"fn": "percentile", "field": "rating", "p": 0.9, "as": "p90"},
            {"fn": "argmax", "field": "title", "by": "rating", "as": "best"},
            {"fn": "stddev", "field": "rating", "as": "spread"},
        ],
    },
    {"id": "one", "op": "group", "input": "films", "by": [], "aggs": [{"fn": "avg", "field": "rating", "as": "mean"}]},
    {"id": "mean", "op": "lookup", "input": "one", "field": "mean"},
    {
        "id": "above",
        "op": "filter",
        "input": "films",
        "where": {
            "and": [
                {"op": ">", "l": {"field": "rating"}, "r": {"lookup": "mean"}},
                {"in_step": "found", "field": {"field": "id"}, "column": "id"},
                {"not": {"op": "is_null", "l": TITLE}},
            ]
        },
    },
    {
        "id": "pairs",
        "op": "join",
        "left": "above",
        "right": "films",
        "type": "inner",
        "keys": [{"l": "year", "r": "year"}],
    },
    {"id": "slim", "op": "project", "input": "pairs", "fields": ["title", "movies_title"]},
    {"id": "once", "op": "distinct", "input": "slim", "fields": ["title"]},
    {"id": "both", "op": "set", "left": "slim", "right": "once", "kind": "union", "all": True},
    {"id": "ordered", "op": "sort", "input": "above", "by": [{"field": "rating", "dir": "desc"}]},
    {"id": "page", "op": "limit", "input": "ordered", "n": 3, "ties": True, "offset": 1},
    {
        "id": "ranked",
        "op": "window",
        "input": "page",
        "fn": "lag",
        "field": "rating",
        "partition": ["director"],
        "order": [{"field": "year", "dir": "asc"}],
        "n": 2,
        "as": "before",
    },
    {"id": "ratio", "op": "compare", "left": "one", "right": "one", "comparison": "percent_change", "as": "change"},
    {
        "id": "classes",
        "op": "classify_local",
        "input": "films",
        "fields": ["plot"],
        "categories": {"war": ["a battle"], "love": []},
        "as": "theme",
    },
    {"id": "numbers", "op": "extract_local", "input": "classes", "field": "plot", "kind": "number", "as": "figures"},
    {"id": "gist", "op": "summarize_local", "input": "films", "fields": ["plot"], "sentences": 3},
    {"id": "clusters", "op": "cluster", "input": "numbers", "k": 2, "as": "cluster"},
    {"id": "unique", "op": "dedupe", "input": "clusters", "threshold": 0.9, "fields": ["plot"]},
    {
        "id": "judged",
        "op": "llm_filter",
        "input": "unique",
        "instruction": "the film is about a war",
        "fields": ["title", "plot"],
        "quality": {"target": "recall", "value": 0.9, "delta": 0.1},
        "as": "war",
        "model": "small",
        "first": 40,
    },
    {
        "id": "moods",
        "op": "llm_classify",
        "input": "judged",
        "fields": ["plot"],
        "categories": {"dark": ["ends badly"], "light": []},
        "as": "mood",
        "instruction": "how the film ends",
        "quality": {"target": "accuracy", "value": 0.95, "delta": 0.05},
        "model": "large",
    },
    {
        "id": "facts",
        "op": "llm_extract",
        "input": "moods",
        "fields": ["plot"],
        "schema": {
            "type": "object",
            "properties": {
                "heroes": {"type": "array", "items": {"type": "string"}, "description": "names"},
                "deaths": {"type": "integer"},
                "set_on": {"type": "string", "format": "date"},
                "pace": {"type": "string", "enum": ["slow", "fast"]},
            },
        },
        "instruction": "only what is said",
        "as": "read",
    },
    {
        "id": "pitch",
        "op": "llm_map",
        "input": "facts",
        "instruction": "one sentence that sells the film",
        "fields": ["title", "plot"],
        "as": "pitch",
    },
    {"id": "top", "op": "llm_topk", "input": "pitch", "instruction": "the saddest", "fields": ["plot"], "k": 3},
    {
        "id": "told",
        "op": "llm_summarize",
        "input": "top",
        "fields": ["plot"],
        "instruction": "what they share",
        "sentences": 3,
    },
    {
        "id": "alike",
        "op": "sem_join",
        "left": "films",
        "right": "ordered",
        "instruction": "both films tell the same story",
        "left_fields": ["plot"],
        "right_fields": ["plot", "title"],
        "quality": {"target": "precision", "value": 1.0, "delta": 0.1},
        "blocking": {"k": 5, "threshold": 0.2},
        "method": "blocking",
        "prefix": "other",
        "as": "same",
    },
    {
        "id": "fused",
        "op": "llm_fused",
        "input": "films",
        "steps": [
            {
                "id": "f1",
                "op": "llm_filter",
                "instruction": "the film is sad",
                "fields": ["plot"],
                "quality": {"target": "precision", "value": 0.9, "delta": 0.1},
            },
            {"id": "f2", "op": "llm_map", "instruction": "a title", "fields": ["plot"], "as": "name"},
        ],
    },
    {"id": "chart", "op": "visualize", "input": "groups", "kind": "bar", "x": "era", "y": "n"},
    {"id": "checked", "op": "assert", "input": "unique", "min_rows": 1, "max_rows": 100},
    {"id": "end", "op": "answer", "input": "checked", "fields": ["title"], "template": "{rows} films, first {title}"},
]
CLARIFY = {
    "id": "end",
    "op": "clarify",
    "question": "Which?",
    "options": [{"text": "a", "value": 1}, {"text": "b", "value": None}],
}


@pytest.fixture(scope="module")
def catalog(database: Database) -> Catalog:
    return read_catalog(database.snapshot())


def _step(op: str, **changes: object) -> dict[str, object]:
    """The step of that operation in the plan, changed; None takes a key out."""
    data = next(step for step in PLAN if step["op"] == op) | changes
    return {key: value for key, value in data.items() if value is not None}


@pytest.mark.parametrize(
    ("step", "pointer"),
    [
        (_step("llm_filter", quality=None), "/quality"),
        (_step("llm_filter", quality={"target": "accuracy", "value": 0.9}), "/quality/target"),
        (_step("llm_filter", quality={"target": "recall", "value": 1.5}), "/quality/value"),
        (_step("llm_filter", quality={"target": "recall", "value": 0}), "/quality/value"),
        (_step("llm_filter", quality={"target": "recall", "value": 0.9, "delta": 1}), "/quality/delta"),
        (_step("llm_filter", fields=None), "/fields"),
        (_step("llm_filter", instruction=""), "/instruction"),
        (_step("llm_filter", model="huge"), "/model"),
        (_step("sem_join", quality=None), "/quality"),
        (_step("sem_join", blocking={"k": 0}), "/blocking/k"),
        (_step("sem_join", method="guess"), "/method"),
        (_step("llm_classify", categories=["one"]), "/categories"),
        (_step("llm_classify", quality={"target": "recall", "value": 0.9}), "/quality/target"),
        (_step("llm_extract", schema={"type": "array"}), "/schema"),
        (_step("llm_extract", schema={"properties": {}}), "/schema/properties"),
        (_step("llm_extract", schema={"properties": {"a": {"type": "object"}}}), "/schema/properties/a/type"),
        (_step("llm_extract", schema={"properties": {"a": {"type": "number", "format": "date"}}}), "/format"),
        (_step("llm_extract", schema={"properties": {"a": {"type": "string", "enum": ["x", "x"]}}}), "/enum"),
        (_step("llm_topk", k=None), "/k"),
        (_step("llm_topk", k=51), "/k"),
        (_step("llm_fused", steps=[{"id": "f", "op": "limit", "n": 2}, {"id": "g", "op": "llm_map"}]), "/steps/0/op"),
    ],
)
def test_what_a_language_model_cannot_be_asked_is_refused_with_its_place(step: object, pointer: str) -> None:
    """Such a step names its fields and, where rows are found by it, its quality target; sizes are bounded."""
    with pytest.raises(PlanError) as caught:
        step_from_json(step, "")
    assert caught.value.pointer.endswith(pointer)


def test_columns_of_semantic_steps_are_typed(catalog: Catalog) -> None:
    """Each adds what it reads and how sure it is, in a column of its alias or else of its id."""
    plan = Plan.from_json({"steps": PLAN, "output": "end"})
    columns = columns_of(plan, catalog)
    read = {name: (field.type.value, field.many) for name, field in columns["pitch"].items()}
    assert read["war_confidence"] == read["mood_confidence"] == read["read_confidence"] == ("number", False)
    assert read["mood"] == ("keyword", False)
    assert read["heroes"] == ("keyword", True)
    assert read["deaths"] == ("integer", False)
    assert read["set_on"] == ("datetime", False)
    assert read["pitch"] == ("text", False)
    assert list(columns["top"])[-1] == "top_confidence"
    assert list(columns["told"]) == ["sentence", "confidence"]
    assert list(columns["alike"])[-1] == "same_confidence"
    assert "other_plot" in columns["alike"]
    assert list(columns["fused"])[-3:] == ["f1_confidence", "name", "name_confidence"]


def test_every_step_is_written_as_it_was_read() -> None:
    """`step_to_json` is the inverse of `step_from_json`, of every operation there is."""
    for data in [*PLAN, CLARIFY]:
        assert step_to_json(step_from_json(data, "")) == data
    assert {data["op"] for data in [*PLAN, CLARIFY]} == set(OPERATIONS)


def test_every_step_has_typed_columns(catalog: Catalog) -> None:
    """Validation tells what each step gives."""
    plan = Plan.from_json({"steps": PLAN, "output": "end"})
    columns = columns_of(plan, catalog)
    assert columns["groups"] == {
        "released_year": Field(FieldType.DATETIME),
        "rating_bucket": Field(FieldType.NUMBER),
        "era": Field(FieldType.TEXT),
        "n": Field(FieldType.INTEGER),
        "p90": Field(FieldType.NUMBER),
        "best": Field(FieldType.TEXT),
        "spread": Field(FieldType.NUMBER),
    }
    assert columns["computed"]["age"] == Field(FieldType.INTEGER)
    assert [name for name in columns["pairs"] if name.startswith("movies_")][:2] == ["movies_id", "movies_title"]
    assert list(columns["ratio"]) == ["mean", "right_mean", "change"]
    assert columns["unique"]["figures"] == Field(FieldType.NUMBER, many=True)
    assert list(columns["end"]) == list(columns["unique"])
    assert [step.id for step in plan.needed()] == [
        step.id for step in plan.order() if step.id in {"films", "computed", "groups", "chart", "classes", "numbers",
                                                        "clusters", "unique", "checked", "end"}
    ]  # fmt: skip


def test_a_question_back_is_a_plan(catalog: Catalog) -> None:
    """A plan may end in a clarification, with plans or values to choose from."""
    option = {"text": "films", "plan": {"steps": [], "output": "x"}}
    data = {"id": "q", "op": "clarify", "question": "Which?", "options": [option, option]}
    plan = Plan.from_json({"steps": [data], "output": "q"})
    validate(plan, catalog)
    assert plan.to_json()["steps"][0]["options"][0]["plan"] == {"steps": [], "output": "x"}


EXPR = "/steps/1/columns/0/expr"
BY_YEAR = {"field": "year", "bucket": "year"}
COMPARE = {"id": "c", "op": "compare", "comparison": "ratio", "as": "r"}


def _chain(*steps: dict[str, Any]) -> dict[str, Any]:
    scan = {"id": "s", "op": "scan", "collection": "movies"}
    return {"steps": [scan, *steps, {"id": "end", "op": "answer", "input": steps[-1]["id"]}], "output": "end"}


def _compute(expr: Any) -> dict[str, Any]:
    return _chain({"id": "c", "op": "compute", "input": "s", "columns": [{"expr": expr, "as": "new"}]})


def _join(**changes: Any) -> dict[str, Any]:
    step = {"id": "j", "op": "join", "left": "s", "right": "s", "keys": [{"l": "id", "r": "id"}]}
    return _chain({**step, **changes})


def _where(where: Any) -> dict[str, Any]:
    return _chain({"id": "f", "op": "filter", "input": "s", "where": where})


@pytest.mark.parametrize(
    ("plan", "pointer"),
    [
        (_compute({"op": "+", "l": TITLE, "r": {"value": 1}}), f"{EXPR}/l"),
        (_compute({"fn": "lower", "args": [YEAR]}), f"{EXPR}/args/0"),
        (_compute({"fn": "lower", "args": [TITLE, TITLE]}), f"{EXPR}/args"),
        (_compute({"fn": "lowre", "args": [TITLE]}), f"{EXPR}/fn"),
        (_compute({"fn": "date_trunc", "args": [{"value": "eon"}, {"field": "released"}]}), f"{EXPR}/args/0"),
        (_compute({"fn": "round", "args": [YEAR, {"value": 99}]}), f"{EXPR}/args/1"),
        (_compute({"fn": "coalesce", "args": [TITLE, YEAR]}), f"{EXPR}/args/1"),
        (_compute({"value": None}), EXPR),
        (_compute({"param": "x"}), f"{EXPR}/param"),
        (_compute({"lookup": "s"}), f"{EXPR}/lookup"),
        (_compute({"field": "yaer"}), f"{EXPR}/field"),
        (_compute({"case": []}), f"{EXPR}/case"),
        (_compute({"sql": "1"}), EXPR),
        (_join(keys=[{"l": "title", "r": "year"}]), "/steps/1/keys/0"),
        (_join(keys=[{"l": "genre", "r": "title"}]), "/steps/1/keys/0"),
        (_join(type="outer"), "/steps/1/type"),
        (_where({"op": "=", "l": TITLE, "r": YEAR}), "/steps/1/where/r"),
        (_where({"op": "matches", "l": TITLE, "r": {"value": "(?=x)"}}), "/steps/1/where/r"),
        (_where({"op": "like", "l": TITLE, "r": {"value": "x" * 2000}}), "/steps/1/where/r"),
        (_where({"op": "like", "l": YEAR, "r": {"value": "1"}}), "/steps/1/where/op"),
        (_where({"in_step": "nothing", "field": TITLE, "column": "title"}), "/steps/1"),
        (_where({"in_step": "s", "field": TITLE, "column": "year"}), "/steps/1/where"),
        (_chain({"id": "g", "op": "group", "input": "s", "by": [BY_YEAR]}), "/steps/1/aggs"),
        (_chain({"id": "g", "op": "group", "input": "s", "by": [BY_YEAR], "aggs": []}), "/steps/1/by/0/bucket"),
        (_chain({"id": "w", "op": "window", "input": "s", "fn": "rank", "as": "r"}), "/steps/1/order"),
        (_chain({"id": "w", "op": "window", "input": "s", "fn": "lag", "as": "r"}), "/steps/1/field"),
        (_chain({"id": "w", "op": "window", "input": "s", "fn": "row_number", "as": "year"}), "/steps/1/as"),
        (_chain({**COMPARE, "left": "s", "right": "s"}), "/steps/1/field"),
        (_chain({"id": "a", "op": "assert", "input": "s"}), "/steps/1/min_rows"),
        (_chain({"id": "x", "op": "cluster", "input": "s", "fields": ["year"], "as": "c"}), "/steps/1/fields/0"),
        (_chain({"id": "l", "op": "limit", "input": "s", "n": 10**9}), "/steps/1/n"),
        (_chain({"id": "x", "op": "filter", "input": "x", "where": {"op": "is_null", "l": TITLE}}), "/steps/1/input"),
    ],
)  # fmt: skip
def test_a_step_that_does_not_fit_is_refused(catalog: Catalog, plan: dict[str, Any], pointer: str) -> None:
    """With the place of the fault."""
    with pytest.raises(PlanError) as caught:
        validate(Plan.from_json(plan), catalog)
    assert caught.value.pointer == pointer


def test_sides_of_a_set_must_match(catalog: Catalog) -> None:
    """In number and in type of columns."""
    for fields in (["year"], ["title", "year"]):
        project = {"id": "p", "op": "project", "input": "s", "fields": fields}
        other = {"id": "q", "op": "project", "input": "s", "fields": ["title"]}
        both = {"id": "u", "op": "set", "left": "p", "right": "q", "kind": "except"}
        with pytest.raises(PlanError):
            validate(Plan.from_json(_chain(project, other, both)), catalog)
