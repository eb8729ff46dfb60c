"""promptql.executor: DAGs, both ways of running them, limits, cancelling, and what is kept for the next plan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from engine import Database, Schema, SqlEngine
from models import Embedder
from promptql.catalog import read_catalog
from promptql.errors import LimitExceededError, PlanCancelledError, PlanError, PlanStoppedError
from promptql.events import Event, StepFinished, StepProgress
from promptql.executor import Executed, Limits, Way, execute
from promptql.outputs import Outputs
from promptql.plan import Plan
from promptql.validation import validate
from tests.promptql.graphs import graphs

EmbedderOf = Callable[[str], Embedder]
FILMS = {"id": "films", "op": "scan", "collection": "movies"}


def plan_of(*steps: dict[str, Any], output: str | None = None) -> Plan:
    """The steps, and an answer that reads the last of them."""
    last = steps[-1]["id"] if output is None else output
    return Plan.from_json({"steps": [*steps, {"id": "end", "op": "answer", "input": last}], "output": "end"})


def figure(id_: str, input_: str, fn: str, field: str, alias: str, *by: str) -> dict[str, Any]:
    aggregation = {"fn": fn, "as": alias} | ({"field": field} if field else {})
    return {"id": id_, "op": "group", "input": input_, "by": list(by), "aggs": [aggregation]}


@pytest.fixture(scope="module")
def sql(database: Database) -> Iterator[SqlEngine]:
    engine = SqlEngine(database)
    yield engine
    engine.close()


@pytest.fixture
def run(database: Database, embedder_of: EmbedderOf, sql: SqlEngine) -> Callable[..., Executed]:
    """Validate and execute a plan over the films."""
    snapshots = database.snapshot()

    def act(plan: Plan, limits: Limits | None = None, **options: Any) -> Executed:
        validate(plan, read_catalog(snapshots))
        return execute(plan, snapshots, embedder_of, limits or Limits(), sql=sql, **options)

    return act


def shown(executed: Executed) -> tuple[Any, ...]:
    """Rows, types, documents behind every cell, notices."""
    relation = executed.rows.relation
    sources = [
        {name: [(p.collection, p.ids, p.count) for p in relation.provenance(row, name)] for name in relation.types}
        for row in range(len(relation))
    ]
    kinds = {name: (field.type, field.many) for name, field in relation.types.items()}
    return relation.rows(), kinds, sources, sorted(str(notice) for notice in executed.rows.notices)


@settings(max_examples=40, deadline=None)
@given(plan=graphs())
def test_both_ways_give_the_same(database: Database, embedder_of: EmbedderOf, sql: SqlEngine, plan: Plan) -> None:
    """Random plans over Arrow and as SQL: equal rows in equal order, types, documents and notices."""
    snapshots = database.snapshot()
    validate(plan, read_catalog(snapshots))
    arrow = execute(plan, snapshots, embedder_of, Limits(), sql=sql, way=Way.ARROW)
    query = execute(plan, snapshots, embedder_of, Limits(), sql=sql, way=Way.SQL)
    ours, theirs = shown(arrow), shown(query)
    assert [
        (row, other)
        for row, other in zip(ours[0], theirs[0], strict=True)
        if not all(other[n] == (pytest.approx(v) if isinstance(v, float) else v) for n, v in row.items())
    ] == []
    assert theirs[1:] == ours[1:]


def test_a_run_of_relational_steps_is_one_query(run: Callable[..., Executed]) -> None:
    """Only its last step runs; those before it count no rows."""
    plan = plan_of(
        FILMS,
        {
            "id": "new",
            "op": "filter",
            "input": "films",
            "where": {"op": ">", "l": {"field": "year"}, "r": {"value": 1990}},
        },
        figure("by", "new", "count", "", "n", "director"),
        {"id": "sorted", "op": "sort", "input": "by", "by": [{"field": "n", "dir": "desc"}]},
    )
    reports = {report.id: report for report in run(plan, way=Way.SQL).reports}
    assert [reports[name].rows_out for name in ("films", "new", "by", "sorted")] == [8, None, None, 4]
    query = reports["sorted"].sql
    assert query is not None
    assert query.count("GROUP BY") == 1
    assert reports["new"].sql is reports["by"].sql is None


def test_a_lookup_feeds_a_condition(run: Callable[..., Executed]) -> None:
    """Films rated above the average of all, 7.975: all but Ghost Town."""
    above = {"op": ">", "l": {"field": "rating"}, "r": {"lookup": "mean"}}
    plan = plan_of(
        FILMS,
        figure("all", "films", "avg", "rating", "m"),
        {"id": "mean", "op": "lookup", "input": "all", "field": "m"},
        {"id": "good", "op": "filter", "input": "films", "where": above},
    )
    for way in (Way.ARROW, Way.SQL):
        assert len(run(plan, way=way).rows.relation) == 7


def test_a_looked_up_date_may_stand_on_either_side(run: Callable[..., Executed]) -> None:
    """Films released after the oldest, which is Alien: all but that one."""
    oldest = figure("all", "films", "min", "released", "first")
    looked = {"id": "first", "op": "lookup", "input": "all", "field": "first"}
    date = {"field": "released"}
    for where in (
        {"op": ">", "l": date, "r": {"lookup": "first"}},
        {"op": "<", "l": {"lookup": "first"}, "r": date},
    ):
        later = {"id": "later", "op": "filter", "input": "films", "where": where}
        for way in (Way.ARROW, Way.SQL):
            assert len(run(plan_of(FILMS, oldest, looked, later), way=way).rows.relation) == 7


def test_searches_by_words_and_by_both(run: Callable[..., Executed]) -> None:
    """Under a condition that filters cannot say; what cannot be reranked is said."""
    same = {
        "op": "=",
        "l": {"fn": "same_text", "args": [{"field": "director"}, {"value": "RIDLEY SCOTT"}]},
        "r": {"value": True},
    }
    for mode in ("semantic", "keyword", "hybrid"):
        step = {"id": "found", "op": "search", "collection": "movies", "query": "Gladiator film", "k": 9, "mode": mode}
        executed = run(plan_of({**step, "where": same, "rerank": True}))
        titles = executed.rows.relation.column("title")
        assert titles[0] == "Gladiator"
        assert set(titles) <= {"Gladiator", "Alien", "Blade Runner"}
        assert [notice.code for notice in executed.rows.notices] == ["not_reranked"]


def test_membership_in_another_step(run: Callable[..., Executed]) -> None:
    """Directors of horror, and all their films; and those who never made any."""
    horror = {"op": "=", "l": {"field": "genre"}, "r": {"value": "horror"}}
    member = {"in_step": "horror", "field": {"field": "director"}, "column": "director"}
    steps = [{"id": "horror", "op": "filter", "input": "films", "where": horror}]
    inside = plan_of(FILMS, *steps, {"id": "in", "op": "filter", "input": "films", "where": member})
    outside = plan_of(FILMS, *steps, {"id": "out", "op": "filter", "input": "films", "where": {"not": member}})
    assert len(run(inside).rows.relation) == 4
    assert len(run(outside).rows.relation) == 4
    pushed = plan_of(FILMS, *steps, {"id": "in", "op": "scan", "collection": "movies", "where": member})
    assert len(run(pushed).rows.relation) == 4


def test_a_join_says_what_it_leaves_out(run: Callable[..., Executed]) -> None:
    """Half of the films have a director with a film before 1990; the warning counts them, by both ways."""
    old = {"op": "<", "l": {"field": "year"}, "r": {"value": 1990}}
    plan = plan_of(
        FILMS,
        {"id": "old", "op": "filter", "input": "films", "where": old},
        {"id": "names", "op": "project", "input": "old", "fields": ["director"]},
        {"id": "once", "op": "distinct", "input": "names"},
        {"id": "joined", "op": "join", "left": "films", "right": "once", "keys": [{"l": "director", "r": "director"}]},
        figure("n", "joined", "count", "", "n"),
    )
    for way in (Way.ARROW, Way.SQL):
        executed = run(plan, way=way)
        assert executed.rows.relation.rows() == [{"n": 4}]
        assert [(n.code, n.detail) for n in executed.rows.notices] == [
            ("join_row_loss", "4 of 8 left rows matched in step joined")
        ]
    reports = {report.id: report for report in run(plan, way=Way.ARROW).reports}
    assert reports["joined"].coverage == {
        "left_rows": 8, "left_matched": 4, "right_rows": 2, "right_matched": 2, "rows": 4
    }  # fmt: skip


def test_two_results_are_compared(run: Callable[..., Executed]) -> None:
    """Single figures give a value, keyed ones a row for each key on both sides."""
    scott = {"op": "=", "l": {"field": "director"}, "r": {"value": "Ridley Scott"}}
    ours = {"id": "scott", "op": "filter", "input": "films", "where": scott}
    sides = [figure("a", "scott", "count", "", "n"), figure("b", "films", "count", "", "n")]
    compare = {"id": "c", "op": "compare", "left": "a", "right": "b", "comparison": "percent_change", "as": "change"}
    assert run(plan_of(FILMS, ours, *sides, compare)).rows.relation.rows() == [{"n": 3, "right_n": 8, "change": -62.5}]
    keyed = [figure("a", "scott", "count", "", "n", "genre"), figure("b", "films", "count", "", "n", "genre")]
    rows = run(plan_of(FILMS, ours, *keyed, {**compare, "comparison": "ratio", "keys": ["genre"]})).rows.relation.rows()
    assert {row["genre"]: row["change"] for row in rows} == {
        "horror": 0.5, "science fiction": 0.5, "action": 0.25, "drama": pytest.approx(1 / 3)
    }  # fmt: skip


def test_asserts_stop_a_plan(run: Callable[..., Executed]) -> None:
    """Within its bounds rows are handed on; outside the plan ends, though nothing reads the step."""
    fine = plan_of(FILMS, {"id": "ok", "op": "assert", "input": "films", "min_rows": 8, "max_rows": 8})
    assert len(run(fine).rows.relation) == 8
    with pytest.raises(PlanStoppedError, match="at most 7 rows: got=8"):
        run(plan_of(FILMS, {"id": "no", "op": "assert", "input": "films", "max_rows": 7}, output="films"))


def test_charts_and_questions_back_are_handed_on(run: Callable[..., Executed]) -> None:
    """A chart's rows come with its step; a plan that asks back runs nothing."""
    chart = {"id": "chart", "op": "visualize", "input": "by", "kind": "bar"}
    executed = run(plan_of(FILMS, figure("by", "films", "count", "", "n", "director"), chart, output="by"))
    assert [(step.id, len(rows.relation)) for step, rows in executed.charts] == [("chart", 5)]
    options = [{"text": "one", "value": 1}, {"text": "two", "value": 2}]
    asked = {"id": "q", "op": "clarify", "question": "Which?", "options": options}
    back = run(Plan.from_json({"steps": [asked], "output": "q"}))
    assert back.clarify is not None
    assert back.reports == ()


