"""promptql.summaries: what a language model made of rows, told with marks that can be followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import Database
from models import Embedder, ScriptedLLM
from promptql import PromptQL

SAID: dict[str, Any] = {
    "sentences": [
        {"text": "Some are by Scott.", "rows": [2, 3], "confidence": 0.9},
        {"text": "One is a sequel.", "rows": [], "confidence": 0.9},
        {"text": "One is about memory.", "rows": [5], "confidence": 0.7},
    ]
}


def plan_of(**answer: Any) -> dict[str, Any]:
    steps = [
        {"id": "films", "op": "scan", "collection": "movies"},
        {"id": "sum", "op": "llm_summarize", "input": "films", "fields": ["plot"]},
        {"id": "end", "op": "answer", "input": "sum", **answer},
    ]
    return {"steps": steps, "output": "end"}


def test_a_summary_is_told_with_marks(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """Each sentence with the documents behind it; one without is left out, and that is said."""
    answer = PromptQL(database, embedder_of, ScriptedLLM([SAID])).execute(plan_of())
    assert answer.text == "Some are by Scott. [1] One is about memory. [2]"
    assert answer.values == ("Some are by Scott.", "One is about memory.")
    assert [(citation.cell, citation.ids) for citation in answer.citations] == [
        ("a1[0].sentence", ("f1", "f2")),
        ("a1[1].sentence", ("f4",)),
    ]
    assert [warning.code for warning in answer.warnings] == ["sentences_unmarked"]


def test_a_template_has_its_own_words(database: Database, embedder_of: Callable[[str], Embedder]) -> None:
    """What a plan says itself goes before."""
    answer = PromptQL(database, embedder_of, ScriptedLLM([SAID])).execute(plan_of(template="In short: {sentence}"))
    assert answer.text == "In short: Some are by Scott."
