"""Feedback and lessons, as the HTTP API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from lumaai.wire.base import Wire
from lumaai.wire.values import PlanObject, finite

QUESTIONS_MAX = 1_000


class FeedbackRequest(Wire):
    """What is said of an answer: of its `plan`, or of the `plan_hash` of one that you had of late."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["plan"], "properties": {"plan": {"type": "object"}, "plan_hash": {"type": "null"}}},
                {"required": ["plan_hash"], "properties": {"plan": {"type": "null"}, "plan_hash": {"type": "string"}}},
            ]
        }
    )

    plan: PlanObject | None = None
    plan_hash: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    verdict: Literal["right", "wrong"]
    correction: Annotated[dict[str, Any], BeforeValidator(finite)] | None = Field(
        default=None,
        description='Of a wrong one: `{"plan": the right one}`, or `{"words": [{"said", "collection", "field"?, '
        '"value"?}]}`: what was meant by a word.',
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.plan is None) == (self.plan_hash is None):
            raise PydanticCustomError("one_of", "give `plan` or `plan_hash`, one of them")
        return self


class ReviewRequest(Wire):
    """Questions with known answers."""

    questions: Annotated[list[dict[str, Any]], BeforeValidator(finite), Field(max_length=QUESTIONS_MAX)] | None = Field(
        default=None,
        description='`{"question", "answer": […] or "sql": "…", "collections"?, "category"?}` each, kept for the next '
        "time; null: those of the last time.",
    )


class Lesson(Wire):
    """Something that feedback taught: a word, or a question with its plan."""

    id: str
    kind: Literal["word", "example"]
    text: str = Field(description="For people.")
    state: Literal["pending", "live", "rejected"]
    created: str
    reason: str | None = Field(description="Why it is in its state.")
    word: dict[str, Any] | None = None
    question: str | None = None
    plan: dict[str, Any] | None = None


class LessonList(Wire):
    """Lessons, the oldest first."""

    lessons: list[Lesson]


class LessonReview(Wire):
    """What trying the pending lessons came to."""

    questions: int
    right_before: int
    right_after: int
    lessons: list[Lesson] = Field(description="Those that were pending, as they are now.")
