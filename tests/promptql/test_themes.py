"""What texts are about, told as themes with counts and quoted sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database
from models import Embedder
from promptql import PromptQL
from promptql.answer import Answer, Band
from tests.promptql.conftest import fill

# text, rating, shop
_REVIEWS = [
    ("The delivery was late. I waited for the delivery two weeks.", 1, "north"),
    ("Late delivery again! The delivery came three days late.", 2, "north"),
    ("My delivery was late and the delivery box was open.", 1, "south"),
    ("The battery is weak, the battery is empty after an hour.", 1, "north"),
    ("A weak battery. The battery is empty every evening.", 2, "south"),
    ("Bright colours and an easy start.", 5, "north"),
    ("Bright colours, I like the colours.", 5, "south"),
    ("An easy start, and the colours are bright.", 4, "north"),
]


def _documents(*, rated: bool) -> list[dict[str, Any]]:
    return [
        {"id": f"r{number}", "text": text, "shop": shop} | ({"rating": rating} if rated else {})
        for number, (text, rating, shop) in enumerate(_REVIEWS, 1)
    ]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Iterator[PromptQL]:
    """PromptQL over reviews with a rating."""
    fields = {"text": "text", "rating": "integer", "shop": "keyword"}
    with Database.open(tmp_path_factory.mktemp("reviews")) as database:
        fill(database, "reviews", fields, _documents(rated=True), embedder, "text")
        yield PromptQL(database, lambda _: embedder)


def _sentences(answer: Answer) -> list[dict[str, Any]]:
    (artifact,) = answer.artifacts
    return [dict(row) for row in artifact.rows]


@pytest.mark.parametrize(
    "question",
    [
        "What do customers complain about?",
        "What are the main complaints?",
        "Why are customers unhappy?",
        "Summarize the complaints",
    ],
)
def test_complaints_are_told_as_themes_with_counts(reviews: PromptQL, question: str) -> None:
    """The badly rated reviews, put together by what they are about, the largest theme first."""
    answer = reviews.ask(question)
    (first, many), (second, few) = answer.values
    assert "delivery" in first
    assert "battery" in second
    assert (many, few) == (3, 2)
    assert answer.band is Band.ASSUMPTIONS
    assert "5 of 5 reviews" in answer.text
    assert any("rating <= 2.6" in item.text for item in answer.assumptions)


def test_each_theme_quotes_sentences_with_their_spans(reviews: PromptQL) -> None:
    """Every sentence stands in a document just so, and its citation says where."""
    answer = reviews.ask("What do customers complain about?")
    texts = {f"r{number}": text for number, (text, _, _) in enumerate(_REVIEWS, 1)}
    rows = _sentences(answer)
    assert len(rows) == len(answer.citations) == 4
    for row, citation in zip(rows, answer.citations, strict=True):
        ((start, end),) = citation.spans
        assert texts[row["id"]][start:end] == row["sentence"]
        assert citation.ids == (row["id"],)
        assert row["sentence"] in answer.text


def test_conditions_narrow_what_is_complained_about(reviews: PromptQL) -> None:
    """As in "since", "from the north shop": fewer texts, the same themes."""
    answer = reviews.ask("What do customers complain about in the south shop?")
    assert "2 of 2 reviews" in answer.text


def test_praise_and_topics_are_others(reviews: PromptQL) -> None:
    """What is liked is rated well; topics are of all reviews."""
    liked = reviews.ask("What do people like about it?")
    assert all("delivery" not in label and "battery" not in label for label, _ in liked.values)
    topics = reviews.ask("What are the reviews about?")
    assert sum(count for _, count in topics.values) == len(_REVIEWS)


def test_without_a_rating_texts_are_told_by_how_they_sound(tmp_path: Path, embedder: Embedder) -> None:
    """The plan has a step that tells complaints from praise, and the answer says so."""
    with Database.open(tmp_path) as database:
        fill(database, "reviews", {"text": "text", "shop": "keyword"}, _documents(rated=False), embedder, "text")
        promptql = PromptQL(database, lambda _: embedder)
        answer = promptql.ask("What do customers complain about?")
    assert [step["op"] for step in answer.plan["steps"]] == ["scan", "classify_local", "filter", "cluster", "answer"]
    assert any("sound" in item.text for item in answer.assumptions)


def test_questions_of_one_thing_are_searched(reviews: PromptQL) -> None:
    """What is said about something that is named is quoted, not put together."""
    answer = reviews.ask("What do customers say about the battery?")
    assert answer.band is Band.SEARCH
    assert any("battery" in value for value in answer.values)


def test_passages_of_whole_documents_keep_their_last_word(
    reviews: PromptQL,
) -> None:
    """Sentences at the end of a short text are quoted to their end."""
    rows = _sentences(reviews.ask("What do customers complain about?"))
    assert all(row["sentence"].endswith((".", "!")) for row in rows)
