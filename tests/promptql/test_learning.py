"""Feedback, end to end over the films: what it teaches, and when that is in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database
from models import Embedder, ScriptedLLM
from promptql import Answer, EvaluationQuestion, FeedbackError, LessonNotFoundError, LessonState, PromptQL
from promptql.answer import PlannerName
from tests.promptql.conftest import FILM_FIELDS, fill, film_documents
from tests.promptql.llm.conftest import averaged, chain, counted

SET = [
    EvaluationQuestion("how many horror movies are there", (2,)),
    EvaluationQuestion("how many movies did Christopher Nolan direct", (2,)),
    EvaluationQuestion("how many horror flicks are there", (2,)),
]


@pytest.fixture
def films(tmp_path: Path, embedder: Embedder) -> Iterator[Database]:
    """The films in a database of their own."""
    with Database.open(tmp_path / "films") as database:
        fill(database, "movies", FILM_FIELDS, film_documents(), embedder, "plot")
        yield database


@pytest.fixture
def promptql(films: Database, embedder_of: Callable[[str], Embedder]) -> PromptQL:
    """PromptQL over them, without an LLM."""
    return PromptQL(films, embedder_of)


def word(said: str, field: str | None = None, value: str | None = None) -> dict[str, Any]:
    """A correction that explains a word."""
    data = {"said": said, "collection": "movies", "field": field, "value": value}
    return {"words": [{key: text for key, text in data.items() if text is not None}]}


def taught(promptql: PromptQL, answer: Answer, correction: dict[str, Any] | None, *, right: bool = False) -> list[str]:
    """The texts of what is learned from feedback, once it is in force."""
    promptql.learning.feedback(answer.plan, right=right, correction=correction)
    return [lesson.text for lesson in promptql.learning.review(SET).lessons if lesson.state is LessonState.LIVE]


def test_a_word_is_understood_once_it_was_reviewed(promptql: PromptQL) -> None:
    """Pending it changes nothing; live the question is read in the data's words, and that is said."""
    question = "how many horror flicks are there"
    before = promptql.ask(question)
    assert before.values != (2,)
    (lesson,) = promptql.learning.feedback(before.plan_hash, right=False, correction=word("Flicks"))
    assert lesson.state is LessonState.PENDING
    assert promptql.ask(question).values == before.values
    done = promptql.learning.review(SET)
    assert (done.questions, done.right_before, done.right_after) == (3, 2, 3)
    assert [(item.state, item.reason) for item in done.lessons] == [(LessonState.LIVE, "+1 of 3 questions")]
    after = promptql.ask(question)
    assert after.values == (2,)
    assert "'flicks' = movies, as was learned" in [item.text for item in after.assumptions]
    assert after.plan["question"] == question


def test_what_makes_questions_wrong_is_rejected(promptql: PromptQL) -> None:
    """To take horror for drama would spoil a question that is right now; the set is kept for the next review."""
    answer = promptql.ask("how many horror movies are there")
    promptql.learning.feedback(answer.plan, right=False, correction=word("horror", "genre", "drama"))
    promptql.learning.review(SET)
    (lesson,) = promptql.learning.all()
    assert (lesson.state, lesson.reason) == (LessonState.REJECTED, "-1 of 3 questions")
    assert promptql.ask("how many horror movies are there").values == (2,)
    assert promptql.learning.review().questions == 3


def test_a_right_plan_is_an_example(promptql: PromptQL) -> None:
    """Asked again, in whatever case, the question gets it; so does one that was put right."""
    question = "Which film is the one to see?"
    wrong = promptql.ask(question)
    best = chain(
        {"op": "scan", "collection": "movies"},
        {"op": "sort", "by": [{"field": "rating", "dir": "desc"}]},
        {"op": "limit", "n": 1},
        {"op": "answer", "fields": ["title"]},
    )
    assert taught(promptql, wrong, {"plan": {**best, "output": "s4"}})[0] == f"the plan of '{question}'"
    again = promptql.ask("which film is the ONE to see")
    assert (again.values, again.planner) == (("Inception",), PlannerName.LEARNED)
    confirmed = promptql.ask("how many movies are there")
    assert taught(promptql, confirmed, None, right=True) == ["the plan of 'how many movies are there'"]


