"""Every rule is proven by running plans before and after it on the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from engine import Database
from models import Embedder
from promptql.catalog import read_catalog
from promptql.executor import Limits, execute
from promptql.expressions import And
from promptql.optimizer import RULES, Rule, optimize
from promptql.plan import Plan
from promptql.predicate import compare
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Filter,
    Function,
    Group,
    Limit,
    Order,
    Scan,
    Search,
    Sort,
    Step,
)
from promptql.validation import validate
from tests.promptql.strategies import plans

EmbedderOf = Callable[[str], Embedder]
RECENT = compare("year", ">", 1990)
GOOD = compare("rating", ">=", 8.4)


def plan_of(*steps: Step) -> Plan:
    return Plan("", (*steps, AnswerStep("end", steps[-1].id)), "end")


def result(plan: Plan, database: Database, embedder_of: EmbedderOf) -> tuple[list[Any], list[Any]]:
    """The rows and the documents behind each."""
    rows = execute(plan, database.snapshot(), embedder_of, Limits()).rows.relation
    return rows.rows(), [rows.sources(index) for index in range(len(rows))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_a_rule_leaves_every_result_as_it_was(
    rule: Rule, database: Database, embedder_of: EmbedderOf, plan: Plan
) -> None:
    """The rewritten plan is valid and gives the same rows from the same documents."""
    catalog = read_catalog(database.snapshot())
    rewritten = rule(plan, catalog)
    validate(rewritten, catalog)
    before, after = result(plan, database, embedder_of), result(rewritten, database, embedder_of)
    assert after == before


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_all_rules_together_leave_every_result_as_it_was(
    database: Database, embedder_of: EmbedderOf, plan: Plan
) -> None:
    """The loop ends, its log leads from the first plan's hash to the last's, and the answer is the same."""
    catalog = read_catalog(database.snapshot())
    optimized, log = optimize(plan, catalog)
    hashes = [plan.hash, *(rewrite.after for rewrite in log)]
    assert [rewrite.before for rewrite in log] == hashes[:-1]
    assert hashes[-1] == optimized.hash
    assert optimize(optimized, catalog) == (optimized, ())
    assert result(optimized, database, embedder_of) == result(plan, database, embedder_of)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            plan_of(Scan("a", "movies"), Filter("b", "a", RECENT), Filter("c", "b", GOOD)),
            plan_of(Scan("a", "movies", where=And((RECENT, GOOD)))),
        ),
        (
            plan_of(Scan("a", "movies"), Sort("b", "a", (Order("year"),)), Filter("c", "b", RECENT)),
            plan_of(Scan("a", "movies", where=RECENT), Sort("b", "a", (Order("year"),))),
        ),
        (
            plan_of(Search("a", "movies", "war", 8), Filter("b", "a", RECENT)),
            plan_of(Search("a", "movies", "war", 8, RECENT)),
        ),
        (
            plan_of(Scan("a", "movies"), Limit("b", "a", 3), Limit("c", "b", 5)),
            plan_of(Scan("a", "movies"), Limit("b", "a", 3)),
        ),
        (
            plan_of(
                Scan("a", "movies"),
                Sort("b", "a", (Order("rating"),)),
                Group("c", "b", ("genre",), (Aggregation(Function.MAX, "year", "m"),)),
            ),
            plan_of(
                Scan("a", "movies", fields=("year", "genre", "rating")),
                Sort("b", "a", (Order("rating"),)),
                Group("c", "b", ("genre",), (Aggregation(Function.MAX, "year", "m"),)),
            ),
        ),
    ],
    ids=["filters join the scan", "below the sort", "into the search", "limits merge", "fields are pruned"],
)
def test_plans_become_what_they_should(database: Database, before: Plan, after: Plan) -> None:
    """Fixtures of before and after; the last step's input is whatever is left."""
    optimized, _ = optimize(before, read_catalog(database.snapshot()))
    assert optimized.path()[:-1] == after.path()[:-1]


@pytest.mark.parametrize(
    "plan",
    [
        plan_of(Search("a", "movies", "war", 7), Filter("b", "a", RECENT)),
        plan_of(Scan("a", "movies"), Limit("b", "a", 3), Filter("c", "b", RECENT)),
        plan_of(
            Scan("a", "movies"), Sort("s", "a", (Order("year"),)), Limit("b", "s", 3, ties=True), Limit("c", "b", 5)
        ),
    ],
    ids=["a search that cuts off", "a filter over a limit", "ties"],
)
def test_what_is_not_safe_is_left_alone(database: Database, plan: Plan) -> None:
    """A filter after the 7 nearest of 8 is not the 7 nearest that pass it."""
    optimized, log = optimize(plan, read_catalog(database.snapshot()))
    assert optimized == plan
    assert log == ()
