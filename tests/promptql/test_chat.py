"""Conversations that their caller keeps: the earlier questions come with the last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import engine
from models.embedders.hashing import HashingEmbedder
from promptql import PromptQL
from promptql.conversation import Conversations
from promptql.engine import EARLIER_MAX

FILMS = [{"id": str(n), "title": f"Film {n}", "year": 1990 + n} for n in range(10)]
FIRST = "films after 1995"


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[PromptQL]:
    with engine.Database.open(tmp_path) as database:
        schema = engine.Schema.from_json({"fields": {}, "embed": {}, "strict": False})
        database.create_collection("films", schema).add(FILMS)
        yield PromptQL(database, lambda _: HashingEmbedder(), conversations=Conversations())


def values(asked: PromptQL, *questions: str, asker: str = "", collections: Sequence[str] | None = None) -> list[object]:
    answer = asked.ask(questions[-1], earlier=questions[:-1], asker=asker, collections=collections)
    return sorted(answer.values)


def test_earlier_questions_are_gone_on_from(asked: PromptQL) -> None:
    """Whether their plans are still kept or not, and whichever way the conversation branches."""
    after, other = "only those before 1998", "only those after 1998"
    fresh = values(asked, FIRST, after)  # planned again: nobody has asked the first one
    assert fresh == ["Film 6", "Film 7"]
    assert values(asked, FIRST) == ["Film 6", "Film 7", "Film 8", "Film 9"]
    assert values(asked, FIRST, after) == fresh
    assert values(asked, FIRST, other) == ["Film 9"]
    assert values(asked, FIRST, after, "only those after 1996") == ["Film 7"]


def test_plans_are_kept_for_their_asker_and_collections(asked: PromptQL) -> None:
    """Another asker's, and those over other collections, are plans of their own."""
    values(asked, FIRST)
    before = len(asked._conversations)
    values(asked, FIRST, asker="another")
    values(asked, FIRST, collections=["films"])
    assert len(asked._conversations) == before + 2
    values(asked, FIRST)
    assert len(asked._conversations) == before + 2


def test_long_conversations_and_refused_questions_do_no_harm(asked: PromptQL) -> None:
    """Only the last questions count; what was refused when it was asked is left out."""
    assert values(asked, *["x" * 3_000, " ", FIRST, "\0"], "only those before 1998") == ["Film 6", "Film 7"]
    long = [FIRST] * (EARLIER_MAX + 5)
    assert values(asked, *long, "only those before 1998") == ["Film 6", "Film 7"]