def test_the_word_that_was_not_heard_is_derived(promptql: PromptQL) -> None:
    """One unexplained word, one new value: it stands for that, also in other questions."""
    answer = promptql.ask("how many movies did Ridley direct")
    if answer.values == (3,):
        pytest.skip("the rules know the director by his first name")
    right = counted("director", "Ridley Scott") | {"output": "s4"}
    texts = taught(promptql, answer, {"plan": right})
    assert "'ridley' = movies.director is Ridley Scott" in texts
    assert promptql.ask("how many movies by Ridley are there").values == (3,)


def test_the_llm_is_told_what_was_learned(
    promptql: PromptQL, films: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """Words as hints; plans as examples of questions that are alike."""
    answer = promptql.ask("how many horror movies are there")
    taught(promptql, answer, word("scary", "genre", "horror"))
    taught(promptql, promptql.ask("how good are horror movies"), {"plan": averaged("horror") | {"output": "s3"}})
    llm = ScriptedLLM([averaged("horror")])
    PromptQL(films, embedder_of, llm).ask("how good are famous scary movies", planner="llm")
    system, user = (message.content for message in llm.requests[0].messages)
    assert "Words: 'scary' = movies.genre is horror" in user
    assert '"how good are horror movies"' in system


def test_lessons_are_durable_and_can_be_deleted(
    promptql: PromptQL, films: Database, embedder_of: Callable[[str], Embedder]
) -> None:
    """Another PromptQL over the database knows them; the collection is in no list."""
    answer = promptql.ask("how many horror movies are there")
    taught(promptql, answer, word("flicks"))
    other = PromptQL(films, embedder_of)
    (lesson,) = other.learning.all()
    assert other.ask("how many horror flicks are there").values == (2,)
    assert films.collections() == ["movies"]
    other.learning.delete(lesson.id)
    assert promptql.learning.all() == []
    assert promptql.ask("how many horror flicks are there").values != (2,)
    with pytest.raises(LessonNotFoundError):
        other.learning.delete(lesson.id)


@pytest.mark.parametrize(
    ("right", "correction", "message"),
    [
        (True, {"plan": {}}, "needs no correction"),
        (False, {}, '"plan" or "words"'),
        (False, {"text": "no"}, '"plan" or "words"'),
        (False, {"words": "flicks"}, "must be a list"),
        (False, {"words": [{"said": "x"}]}, "what a collection"),
        (False, {"words": [{"said": "x", "collection": "movies", "field": "yeer"}]}, "did you mean"),
        (False, {"words": [{"said": "x", "collection": "movies", "value": "horror"}]}, "unknown field"),
        (False, {"words": [{"said": "x" * 200, "collection": "movies"}]}, "1 to 100 characters"),
    ],
)
def test_feedback_that_teaches_nothing_is_refused(
    promptql: PromptQL, right: bool, correction: Any, message: str
) -> None:
    """It says what would be right."""
    answer = promptql.ask("how many movies are there")
    with pytest.raises(FeedbackError, match=message):
        promptql.learning.feedback(answer.plan, right=right, correction=correction)
    assert promptql.learning.feedback(answer.plan, right=False) == []


def test_an_answer_is_named_by_its_own_asker(promptql: PromptQL) -> None:
    """Nobody can speak of another's answer by its hash, nor of collections that they may not see."""
    answer = promptql.ask("how many movies are there", asker="a")
    with pytest.raises(FeedbackError, match="no answer of late"):
        promptql.learning.feedback(answer.plan_hash, right=True, asker="b")
    assert promptql.learning.feedback(answer.plan_hash, right=True, asker="a")
    with pytest.raises(FeedbackError, match="on the plan of an answer"):
        promptql.learning.feedback({"steps": []}, right=True)
    with pytest.raises(FeedbackError, match="1 to 1000 questions"):
        promptql.learning.review([])


def test_lessons_of_collections_that_may_not_be_seen_are_not_used(films: Database, promptql: PromptQL) -> None:
    """A word of one collection is no word of another."""
    answer = promptql.ask("how many horror movies are there")
    taught(promptql, answer, word("flicks"))
    films.create_collection("notes", films.collection("movies").snapshot().schema)
    lessons = promptql.learning.active()
    catalog = promptql._context("", ["notes"]).catalog
    assert lessons.heard("flicks", catalog) is None
    assert lessons.plan_of("how many", catalog) is None
