"""What calls may cost, asked before each request: a budget is never overdrawn, not by one request."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from models.errors import LLMBudgetError
from models.llm import Usage
from models.llms.clock import Clock

Budgets: TypeAlias = "Budget | Sequence[Budget] | None"


class Budget:
    """Limits, what was spent of them, and what running requests may still take. Safe for many threads.

    Before a request its upper estimate is taken: one call, a token for every byte of the request (no tokenizer makes
    more) and the reply's whole token limit, at the table's prices. Afterwards what it really cost stands instead.
    So the last tokens and dollars of a budget may stay unspent, but no limit is passed. An endpoint that writes more
    than it was allowed to is the one exception; what it wrote is counted.

    Args:
        calls: requests, retries and probes included; None, here and below, is no limit.
        tokens: read and written together.
        dollars: by the table of prices; a model without a price is refused.
        seconds: from the making of the budget on; requests that run are given up at their end.
        clock: for tests.

    Raises:
        ValueError: a limit is negative or no number.
    """

    def __init__(
        self,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        dollars: float | None = None,
        seconds: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.calls, self.tokens, self.dollars, self.seconds = calls, tokens, dollars, seconds
        for name in ("calls", "tokens", "dollars", "seconds"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                raise ValueError(f"budget must not be negative: {name}={limit}")
        self._clock = clock or Clock()
        self._began = self._clock.now()
        self._spent, self._reserved = Usage(), Usage()
        self._lock = threading.Lock()  # guards the two above

    def renewed(self) -> Budget:
        """The same limits with nothing spent, beginning now."""
        return Budget(
            calls=self.calls, tokens=self.tokens, dollars=self.dollars, seconds=self.seconds, clock=self._clock
        )

    @property
    def spent(self) -> Usage:
        """What ended requests cost."""
        with self._lock:
            return self._spent

    @property
    def seconds_left(self) -> float | None:
        """Until its end, at least 0; None without one."""
        if self.seconds is None:
            return None
        return max(self._began + self.seconds - self._clock.now(), 0.0)

    def has_room(self, upper: Usage) -> bool:
        """Whether requests of this upper estimate would be let through now."""
        with self._lock:
            return self._lacking(upper) is None

    def reserve(self, upper: Usage) -> None:
        """Take what a request may cost at most.

        Raises:
            LLMBudgetError: that is more than is left.
        """
        with self._lock:
            if limit := self._lacking(upper):
                raise self._exhausted(limit, upper)
            self._reserved += upper

    def settle(self, upper: Usage, actual: Usage) -> None:
        """Put what a request cost in the place of what was taken for it."""
        with self._lock:
            self._reserved += _negative(upper)
            self._spent += actual

    def _lacking(self, upper: Usage) -> str | None:
        """The limit that does not suffice."""
        after = self._spent + self._reserved + upper
        limits = {"calls": after.calls, "tokens": after.tokens, "dollars": after.dollars}
        for name, needed in limits.items():
            limit = getattr(self, name)
            if limit is not None and needed > limit:
                return name
        return "seconds" if self.seconds_left == 0 else None

    def _exhausted(self, limit: str, upper: Usage) -> LLMBudgetError:
        maximum = getattr(self, limit)
        if limit == "seconds":
            return LLMBudgetError(f"budget is exhausted: seconds={maximum:g}", limit=limit)
        spent, running = getattr(self._spent, limit), getattr(self._reserved, limit)
        facts = f"maximum={maximum:g} spent={spent:g} running={running:g} needed={getattr(upper, limit):g}"
        return LLMBudgetError(f"budget does not suffice: limit={limit} {facts}", limit=limit)

    def __repr__(self) -> str:
        limits = f"calls={self.calls}, tokens={self.tokens}, dollars={self.dollars}, seconds={self.seconds}"
        return f"Budget({limits}, spent={self.spent})"


@dataclass(slots=True)
class Charge:
    """What a request is charged with in the end: its upper estimate, unless something else is set."""

    actual: Usage


@contextmanager
def charged(budgets: Sequence[Budget], upper: Usage) -> Iterator[Charge]:
    """Reserve `upper` from all budgets for the time of the block, and then settle with the charge's `actual`.

    Raises:
        LLMBudgetError: one of them has not so much left; nothing is taken from any.
    """
    reserved: list[Budget] = []
    charge = Charge(Usage())
    try:
        for budget in budgets:
            budget.reserve(upper)
            reserved.append(budget)
        charge.actual = upper
        yield charge
    finally:
        for budget in reserved:
            budget.settle(upper, charge.actual)


def budgets_of(budgets: Budgets) -> tuple[Budget, ...]:
    """One, several or none as a tuple."""
    if budgets is None:
        return ()
    return (budgets,) if isinstance(budgets, Budget) else tuple(budgets)


def seconds_left(budgets: Sequence[Budget]) -> float | None:
    """Until the first of them ends; None where none does."""
    return min((left for budget in budgets if (left := budget.seconds_left) is not None), default=None)


def _negative(usage: Usage) -> Usage:
    return Usage(-usage.calls, -usage.tokens_in, -usage.tokens_out, -usage.dollars)
