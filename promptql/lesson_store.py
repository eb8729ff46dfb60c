"""Where lessons are kept: a hidden collection of the database, so that they are durable and in its snapshots."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from engine import (
    HIDDEN_PREFIX,
    Collection,
    CollectionExistsError,
    CollectionNotFoundError,
    Database,
    Field,
    FieldType,
    Schema,
)
from promptql.errors import FeedbackError, LessonNotFoundError
from promptql.evaluation.questions import EvaluationQuestion
from promptql.lessons import NO_LESSONS, LearnedWord, Lessons
from promptql.llm.manual import Example, compact

COLLECTION = f"{HIDDEN_PREFIX}lessons"
LESSONS_MAX = 1_000
QUESTIONS_MAX = 1_000
_QUESTIONS = "=questions"  # the document with the question set; lessons have hexadecimal ids
_CONTENT = "content"
_ID_CHARACTERS = 16

Teaching: TypeAlias = LearnedWord | Example


class LessonState(StrEnum):
    """`pending` until it was tried on the question set; then it is in force, or not."""

    PENDING = "pending"
    LIVE = "live"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Lesson:
    """Something that feedback taught.

    Attributes:
        id: of what it teaches: the same lesson is kept once.
        reason: why it is in its state.
    """

    teaching: Teaching
    state: LessonState = LessonState.PENDING
    created: str = ""
    reason: str | None = None

    @property
    def id(self) -> str:
        """What it teaches, hashed."""
        return hashlib.sha256(compact(_taught(self.teaching)).encode()).hexdigest()[:_ID_CHARACTERS]

    @property
    def text(self) -> str:
        """For people."""
        if isinstance(self.teaching, LearnedWord):
            return self.teaching.described()
        return f"the plan of '{self.teaching.question}'"

    def to_json(self) -> dict[str, Any]:
        """``{"id", "kind", "text", "state", "created", "reason"}``, with "word", or "question" and "plan"."""
        return {
            "id": self.id,
            "text": self.text,
            "state": self.state.value,
            "created": self.created,
            "reason": self.reason,
            **_taught(self.teaching),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Lesson:
        """The inverse of `to_json`."""
        if data["kind"] == "word":
            word = data["word"]
            teaching: Teaching = LearnedWord(word["said"], word["collection"], word.get("field"), word.get("value"))
        else:
            teaching = Example(data["question"], dict(data["plan"]))
        return cls(teaching, LessonState(data["state"]), data["created"], data["reason"])


def _taught(teaching: Teaching) -> dict[str, Any]:
    if isinstance(teaching, LearnedWord):
        return {"kind": "word", "word": teaching.to_json()}
    return {"kind": "example", "question": teaching.question, "plan": dict(teaching.plan)}


class LessonStore:
    """The lessons of a database, one document each, and the questions that they are tried on.

    `_lock` lets one change at a time be made, and guards what was read last.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._read: tuple[int, Lessons] | None = None

    def active(self) -> Lessons:
        """Those in force."""
        collection = self._collection(make=False)
        if collection is None:
            return NO_LESSONS
        sequence = collection.snapshot().sequence
        with self._lock:
            if self._read is None or self._read[0] != sequence:
                self._read = sequence, lessons_of(item for item in self._all(collection))
            return self._read[1]

    def all(self) -> list[Lesson]:
        """All lessons, the oldest first."""
        collection = self._collection(make=False)
        return [] if collection is None else self._all(collection)

    def add(self, teachings: Iterable[Teaching]) -> list[Lesson]:
        """Keep lessons, pending; those that there are already stay as they are, in whatever state.

        Raises:
            FeedbackError: there are too many.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            collection = self._collection(make=True)
            assert collection is not None
            known = {lesson.id: lesson for lesson in self._all(collection)}
            wanted = [Lesson(teaching, created=now) for teaching in teachings]
            new = {lesson.id: lesson for lesson in wanted if lesson.id not in known}
            if len(known) + len(new) > LESSONS_MAX:
                raise FeedbackError(f"too many lessons: maximum={LESSONS_MAX}; delete some", code="too_many_lessons")
            self._put(collection, new.values())
            return [known.get(lesson.id, lesson) for lesson in wanted]

    def update(self, lessons: Sequence[Lesson]) -> None:
        """Keep the states of lessons."""
        with self._lock:
            collection = self._collection(make=True)
            assert collection is not None
            self._put(collection, lessons)

    def delete(self, lesson_id: str) -> None:
        """Forget a lesson.

        Raises:
            LessonNotFoundError: there is none.
        """
        with self._lock:
            collection = self._collection(make=False)
            is_id = len(lesson_id) == _ID_CHARACTERS
            if collection is None or not is_id or not collection.delete(ids=[lesson_id]).deleted:
                raise LessonNotFoundError(f"lesson does not exist: {lesson_id!r:.60}")

    def questions(self) -> list[EvaluationQuestion]:
        """The question set that lessons were tried on last."""
        collection = self._collection(make=False)
        if collection is None:
            return []
        (document,) = collection.snapshot().get([_QUESTIONS])
        if document is None:
            return []
        return [EvaluationQuestion.from_json(item) for item in document[_CONTENT]["questions"]]

    def keep_questions(self, questions: Sequence[EvaluationQuestion]) -> None:
        """Try lessons on these from now on."""
        with self._lock:
            collection = self._collection(make=True)
            assert collection is not None
            content = {"questions": [item.to_json() for item in questions]}
            collection.add([{"id": _QUESTIONS, _CONTENT: content}])

    def _all(self, collection: Collection) -> list[Lesson]:
        snapshot = collection.snapshot()
        documents = snapshot.documents(snapshot.ordinals())
        found = [Lesson.from_json(item[_CONTENT]) for item in documents if item["id"] != _QUESTIONS]
        return sorted(found, key=lambda lesson: (lesson.created, lesson.id))

    def _put(self, collection: Collection, lessons: Iterable[Lesson]) -> None:
        documents = [{"id": lesson.id, _CONTENT: lesson.to_json()} for lesson in lessons]
        if documents:
            collection.add(documents)

    def _collection(self, *, make: bool) -> Collection | None:
        try:
            return self._database.collection(COLLECTION)
        except CollectionNotFoundError:
            if not make:
                return None
        try:
            schema = Schema({_CONTENT: Field(FieldType.JSON, declared=True)}, strict=True)
            return self._database.create_collection(COLLECTION, schema, hidden=True)
        except CollectionExistsError:  # of another `LessonStore` of this database
            return self._database.collection(COLLECTION)


def lessons_of(lessons: Iterable[Lesson]) -> Lessons:
    """What live lessons teach."""
    taught = [lesson.teaching for lesson in lessons if lesson.state is LessonState.LIVE]
    words = tuple(item for item in taught if isinstance(item, LearnedWord))
    return Lessons(words, tuple(item for item in taught if isinstance(item, Example)))


def judged(lesson: Lesson, state: LessonState, reason: str) -> Lesson:
    """The lesson in another state."""
    return replace(lesson, state=state, reason=reason)
