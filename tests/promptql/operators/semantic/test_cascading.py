"""Filters with a quality target: few rows are judged, and the report says what is promised, also when budgets end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database
from models import LLM, Budget, BudgetedLLM, Embedder
from promptql import PromptQL
from promptql.answer import Answer, StepReport
from tests.promptql.conftest import fill
from tests.promptql.operators.semantic.judge import judge, texts_asked

ROWS = 600
LATE = ("the parcel came late", "delivery took weeks", "late delivery again", "the courier was slow and late")
FINE = ("the screen is bright", "battery lasts long", "good sound and a fine keyboard", "the colour is lovely")
DETAILS = ("for my sister", "on a Monday", "in the blue box", "with two cables", "after the holidays")


def text_of(number: int) -> str:
    """A review; one in five is about late deliveries."""
    kinds = LATE if number % 5 == 0 else FINE
    return f"{kinds[number // 5 % 4]}, {DETAILS[number // 7 % 5]}, order {number}"


def is_late(_: str, text: Any) -> bool:
    return "late" in text or "weeks" in text


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("reviews")
    with Database.open(path) as database:
        documents = [{"id": f"r{n}", "text": text_of(n), "n": n} for n in range(ROWS)]
        fill(database, "reviews", {"text": "text", "n": "integer"}, documents, embedder, "text")
        yield database


Ask = Callable[..., Answer]


@pytest.fixture
def ask(reviews: Database, embedder_of: Callable[[str], Embedder]) -> Ask:
    """Execute a filter of the reviews with a language model, and count what it lets through."""

    def act(llm: LLM, *, partial: bool = False, **quality: Any) -> Answer:
        target = {"target": "recall", "value": 0.9, "delta": 0.1} | quality
        step = {
            "id": "f",
            "op": "llm_filter",
            "input": "all",
            "instruction": "the delivery was late",
            "fields": ["text"],
        }
        plan = {
            "steps": [
                {"id": "all", "op": "scan", "collection": "reviews"},
                step | {"quality": target},
                {"id": "end", "op": "answer", "input": "f"},
            ],
            "output": "end",
        }
        return PromptQL(reviews, embedder_of, llm).execute(plan, partial=partial)

    return act


def report_of(answer: Answer) -> StepReport:
    return next(step for step in answer.steps if step.id == "f")


def test_few_rows_are_judged_and_nearly_all_that_belong_are_found(ask: Ask) -> None:
    """The certificate says so, and the answer's usage how many rows nobody was asked about."""
    llm = judge(is_late)
    answer = ask(llm)
    report = report_of(answer)
    asked = texts_asked(llm)
    assert report.quality is not None
    assert report.llm is not None
    assert len(asked) == len(set(asked)) == report.quality["judged"] < 0.5 * ROWS
    assert report.llm.calls == len(llm.requests) < ROWS / 20
    assert report.llm.proxy_decided == ROWS - len(asked) == answer.usage["llm"]["proxy_decided"]
    assert report.quality["method"] == "cascade"
    assert report.quality["met"] is True
    assert report.quality["certified"] == 0.9
    assert report.rows_out is not None
    assert 0.9 * ROWS / 5 <= report.rows_out <= ROWS / 5 / 0.9
    assert answer.completeness == 1.0


def test_asking_again_costs_nothing(ask: Ask, reviews: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """The same step draws the same rows, and their judgements are known."""
    llm = judge(is_late)
    first, second = ask(llm), ask(llm)
    assert first.artifacts[0].rows == second.artifacts[0].rows
    assert len(texts_asked(llm)) == 2 * report_of(first).quality["judged"]  # type: ignore[index]  # of other databases


def test_a_target_of_one_has_every_row_judged(ask: Ask) -> None:
    """Nothing is left to the proxy."""
    llm = judge(is_late)
    report = report_of(ask(llm, value=1.0))
    assert len(texts_asked(llm)) == ROWS
    assert report.rows_out == ROWS / 5
    assert report.quality == {"target": "recall 1", "delta": 0.1, "certified": 1.0}


@pytest.mark.parametrize("calls", [1, 4, 9])
def test_when_the_budget_ends_the_answer_is_what_was_found_with_bounds(ask: Ask, calls: int) -> None:
    """No call too many; the answer says that it is a part, of how much."""
    llm = judge(is_late)
    answer = ask(BudgetedLLM(llm, Budget(calls=calls)), partial=True)
    report = report_of(answer)
    assert report.quality is not None
    assert report.llm is not None
    assert len(llm.requests) == calls == report.llm.calls
    assert report.quality["method"] == "interrupted"
    assert report.rows_out == report.quality["found"]
    assert report.quality["count_lower"] <= ROWS / 5 <= report.quality["count_upper"]
    assert answer.completeness == report.quality["completeness"] < 1
    assert (answer.confidence, answer.band) == (round(answer.completeness, 3), "answer_with_assumptions")
    assert any(notice.code == "partial_answer" and "at confidence 0.9" in notice.detail for notice in answer.warnings)
    assert any(notice.code == "llm_budget" for notice in answer.warnings)


def test_a_small_model_is_asked_before_the_large_one(ask: Ask) -> None:
    """About rows that are uncertain; the large one's word is what counts."""
    small, large = judge(is_late, name="small"), judge(is_late, name="large")
    report = report_of(ask(BudgetedLLM(large, Budget(), small)))
    assert report.quality is not None
    assert report.quality["helper_judged"] == len(texts_asked(small)) > 0
    assert report.quality["helper_agreement"] == 1.0
    assert report.quality["judged"] == len(texts_asked(large))