def test_a_lookup_of_several_rows_is_refused(run: Callable[..., Executed]) -> None:
    """With what to do about it."""
    with pytest.raises(PlanError, match="several rows: got=8"):
        run(plan_of(FILMS, {"id": "l", "op": "lookup", "input": "films", "field": "year"}))


def test_joins_and_memory_are_bounded(run: Callable[..., Executed]) -> None:
    """A join that would give too many rows, and rows that take too much memory."""
    crossed = plan_of(
        FILMS,
        {"id": "more", "op": "scan", "collection": "movies"},
        {"id": "one", "op": "compute", "input": "films", "columns": [{"expr": {"value": 1}, "as": "k"}]},
        {"id": "two", "op": "compute", "input": "more", "columns": [{"expr": {"value": 1}, "as": "k"}]},
        {"id": "pairs", "op": "join", "left": "one", "right": "two", "keys": [{"l": "k", "r": "k"}]},
    )
    for way in (Way.ARROW, Way.SQL):
        with pytest.raises(LimitExceededError, match="rows"):
            run(crossed, Limits(rows_max=63), way=way)
        assert len(run(crossed, Limits(rows_max=64), way=way).rows.relation) == 64
    with pytest.raises(LimitExceededError, match="memory"):
        run(
            plan_of(FILMS, {"id": "o", "op": "sort", "input": "films", "by": [{"field": "year"}]}), Limits(bytes_max=10)
        )
    assert len(run(plan_of(FILMS), Limits(bytes_max=10)).rows.relation) == 8


