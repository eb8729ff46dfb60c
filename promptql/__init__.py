"""Questions in natural language, answered from documents: typed plans, executed, every figure cited.

Names are imported when first used, so that the answer's data classes cost no engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptql.answer import Answer as Answer
    from promptql.answer import Artifact as Artifact
    from promptql.answer import Band as Band
    from promptql.answer import Chart as Chart
    from promptql.answer import Citation as Citation
    from promptql.answer import Notice as Notice
    from promptql.answer import PlannerName as PlannerName
    from promptql.answer import Rewrite as Rewrite
    from promptql.answer import StepReport as StepReport
    from promptql.conversation import Conversations as Conversations
    from promptql.engine import PromptQL as PromptQL
    from promptql.errors import ArgumentError as ArgumentError
    from promptql.errors import FeedbackError as FeedbackError
    from promptql.errors import LessonNotFoundError as LessonNotFoundError
    from promptql.errors import LimitExceededError as LimitExceededError
    from promptql.errors import LLMPlanningError as LLMPlanningError
    from promptql.errors import PlanCancelledError as PlanCancelledError
    from promptql.errors import PlanError as PlanError
    from promptql.errors import PlannerUnavailableError as PlannerUnavailableError
    from promptql.errors import PlanStoppedError as PlanStoppedError
    from promptql.errors import ProgramError as ProgramError
    from promptql.errors import ProgramNotFoundError as ProgramNotFoundError
    from promptql.errors import PromptQLError as PromptQLError
    from promptql.errors import QuestionError as QuestionError
    from promptql.evaluation import EvaluationQuestion as EvaluationQuestion
    from promptql.evaluation import evaluate as evaluate
    from promptql.evaluation import read_evaluation_questions as read_evaluation_questions
    from promptql.events import AnswerDelta as AnswerDelta
    from promptql.events import Answered as Answered
    from promptql.events import ArtifactMade as ArtifactMade
    from promptql.events import Event as Event
    from promptql.events import PlanMade as PlanMade
    from promptql.events import StepFinished as StepFinished
    from promptql.events import StepProgress as StepProgress
    from promptql.events import StepStarted as StepStarted
    from promptql.events import Tell as Tell
    from promptql.events import Warned as Warned
    from promptql.events import event_from_json as event_from_json
    from promptql.executor import Limits as Limits
    from promptql.lesson_store import Lesson as Lesson
    from promptql.lesson_store import LessonState as LessonState
    from promptql.meanings import Meanings as Meanings
    from promptql.plan import Assumption as Assumption
    from promptql.plan import Plan as Plan
    from promptql.plan import Support as Support
    from promptql.programs import Program as Program
    from promptql.proposal import Explanation as Explanation
    from promptql.proposal import PlanCheck as PlanCheck
    from promptql.proposal import PlanFault as PlanFault
    from promptql.proposal import Proposal as Proposal
    from promptql.question import QUESTION_CHARACTERS_MAX as QUESTION_CHARACTERS_MAX
    from promptql.reviewing import LessonReview as LessonReview
    from promptql.steps import asks_language_model as asks_language_model
    from promptql.streaming import stream as stream

_MODULES = {
    "answer": ["Answer", "Artifact", "Band", "Chart", "Citation", "Notice", "PlannerName", "Rewrite", "StepReport"],
    "conversation": ["Conversations"],
    "meanings": ["Meanings"],
    "engine": ["PromptQL"],
    "errors": [
        "ArgumentError",
        "FeedbackError",
        "LLMPlanningError",
        "LessonNotFoundError",
        "LimitExceededError",
        "PlanCancelledError",
        "PlanStoppedError",
        "PlanError",
        "PlannerUnavailableError",
        "ProgramError",
        "ProgramNotFoundError",
        "PromptQLError",
        "QuestionError",
    ],
    "events": [
        "AnswerDelta",
        "Answered",
        "ArtifactMade",
        "Event",
        "PlanMade",
        "StepFinished",
        "StepProgress",
        "StepStarted",
        "Tell",
        "Warned",
        "event_from_json",
    ],
    "evaluation": ["EvaluationQuestion", "evaluate", "read_evaluation_questions"],
    "executor": ["Limits"],
    "lesson_store": ["Lesson", "LessonState"],
    "plan": ["Assumption", "Plan", "Support"],
    "programs": ["Program"],
    "proposal": ["Explanation", "PlanCheck", "PlanFault", "Proposal"],
    "steps": ["asks_language_model"],
    "reviewing": ["LessonReview"],
    "streaming": ["stream"],
    "question": ["QUESTION_CHARACTERS_MAX"],
}
_EXPORTS = {name: f"promptql.{module}" for module, names in _MODULES.items() for name in names}
__all__ = sorted(_EXPORTS)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'promptql' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
