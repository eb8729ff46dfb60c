"""Steps that ask a language model, each as its operator."""

from __future__ import annotations

from promptql.operators.rows import Rows, Scope
from promptql.operators.semantic.caller import Caller
from promptql.operators.semantic.deciding import Decider
from promptql.operators.semantic.rowwise import run_row_steps
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

DECIDER: Decider | None = None  # of filters that need not judge every row


def run_semantic(step: Semantic, scope: Scope) -> Rows:
    """What a step gives; there must be a language model.

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
            return run_row_steps(steps, rows, scope, caller, DECIDER)
        case LlmFilter() | LlmClassify() | LlmExtract() | LlmMap():
            return run_row_steps([step], rows, scope, caller, DECIDER)
        case LlmTopk() | LlmSummarize() | SemJoin():
            raise NotImplementedError(step.op)
