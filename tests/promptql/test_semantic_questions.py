"""Questions and plans with steps that ask a language model, through PromptQL: plans, budgets, usage, answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine import Database
from models import JSON, Budget, BudgetedLLM, Embedder, ScriptedLLM, ScriptedRequest
from promptql import PlanError, PlannerName, PromptQL
from tests.promptql.operators.semantic.conftest import filter_step
from tests.promptql.operators.semantic.judge import answered, data_of, judge

SCAN: dict[str, Any] = {"id": "films", "op": "scan", "collection": "movies"}
COUNT: dict[str, Any] = {"id": "g", "op": "group", "input": "f", "by": [], "aggs": [{"fn": "count", "as": "n"}]}
STEPS: list[JSON] = [SCAN, filter_step(), COUNT, {"id": "end", "op": "answer", "input": "g"}]


def planner_and_judge(request: ScriptedRequest) -> JSON:
    """A plan for a question, and the right answers about rows: two films are sad."""
    if "You answer questions about rows" in request.messages[0].content:
        return answered(request, lambda _, text: text in {"Heat", "Gladiator"})
    return {"steps": STEPS}


def test_a_question_is_planned_and_its_rows_are_judged(
    database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """By the same model; the answer counts what both took."""
    promptql = PromptQL(database, embedder_of, ScriptedLLM(planner_and_judge))
    answer = promptql.ask("how many films are sad", collections=["movies"], planner="llm")
    assert (answer.planner, answer.values) == (PlannerName.LLM, (2,))
    (step,) = [step for step in answer.steps if step.llm is not None]
    assert step.llm is not None
    assert step.llm.calls == 1
    assert answer.usage["llm"]["calls"] == 2
    assert answer.usage["llm"]["tokens_in"] > step.llm.tokens_in


def test_planning_and_judging_share_a_budget(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """Two calls are enough for both; a plan that is run again has two of its own."""
    llm = BudgetedLLM(ScriptedLLM(planner_and_judge), Budget(calls=2))
    promptql = PromptQL(database, embedder_of, llm)
    for _ in range(2):
        assert promptql.ask("how many films are sad", collections=["movies"], planner="llm").values == (2,)
    assert promptql.execute({"steps": STEPS, "output": "end"}).values == (2,)


def test_rows_that_could_not_be_judged_make_an_answer_incomplete(
    database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """One of eight, kept for recall: counted, warned of, and an eighth less complete."""

    def reply(request: ScriptedRequest) -> JSON:
        rows = answered(request, lambda *_: False)["rows"]
        return {
            "rows": [row for row, data in zip(rows, data_of(request)["rows"], strict=True) if data["text"] != "Heat"]
        }

    answer = PromptQL(database, embedder_of, ScriptedLLM(reply)).execute({"steps": STEPS, "output": "end"})
    assert answer.values == (1,)
    assert answer.completeness == 0.875
    assert [warning.code for warning in answer.warnings] == ["llm_rows_failed"]


def test_what_failed_is_asked_again_the_next_time(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """Steps that are complete are kept for the next plan; one with failures is not, and only these are asked."""
    broken = [True]

    def reply(request: ScriptedRequest) -> JSON:
        rows, texts = answered(request, lambda *_: True)["rows"], data_of(request)["rows"]
        lost = "Heat" if broken[0] else None
        return {"rows": [row for row, data in zip(rows, texts, strict=True) if data["text"] != lost]}

    llm = ScriptedLLM(reply)
    promptql = PromptQL(database, embedder_of, llm)
    promptql.execute({"steps": STEPS, "output": "end"})
    broken[0] = False
    before = len(llm.requests)
    answer = promptql.execute({"steps": STEPS, "output": "end"}, from_step="end")
    assert (answer.completeness, answer.warnings) == (1.0, ())
    assert [[row["text"] for row in data_of(request)["rows"]] for request in llm.requests[before:]] == [["Heat"]]


def test_an_answer_with_such_steps_is_read_as_it_was_written(
    database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """What steps cost and promise goes over the wire."""
    answer = PromptQL(database, embedder_of, judge(lambda *_: True)).execute({"steps": STEPS, "output": "end"})
    assert type(answer).from_json(answer.to_json()) == answer
    data = answer.to_json()["steps"][1]
    assert data["llm"]["calls"] == 1
    assert data["quality"] == {"target": "recall 1", "delta": 0.1, "certified": 1.0}


def test_without_a_model_nothing_runs(promptql: PromptQL) -> None:
    """The error names the step, its place, and what would do without."""
    with pytest.raises(PlanError, match="none is configured") as caught:
        promptql.execute({"steps": STEPS, "output": "end"})
    assert caught.value.pointer == "/steps/1/op"
    assert "classify_local" in str(caught.value.hint)


def test_a_step_within_a_fused_one_can_be_run_again(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """The first time all of it ran; from that step on it runs again, and what it asks is known; else nothing runs."""
    llm = judge(lambda question, text: text.upper() if "shout" in question else True)
    steps = [
        {"id": "films", "op": "scan", "collection": "movies"},
        filter_step(),
        {"id": "m", "op": "llm_map", "input": "f", "fields": ["title"], "as": "shout", "instruction": "shout"},
        {"id": "end", "op": "answer", "input": "m", "fields": ["shout"]},
    ]
    promptql = PromptQL(database, embedder_of, llm)
    plan = {"steps": steps, "output": "end"}
    first = promptql.execute(plan)
    again = promptql.execute(plan, from_step="f")
    last = promptql.execute(plan, from_step="end")
    assert first.values == again.values == last.values
    assert [step.cached for answer in (first, again, last) for step in answer.steps if step.op == "llm_fused"] == [
        False, False, True,
    ]  # fmt: skip
    assert len(llm.requests) == 1
