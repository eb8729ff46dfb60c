"""Questions, plans and programs in requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lumaai.wire.base import Reading, Wire
from lumaai.wire.values import VERSION_BOUND, Description, Integer, PlanObject, finite, not_blank

QUESTION_CHARACTERS_MAX = 2_000


ConversationName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[ -~]+$")]


TimeZone = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_+\-]{1,40}(/[A-Za-z0-9_+\-]{1,40}){0,2}$",
        description='Whose "today" is meant: a name of the IANA database, such as Europe/Paris. null: UTC.',
    ),
]


class AskRequest(Reading):
    """A question in natural language about the documents."""

    question: Annotated[str, not_blank(QUESTION_CHARACTERS_MAX)]
    collections: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="null: all of them."
    )
    planner: Literal["auto", "rules", "llm"] = "auto"
    conversation: ConversationName | None = Field(
        default=None, description="A name of your choice, under which a question may go on from the one before."
    )
    time_zone: TimeZone | None = None
    stream: bool = Field(default=False, description="Answer with server-sent events, as they happen.")


class PlanRequest(Reading):
    """A question to plan."""

    question: Annotated[str, not_blank(QUESTION_CHARACTERS_MAX)]
    collections: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="null: all of them."
    )
    planner: Literal["auto", "rules", "llm"] = "auto"
    time_zone: TimeZone | None = None


ParameterValues = Annotated[
    dict[str, Any], BeforeValidator(finite), Field(description="Values of the plan's parameters, by name.")
]


class PlanBody(Reading):
    """A plan, and what it may read."""

    plan: PlanObject
    collections: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="null: all of them."
    )


class ExecuteRequest(PlanBody):
    """A plan to run."""

    params: ParameterValues | None = None
    from_step: str | None = Field(default=None, description="Run this step and those that read it again.")
    partial: bool = Field(
        default=False, description="Begin though the language model's budget will not suffice, and answer with a part."
    )
    stream: bool = Field(default=False, description="Answer with server-sent events, as they happen.")


class SaveProgram(Wire):
    """A plan to keep."""

    plan: PlanObject
    params: ParameterValues | None = Field(
        default=None, description="Constants of the plan that become parameters, by the names that they get."
    )
    description: Description | None = None


class RunProgram(Reading):
    """How a program is run."""

    params: ParameterValues | None = None
    version: Annotated[Integer, Field(ge=1, lt=VERSION_BOUND)] | None = Field(
        default=None, description="null: the last one."
    )
    stream: bool = Field(default=False, description="Answer with server-sent events, as they happen.")
