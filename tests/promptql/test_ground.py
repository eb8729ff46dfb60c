"""Follow-ups of joined plans, end to end: a model plans the join, the rules change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine import Database, Schema
from models import Embedder, ScriptedLLM
from promptql import Answer, PromptQL
from promptql.answer import PlannerName
from promptql.ground import base_of
from promptql.plan import Plan
from tests.promptql.llm.conftest import condition

FRENCH: dict[str, Any] = condition("country", "France")


def joined(*chain: dict[str, Any], makers: dict[str, Any] | None = None) -> dict[str, Any]:
    """A reply: cars with their makers, and steps over them."""
    steps: list[dict[str, Any]] = [
        {"id": "a", "op": "scan", "collection": "cars"},
        {"id": "b", "op": "scan", "collection": "makers", **({"where": makers} if makers else {})},
        {"id": "j", "op": "join", "left": "a", "right": "b", "keys": [{"l": "maker", "r": "id"}]},
    ]
    for number, step in enumerate(chain):
        steps.append({"id": f"s{number + 1}", "input": "j" if number == 0 else f"s{number}", **step})
    return {"steps": steps}


CARS = joined({"op": "filter", "where": FRENCH}, {"op": "answer", "fields": ["model"]})
BELOW = joined({"op": "answer", "fields": ["model"]}, makers=FRENCH)
COUNTED = joined(
    {"op": "group", "by": [{"field": "country"}], "aggs": [{"fn": "count", "as": "n"}]},
    {"op": "sort", "by": [{"field": "n", "dir": "desc"}]},
    {"op": "answer"},
)


@pytest.fixture(scope="module")
def garage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Nine cars of three makers in two countries: c0, c2, c3, c5, c6 and c8 are French."""
    with Database.open(tmp_path_factory.mktemp("garage")) as database:
        makers = [("m1", "Ada", "France"), ("m2", "Bob", "Spain"), ("m3", "Cleo", "France")]
        keys = ("id", "name", "country")
        database.create_collection("makers", Schema({})).add([dict(zip(keys, row, strict=True)) for row in makers])
        cars = [
            {"id": f"c{n}", "model": f"Model {n}", "maker": f"m{n % 3 + 1}", "year": 1990 + n, "price": 900.0 - 100 * n}
            for n in range(9)
        ]
        database.create_collection("cars", Schema({})).add(cars)
        yield database


@pytest.fixture
def told(garage: Database, embedder_of: Callable[[str], Embedder]) -> Callable[..., Answer]:
    """The last answer of a conversation whose first plan is a model's; the model is asked once."""

    def telling(plan: dict[str, Any], *questions: str) -> Answer:
        llm = ScriptedLLM([plan])
        promptql = PromptQL(garage, embedder_of, llm)
        promptql.ask("what may be driven", planner="llm", conversation="c")
        answers = [promptql.ask(question, planner="rules", conversation="c") for question in questions]
        assert len(llm.requests) == 1
        return answers[-1]

    return telling


@pytest.mark.parametrize(
    ("plan", "questions", "values"),
    [
        (CARS, ("only those after 1995",), ("Model 6", "Model 8")),
        (CARS, ("and from Spain?",), ("Model 1", "Model 4", "Model 7")),
        (BELOW, ("and from Spain?",), ("Model 1", "Model 4", "Model 7")),
        (CARS, ("how many are there?",), (6,)),
        (CARS, ("only those after 1995", "how many are there?"), (2,)),
        (CARS, ("sort them by price", "the first two"), ("Model 8", "Model 6")),
        (COUNTED, ("only those after 1995",), (("France", 2), ("Spain", 1))),
        (COUNTED, ("the first",), (("France", 6),)),
        (CARS, ("per country",), (("France", 6),)),
    ],
)
def test_a_joined_plan_is_gone_on_from(
    told: Callable[..., Answer], plan: dict[str, Any], questions: tuple[str, ...], values: tuple[Any, ...]
) -> None:
    """The join stays; conditions, also those below it, order, number and figures change; worked out by hand."""
    answer = told(plan, *questions)
    assert answer.values == values
    assert "join" in {step["op"] for step in answer.plan["steps"]}
    assert answer.planner is PlannerName.LLM


def test_what_is_said_of_a_few_is_not_changed_for_all() -> None:
    """A chain that filters after a limit is left alone, as is one that reads other steps' values."""
    cut = joined({"op": "limit", "n": 2}, {"op": "filter", "where": FRENCH}, {"op": "answer"})
    assert base_of(Plan.from_json(cut | {"output": "s3"})) is None
    found = base_of(Plan.from_json(CARS | {"output": "s2"}))
    assert found is not None
    assert ([step.id for step in found[0].steps], [step.id for step in found[1]]) == (["a", "b", "j"], ["s1", "s2"])
