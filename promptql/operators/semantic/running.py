"""Steps that ask a language model, each as its operator."""

from __future__ import annotations

from promptql.operators.rows import Rows, Scope
from promptql.operators.semantic.caller import Caller
from promptql.operators.semantic.cascading import cascade
from promptql.operators.semantic.deciding import Decider
from promptql.operators.semantic.joining import run_sem_join
from promptql.operators.semantic.ranking import run_topk
from promptql.operators.semantic.rowwise import run_row_steps
from promptql.operators.semantic.summarizing import run_summarize
from promptql.plan import Plan
from promptql.steps import (
    LlmClassify,
    LlmExtract,
    LlmFilter,
    LlmFused,
    LlmMap,
    LlmSummarize,
    LlmTopk,
    Semantic,
    SemJoin,
)
from promptql.validation.naming import joined_names

DECIDER: Decider | None = cascade  # of filters that need not judge every row


def run_semantic(step: Semantic, plan: Plan, scope: Scope) -> Rows:
    """What a step of the plan gives; there must be a language model.

    Raises:
        LLMError: nothing could be had of the language model.
        LimitExceededError: too many rows, or out of time.
        PlanCancelledError: nobody waits for the step any more.
    """
    assert scope.models is not None
    caller = Caller(scope.models, scope.judgements, scope.watch, step.id)
    rows = scope.done[step.inputs[0]]
    match step:
        case LlmFused(steps=steps):
            return run_row_steps(steps, rows, scope, caller, DECIDER, step.first)
        case LlmFilter():
            return run_row_steps([step], rows, scope, caller, DECIDER, step.first)
        case LlmClassify() | LlmExtract() | LlmMap():
            return run_row_steps([step], rows, scope, caller, DECIDER)
        case LlmTopk():
            return run_topk(step, rows, caller)
        case LlmSummarize():
            return run_summarize(step, rows, caller)
        case SemJoin():
            right = scope.done[step.right]
            names = joined_names(step, plan, rows.relation.types, right.relation.types)
            return run_sem_join(step, rows, right, names, scope, caller)
