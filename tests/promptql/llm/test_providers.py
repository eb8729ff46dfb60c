"""Questions over the real SDKs against a local server: right plans, and all that endpoints do wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from engine import Database
from models import Budget, BudgetedLLM, Embedder, LLMError, LLMUnavailableError, RemoteLLM
from promptql import AnswerDelta, LLMPlanningError, PromptQL
from promptql.answer import PlannerName
from tests.models.llms.conftest import KEY, Load
from tests.models.llms.server import (
    Provider,
    anthropic_reply,
    anthropic_stream,
    openai_refusal,
    openai_reply,
    openai_stream,
)
from tests.promptql.llm.conftest import DOUBTED, averaged, chain, condition, counted

PLAN = json.dumps(averaged("horror"))
SEARCH = json.dumps(
    chain(
        {"op": "search", "collection": "stdlib", "query": "output", "where": condition("name", "check_output")},
        {"op": "answer"},
    )
)

Over = Callable[[RemoteLLM | BudgetedLLM], PromptQL]


@pytest.fixture
def over(database: Database, embedder_of: Callable[[str], Embedder]) -> Over:
    """PromptQL with a model."""
    return lambda llm: PromptQL(database, embedder_of, llm)


def test_both_protocols_plan(provider: Provider, load: Load, over: Over) -> None:
    """The schema goes with the request; every request was checked against the published ones."""
    provider.play(openai_reply(PLAN))
    answer = over(load()).ask(DOUBTED, collections=["movies"])
    assert (answer.values, answer.planner) == ((6.7,), PlannerName.LLM)
    assert (answer.usage["llm"]["tokens_in"], answer.usage["llm"]["tokens_out"]) >= (11, 7)
    provider.play(anthropic_reply({"type": "text", "text": PLAN}))
    answer = over(load("anthropic")).ask(DOUBTED, collections=["movies"])
    assert (answer.values, answer.planner) == ((6.7,), PlannerName.LLM)
    assert "steps" in json.dumps(provider.requests[-1].body)


def test_prose_streams_over_both(provider: Provider, load: Load, over: Over) -> None:
    """Pieces that end in the midst of a mark are put together before they are checked."""
    pieces = ("This function captures the out", "put of a program [", "2", "]. Made up: 1,000 prizes [2", "].")
    for name, plan, prose in (
        ("openai", openai_reply(SEARCH), openai_stream(*pieces)),
        ("anthropic", anthropic_reply({"type": "text", "text": SEARCH}), anthropic_stream(*pieces)),
    ):
        provider.play(plan, prose)
        told: list[Any] = []
        answer = over(load(name)).ask("what captures output", collections=["stdlib"], planner="llm", tell=told.append)
        assert answer.text == "This function captures the output of a program [1]."
        assert "".join(event.text for event in told if isinstance(event, AnswerDelta)) == answer.text


def _refusing(load: Load) -> RemoteLLM:
    return load(base_url="http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([openai_refusal(401, "wrong key")], LLMError),
        ([openai_refusal(404, "no such model")], LLMError),
        ([openai_refusal(500, "down")] * 3, LLMUnavailableError),
        ([openai_refusal(429, "slow down")] * 3, LLMUnavailableError),
        ([openai_reply("I would rather chat about the weather.")] * 3, LLMPlanningError),
        ([openai_reply('{"weather": "fine"}')] * 3, LLMPlanningError),
        ([openai_reply('{"steps": [' * 200, finish_reason="length")] * 3, LLMPlanningError),
        ([openai_reply(None, refusal="I cannot help with that.")] * 3, LLMPlanningError),
    ],
    ids=["key", "model", "500", "429", "chats", "no schema", "loops", "refuses"],
)
def test_what_an_endpoint_does_wrong_is_named_or_done_without(
    provider: Provider,
    load: Load,
    over: Over,
    answers: list[Any],
    error: type[Exception],
) -> None:
    """An error where the model was asked for by name; in auto the rules answer, marked, with a warning."""
    provider.play(*answers)
    answer = over(load()).ask(DOUBTED, collections=["movies"])
    assert (answer.values, answer.planner) == ((6.7,), PlannerName.FALLBACK)
    assert [warning.code for warning in answer.warnings] == ["llm_failed"]
    assert KEY not in str(answer.to_json())
    provider.answers.clear()
    provider.play(*answers)
    with pytest.raises(error) as raised:
        over(load()).ask(DOUBTED, collections=["movies"], planner="llm")
    assert KEY not in str(raised.value)


def test_an_endpoint_that_is_not_there(load: Load, over: Over) -> None:
    """No connection: the rules answer."""
    llm = _refusing(load)
    assert over(llm).ask(DOUBTED, collections=["movies"]).planner is PlannerName.FALLBACK
    with pytest.raises(LLMUnavailableError):
        over(llm).ask(DOUBTED, collections=["movies"], planner="llm")


def test_an_endpoint_that_ignores_the_schema_may_still_plan(
    provider: Provider,
    load: Load,
    over: Over,
) -> None:
    """It is asked in words, and its fences are taken off."""
    provider.supports, provider.ignores = frozenset({"plain"}), frozenset({"json_schema", "tool", "json_object"})
    provider.play(*[openai_reply(f"```json\n{PLAN}\n```")] * 3)
    answer = over(load()).ask(DOUBTED, collections=["movies"])
    assert (answer.values, answer.planner) == ((6.7,), PlannerName.LLM)


def test_a_budget_is_never_passed(provider: Provider, load: Load, over: Over) -> None:
    """Wrong plan after wrong plan: two calls, the probe included, and no third."""
    wrong = json.dumps(counted("yeer", 1990))
    provider.play(*[openai_reply(wrong)] * 5)
    answer = over(BudgetedLLM(load(), Budget(calls=2))).ask(DOUBTED, collections=["movies"])
    assert answer.planner is PlannerName.FALLBACK
    assert answer.usage["llm"]["calls"] <= 2
    assert len(provider.requests) + len(provider.probes) <= 2


def test_nothing_private_is_logged(
    provider: Provider,
    load: Load,
    over: Over,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At the finest level: no key, no question, no plan, no sentence of a document."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("openai").setLevel(logging.DEBUG)
    prose = openai_stream("This function captures the output of a program [2]. A lie [2].")
    provider.play(openai_reply(json.dumps(counted("yeer", 1990))), openai_reply(SEARCH), prose)
    question = "what captures output of my secret project"
    over(load()).ask(question, collections=["stdlib"], planner="llm")
    ours = [record for record in caplog.records if record.name.startswith(("promptql", "models", "engine", "lumaai"))]
    assert {"plan.rejected", "answer.written"} <= {record.message for record in ours}
    logged = "\n".join(str(record.__dict__) for record in ours)
    for secret in (KEY, "secret project", "captures the output", "yeer", "Run a command"):
        assert secret not in logged
