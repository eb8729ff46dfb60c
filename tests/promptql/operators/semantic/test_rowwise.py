"""llm_filter, llm_classify, llm_extract, llm_map: their columns, the documents behind them, and how rarely they ask."""

from __future__ import annotations

from typing import Any

from models import JSON, ScriptedLLM, ScriptedRequest
from promptql.answer import LlmUse
from promptql.executor import Executed
from promptql.judgements import Judgements
from tests.promptql.operators.semantic.conftest import Run, filter_step, plan_of
from tests.promptql.operators.semantic.judge import answered, data_of, judge, texts_asked

SAD = {"Gladiator", "Heat"}


def titles(executed: Executed) -> list[JSON]:
    return executed.rows.relation.column("title")


def use_of(executed: Executed, step: str) -> LlmUse:
    found = next(report.llm for report in executed.reports if report.id == step)
    assert found is not None
    return found


def test_a_filter_keeps_the_rows_of_which_its_statement_is_true(run: Run) -> None:
    """In their order, with how sure the model was, each still its document."""
    llm = judge(lambda question, text: '"it is sad"' in question and text in SAD)
    executed = run(plan_of(filter_step()), llm)
    relation = executed.rows.relation
    assert titles(executed) == ["Gladiator", "Heat"]
    assert relation.column("f_confidence") == [0.9, 0.9]
    assert [relation.sources(row)[0] for row in range(2)] == [["f2"], ["f6"]]
    assert executed.reports[1].quality == {"target": "recall 1", "delta": 0.1, "certified": 1.0}
    assert use_of(executed, "f").calls == 1
    assert len(texts_asked(llm)) == 8


def test_equal_texts_are_asked_about_once(run: Run) -> None:
    """Eight films have five directors: five rows are asked about, and all eight are answered."""
    llm = judge(lambda _, text: text == "Ridley Scott")
    executed = run(plan_of(filter_step(fields=["director"])), llm)
    assert titles(executed) == ["Alien", "Gladiator", "Blade Runner"]
    assert len(texts_asked(llm)) == 5


def test_several_columns_are_shown_by_name(run: Run) -> None:
    """What a step reads of a row is its columns, without those that are missing."""
    llm = judge(lambda _, text: text["year"] < 1980 and "Alien" in text["title"])
    executed = run(plan_of(filter_step(fields=["title", "year"])), llm)
    assert titles(executed) == ["Alien"]


def test_a_class_is_one_of_the_categories(run: Run) -> None:
    """The category and how sure, for every row; a name in other letters is taken for the name."""
    categories = {"dark": ["ends badly"], "light": []}
    step = {
        "id": "c", "op": "llm_classify", "input": "films", "fields": ["title"], "as": "mood", "categories": categories,
    }  # fmt: skip
    llm = judge(lambda _, text: "Dark" if text in SAD else "light")
    executed = run(plan_of(step), llm)
    moods = dict(zip(titles(executed), executed.rows.relation.column("mood"), strict=True))
    assert {title for title, mood in moods.items() if mood == "dark"} == SAD
    assert set(executed.rows.relation.column("mood_confidence")) == {0.9}
    assert "ends badly" in llm.requests[0].messages[0].content


def test_an_extraction_gives_typed_columns(run: Run) -> None:
    """Numbers, dates, lists and values of an enum; what a text does not say is missing."""
    properties = {
        "words": {"type": "integer"},
        "shown": {"type": "string", "format": "date"},
        "letters": {"type": "array", "items": {"type": "string"}},
        "size": {"type": "string", "enum": ["short", "long"]},
    }
    step = {"id": "x", "op": "llm_extract", "input": "films", "fields": ["title"], "schema": {"properties": properties}}

    def says(_: str, text: str) -> JSON:
        size = None if text == "Heat" else "long" if len(text) > 8 else "short"
        return {"words": len(text.split()), "shown": "1999-03-31", "letters": [text[0], text[-1]], "size": size}

    executed = run(plan_of(step), judge(says))
    relation = executed.rows.relation
    assert relation.column("words") == [2, 1, 1, 2, 1, 1, 1, 2]
    assert relation.column("shown")[0] == "1999-03-31T00:00:00Z"
    assert relation.column("letters")[1] == ["A", "n"]
    assert relation.column("size")[5:7] == ["long", None]
    assert set(relation.column("x_confidence")) == {0.9}


def test_a_map_writes_a_text_of_each_row(run: Run) -> None:
    """One text a row, from the model, and the document is behind it."""
    step = {"id": "m", "op": "llm_map", "input": "films", "fields": ["title"], "as": "shout", "instruction": "shout"}
    executed = run(plan_of(step), judge(lambda _, text: f"{text.upper()}!"))
    assert executed.rows.relation.column("shout")[1] == "ALIEN!"
    assert executed.rows.relation.provenance(1, "shout")[0].ids == ("f1",)


