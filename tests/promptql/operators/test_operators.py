from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine import Database, Rerank, Schema, Snapshot
from models import Embedder
from promptql.errors import LimitExceededError, PlanError
from promptql.executor import Executed, Limits, execute
from promptql.expressions import Compare, FieldRef, Operator, Param, Predicate
from promptql.plan import Parameter, ParameterType, Plan
from promptql.predicate import compare
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Filter,
    Function,
    Group,
    Limit,
    Order,
    Project,
    Scan,
    Search,
    SearchMode,
    Sort,
    Step,
)

EmbedderOf = Callable[[str], Embedder]


def run(database: Database, embedder_of: EmbedderOf, *steps: Step, limits: Limits | None = None) -> Executed:
    plan = Plan("", (*steps, AnswerStep("end", steps[-1].id)), "end")
    return execute(plan, database.snapshot(), embedder_of, limits or Limits())


def test_each_step_reports_its_rows(database: Database, embedder_of: EmbedderOf) -> None:
    """8 films, 3 of them by Scott, the 2 newest: rows in and out of every step."""
    executed = run(
        database,
        embedder_of,
        Scan("a", "movies"),
        Filter("b", "a", compare("director", "=", "Ridley Scott")),
        Sort("c", "b", (Order("year", descending=True),)),
        Limit("d", "c", 2),
        Project("e", "d", ("title",)),
    )
    assert [(r.id, r.op, r.rows_in, r.rows_out) for r in executed.reports] == [
        ("a", "scan", 8, 8),
        ("b", "filter", 8, 3),
        ("c", "sort", 3, 3),
        ("d", "limit", 3, 2),
        ("e", "project", 2, 2),
        ("end", "answer", 2, 2),
    ]
    assert executed.rows.relation.rows() == [{"title": "Gladiator"}, {"title": "Blade Runner"}]
    assert all(report.milliseconds >= 0 for report in executed.reports)


def test_groups_know_their_documents(database: Database, embedder_of: EmbedderOf) -> None:
    """A film of two genres counts in both; horror's are Alien (f1) and Ghost Town (f7)."""
    group = Group(
        "b", "a", ("genre",), (Aggregation(Function.COUNT, None, "n"), Aggregation(Function.AVG, "rating", "r"))
    )
    rows = run(database, embedder_of, Scan("a", "movies"), group).rows
    found = {row["genre"]: (row["n"], row["r"]) for row in rows.relation.rows()}
    assert found["horror"] == (2, pytest.approx((8.5 + 4.9) / 2))
    assert found["action"][0] == 4
    horror = [row["genre"] for row in rows.relation.rows()].index("horror")
    assert rows.relation.sources(horror) == (["f1", "f7"], 2)
    assert rows.grouped


def test_a_search_keeps_the_passages_that_matched(database: Database, embedder_of: EmbedderOf) -> None:
    """The nearest film about Heat, among those before 2000, with its passage."""
    step = Search("a", "movies", "Heat is a film by Michael Mann.", 2, compare("year", "<", 2000))
    rows = run(database, embedder_of, step).rows
    assert rows.relation.rows()[0]["title"] == "Heat"
    assert rows.passages is not None
    passage = rows.passages["f6"]
    assert passage is not None
    assert (passage.field, passage.start) == ("plot", 0)


@pytest.mark.parametrize("mode", list(SearchMode))
@pytest.mark.parametrize("where", [None, compare("year", "<", 2000)])
def test_a_search_is_reranked_where_it_asks_for_it(
    database: Database, embedder_of: EmbedderOf, mode: SearchMode, where: Predicate | None
) -> None:
    """The k best in the reranker's order; without one the step says so."""
    asked: list[tuple[str, str, int]] = []

    def rerank(snapshot: Snapshot, query: str, k: int) -> Rerank:
        asked.append((snapshot.name, query, k))
        return Rerank(k, lambda ordinals, passages: np.arange(len(ordinals), dtype=np.float32))  # the last is the best

    step = Search("a", "movies", "a film by Michael Mann", 3, where, mode=mode, rerank=True)
    plan = Plan("", (step, AnswerStep("z", "a")), "z")
    snapshots = database.snapshot()
    plain = execute(plan, snapshots, embedder_of, Limits()).rows
    assert [notice.code for notice in plain.notices] == ["not_reranked"]
    reranked = execute(plan, snapshots, embedder_of, Limits(), rerank=rerank).rows
    assert asked == [("movies", "a film by Michael Mann", 3)]
    ids = plain.relation.column("id")
    assert len(ids) >= 1
    assert reranked.relation.column("id") == ids[::-1]
    assert not reranked.notices


@pytest.mark.parametrize(
    ("n", "ties", "expected"), [(1, False, 1), (1, True, 2), (2, True, 2), (3, True, 3), (9, True, 7)]
)
def test_ties_are_kept_when_asked_for(
    database: Database, embedder_of: EmbedderOf, n: int, ties: bool, expected: int
) -> None:
    """Of the 7 films up to 2000, newest first, two are from 2000 and the other years have one each."""
    steps = (
        Scan("a", "movies", compare("year", "<=", 2000)),
        Sort("b", "a", (Order("year", descending=True),)),
        Limit("c", "b", n, ties),
    )
    assert len(run(database, embedder_of, *steps).rows.relation) == expected


def test_endless_ties_are_cut_and_said(empty_database: Database, embedder_of: EmbedderOf) -> None:
    """Of 100 equal rows, one and 20 that tie with it are kept, and the notice counts the other 79."""
    documents = [{"id": f"d{index}", "x": 1} for index in range(100)]
    empty_database.create_collection("flat", Schema.from_json({"fields": {"x": "integer"}})).add(documents)
    steps = (Scan("a", "flat"), Sort("b", "a", (Order("x"),)), Limit("c", "b", 1, ties=True))
    rows = run(empty_database, embedder_of, *steps).rows
    assert len(rows.relation) == 21
    assert [(notice.code, notice.detail) for notice in rows.notices] == [
        ("ties_cut", "79 more rows tie with the last one shown")
    ]


def test_limits_of_rows_and_time_stop_a_plan(database: Database, embedder_of: EmbedderOf) -> None:
    """More rows than allowed, or no time left, is an error that names the limit."""
    with pytest.raises(LimitExceededError, match="got=8 limit=7"):
        run(database, embedder_of, Scan("a", "movies"), limits=Limits(rows_max=7))
    with pytest.raises(LimitExceededError, match="out of time"):
        run(database, embedder_of, Scan("a", "movies"), limits=Limits(seconds_max=-1.0))


def test_parameters_are_bound_when_a_plan_runs(database: Database, embedder_of: EmbedderOf) -> None:
    """With a value the plan runs; without one it says which is missing."""
    where = Compare(Operator.GE, FieldRef("year"), Param("since"))
    steps = (Scan("a", "movies", where), AnswerStep("end", "a"))
    bound = Plan("", steps, "end", {"since": Parameter(ParameterType.NUMBER, 2000)})
    assert len(execute(bound, database.snapshot(), embedder_of, Limits()).rows.relation) == 3
    unbound = Plan("", steps, "end", {"since": Parameter(ParameterType.NUMBER)})
    with pytest.raises(PlanError, match="since"):
        execute(unbound, database.snapshot(), embedder_of, Limits())
