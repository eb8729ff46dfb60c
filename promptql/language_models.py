"""The language models that steps may ask: one, or a large and a small one."""

from __future__ import annotations

from dataclasses import dataclass

from models import LLM, BudgetedLLM
from promptql.errors import PlanError
from promptql.plan import Plan
from promptql.steps import SEMANTIC, ModelSize

_TWINS = {
    "llm_classify": "classify_local",
    "llm_extract": "extract_local",
    "llm_summarize": "summarize_local",
    "llm_filter": "classify_local and a filter",
    "llm_topk": "a search",
}


@dataclass(frozen=True, slots=True)
class LanguageModels:
    """A large model, which is asked where nothing is said, and a small one; without one the large stands in for it."""

    large: LLM
    small: LLM | None = None

    def of(self, size: ModelSize | None) -> LLM:
        """The model of a size."""
        return self.small if size is ModelSize.SMALL and self.small is not None else self.large


def models_of(llm: LLM | None) -> LanguageModels | None:
    """A model as one question may use it: with a budget of its own, if it has one, and the smaller one beside it."""
    if not isinstance(llm, BudgetedLLM):
        return None if llm is None else LanguageModels(llm)
    renewed = llm.renewed()
    return LanguageModels(renewed, renewed.small)


def check_models(plan: Plan, models: LanguageModels | None) -> None:
    """Before anything runs: steps that ask a language model need one.

    Raises:
        PlanError: there is none; the hint names a step that does without.
    """
    if models is not None:
        return
    for index, step in enumerate(plan.steps):
        if isinstance(step, SEMANTIC):
            twin = _TWINS.get(step.op)
            hint = "configure a language model" + (f", or use {twin}, which needs none" if twin else "")
            raise PlanError(
                f"step {step.id} asks a language model, and none is configured: op={step.op}; {hint}",
                pointer=f"/steps/{index}/op",
                hint=hint,
            )
