"""The LLM planner, end to end with scripted replies over the films."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine import Database, Schema
from models import Budget, BudgetedLLM, Embedder, LLMBudgetError, LLMError, LLMUnavailableError, ScriptedLLM
from promptql import LLMPlanningError, PlannerUnavailableError, PromptQL
from promptql.answer import Band, PlannerName
from promptql.errors import QuestionError
from tests.promptql.llm.conftest import (
    DOUBTED,
    NOT_JSON,
    SURE,
    UNSURE,
    Ask,
    averaged,
    chain,
    condition,
    counted,
    looping,
)

GOOD = counted("director", "Ridley Scott")
WRONG_FIELD = counted("directed_by", "Ridley Scott")
FIXED = {"steps": [GOOD["steps"][1]]}  # the failing step alone


def test_a_right_plan_is_executed(ask: Ask) -> None:
    """One call; the answer says who planned and what it cost."""
    answer, llm = ask(GOOD)
    assert answer.values == (3,)
    assert answer.planner is PlannerName.LLM
    assert answer.band is Band.ASSUMPTIONS
    assert len(llm.requests) == 1
    assert llm.requests[0].temperature == 0.0
    assert answer.usage["llm"]["calls"] == 1
    assert answer.usage["llm"]["tokens_in"] > 0


def test_the_rules_answer_alone_where_they_are_sure(ask: Ask) -> None:
    """No call in the modes auto and rules; one in the mode llm."""
    for planner in ("auto", "rules"):
        answer, llm = ask(question=SURE, planner=planner)
        assert (answer.values, answer.planner, llm.requests) == ((5,), PlannerName.RULES, [])
    answer, llm = ask(counted("year", 1990, ">"), question=SURE, planner="llm")
    assert (answer.values, answer.planner, len(llm.requests)) == ((5,), PlannerName.LLM, 1)


def test_a_repair_gives_only_the_failing_step(ask: Ask) -> None:
    """The second call names the step, the place and the nearest name; its reply is merged by id."""
    answer, llm = ask(WRONG_FIELD, FIXED)
    assert (answer.values, answer.planner) == ((3,), PlannerName.LLM)
    assert answer.usage["llm"]["calls"] == 2
    complaint = llm.requests[1].messages[-1].content
    faults = json.loads(complaint.splitlines()[0].partition(": ")[2])
    assert faults == [
        {
            "step": "s2",
            "at": "/where/l/field",
            "error": 'unknown field "directed_by"',
            "hint": 'did you mean "director"?',
        }
    ]


def test_all_faults_are_told_at_once(ask: Ask) -> None:
    """Two wrong steps beside each other, one repair of both."""
    wrong = {
        "steps": [
            {"id": "a", "op": "scan", "collection": "movies", "where": condition("yeer", 2000)},
            {"id": "b", "op": "scan", "collection": "films"},
            {"id": "c", "op": "set", "left": "a", "right": "b", "kind": "union"},
            {"id": "d", "op": "answer", "input": "c", "fields": ["title"]},
        ]
    }
    right = [
        {"id": "a", "op": "scan", "collection": "movies", "where": condition("year", 2000)},
        {"id": "b", "op": "scan", "collection": "movies", "where": condition("year", 1999)},
    ]
    answer, llm = ask(wrong, {"steps": right})
    assert answer.values == ("Gladiator", "Memento", "The Matrix")
    assert llm.requests[1].messages[-1].content.count('"error"') == 2


@pytest.mark.parametrize("first", [NOT_JSON, ["a list"], {"steps": []}, {"plan": 1}, looping()], ids=list("abcde"))
def test_what_is_no_plan_is_asked_for_again_as_a_whole(ask: Ask, first: Any) -> None:
    """There is nothing to patch."""
    answer, llm = ask(first, GOOD)
    assert (answer.values, answer.planner) == ((3,), PlannerName.LLM)
    assert "whole plan" in llm.requests[1].messages[-1].content


def test_a_repair_may_give_the_whole_plan_all_the_same(ask: Ask) -> None:
    """Steps of the wrong plan with other ids do not stay behind."""
    wrong = chain({"op": "scan", "collection": "movies"}, {"op": "answer", "fields": ["nothing"]})
    whole = {"steps": [{"id": "x", "op": "scan", "collection": "movies"}, {"id": "y", "op": "answer", "input": "x"}]}
    answer, _ = ask(wrong, whole)
    assert [step["id"] for step in answer.plan["steps"]] == ["x", "y"]


def test_steps_can_be_removed_by_a_repair(ask: Ask) -> None:
    """A step that nothing reads any more goes."""
    wrong = chain({"op": "scan", "collection": "movies"}, {"op": "dance"}, {"op": "answer", "fields": ["title"]})
    answer, _ = ask(wrong, {"steps": [{"id": "s3", "op": "answer", "input": "s1"}], "remove": ["s2"]})
    assert [step["id"] for step in answer.plan["steps"]] == ["s1", "s3"]


def test_after_two_repairs_the_rules_take_over(ask: Ask) -> None:
    """Three wrong replies, no fourth call; the answer is marked, warns, and tells what it cost."""
    answer, llm = ask(WRONG_FIELD, NOT_JSON, WRONG_FIELD, GOOD, question=DOUBTED)
    assert len(llm.requests) == 3
    assert (answer.planner, answer.values) == (PlannerName.FALLBACK, (6.7,))
    assert [warning.code for warning in answer.warnings] == ["llm_failed"]
    assert answer.usage["llm"]["calls"] == 3


def test_a_model_that_repeats_itself_is_not_asked_a_third_time(ask: Ask) -> None:
    """At temperature 0 it would say the same once more."""
    answer, llm = ask(WRONG_FIELD, WRONG_FIELD, GOOD, question=DOUBTED)
    assert (len(llm.requests), answer.planner) == (2, PlannerName.FALLBACK)


@pytest.mark.parametrize(
    "error", [LLMUnavailableError("no connection"), LLMError("wrong key"), LLMBudgetError("budget", limit="calls")]
)
def test_an_llm_that_fails_is_done_without_or_named(ask: Ask, error: Exception) -> None:
    """In the mode auto the rules answer, marked; asked for by name, it is the error itself."""
    answer, llm = ask(error, question=DOUBTED)
    assert (answer.planner, answer.values, len(llm.requests)) == (PlannerName.FALLBACK, (6.7,), 1)
    assert [warning.code for warning in answer.warnings] == ["llm_failed"]
    with pytest.raises(type(error)):
        ask(error, question=DOUBTED, planner="llm")


def test_no_valid_plan_is_an_error_where_the_llm_was_asked_for_by_name(ask: Ask) -> None:
    """It says what was wrong at last."""
    with pytest.raises(LLMPlanningError, match='unknown field "directed_by"') as raised:
        ask(WRONG_FIELD, WRONG_FIELD, planner="llm")
    assert raised.value.usage.calls == 2


def test_a_budget_of_zero_makes_no_call(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """The rules' answer, marked; an error by name."""
    llm = ScriptedLLM([GOOD])
    promptql = PromptQL(database, embedder_of, BudgetedLLM(llm, Budget(calls=0)))
    answer = promptql.ask(DOUBTED, collections=["movies"])
    assert (answer.planner, answer.usage["llm"]["calls"], llm.requests) == (PlannerName.FALLBACK, 0, [])
    with pytest.raises(LLMBudgetError):
        promptql.ask(DOUBTED, collections=["movies"], planner="llm")


