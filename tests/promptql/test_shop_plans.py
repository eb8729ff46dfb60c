"""Plans of a shop's questions as their user has them: saved as programs, explained, edited, run again from a step."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from tests.congruence.conftest import served
from tests.promptql.shops import COUNTRIES, ORDERS, fill_sales, total


@pytest.fixture(scope="module", params=["embedded", "served"])
def sales(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One collection of sales, in this process and behind a service."""
    path: Path = tmp_path_factory.mktemp("sales")
    with lumaai.Database(path) as db:
        fill_sales(db)
        if request.param == "embedded":
            yield db
            return
        with served(db, path) as url, lumaai.connect(url) as client:
            yield client


def _revenue(begin: str, end: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for order in ORDERS:
        if begin <= order[4] < end:
            sums[COUNTRIES[order[0]]] = sums.get(COUNTRIES[order[0]], 0.0) + total(*order)
    return sums


def test_a_question_becomes_a_program_with_a_schema(sales: Any) -> None:
    """Its days are parameters; another year is another run, and the answer says which."""
    plan = sales.plan("total revenue by country in 2024").plan
    params = {"since": "2024-01-01", "until": "2025-01-01"}
    program = sales.programs.save("by-country", plan, params=params)
    assert set(program.inputs["properties"]) == {"since", "until"}
    assert program.inputs["properties"]["since"]["default"] == "2024-01-01"
    assert set(program.outputs["items"]["properties"]) == {"country", "total_revenue"}

    assert dict(sales.programs.run("by-country").values) == _revenue("2024", "2025")
    answer = sales.programs.run("by-country", {"since": "2023-01-01", "until": "2024-01-01"})
    assert dict(answer.values) == _revenue("2023", "2024")
    assert "order_date >= 2023-01-01" in answer.text
    assert ":since" not in answer.text

    with pytest.raises(lumaai.InvalidRequestError, match="sinse"):
        sales.programs.run("by-country", {"sinse": "2023-01-01"})


def test_a_share_as_a_program_says_what_it_is_a_share_of(sales: Any) -> None:
    """With another status it is of that status, also in words."""
    plan = sales.plan("What share of orders was cancelled?").plan
    sales.programs.save("share", plan, params={"status": "cancelled"})
    answer = sales.programs.run("share", {"status": "pending"})
    assert answer.values == (16.67,)
    assert "2 where status is pending" in answer.text
    assert "cancelled" not in answer.text


def test_what_would_run_is_explained(sales: Any) -> None:
    """In words, step by step, with what the optimizer did; figures of both parts of a share are in it."""
    explained = sales.explain("What share of orders was cancelled?")
    assert "where status is cancelled" in explained.text
    assert "compare of part and whole" in explained.text
    assert "push_filters" in {rewrite.rule for rewrite in explained.rewrites}


def test_an_edited_plan_runs_again_from_where_it_was_edited(sales: Any) -> None:
    """What steps before gave is taken from the last time; the rest is new."""
    plan = copy.deepcopy(dict(sales.ask("Top 3 customers by total spending").plan))
    first = sales.execute(plan)
    limit = next(step for step in plan["steps"] if step["op"] == "limit")
    limit["n"] = 1
    again = sales.execute(plan, from_step=limit["id"])
    assert again.values == first.values[:1]
    assert next(step.id for step in again.steps if not step.cached) == limit["id"]

    sort = next(step for step in plan["steps"] if step["op"] == "sort")
    sort["by"][0]["dir"] = "asc"
    least = sales.execute(plan, from_step=sort["id"])
    assert least.values != again.values
    assert least.values[0][1] == min(value for _, value in sales.ask("total revenue by customer").values)


def test_a_wrong_edit_is_named_with_what_would_be_right(sales: Any) -> None:
    """The place in the plan and a hint."""
    plan = copy.deepcopy(dict(sales.ask("Top 3 customers by total spending").plan))
    plan["steps"][-1]["fields"] = ["custommer"]
    (fault,) = sales.validate(plan).faults
    assert fault.pointer == f"/steps/{len(plan['steps']) - 1}/fields/0"
    assert "customer" in fault.hint
    with pytest.raises(lumaai.InvalidRequestError, match="custommer"):
        sales.execute(plan)
    with pytest.raises(lumaai.InvalidRequestError, match="s99"):
        sales.execute(plan, from_step="s99")
