"""Rules for steps that ask a language model: the same rows for fewer calls, tokens or rows asked about."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Database
from models import JSON, Embedder, ScriptedLLM
from promptql.catalog import read_catalog
from promptql.executor import Limits, execute
from promptql.language_models import LanguageModels
from promptql.optimizer import optimize
from promptql.optimizer.choose_join_method import choose_join_method
from promptql.optimizer.drop_unread import drop_unread
from promptql.optimizer.fuse_semantic import fuse_semantic
from promptql.optimizer.merge_steps import merge_steps
from promptql.optimizer.order_filters import order_filters
from promptql.optimizer.prune_fields import prune_fields
from promptql.optimizer.push_below_semantic import push_below_semantic
from promptql.optimizer.push_into_joins import push_into_joins
from promptql.plan import Plan
from promptql.steps import JoinMethod, LlmExtract, LlmFused, Scan, SemJoin
from promptql.validation import validate
from tests.promptql.operators.semantic.conftest import filter_step, plan_of
from tests.promptql.operators.semantic.judge import judge, texts_asked
from tests.promptql.operators.semantic.test_relations import JOIN, KINDS, joined

Sides = tuple[list[dict[str, JSON]], int, int]  # rows, calls, rows asked about
Compare = Callable[..., tuple[Sides, Sides]]

NEW = {"id": "new", "op": "filter", "input": "f", "where": {"op": ">", "l": {"field": "year"}, "r": {"value": 1990}}}
CLASS = {"id": "c", "op": "llm_classify", "input": "films", "fields": ["title"], "categories": ["a", "b"], "as": "kind"}
MAP = {"id": "m", "op": "llm_map", "input": "films", "fields": ["title"], "as": "shout", "instruction": "shout"}
SORT = {"id": "s", "op": "sort", "input": "m", "by": [{"field": "rating", "dir": "desc"}]}
SAME_KIND = {"l": "kind", "r": "kind"}
THREE = {"id": "l", "op": "limit", "input": "s", "n": 3}


def says(question: str, text: Any) -> JSON:
    """Of a title, or of title and director."""
    title: str = text["title"] if isinstance(text, dict) else text
    if "categories" in question:
        return "a" if title > "H" else "b"
    if "shout" in question:
        return title.upper()
    return "o" in title if '"with o"' in question else title < "M"


@pytest.fixture
def compare(database: Database, embedder_of: Callable[[str], Embedder]) -> Compare:
    """Run a plan before and after a rewrite: rows without regard to the order of columns, calls, rows asked about."""
    snapshots = database.snapshot()
    catalog = read_catalog(snapshots)

    def run(plan: Plan) -> Sides:
        validate(plan, catalog)
        llm = judge(says)
        executed = execute(plan, snapshots, embedder_of, Limits(), models=LanguageModels(llm))
        return executed.rows.relation.rows(), len(llm.requests), len(texts_asked(llm))

    def act(plan: Plan, rule: Callable[..., Any]) -> tuple[Sides, Sides]:
        rewritten = rule(plan, catalog)
        assert rewritten is not plan
        return run(plan), run(rewritten)

    return act


def test_a_condition_is_looked_at_before_the_model_is_asked(compare: Compare) -> None:
    """Five of eight films are new: the model is asked about five."""
    before, after = compare(plan_of(filter_step("with o"), NEW), push_below_semantic)
    assert after[0] == before[0]
    assert (before[2], after[2]) == (8, 5)


def test_a_condition_on_what_the_model_says_stays_above(database: Database) -> None:
    """It cannot be known before."""
    where = {"op": "=", "l": {"field": "kind"}, "r": {"value": "a"}}
    plan = plan_of(CLASS, {**NEW, "input": "c", "where": where})
    assert push_below_semantic(plan, read_catalog(database.snapshot())) is plan


def test_the_best_three_are_taken_before_the_model_writes(compare: Compare) -> None:
    """A sort and a limit by what is stored: three texts instead of eight."""
    before, after = compare(plan_of(MAP, SORT, THREE), push_below_semantic)
    assert after[0] == before[0]
    assert (before[2], after[2]) == (8, 3)


def test_a_limit_with_ties_moves_with_its_sort(compare: Compare) -> None:
    """The sort stays right before it."""
    before, after = compare(plan_of(MAP, SORT, {**THREE, "ties": True}), push_below_semantic)
    assert after[0] == before[0]
    assert after[2] < before[2]


def test_a_limit_stays_above_a_filter(database: Database) -> None:
    """Three rows that pass are not the three first that pass."""
    catalog = read_catalog(database.snapshot())
    plan = plan_of(filter_step("with o"), {**THREE, "input": "f"})
    assert push_below_semantic(plan, catalog) is plan
    plan = plan_of(filter_step("with o"), {**SORT, "input": "f"}, THREE)
    assert push_below_semantic(plan, catalog) is plan


def test_steps_over_the_same_columns_become_one(compare: Compare) -> None:
    """A filter, a class and a text: one call instead of three."""
    plan = plan_of(filter_step("with o"), {**CLASS, "input": "f"}, {**MAP, "input": "c"})
    before, after = compare(plan, lambda plan, catalog: fuse_semantic(fuse_semantic(plan, catalog), catalog))
    assert after[0] == before[0]
    assert (before[1], after[1]) == (3, 1)


def test_steps_that_read_what_others_make_stay_apart(database: Database) -> None:
    """And such as read other columns, unless both are filters."""
    catalog = read_catalog(database.snapshot())
    reading = plan_of(MAP, {**CLASS, "input": "m", "fields": ["shout"]})
    other = plan_of(MAP, {**CLASS, "input": "m", "fields": ["plot"]})
    sized = plan_of({**MAP, "model": "small"}, {**CLASS, "input": "m"})
    for plan in (reading, other, sized):
        assert fuse_semantic(plan, catalog) is plan
    filters = plan_of(filter_step("with o"), filter_step("x", id="g", input="f", fields=["plot"]))
    fused = fuse_semantic(filters, catalog).by_id["g"]
    assert isinstance(fused, LlmFused)
    assert [step.id for step in fused.steps] == ["f", "g"]


def test_columns_that_nothing_reads_are_not_asked_for(compare: Compare, database: Database) -> None:
    """A text that a count does not read costs no call; of an extraction only what is read is asked."""
    count = {"id": "n", "op": "group", "input": "m", "by": [], "aggs": [{"fn": "count", "as": "n"}]}
    before, after = compare(plan_of(MAP, count), drop_unread)
    assert after[0] == before[0]
    assert (before[1], after[1]) == (1, 0)
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    extract = {"id": "x", "op": "llm_extract", "input": "films", "fields": ["title"], "schema": schema}
    plan = plan_of(extract, {"id": "p", "op": "project", "input": "x", "fields": ["b"]})
    step = drop_unread(plan, read_catalog(database.snapshot())).by_id["x"]
    assert isinstance(step, LlmExtract)
    assert [column.name for column in step.columns] == ["b"]


def test_sources_read_what_the_model_is_shown(compare: Compare, database: Database) -> None:
    """And what later steps use; nothing else."""
    project = {"id": "p", "op": "project", "input": "f", "fields": ["year"]}
    plan = plan_of(filter_step("with o", fields=["title", "director"]), project)
    before, after = compare(plan, prune_fields)
    assert after == before
    scan = prune_fields(plan, read_catalog(database.snapshot())).by_id["films"]
    assert isinstance(scan, Scan)
    assert scan.fields is not None
    assert set(scan.fields) == {"title", "director", "year"}


def test_equal_steps_that_name_columns_by_id_are_two(database: Database) -> None:
    """What reads the one's column would not find it in the other's rows."""
    both = {"id": "u", "op": "set", "left": "f", "right": "g", "kind": "union"}
    plan = plan_of(filter_step("with o"), filter_step("with o", id="g"), both)
    assert merge_steps(plan, read_catalog(database.snapshot())) is plan


def test_a_few_right_rows_are_taken_as_classes(database: Database) -> None:
    """Known from the catalog; where a step says how, it stays."""
    catalog = read_catalog(database.snapshot())
    films = {"id": "more", "op": "scan", "collection": "movies"}
    join = {**JOIN, "right": "more", "right_fields": ["title"]}
    step = choose_join_method(plan_of(films, join), catalog).by_id["j"]
    assert isinstance(step, SemJoin)
    assert step.method is JoinMethod.CLASSES
    blocked = plan_of(films, {**join, "blocking": {"k": 3}})
    assert choose_join_method(blocked, catalog) is blocked


def test_conditions_on_one_side_go_below_a_semantic_join(
    database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """New films only are asked about, and only directors with several films are candidates."""
    catalog = read_catalog(database.snapshot())
    many = {"op": ">", "l": {"field": "n"}, "r": {"value": 1}}
    where = {"and": [NEW["where"], many]}
    plan = plan_of(KINDS, JOIN, {"id": "w", "op": "filter", "input": "j", "where": where})
    pushed = push_into_joins(plan, catalog)
    results = []
    for item in (plan, pushed):
        llm = ScriptedLLM(joined)
        executed = execute(item, database.snapshot(), embedder_of, Limits(), models=LanguageModels(llm))
        results.append((executed.rows.relation.rows(), len(texts_asked(llm))))
    assert results[0][0] == results[1][0]
    assert [count for _, count in results] == [8, 5]


def test_cheap_filters_that_let_little_through_come_first() -> None:
    """By cost over what is let go: 10 / 0.5, 10 / 0.9 and 100 / 0.9; one that lets all through is last."""
    assert order_filters([10, 10, 100, 1], [0.5, 0.1, 0.1, 1.0]) == [1, 0, 2, 3]


def test_of_two_filters_the_sample_finds_the_better_first(
    database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """The second lets almost nothing through: after a sample of both it goes first, and the first sees few rows."""
    rows = {"id": "films", "op": "scan", "collection": "stdlib"}
    pairs = [
        {"id": "a", "op": "join", "left": "films", "right": "films", "keys": [SAME_KIND], "prefix": "o"},
        filter_step("long", input="a", fields=["text", "o_text"]),
        filter_step("rare", id="g", input="f", fields=["name", "o_name"]),
    ]
    end = {"id": "end", "op": "answer", "input": "g"}
    plan = Plan.from_json({"steps": [rows, *pairs, end], "output": "end"})
    catalog = read_catalog(database.snapshot())

    def answer(question: str, text: Any) -> JSON:
        return text["name"] == "loads" if "rare" in question else True

    asked = []
    results = []
    for item in (plan, fuse_semantic(plan, catalog)):
        llm = judge(answer)
        executed = execute(item, database.snapshot(), embedder_of, Limits(), models=LanguageModels(llm))
        results.append(executed.rows.relation.rows())
        asked.append(len(texts_asked(llm)))
    assert results[0] == results[1]
    assert len(results[0]) == 9  # pairs of a function with "loads"
    assert asked[1] < asked[0]


def test_all_rules_together(compare: Compare) -> None:
    """One call about the few rows that matter, and the log says which rules did it."""
    plan = plan_of(filter_step("with o"), {**CLASS, "input": "f"}, {**MAP, "input": "c"}, {**NEW, "input": "m"})
    log: list[str] = []

    def all_rules(plan: Plan, catalog: Any) -> Plan:
        optimized, rewrites = optimize(plan, catalog)
        log.extend(rewrite.rule for rewrite in rewrites)
        return optimized

    before, after = compare(plan, all_rules)
    assert [row["title"] for row in after[0]] == [row["title"] for row in before[0]]
    assert (before[1:], after[1:]) == ((3, 16), (1, 5))  # 8 films, then 4 with o twice
    assert {"push_below_semantic", "push_filters", "fuse_semantic"} <= set(log)


def test_a_filter_stops_when_a_limit_has_enough(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """Of 361 pairs of functions the first two that pass are in the first twenty: one call instead of all."""
    rows = {"id": "films", "op": "scan", "collection": "stdlib"}
    pairs = {"id": "a", "op": "join", "left": "films", "right": "films", "keys": [SAME_KIND], "prefix": "o"}
    keep = filter_step("with o", input="a", fields=["id", "o_id"])
    text = {**MAP, "input": "f", "fields": ["id", "o_id"]}
    for steps in ([rows, pairs, keep, {**THREE, "input": "f"}], [rows, pairs, keep, text, {**THREE, "input": "m"}]):
        end = {"id": "end", "op": "answer", "input": "l"}
        plan = Plan.from_json({"steps": [*steps, end], "output": "end"})
        catalog = read_catalog(database.snapshot())
        optimized, log = optimize(plan, catalog)
        assert "stop_early" in [rewrite.rule for rewrite in log]
        assert Plan.from_json(optimized.to_json()) == optimized
        results, calls = [], []
        for item in (plan, optimized):
            llm = judge(lambda question, text: "x" if "shout" in question else "o" in text["o_id"].split(".")[-1])
            executed = execute(item, database.snapshot(), embedder_of, Limits(), models=LanguageModels(llm))
            results.append(executed.rows.relation.rows())
            calls.append(len(llm.requests))
        assert results[1] == results[0]
        assert len(results[0]) == 3
        assert calls[1] <= 2 < calls[0]


def test_a_filter_that_finds_too_few_looks_at_all_rows(
    database: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """In portions, which grow; the rows are those of judging all at once."""
    rows = {"id": "films", "op": "scan", "collection": "stdlib"}
    pairs = {"id": "a", "op": "join", "left": "films", "right": "films", "keys": [SAME_KIND], "prefix": "o"}
    limited = filter_step("x", input="a", fields=["id", "o_id"], first=5)
    results = []
    for step in (limited, {key: value for key, value in limited.items() if key != "first"}):
        end = {"id": "end", "op": "answer", "input": "f"}
        plan = Plan.from_json({"steps": [rows, pairs, step, end], "output": "end"})
        llm = judge(lambda _, text: text["id"] == text["o_id"] == "json.loads")
        executed = execute(plan, database.snapshot(), embedder_of, Limits(), models=LanguageModels(llm))
        results.append(executed.rows.relation.rows())
    assert results[0] == results[1]
    assert len(results[0]) == 1


@st.composite
def chains(draw: st.DrawFn) -> Plan:
    """Films through up to six steps, some of which ask a model, now and then counted at the end."""
    steps: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 6))):
        last = steps[-1]["id"] if steps else "films"
        fields = draw(st.sampled_from([["title"], ["title", "director"], ["plot"]]))
        kinds: dict[str, dict[str, Any]] = {
            "filter": {"where": {"op": ">", "l": {"field": "year"}, "r": {"value": draw(st.integers(1980, 2005))}}},
            "sort": {"by": [{"field": draw(st.sampled_from(["year", "rating", "title"])), "dir": "desc"}]},
            "limit": {"n": draw(st.integers(1, 8))},
            "llm_filter": {
                "instruction": f"p{index % 3}",
                "fields": fields,
                "quality": {"target": "recall", "value": 1},
            },
            "llm_classify": {"fields": fields, "categories": ["a", "b"], "as": f"kind{index}"},
            "llm_map": {"fields": fields, "instruction": "shout", "as": f"text{index}"},
        }
        op = draw(st.sampled_from(sorted(kinds)))
        steps.append({"id": f"m{index}", "op": op, "input": last, **kinds[op]})
    if draw(st.booleans()):
        count = {"fn": "count", "as": "n"}
        steps.append({"id": "n", "op": "group", "input": steps[-1]["id"], "by": ["director"], "aggs": [count]})
    return plan_of(*steps)


def by_hash(question: str, text: Any) -> JSON:
    """Any answers, the same to the same question."""
    number = zlib.crc32(f"{question}{text}".encode())
    if "categories" in question:
        return "ab"[number % 2]
    return f"text {number}" if "shout" in question else number % 3 > 0


@settings(max_examples=40, deadline=None)
@given(plan=chains())
def test_the_optimizer_leaves_every_result_as_it_was(
    database: Database, embedder_of: Callable[[str], Embedder], plan: Plan
) -> None:
    """The same rows from the same documents, and never more calls or more rows asked about."""
    snapshots = database.snapshot()
    catalog = read_catalog(snapshots)
    optimized, _ = optimize(plan, catalog)
    validate(optimized, catalog)
    assert Plan.from_json(optimized.to_json()) == optimized
    results, calls, asked = [], [], []
    for item in (plan, optimized):
        llm = judge(by_hash)
        relation = execute(item, snapshots, embedder_of, Limits(), models=LanguageModels(llm)).rows.relation
        results.append([(row, relation.sources(place)) for place, row in enumerate(relation.rows())])
        calls.append(len(llm.requests))
        asked.append(len(texts_asked(llm)))
    assert results[1] == results[0]
    assert calls[1] <= calls[0]
    assert asked[1] <= asked[0]
