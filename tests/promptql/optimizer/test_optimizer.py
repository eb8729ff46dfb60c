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
from promptql.optimizer import RULES, SHARING, Rule, optimize
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
    SearchMode,
    Sort,
    Step,
)
from promptql.validation import validate
from tests.promptql.graphs import graphs
from tests.promptql.strategies import plans

EmbedderOf = Callable[[str], Embedder]
RECENT = compare("year", ">", 1990)
GOOD = compare("rating", ">=", 8.4)


def plan_of(*steps: Step) -> Plan:
    return Plan("", (*steps, AnswerStep("end", steps[-1].id)), "end")


def result(plan: Plan, database: Database, embedder_of: EmbedderOf) -> tuple[list[Any], list[Any]]:
    """The rows and the documents behind each."""
    rows = execute(plan, database.snapshot(), embedder_of, Limits()).rows.relation
    sources = [
        {name: [(p.collection, p.ids, p.count) for p in rows.provenance(row, name)] for name in rows.types}
        for row in range(len(rows))
    ]
    return rows.rows(), sources


@pytest.mark.parametrize("rule", [*RULES, *SHARING], ids=lambda rule: rule.__name__)
@settings(max_examples=30, deadline=None)
@given(plan=plans() | graphs())
def test_a_rule_leaves_every_result_as_it_was(
    rule: Rule, database: Database, embedder_of: EmbedderOf, plan: Plan
) -> None:
    """The rewritten plan is valid and gives the same rows from the same documents."""
    catalog = read_catalog(database.snapshot())
    rewritten = rule(plan, catalog)
    validate(rewritten, catalog)
    before, after = result(plan, database, embedder_of), result(rewritten, database, embedder_of)
    assert after == before


@settings(max_examples=40, deadline=None)
@given(plan=plans() | graphs())
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
            plan_of(Search("a", "movies", "war", 8, RECENT, mode=SearchMode.SEMANTIC)),
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
        plan_of(Search("a", "movies", "war", 7, mode=SearchMode.SEMANTIC), Filter("b", "a", RECENT)),
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


def graph(*steps: dict[str, Any]) -> Plan:
    """Scans a and b of the films, the steps, and an answer that reads the last."""
    scans = [{"id": name, "op": "scan", "collection": "movies", "fields": ["title", "year", "rating"]} for name in "ab"]
    end = {"id": "end", "op": "answer", "input": steps[-1]["id"]}
    return Plan.from_json({"steps": [*scans, *steps, end], "output": "end"})


BOTH = {"and": [{"op": ">", "l": {"field": name}, "r": {"value": 1990}} for name in ("year", "movies_year")]}
OLD = {"op": "<", "l": {"field": "year"}, "r": {"value": 1990}}
JOIN = {"id": "j", "op": "join", "left": "a", "right": "b", "keys": [{"l": "title", "r": "title"}]}


@pytest.mark.parametrize(
    ("plan", "rules", "count"),
    [
        (
            graph(JOIN, {"id": "f", "op": "filter", "input": "j", "where": BOTH}),
            {"push_into_joins", "push_filters", "merge_steps"},
            3,
        ),
        (
            graph({**JOIN, "type": "left"}, {"id": "f", "op": "filter", "input": "j", "where": BOTH}),
            {"push_into_joins", "push_filters"},
            5,
        ),
        (
            graph(
                {"id": "u", "op": "set", "left": "a", "right": "b", "kind": "union", "all": True},
                {"id": "f", "op": "filter", "input": "u", "where": OLD},
            ),
            {"push_into_sets", "push_filters", "merge_steps"},
            3,
        ),
        (graph({"id": "x", "op": "distinct", "input": "a"}), {"drop_unused"}, 3),
        (graph(JOIN), {"merge_steps"}, 3),
    ],
    ids=["both sides of a join", "the left side of a left join", "both sides of a union", "unused", "equal scans"],
)
def test_graphs_become_what_they_should(database: Database, plan: Plan, rules: set[str], count: int) -> None:
    """Which rules act, and how many steps are left."""
    optimized, log = optimize(plan, read_catalog(database.snapshot()))
    assert {rewrite.rule for rewrite in log} == rules
    assert len(optimized.steps) == count


def test_fields_are_pruned_through_a_join(database: Database) -> None:
    """Sources read keys and what is used; what gives a right column its prefix stays."""
    plan = graph(JOIN, {"id": "p", "op": "project", "input": "j", "fields": ["movies_year"]})
    optimized, _ = optimize(plan, read_catalog(database.snapshot()))
    assert {step.fields for step in optimized.steps if isinstance(step, Scan)} == {("title", "year")}


def test_a_word_becomes_the_stored_value(database: Database, embedder_of: EmbedderOf) -> None:
    """Nothing is called "HORROR", but one genre differs only by case; that is assumed, and said."""
    catalog = read_catalog(database.snapshot())
    plan = plan_of(Scan("a", "movies", compare("genre", "=", "HORROR")))
    resolved, log = optimize(plan, catalog)
    assert result(plan, database, embedder_of)[0] == []
    meant = plan_of(Scan("a", "movies", compare("genre", "=", "horror")))
    assert result(resolved, database, embedder_of) == result(meant, database, embedder_of)
    assert [rewrite.rule for rewrite in log] == ["resolve_values"]
    assert [item.text for item in resolved.assumptions] == ["'HORROR' = horror"]
    unknown = plan_of(Scan("a", "movies", compare("genre", "=", "opera")))
    assert optimize(unknown, catalog) == (unknown, ())


def test_a_filter_that_is_named_stays(database: Database, embedder_of: EmbedderOf) -> None:
    """Another step asks for membership in it, so it keeps its id."""
    member = {"in_step": "old", "field": {"field": "title"}, "column": "title"}
    plan = graph(
        {"id": "old", "op": "filter", "input": "a", "where": OLD},
        {"id": "f", "op": "filter", "input": "b", "where": {"not": member}},
    )
    optimized, _ = optimize(plan, read_catalog(database.snapshot()))
    assert "old" in optimized.by_id
    assert result(optimized, database, embedder_of) == result(plan, database, embedder_of)


def test_each_change_is_told_step_by_step(database: Database) -> None:
    """Which steps a rule wrote anew, made, and left out."""
    plan = graph(JOIN, {"id": "f", "op": "filter", "input": "j", "where": BOTH})
    _, log = optimize(plan, read_catalog(database.snapshot()))
    pushed = log[0]
    assert (pushed.rule, set(pushed.changed)) == ("push_into_joins", {"j", "end"})
    assert (pushed.added, pushed.removed) == (("f_left_1", "f_right_1"), ("f",))
