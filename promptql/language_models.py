"""The language models that steps may ask: one, or a large and a small one."""

from __future__ import annotations

from dataclasses import dataclass

from models import LLM, BudgetedLLM
from promptql.steps import ModelSize


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
