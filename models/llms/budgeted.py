"""A language model whose every call takes from one budget, such as that of a question."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence

from models.llm import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_SECONDS, LLM, Message, Reply
from models.llms.budget import Budget, Budgets, budgets_of
from models.llms.prices import Price


class BudgetedLLM:
    """`llm` within a budget; safe to call from many threads.

    Args:
        llm: what is asked.
        budget: of all calls together; a call that brings one of its own takes from both.
        small: a smaller model beside it, for what is easy; what it costs comes out of the same budget.
    """

    def __init__(self, llm: LLM, budget: Budget, small: LLM | None = None) -> None:
        self.budget = budget
        self._llm, self._small = llm, small

    @property
    def name(self) -> str:
        """Provider and model."""
        return self._llm.name

    @property
    def price(self) -> Price | None:
        """Of the model's tokens; None if it is not known."""
        price = getattr(self._llm, "price", None)
        return price if isinstance(price, Price) else None

    @property
    def small(self) -> BudgetedLLM | None:
        """The smaller model within the same budget; None where there is none."""
        return None if self._small is None else BudgetedLLM(self._small, self.budget)

    def renewed(self) -> BudgetedLLM:
        """The same model with the same limits and nothing spent, beginning now."""
        return BudgetedLLM(self._llm, self.budget.renewed(), self._small)

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        budget: Budgets = None,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        """The model's next message; see `LLM.complete`."""
        return self._llm.complete(
            messages,
            schema=schema,
            max_tokens=max_tokens,
            temperature=temperature,
            timeout_seconds=timeout_seconds,
            budget=(self.budget, *budgets_of(budget)),
            cancelled=cancelled,
        )

    def stream(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        budget: Budgets = None,
        cancelled: threading.Event | None = None,
    ) -> Generator[str | Reply, None, None]:
        """The model's next message as it is written; see `LLM.stream`."""
        return self._llm.stream(
            messages,
            schema=schema,
            max_tokens=max_tokens,
            temperature=temperature,
            timeout_seconds=timeout_seconds,
            budget=(self.budget, *budgets_of(budget)),
            cancelled=cancelled,
        )

    def close(self) -> None:
        """Close the connections of both models, if they have any; idempotent."""
        for llm in (self._llm, self._small):
            if callable(close := getattr(llm, "close", None)):
                close()

    def __repr__(self) -> str:
        return f"BudgetedLLM({self.name!r}, {self.budget!r})"