def test_rows_without_text_are_not_asked_about(run: Run) -> None:
    """They satisfy no statement, and have no class."""
    empty = {"id": "e", "op": "compute", "input": "films", "columns": [{"as": "blank", "expr": {"value": "  "}}]}
    llm = judge(lambda *_: True)
    executed = run(plan_of(empty, filter_step(input="e", fields=["blank"])), llm)
    assert titles(executed) == []
    assert llm.requests == []


def test_what_was_asked_before_is_known(run: Run) -> None:
    """The same question of the same texts costs no call; another instruction or another model does."""
    judgements = Judgements()
    llm, other = judge(lambda _, text: text in SAD), judge(lambda _, text: text in SAD, name="other")
    first = run(plan_of(filter_step()), llm, judgements=judgements)
    again = run(plan_of(filter_step()), llm, judgements=judgements)
    assert titles(again) == titles(first)
    assert (use_of(again, "f").calls, use_of(again, "f").cache_hits) == (0, 8)
    assert len(llm.requests) == 1
    run(plan_of(filter_step("it is very sad")), llm, judgements=judgements)
    assert len(llm.requests) == 2
    run(plan_of(filter_step()), other, judgements=judgements)
    assert len(other.requests) == 1


def test_only_texts_that_are_new_are_asked_about(run: Run) -> None:
    """A limit before, then all: the model is asked about the rest."""
    judgements, llm = Judgements(), judge(lambda _, text: text in SAD)
    few = {"id": "few", "op": "limit", "input": "films", "n": 5}
    run(plan_of(few, filter_step(input="few")), llm, judgements=judgements)
    executed = run(plan_of(filter_step()), llm, judgements=judgements)
    assert titles(executed) == ["Gladiator", "Heat"]
    assert [len(texts_asked(llm)), use_of(executed, "f").cache_hits] == [8, 5]


def test_the_small_model_is_asked_where_a_step_says_so(run: Run) -> None:
    """And the large one where it says nothing."""
    large, small = judge(lambda *_: True, name="large"), judge(lambda *_: True, name="small")
    run(plan_of(filter_step(model="small")), large, small)
    assert (len(large.requests), len(small.requests)) == (0, 1)
    run(plan_of(filter_step()), large, small)
    assert (len(large.requests), len(small.requests)) == (1, 1)


def fused(*steps: dict[str, Any]) -> dict[str, Any]:
    inner = [{key: value for key, value in step.items() if key != "input"} for step in steps]
    return {"id": "all", "op": "llm_fused", "input": "films", "steps": inner}


def test_fused_steps_ask_once_what_they_would_ask_in_turn(run: Run) -> None:
    """A filter, a class and a text of the same rows take one call instead of three, with the same result."""
    keep = filter_step()
    kind = {"id": "c", "op": "llm_classify", "input": "f", "fields": ["title"], "categories": ["a", "b"], "as": "kind"}
    text = {"id": "m", "op": "llm_map", "input": "c", "fields": ["title"], "as": "shout", "instruction": "shout"}

    def says(question: str, row: str) -> JSON:
        if "categories" in question:
            return "a" if row > "H" else "b"
        return row.upper() if "shout" in question else row in SAD

    one, several = judge(says), judge(says)
    together = run(plan_of(fused(keep, kind, text)), one)
    apart = run(plan_of(keep, kind, text), several)
    assert together.rows.relation.rows() == apart.rows.relation.rows()
    assert len(together.rows.relation) == 2
    assert (len(one.requests), len(several.requests)) == (1, 3)


def test_the_first_rows_that_pass_are_certified_only_if_all_before_were_judged(run: Run) -> None:
    """A row that no reply could be had about leaves it open whether it comes before."""

    def reply(request: ScriptedRequest) -> JSON:
        rows, texts = answered(request, lambda *_: True)["rows"], data_of(request)["rows"]
        return {"rows": [row for row, data in zip(rows, texts, strict=True) if data["text"] != "Alien"]}

    step = filter_step(first=3, quality={"target": "precision", "value": 0.9})
    whole = run(plan_of(step), judge(lambda *_: True))
    partly = run(plan_of(step), ScriptedLLM(reply))
    assert titles(whole) == ["The Matrix", "Alien", "Gladiator"]
    assert titles(partly) == ["The Matrix", "Gladiator", "Blade Runner"]
    certified = [(executed.reports[1].quality or {})["certified"] for executed in (whole, partly)]
    assert certified == [1.0, None]
