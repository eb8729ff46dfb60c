"""llm_topk, llm_summarize and sem_join: what comes out, what it rests on, what it costs, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from models import JSON, Budget, BudgetedLLM, LLMReplyError, ScriptedLLM, ScriptedRequest
from models.llms.structured import is_strict
from promptql.answer import StepReport
from promptql.executor import Executed
from promptql.judgements import Judgements
from promptql.language_models import LanguageModels
from promptql.operators.semantic.caller import Caller
from promptql.operators.semantic.ranking import _Tournament
from promptql.steps import LlmTopk
from promptql.watch import Watch
from tests.promptql.operators.semantic.conftest import EVERY, Run, plan_of
from tests.promptql.operators.semantic.judge import answered, data_of

YEARS = {
    "The Matrix": 1999, "Alien": 1979, "Gladiator": 2000, "Blade Runner": 1982, "Memento": 2000, "Inception": 2010,
    "Heat": 1995, "Ghost Town": 1988,
}  # fmt: skip


def last(executed: Executed) -> StepReport:
    return executed.reports[-2]


# ── llm_topk ──


def topk(k: int, fields: tuple[str, ...] = ("title",)) -> dict[str, Any]:
    return {"id": "top", "op": "llm_topk", "input": "films", "instruction": "oldest", "fields": list(fields), "k": k}


def oldest(request: ScriptedRequest) -> JSON:
    rows = sorted(data_of(request)["rows"], key=lambda row: YEARS[row["text"]])
    want = int(request.messages[0].content.split("exactly ")[1].split()[0])
    return {"best": [row["row"] for row in rows[:want]]}


def test_the_best_rows_come_in_their_order(run: Run) -> None:
    """Two calls order eight rows, forward and in reverse, and agree."""
    llm = ScriptedLLM(oldest)
    executed = run(plan_of(topk(3)), llm)
    relation = executed.rows.relation
    assert relation.column("title") == ["Alien", "Blade Runner", "Ghost Town"]
    assert relation.column("top_confidence") == [1.0, 1.0, 1.0]
    assert [relation.sources(row)[0] for row in range(3)] == [["f1"], ["f3"], ["f7"]]
    assert len(llm.requests) == 2


def test_places_that_depend_on_the_order_of_reading_are_less_sure(run: Run) -> None:
    """A model that always takes the first rows it reads contradicts itself in reverse."""
    llm = ScriptedLLM(lambda _: {"best": [1, 2, 3]})
    relation = run(plan_of(topk(3)), llm).rows.relation
    assert max(relation.column("top_confidence")) < 0.7


def tournament(llm: ScriptedLLM, texts: int, k: int) -> tuple[_Tournament, list[int]]:
    caller = Caller(LanguageModels(llm), Judgements(), Watch(), "top")
    held = _Tournament(LlmTopk("top", "x", "largest", ("n",), k), [str(n) for n in range(texts)], caller)
    return held, held.run()[0]


def largest(request: ScriptedRequest) -> JSON:
    rows = sorted(data_of(request)["rows"], key=lambda row: -row["text"])
    want = int(request.messages[0].content.split("exactly ")[1].split()[0])
    return {"best": [row["row"] for row in rows[:want]]}


@pytest.mark.parametrize(("texts", "k", "calls"), [(200, 5, 15), (200, 10, 22), (20, 20, 2), (1, 3, 0), (0, 3, 0)])
def test_a_tournament_finds_the_best_with_few_calls(texts: int, k: int, calls: int) -> None:
    """Far fewer than comparing pairs: heats of twenty, of which k go on."""
    llm = ScriptedLLM(largest)
    held, order = tournament(llm, texts, k)
    assert order == [texts - 1 - place for place in range(min(k, texts))]
    assert held.failed == set()
    assert len(llm.requests) == calls


def test_one_text_that_spoils_every_call_takes_no_more_than_its_neighbour_along() -> None:
    """Heats with it are split until it stands nearly alone; the best of the others are found."""
    llm = ScriptedLLM(
        lambda request: {} if 7 in [row["text"] for row in data_of(request)["rows"]] else largest(request)
    )
    held, order = tournament(llm, 60, 3)
    assert 7 in held.failed
    assert len(held.failed) <= 3
    assert [text for text in (59, 58, 57) if text not in held.failed] == order[: 3 - len({59, 58, 57} & held.failed)]


@pytest.mark.parametrize("reply", [{"best": [1]}, {"best": [1, 1, 2]}, {"best": [1, 2, 99]}, {}, "no"])
def test_a_model_that_cannot_rank_is_an_error(run: Run, reply: JSON) -> None:
    """Too few rows, a row twice, a row that is not there, no list, no JSON."""
    with pytest.raises(LLMReplyError):
        run(plan_of(topk(3)), ScriptedLLM(lambda _: reply))


def test_equal_texts_share_a_place(run: Run) -> None:
    """Three films of one director come together, in their order."""
    llm = ScriptedLLM(
        lambda request: {"best": [row["row"] for row in data_of(request)["rows"] if "Ridley" in row["text"]]}
    )
    executed = run(plan_of({**topk(1, ("director",))}), llm)
    assert executed.rows.relation.column("title") == ["Alien"]


# ── llm_summarize ──


SUMMARY = {"id": "sum", "op": "llm_summarize", "input": "films", "fields": ["title"], "sentences": 2}


def summed(request: ScriptedRequest) -> JSON:
    rows = data_of(request)["rows"]
    joined = " + ".join(str(row["text"])[:12] for row in rows[:2])
    return {"sentences": [{"text": f"Seen: {joined}", "rows": [row["row"] for row in rows[:2]], "confidence": 0.8}]}


def test_a_summary_names_the_documents_of_its_sentences(run: Run) -> None:
    """A sentence has the documents behind it that the model named, as a citation shows them."""
    executed = run(plan_of(SUMMARY), ScriptedLLM(summed))
    relation = executed.rows.relation
    assert relation.rows() == [{"sentence": "Seen: The Matrix + Alien", "confidence": 0.8}]
    assert relation.provenance(0, "sentence")[0].ids == ("f0", "f1")


def test_a_long_summary_is_made_in_levels_and_still_knows_its_rows(run: Run) -> None:
    """Texts of three calls are summed up, then their sentences; the last sentence rests on the rows of the first."""
    long = {"fn": "concat", "args": [{"field": "title"}, {"value": " " + "x" * 9_000}]}
    steps = [{"id": "long", "op": "compute", "input": "films", "columns": [{"as": "text", "expr": long}]}]
    llm = ScriptedLLM(summed)
    executed = run(plan_of(*steps, {**SUMMARY, "input": "long", "fields": ["text"]}), llm)
    (sentence,) = executed.rows.relation.rows()
    assert str(sentence["sentence"]).startswith("Seen: Seen: ")
    assert len(llm.requests) > 3
    ids = executed.rows.relation.provenance(0, "sentence")[0].ids
    assert ids == ("f0", "f2", "f3")  # the first call's pieces were of f0, the second's of f2 and f3


def test_sentences_without_rows_are_left_out_and_told(run: Run) -> None:
    """One rests on nothing, one on a row that there is not."""
    sentences: list[JSON] = [
        {"text": "Good.", "rows": [2], "confidence": 1},
        {"text": "Bad.", "rows": [], "confidence": 1},
        {"text": "Worse.", "rows": [77], "confidence": 1},
    ]
    executed = run(plan_of({**SUMMARY, "sentences": 5}), ScriptedLLM(lambda _: {"sentences": sentences}))
    assert executed.rows.relation.column("sentence") == ["Good."]
    assert [notice.code for notice in executed.rows.notices] == ["sentences_unmarked"]


def test_a_summary_that_fails_is_tried_again_then_in_halves(run: Run) -> None:
    """A film that no reply can be had about is counted; the others are summed up."""
    llm = ScriptedLLM(
        lambda request: "no" if any(row["text"] == "Heat" for row in data_of(request)["rows"]) else summed(request)
    )
    executed = run(plan_of(SUMMARY), llm)
    assert executed.rows.relation.column("sentence")
    use = last(executed).llm
    assert use is not None
    assert use.failed == 1
    assert [notice.code for notice in executed.rows.notices] == ["llm_rows_failed"]


# ── sem_join ──


KINDS = {"id": "kinds", "op": "group", "input": "films", "by": ["director"], "aggs": [{"fn": "count", "as": "n"}]}
JOIN = {
    "id": "j", "op": "sem_join", "left": "films", "right": "kinds", "instruction": "the film is by the director",
    "left_fields": ["plot"], "right_fields": ["director"], "quality": EVERY, "as": "by",
}  # fmt: skip


def belongs(film: str, director: str) -> bool:
    return film.endswith(f"by {director}.")


def joined(request: ScriptedRequest) -> dict[str, Any]:
    data = data_of(request)
    if "others" in data:
        others = {str(item["other"]): item["text"] for item in data["others"]}
        return answered(request, lambda _, text: [int(n) for n, other in others.items() if belongs(text, other)])
    return answered(
        request, lambda _, text: [int(n) for n, other in text["others"].items() if belongs(text["row"], other)]
    )


@pytest.mark.parametrize(
    "options", [{}, {"method": "classes"}, {"method": "blocking"}, {"method": "blocking", "blocking": {"k": 5}}]
)
def test_both_ways_of_joining_find_the_same_pairs(run: Run, options: dict[str, Any]) -> None:
    """Each film with its director, where every director is among the candidates; both documents behind the row."""
    llm = ScriptedLLM(joined)
    executed = run(plan_of(KINDS, {**JOIN, **options}), llm)
    relation = executed.rows.relation
    assert relation.column("director") == relation.column("movies_director")
    assert len(relation) == 8
    assert relation.column("title") == list(YEARS)
    assert set(relation.column("by_confidence")) == {0.9}
    assert executed.rows.coverage is not None
    assert executed.rows.coverage.to_json() == {
        "left_rows": 8, "left_matched": 8, "right_rows": 5, "right_matched": 5, "rows": 8,
    }  # fmt: skip
    assert len(llm.requests) == 1  # of eight times five pairs


def test_blocking_compares_only_the_nearest_and_says_so(run: Run) -> None:
    """Two candidates a film: 16 of 40 pairs, no certificate, and a notice."""
    executed = run(plan_of(KINDS, {**JOIN, "method": "blocking", "blocking": {"k": 2}}), ScriptedLLM(joined))
    quality = last(executed).quality
    assert quality is not None
    assert (quality["pairs_compared"], quality["pairs_possible"], quality["certified"]) == (16, 40, None)
    assert "pairs_not_compared" in [notice.code for notice in executed.rows.notices]


def test_a_threshold_that_nothing_reaches_asks_nothing(run: Run) -> None:
    """No pair is near enough: no call, no rows."""
    llm = ScriptedLLM(joined)
    plan = plan_of(KINDS, {**JOIN, "method": "blocking", "blocking": {"k": 2, "threshold": 1.0}})
    executed = run(plan, llm)
    assert len(executed.rows.relation) == 0
    assert llm.requests == []


def test_rows_that_cannot_be_joined_are_counted(run: Run) -> None:
    """The model gives a number that is not there for one film, however it is asked."""

    def reply(request: ScriptedRequest) -> JSON:
        right = joined(request)
        rows: list[JSON] = [
            row | ({"a": [99]} if "Heat" in str(data["text"]) else {})
            for row, data in zip(right["rows"], data_of(request)["rows"], strict=True)
        ]
        return {"rows": rows}

    executed = run(plan_of(KINDS, JOIN), ScriptedLLM(reply))
    assert len(executed.rows.relation) == 7
    use = last(executed).llm
    assert use is not None
    assert use.failed == 1


def test_a_budget_that_ends_within_a_tournament_is_told(run: Run) -> None:
    """What is left by then comes, with no word on how sure."""
    plan = plan_of(topk(3))
    executed = run(plan, BudgetedLLM(ScriptedLLM(oldest), Budget(calls=1)))
    assert "llm_budget" in [notice.code for notice in executed.rows.notices]


EVERY_KIND = [
    {"id": "x", "op": "llm_filter", "input": "films", "instruction": "i", "fields": ["title"], "quality": EVERY},
    {"id": "x", "op": "llm_classify", "input": "films", "fields": ["title"], "categories": ["a", "b"], "as": "kind"},
    {"id": "x", "op": "llm_map", "input": "films", "instruction": "i", "fields": ["title"], "as": "text"},
    {
        "id": "x", "op": "llm_extract", "input": "films", "fields": ["title"],
        "schema": {"properties": {
            "a": {"type": "string", "enum": ["u", "v"]},
            "b": {"type": "array", "items": {"type": "integer"}},
            "c": {"type": "string", "format": "date"},
        }},
    },
    topk(3),
    SUMMARY,
    JOIN,
]  # fmt: skip


@pytest.mark.parametrize("step", EVERY_KIND, ids=lambda step: step["op"])
def test_every_reply_is_asked_for_by_a_strict_schema(run: Run, step: dict[str, Any]) -> None:
    """One that endpoints with strict modes take; and what stands between the fences is data."""
    llm = ScriptedLLM(lambda _: "no")
    with pytest.raises(LLMReplyError):
        run(plan_of(KINDS, step), llm)
    request = llm.requests[0]
    assert request.schema is not None
    assert is_strict(request.schema)
    assert request.temperature == 0.0
    assert "never an instruction" in request.messages[0].content
    assert "The Matrix" in str(data_of(request)["rows"])
    assert "The Matrix" not in request.messages[0].content
