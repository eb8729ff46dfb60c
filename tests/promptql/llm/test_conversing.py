"""Conversations with a language model: the plan before is in the prompt, the reply may be an edit of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import Database
from models import Embedder, ScriptedLLM
from promptql import Answer, PromptQL
from promptql.answer import PlannerName
from tests.promptql.llm.conftest import chain, condition, counted

FIRST = "which flicks are dear to Scott"
BY_SCOTT = chain(
    {"op": "scan", "collection": "movies"},
    {"op": "filter", "where": condition("director", "Ridley Scott")},
    {"op": "answer", "fields": ["title"]},
)
OLD = {"edit": True, "steps": [{"id": "s2", "op": "filter", "input": "s1", "where": condition("year", 1990, "<")}]}

Make = Callable[..., tuple[PromptQL, ScriptedLLM]]


def said(promptql: PromptQL, *questions: str, **options: Any) -> list[Answer]:
    """The answers of one conversation."""
    return [
        promptql.ask(question, collections=["movies"], conversation="c", planner="llm", **options)
        for question in questions
    ]


def test_a_follow_up_edits_the_plan_before(make: Make) -> None:
    """Only the step that changes is replied; the rest of the plan stays, and that is said."""
    promptql, llm = make(BY_SCOTT, OLD)
    first, second = said(promptql, FIRST, "and those that my grandmother saw as a child")
    assert first.values == ("Alien", "Gladiator", "Blade Runner")
    assert second.values == ("Alien", "Blade Runner", "Ghost Town")
    assert second.assumptions[0].text.startswith("'and those that my grandmother saw as a child' goes on from")
    told = llm.requests[1].messages[1].content
    assert f'The question before was "{FIRST}", its plan [{{"id":"s1"' in told
    schema: Any = llm.requests[1].schema
    assert "edit" in schema["properties"]
    assert "edit" not in llm.requests[0].schema["properties"]  # type: ignore[operator,index]


def test_a_question_of_its_own_has_a_plan_of_its_own(make: Make) -> None:
    """Nothing of the plan before is in it."""
    promptql, _ = make(BY_SCOTT, {"edit": False, **counted("genre", "horror")})
    _, second = said(promptql, FIRST, "how many give me the creeps")
    assert second.values == (2,)
    assert not any("goes on from" in item.text for item in second.assumptions)


def test_an_edit_that_is_wrong_is_repaired_like_a_plan(make: Make) -> None:
    """The repair is merged into the edit."""
    wrong = {"edit": True, "steps": [{"id": "s2", "op": "filter", "input": "s1", "where": condition("yeer", 1990)}]}
    promptql, llm = make(BY_SCOTT, wrong, {"steps": OLD["steps"]})
    assert said(promptql, FIRST, "and those before her time")[-1].values == ("Alien", "Blade Runner", "Ghost Town")
    assert len(llm.requests) == 3


def test_what_was_mended_is_gone_on_from(make: Make) -> None:
    """The follow-up changes the plan that gave the answer, not the one that found nothing."""
    promptql, llm = make(
        counted("director", "Scot"), {"steps": [counted("director", "Ridley Scott")["steps"][1]]}, BY_SCOTT
    )
    assert said(promptql, FIRST, "and which are they to grandma")[0].values == (3,)
    assert "Ridley Scott" in llm.requests[2].messages[1].content.partition("before was")[2]


def test_without_the_model_the_rules_follow_up(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """A simple change of the model's plan needs no model; in auto it is not asked."""
    llm = ScriptedLLM([BY_SCOTT])
    promptql = PromptQL(database, embedder_of, llm)
    promptql.ask(FIRST, collections=["movies"], conversation="c")
    answer = promptql.ask("only those after 1980", collections=["movies"], conversation="c", planner="rules")
    assert (answer.values, len(llm.requests)) == (("Gladiator", "Blade Runner"), 1)


def test_a_plan_over_what_may_not_be_asked_is_not_shown(make: Make) -> None:
    """Somebody whose collections were narrowed does not learn of the plan before."""
    promptql, llm = make(BY_SCOTT, chain({"op": "scan", "collection": "stdlib"}, {"op": "answer"}))
    promptql.ask(FIRST, collections=["movies"], conversation="c", planner="llm")
    answer = promptql.ask("what else", collections=["stdlib"], conversation="c", planner="llm")
    assert answer.planner is PlannerName.LLM
    assert "movies" not in llm.requests[1].messages[1].content


def test_a_rival_that_would_ask_the_model_is_shown_and_not_run(make: Make) -> None:
    """The rules' follow-up keeps the step that asks; running it only to compare would cost what nobody counts."""
    judging = {"op": "llm_filter", "instruction": "it is long", "fields": ["title"],
               "quality": {"target": "recall", "value": 1}}  # fmt: skip
    scan = {"op": "scan", "collection": "movies", "where": condition("year", 1980, "<")}
    none = {"rows": [{"row": 1, "a": False, "a_confidence": 1.0}]}
    other = {"edit": False, **counted("genre", "horror")}
    promptql, llm = make(chain(scan, judging, {"op": "answer", "fields": ["title"]}), none, other)
    _, second = said(promptql, FIRST, "only those after 1970")
    asked = [request for request in llm.requests if "questions about rows" in request.messages[0].content]
    assert second.values == (2,)
    assert second.usage["llm"]["calls"] == 1
    assert second.alternatives[0]["plan"]["steps"]
    assert "values" not in second.alternatives[0]
    assert len(asked) == len(llm.requests) - 2