def test_a_plan_can_be_cancelled(run: Callable[..., Executed]) -> None:
    """At the next step, by whoever holds the event; what was done has been told."""
    stop = threading.Event()
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        if isinstance(event, StepFinished):
            stop.set()

    with pytest.raises(PlanCancelledError, match="step=m"):
        run(plan_of(FILMS, figure("m", "films", "count", "", "n")), tell=tell, cancelled=stop)
    assert [event.report.id for event in told if isinstance(event, StepFinished)] == ["films"]


@pytest.mark.parametrize("sources", [1, 2])
def test_long_steps_tell_how_far_they_are(
    sources: int, run: Callable[..., Executed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the thread that called, alone and beside others; what they do ends when nobody wants it."""
    monkeypatch.setattr("promptql.operators.embeddings.TEXTS_EACH", 2)
    monkeypatch.setattr("promptql.watch.PROGRESS_SECONDS", 0.0)
    classes = {"op": "classify_local", "fields": ["title"], "categories": ["war", "love"], "as": "kind"}
    steps: list[dict[str, Any]] = [FILMS, {**classes, "id": "named", "input": "films"}]
    if sources == 2:
        steps += [{**FILMS, "id": "more"}, {**classes, "id": "named2", "input": "more"}]
        keys = [{"l": "title", "r": "title"}]
        steps += [{"id": "all", "op": "join", "left": "named", "right": "named2", "keys": keys}]
    plan = plan_of(*steps)
    told: list[tuple[int, Event]] = []
    run(plan, tell=lambda event: told.append((threading.get_ident(), event)))
    progress = [event for _, event in told if isinstance(event, StepProgress) and event.id == "named"]
    assert [(event.done, event.total) for event in progress][-4:] == [(2, 8), (4, 8), (6, 8), (8, 8)]
    assert {thread for thread, _ in told} == {threading.get_ident()}

    stop = threading.Event()

    def tell(event: Event) -> None:
        if isinstance(event, StepProgress) and event.total == 8:
            stop.set()

    with pytest.raises(PlanCancelledError):
        run(plan, tell=tell, cancelled=stop)


def test_independent_steps_run_beside_each_other(run: Callable[..., Executed]) -> None:
    """Two sources are read on threads, and their join finds both."""
    other = {"id": "more", "op": "scan", "collection": "movies", "fields": ["director"]}
    keys = [{"l": "director", "r": "director"}]
    plan = plan_of(FILMS, other, {"id": "pairs", "op": "join", "left": "films", "right": "more", "keys": keys})
    executed = run(plan, way=Way.ARROW)
    assert len(executed.rows.relation) == 16  # 3² + 2² + 1 + 1 + 1
    assert {report.id for report in executed.reports} == {"films", "more", "pairs", "end"}


def test_outputs_are_kept_until_the_documents_change(empty_database: Database, embedder_of: EmbedderOf) -> None:
    """The same steps under other ids are not run again; a write, or `forget`, makes them run."""
    collection = empty_database.create_collection("c", Schema.from_json({"fields": {"x": "integer"}}))
    collection.add([{"x": 1}, {"x": 2}])
    outputs = Outputs()

    def cached(prefix: str) -> list[bool]:
        scan = {"id": f"{prefix}1", "op": "scan", "collection": "c"}
        plan = plan_of(scan, figure(f"{prefix}2", f"{prefix}1", "sum", "x", "s"))
        executed = execute(plan, empty_database.snapshot(), embedder_of, Limits(), outputs=outputs)
        return [report.cached for report in executed.reports]

    assert cached("a") == [False, False, False]
    assert cached("b") == [True, True, True]
    scan = {"id": "a1", "op": "scan", "collection": "c"}
    plan = plan_of(scan, figure("a2", "a1", "sum", "x", "s"))
    outputs.forget(plan, "a2", empty_database.snapshot())
    assert cached("a") == [True, False, False]
    collection.add([{"x": 3}])
    assert cached("a") == [False, False, False]
    assert len(outputs) == 3


def test_outputs_are_bounded(empty_database: Database, embedder_of: EmbedderOf) -> None:
    """The oldest go first."""
    empty_database.create_collection("c", Schema.from_json({"fields": {"x": "integer"}})).add([{"x": 1}])
    outputs = Outputs(entries_max=2)
    for n in range(1, 5):
        plan = plan_of({"id": "s", "op": "scan", "collection": "c"}, {"id": "l", "op": "limit", "input": "s", "n": n})
        execute(plan, empty_database.snapshot(), embedder_of, Limits(), outputs=outputs)
    assert len(outputs) == 2
