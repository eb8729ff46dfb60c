"""Asking with scripted replies, and plans that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from engine import Database
from models import Embedder, LLMReplyError, ScriptedLLM
from promptql import Answer, PromptQL
from tests.models.llms import conftest as clients

UNSURE = "how many flicks did Ridley Scott shoot"  # the rules only find a search
DOUBTED = "average rating of famous horror movies"  # the rules ignore "famous" and say 6.7
SURE = "how many movies were made after 1990"  # the rules know: 5
NOT_JSON = "Here is the plan you asked for: scan, then count."

load, provider = clients.load, clients.provider  # fixtures of a local server
Ask = Callable[..., tuple[Answer, ScriptedLLM]]


def condition(field: str, value: object, op: str = "=") -> dict[str, Any]:
    """A comparison of a field with a constant."""
    return {"op": op, "l": {"field": field}, "r": {"value": value}}


def chain(*steps: Mapping[str, Any]) -> dict[str, Any]:
    """A reply with these steps, each of which reads the one before."""
    numbered = []
    for number, step in enumerate(steps, 1):
        read = {} if number == 1 else {"input": f"s{number - 1}"}
        numbered.append({"id": f"s{number}", **read, **step})
    return {"steps": numbered}


def counted(field: str, value: object, op: str = "=", collection: str = "movies") -> dict[str, Any]:
    """A reply that counts the documents with a value."""
    return chain(
        {"op": "scan", "collection": collection},
        {"op": "filter", "where": condition(field, value, op)},
        {"op": "group", "by": [], "aggs": [{"fn": "count", "as": "n"}]},
        {"op": "answer"},
    )


def averaged(genre: str) -> dict[str, Any]:
    """A reply with the average rating of a genre."""
    return chain(
        {"op": "scan", "collection": "movies", "where": condition("genre", genre)},
        {"op": "group", "by": [], "aggs": [{"fn": "avg", "field": "rating", "as": "average"}]},
        {"op": "answer"},
    )


@pytest.fixture
def make(database: Database, embedder_of: Callable[[str], Embedder]) -> Callable[..., tuple[PromptQL, ScriptedLLM]]:
    """PromptQL with an LLM that gives these replies; a reply of a real client that is no JSON fails likewise."""

    def making(*replies: Any) -> tuple[PromptQL, ScriptedLLM]:
        llm = ScriptedLLM(list(replies))
        return PromptQL(database, embedder_of, llm), llm

    return making


@pytest.fixture
def ask(make: Callable[..., tuple[PromptQL, ScriptedLLM]]) -> Ask:
    """Ask a question of the films with an LLM that gives these replies."""

    def asking(
        *replies: Any, question: str = UNSURE, planner: Any = "auto", collections: Sequence[str] | None = ("movies",)
    ) -> tuple[Answer, ScriptedLLM]:
        promptql, llm = make(*replies)
        return promptql.ask(question, planner=planner, collections=collections), llm

    return asking


def looping() -> LLMReplyError:
    """What a client says of a model that writes until its limit."""
    return LLMReplyError("reply was cut off at its token limit", text='{"steps":[' * 500)
