"""What plans will ask of a language model, before they do; and budgets that cannot bear it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database
from models import Budget, BudgetedLLM, Embedder, Price, ScriptedLLM
from promptql import LimitExceededError, PromptQL
from promptql.proposal import Explanation
from tests.promptql.conftest import fill
from tests.promptql.operators.semantic.judge import judge, texts_asked

ROWS = 400


class PricedLLM(ScriptedLLM):
    """A judge that says yes, at a price."""

    price = Price(1.0, 4.0)


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("notes")
    with Database.open(path) as database:
        documents = [{"id": f"n{n}", "text": f"note {n:04} " + "word " * 18, "n": n} for n in range(ROWS)]
        fill(database, "notes", {"text": "text", "n": "integer"}, documents, embedder, "text")
        yield database


def plan_of(*steps: dict[str, Any], where: dict[str, Any] | None = None) -> dict[str, Any]:
    scan: dict[str, Any] = {"id": "all", "op": "scan", "collection": "notes"}
    scan |= {} if where is None else {"where": where}
    made = [scan]
    for step in steps:
        made.append({"input": made[-1]["id"], **step})
    made.append({"id": "end", "op": "answer", "input": made[-1]["id"]})
    return {"steps": made, "output": "end"}


def filter_step(value: float = 1.0) -> dict[str, Any]:
    quality = {"target": "recall", "value": value}
    return {"id": "f", "op": "llm_filter", "instruction": "it is new", "fields": ["text"], "quality": quality}


@pytest.fixture
def explain(notes: Database, embedder_of: Callable[[str], Embedder]) -> Callable[[dict[str, Any]], Explanation]:
    return PromptQL(notes, embedder_of, PricedLLM([])).explain


def test_calls_are_counted_as_they_will_be_made(
    explain: Callable[[dict[str, Any]], Explanation], notes: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """Twenty rows a call; the tokens within a factor of two, and the dollars by the price table."""
    plan = plan_of(filter_step())
    found = explain(plan).estimate
    assert found is not None
    llm = judge(lambda *_: True)
    use = PromptQL(notes, embedder_of, llm).execute(plan).usage["llm"]
    assert found["calls"] == found["calls_max"] == use["calls"] == ROWS / 20
    characters = sum(len(message.content) for request in llm.requests for message in request.messages)
    assert 0.5 < found["tokens_in"] / (characters / 4) < 2
    assert found["usd"] == pytest.approx((found["tokens_in"] + 4 * found["tokens_out"]) / 1e6, rel=1e-3)
    assert found["seconds"] > 0
    assert found["steps"][0]["rows"] == ROWS


def test_a_condition_before_it_is_counted_by_the_index(explain: Callable[[dict[str, Any]], Explanation]) -> None:
    """A filter written behind the judgement runs before it, and the estimate is of what runs."""
    where = {"op": "<", "l": {"field": "n"}, "r": {"value": 50}}
    found = explain(plan_of(filter_step(), {"id": "few", "op": "filter", "where": where}))
    assert found.estimate is not None
    assert found.estimate["steps"][0]["rows"] == 50
    assert found.estimate["calls"] == 3


def test_a_quality_target_takes_fewer_calls_and_at_most_all(explain: Callable[[dict[str, Any]], Explanation]) -> None:
    """The share is likely, the maximum certain."""
    found = explain(plan_of(filter_step(0.9))).estimate
    assert found is not None
    assert 5 < found["calls"] < found["calls_max"] == ROWS / 20


def test_plans_without_such_steps_have_no_estimate(explain: Callable[[dict[str, Any]], Explanation]) -> None:
    """Nor does their JSON."""
    found = explain({"steps": [{"id": "s", "op": "scan", "collection": "notes"},
                               {"id": "e", "op": "answer", "input": "s"}], "output": "e"})  # fmt: skip
    assert found.estimate is None
    assert "estimate" not in found.to_json()


def test_the_estimate_is_read_back(explain: Callable[[dict[str, Any]], Explanation]) -> None:
    """From the JSON that the service sends."""
    found = explain(plan_of(filter_step()))
    assert Explanation.from_json(found.to_json()) == found


@pytest.mark.parametrize("budget", [{"calls": 10}, {"tokens": 2_000}, {"dollars": 0.001}], ids=str)
def test_a_plan_that_cannot_fit_is_refused_before_the_first_call(
    notes: Database, embedder_of: Callable[[str], Embedder], budget: dict[str, Any]
) -> None:
    """With what it would take."""
    llm = PricedLLM([])
    promptql = PromptQL(notes, embedder_of, BudgetedLLM(llm, Budget(**budget)))
    with pytest.raises(LimitExceededError, match=r"budget does not suffice.*about 20 calls"):
        promptql.execute(plan_of(filter_step()))
    assert llm.requests == []


def test_when_a_part_is_asked_for_it_begins_all_the_same(
    notes: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """It ends with the budget, without a call too many, and says so."""
    llm = judge(lambda *_: True)
    promptql = PromptQL(notes, embedder_of, BudgetedLLM(llm, Budget(calls=7)))
    answer = promptql.execute(plan_of(filter_step(0.95)), partial=True)
    assert len(llm.requests) == 7
    assert answer.completeness < 1
    assert len(texts_asked(llm)) <= 140
    assert {"partial_answer", "llm_budget"} <= {notice.code for notice in answer.warnings}


def test_a_small_model_that_helps_is_in_the_estimate(notes: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """A cascade asks it as well; a step that is its own does not."""
    llm = PricedLLM([])
    alone = PromptQL(notes, embedder_of, BudgetedLLM(llm, Budget())).explain(plan_of(filter_step(0.9))).estimate
    both = PromptQL(notes, embedder_of, BudgetedLLM(llm, Budget(), PricedLLM([])))
    helped = both.explain(plan_of(filter_step(0.9))).estimate
    own = both.explain(plan_of(filter_step(0.9) | {"model": "small"})).estimate
    assert alone is not None
    assert helped is not None
    assert own is not None
    assert (helped["calls"] - alone["calls"], helped["calls_max"]) == (7, 2 * alone["calls_max"])  # .35 of 20
    assert helped["tokens_in"] > alone["tokens_in"]
    assert helped["usd"] > alone["usd"]
    assert own["calls"] == alone["calls"]
