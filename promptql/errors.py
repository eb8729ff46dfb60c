"""Errors of promptql.

PromptQLError               .code, .details
├── QuestionError           the question cannot be asked: empty, too long, not text, nothing to ask it of
├── PlanError               the plan breaks a rule: .pointer (JSON Pointer into the plan), .hint
│   └── ArgumentError       something given beside the plan is wrong: .pointer into the request
├── ProgramError            a program cannot be kept as it is: its name, its description, their number
│   └── ProgramNotFoundError  there is no program, or no version, of that name
├── FeedbackError           feedback that nothing can be learned from
│   └── LessonNotFoundError   there is no lesson of that id
├── PlannerUnavailableError planner="llm" was asked for and there is no LLM
├── LLMPlanningError        planner="llm" was asked for, and the LLM gave no valid plan: .usage
├── LimitExceededError      the plan ran into its limit of rows, seconds or bytes
├── PlanStoppedError        an assert of the plan does not hold
└── PlanCancelledError      whoever asked has stopped it
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptql.planned import LLMUsage


class PromptQLError(Exception):
    """Base of everything that promptql raises on purpose."""

    code = "promptql_error"

    def __init__(self, message: str, *, code: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.details: dict[str, Any] = dict(details or {})


class QuestionError(PromptQLError):
    """The question cannot be asked."""

    code = "question_invalid"


class PlanError(PromptQLError):
    """A plan breaks a rule; `pointer` says where (JSON Pointer), `hint` what would be right."""

    code = "plan_invalid"

    def __init__(self, message: str, *, pointer: str = "", hint: str | None = None) -> None:
        super().__init__(message, details={"pointer": pointer, "hint": hint})
        self.pointer = pointer
        self.hint = hint


class ProgramError(PromptQLError):
    """A program cannot be kept so."""

    code = "program_invalid"


class ProgramNotFoundError(ProgramError):
    """There is no such program, or it has no such version."""

    code = "program_not_found"


class FeedbackError(PromptQLError):
    """Nothing can be learned from feedback as it is."""

    code = "feedback_invalid"


class LessonNotFoundError(FeedbackError):
    """There is no such lesson."""

    code = "lesson_not_found"


class ArgumentError(PlanError):
    """Something given beside a plan is wrong: a value of a parameter, a step to begin from."""

    code = "argument_invalid"


class PlannerUnavailableError(PromptQLError):
    """The LLM planner was asked for by name and no LLM is configured."""

    code = "planner_unavailable"


class LLMPlanningError(PromptQLError):
    """The language model gave no valid plan, repairs included; `usage` is what it cost."""

    code = "llm_plan_invalid"

    def __init__(self, message: str, usage: LLMUsage) -> None:
        super().__init__(message)
        self.usage = usage


class LimitExceededError(PromptQLError):
    """A plan would read more rows, or has taken longer, than it may."""

    code = "limit_exceeded"


class PlanStoppedError(PromptQLError):
    """A plan's own assert does not hold: there are fewer or more rows than there must be."""

    code = "assertion_failed"


class PlanCancelledError(PromptQLError):
    """A plan was stopped by whoever asked for it."""

    code = "cancelled"


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """A sentence that names the known name nearest to `name`, or the known names if they are few.

    Returns:
        None when nothing is known.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"one of: {', '.join(names[:20])}" if names else None