def test_a_budget_is_one_questions(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """Planning, repairs and all else of a question take from one; the next question has its own."""
    replies: list[Any] = [WRONG_FIELD, FIXED, WRONG_FIELD, FIXED]
    llm = ScriptedLLM(replies)
    promptql = PromptQL(database, embedder_of, BudgetedLLM(llm, Budget(calls=1)))
    for _ in range(2):
        answer = promptql.ask(DOUBTED, collections=["movies"])
        assert (answer.planner, answer.usage["llm"]["calls"]) == (PlannerName.FALLBACK, 1)
    assert len(llm.requests) == 2


def test_the_llm_by_name_needs_an_llm(promptql: PromptQL) -> None:
    """There is no silent fallback from a planner that was asked for by name; nothing is read before."""
    with pytest.raises(PlannerUnavailableError):
        promptql.ask(UNSURE, planner="llm", collections=["nothing"])
    with pytest.raises(QuestionError, match="unknown planner"):
        promptql.ask(UNSURE, planner="oracle")  # type: ignore[arg-type]


def test_two_planners_with_one_answer_make_it_surer(ask: Ask) -> None:
    """Other steps, the same value: both were run."""
    answer, _ = ask(averaged("horror"), question=DOUBTED)
    assert (answer.values, answer.confidence, answer.band) == ((6.7,), 0.9, Band.ANSWER)
    assert answer.alternatives == ()


def test_two_planners_with_two_answers_are_both_told(ask: Ask) -> None:
    """The rules' plan comes with its values, and a warning where it is not a mere guess."""
    answer, _ = ask(averaged("drama"), question=DOUBTED)
    assert answer.values == (pytest.approx(8.3),)
    (other,) = answer.alternatives
    assert (other["values"], other["confidence"]) == ([6.7], 0.75)
    assert [warning.code for warning in answer.warnings] == ["planners_disagree"]


def test_a_plan_that_finds_nothing_is_mended_with_stored_values(ask: Ask) -> None:
    """One more call names the nearest values; what it gives is run."""
    answer, llm = ask(counted("director", "Ridly Scot"), {"steps": [GOOD["steps"][1]]})
    assert answer.values == (3,)
    assert len(llm.requests) == 2
    told = llm.requests[1].messages[-1].content
    assert 'no document has \\"director\\" = \\"Ridly Scot\\"' in told
    assert '\\"Ridley Scott\\"' in told
    assert answer.usage["llm"]["calls"] == 2


def test_a_value_of_another_field_is_pointed_to(ask: Ask) -> None:
    """The genre is no director."""
    _, llm = ask(counted("director", "horror"), counted("genre", "horror"))
    assert '\\"horror\\" is a \\"genre\\" of \\"movies\\"' in llm.requests[1].messages[-1].content


def test_a_plan_that_rightly_finds_nothing_is_left_alone(ask: Ask) -> None:
    """All its values are stored: the data has no such film."""
    nothing = chain({"op": "scan", "collection": "movies", "where": condition("year", 1900, "<")}, {"op": "answer"})
    answer, llm = ask(nothing)
    assert (answer.values, len(llm.requests)) == ((), 1)


def test_a_failed_mending_leaves_the_plan(ask: Ask) -> None:
    """With a warning; the budget is respected there as well."""
    answer, llm = ask(counted("director", "Ridly Scot"), NOT_JSON)
    assert (answer.values, len(llm.requests)) == ((0,), 2)
    assert "llm_failed" in [warning.code for warning in answer.warnings]
    assert answer.usage["llm"]["calls"] == 2


def test_the_same_question_is_not_planned_twice(make: Any) -> None:
    """The plan is kept by question, catalog and model; the second answer says so."""
    promptql, llm = make(GOOD)
    first = promptql.ask(UNSURE, collections=["movies"])
    second = promptql.ask(UNSURE, collections=["movies"])
    assert (second.values, second.plan_hash) == (first.values, first.plan_hash)
    assert len(llm.requests) == 1
    assert second.usage["llm"] == {"calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0, "cache_hits": 1}


def test_a_change_of_the_catalog_is_another_question(
    empty_database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """A field more: the model is asked again."""
    notes = empty_database.create_collection("notes", Schema({}))
    notes.add([{"id": "a", "tag": "x"}])
    plan = chain({"op": "scan", "collection": "notes"}, {"op": "answer"})
    llm = ScriptedLLM([plan, plan])
    promptql = PromptQL(empty_database, embedder_of, llm)
    for _ in range(2):
        promptql.ask("what was noted", planner="llm")
    assert len(llm.requests) == 1
    notes.add([{"id": "b", "tag": "y", "size": 3}])
    promptql.ask("what was noted", planner="llm")
    assert len(llm.requests) == 2


def test_a_plan_cannot_leave_the_collections_that_were_asked(ask: Ask) -> None:
    """A plan over another collection is as wrong as one over none."""
    with pytest.raises(LLMPlanningError, match='unknown collection "movies"'):
        ask(GOOD, GOOD, planner="llm", collections=["stdlib"], question="how many functions are there")


def test_a_plan_is_made_without_being_run(make: Any) -> None:
    """`plan` shows what the rules made of the question beside it."""
    promptql, _ = make(averaged("drama"))
    proposal = promptql.plan(DOUBTED, collections=["movies"])
    assert proposal.planner is PlannerName.LLM
    assert proposal.alternatives[0]["plan"]["steps"] != proposal.plan["steps"]


def test_the_model_may_ask_back(ask: Ask) -> None:
    """Its options are given as they are."""
    options = [{"text": "the worst", "value": "asc"}, {"text": "the best", "value": "desc"}]
    answer, _ = ask({"steps": [{"id": "s1", "op": "clarify", "question": "Which end?", "options": options}]})
    assert (answer.band, answer.values) == (Band.CLARIFY, ())
    assert [option["text"] for option in answer.options] == ["the worst", "the best"]


def test_a_plan_of_the_model_becomes_a_program(database: Database, ask: Ask, make: Any) -> None:
    """Saved with a parameter and run with another value, without the model."""
    answer, _ = ask(GOOD)
    promptql, llm = make()
    program, _ = promptql.save_program("directed", answer.plan, params={"who": "Ridley Scott"})
    try:
        assert promptql.execute(program.plan, params={"who": "Christopher Nolan"}).values == (2,)
        assert llm.requests == []
    finally:
        promptql.programs.delete("directed")


def test_a_plan_that_the_budget_cannot_bear_is_handed_back(
    database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """Before a row is judged; the repair does without the dear step."""
    quality = {"target": "recall", "value": 1.0}
    dear = chain(
        {"op": "scan", "collection": "movies"},
        {"op": "llm_filter", "instruction": "it is about war", "fields": ["plot"], "quality": quality},
        {"op": "llm_topk", "instruction": "how much it is about war", "fields": ["plot"], "k": 2},
        {"op": "answer", "fields": ["title"]},
    )
    cheap = {"steps": [{"id": "s4", "op": "answer", "input": "s1", "fields": ["title"]}], "remove": ["s2", "s3"]}
    replies: list[Any] = [dear, cheap]
    llm = ScriptedLLM(replies)
    answer = PromptQL(database, embedder_of, BudgetedLLM(llm, Budget(calls=2))).ask(
        UNSURE, collections=["movies"], planner="llm"
    )
    assert (len(answer.values), len(llm.requests)) == (8, 2)
    assert "the budget does not suffice for the plan" in llm.requests[1].messages[-1].content
