"""One call of a caller, which may take several requests: what it may and did cost, what follows a failure."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.errors import LLMBudgetError, LLMCancelledError, LLMError, LLMReplyError, LLMUnavailableError
from models.llm import Usage
from models.llms.budget import Budget, seconds_left
from models.llms.capabilities import Capabilities
from models.llms.clock import Clock
from models.llms.providers import StructuredMode
from models.retries import RetryPolicy

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS_MAX = 20.0  # what asks for a longer wait is handed to the caller, who may have other plans


@dataclass(slots=True)
class Exchange:
    """A call that is under way.

    Attributes:
        budgets: all that it takes from.
        cancelled: gives it up when it is set.
        timeout_seconds: of one request.
        usage: what it has cost so far.
    """

    budgets: tuple[Budget, ...]
    cancelled: threading.Event | None
    timeout_seconds: float
    usage: Usage = field(default_factory=Usage)

    def seconds(self, wanted: float) -> float:
        """So long, or until the first budget ends."""
        left = seconds_left(self.budgets)
        return wanted if left is None else min(wanted, left)

    def check_cancelled(self) -> None:
        """Raise LLMCancelledError if the call is to be given up."""
        if self.cancelled is not None and self.cancelled.is_set():
            raise LLMCancelledError("call was cancelled")


class Recovery:
    """What is done after a request failed: wait, or ask in another way, and again.

    It ends: retries are counted, and every other way leaves something out.

    Args:
        name: the LLM's, for the log.
        way: how the first request is made.
        exchange: what it is part of.
        retries: how often, and how long between.
        clock: waits.
        modes: ways to structured output that may be tried, the best first; none where no other is wanted.
    """

    def __init__(
        self,
        name: str,
        way: Capabilities,
        exchange: Exchange,
        *,
        retries: RetryPolicy,
        clock: Clock,
        modes: Sequence[StructuredMode] = (),
    ) -> None:
        self.way = way
        self._name, self._exchange, self._modes = name, exchange, modes
        self._retries, self._clock = retries, clock
        self._failures = 0

    def after(self, error: LLMError) -> None:
        """Return when the next request may be made, in the way that is `way` then.

        Raises:
            LLMError: `error`, if another request would not help.
            LLMCancelledError: the call was given up while it waited.
        """
        if isinstance(error, LLMUnavailableError):
            self._wait(error)
        elif isinstance(error, LLMBudgetError | LLMCancelledError | LLMReplyError):
            raise error
        elif (other := self.way.after(error) or self.way.weaker(error, self._modes)) is not None:
            log.info("llm.weakened", extra={"model": self._name, "structured": other.structured})
            self.way = other
        else:
            raise error

    def _wait(self, error: LLMUnavailableError) -> None:
        asked_for = error.details.get("retry_after_seconds")
        self._failures += 1
        own_limit = "limit" in error.details  # which has had its wait
        if own_limit or self._failures >= self._retries.attempts or (asked_for or 0) > RETRY_AFTER_SECONDS_MAX:
            raise error
        seconds = self._retries.wait_seconds(self._failures - 1, asked_for)
        if self._exchange.seconds(seconds) < seconds:
            raise error  # the budget ends first
        extra = {"model": self._name, "attempt": self._failures, "seconds": round(seconds, 3)}
        log.info("llm.retried", extra=extra)
        self._clock.wait(seconds, self._exchange.cancelled)
