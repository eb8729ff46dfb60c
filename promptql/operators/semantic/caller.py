"""Calls to a language model on behalf of one step: several at a time, counted, and given up when nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from models import (
    JSON,
    LLM,
    LLMBudgetError,
    LLMCancelledError,
    LLMReplyError,
    LLMUnavailableError,
    Message,
    Reply,
    Usage,
)
from promptql.answer import LlmUse
from promptql.errors import PlanCancelledError
from promptql.judgements import Judgements
from promptql.language_models import LanguageModels
from promptql.steps import ModelSize
from promptql.watch import Watch

CALLS_AT_ONCE = 8
UNAVAILABLE_MAX = 3  # calls in a row, each with its own retries, after which an endpoint is given up
LOOK_SECONDS = 0.1  # between two looks whether the calls are still wanted
SECONDS_MIN, TOKENS_A_SECOND = 18.0, 40  # a slow model writes no faster

Failure: TypeAlias = LLMReplyError | LLMUnavailableError | LLMBudgetError
FAILURES = (LLMReplyError, LLMUnavailableError, LLMBudgetError)
Taker: TypeAlias = "Callable[[int, JSON | Failure], bool]"


@dataclass(frozen=True, slots=True)
class Request:
    """One call: a system and a user message, the schema of the reply, and how long that may be."""

    system: str
    user: str
    schema: Mapping[str, Any]
    max_tokens: int


@dataclass(slots=True)
class Caller:
    """What one step asks, and what that has cost so far. For one thread, which starts others.

    Attributes:
        models: whom it asks.
        judgements: what was said before.
        watch: whether the step is still wanted.
        step: its id.
        ended: why no more calls are made: the budget, or an endpoint that does not answer.
        cache_hits: questions about a row that were answered before.
        failed: rows about which no answer could be had.
        decided: rows that something else than a model decided.
        cut: texts that were too long to be read as a whole.
    """

    models: LanguageModels
    judgements: Judgements
    watch: Watch
    step: str
    ended: Failure | None = None
    usage: Usage = field(default_factory=Usage)
    cache_hits: int = 0
    failed: int = 0
    decided: int = 0
    cut: int = 0
    _unavailable: int = 0

    def all(self, requests: Sequence[Request], size: ModelSize | None, take: Taker) -> None:
        """Make the requests, several at a time, and hand over what comes of each, in the thread that called.

        Requests after the end of the budget, or to an endpoint that does not answer, are not made; see `ended`.

        Args:
            requests: what is asked.
            size: of the model.
            take: called with the request's place and its reply's value, or what went wrong; gives whether to go on.

        Raises:
            LLMError: the provider refuses such requests: the key, the model's name.
            PlanCancelledError: nobody waits for the step any more.
            LimitExceededError: the plan is out of time.
        """
        llm, stop = self.models.of(size), threading.Event()
        waiting = iter(enumerate(requests))
        running: dict[Future[Reply], int] = {}
        wanted = True
        with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="promptql-llm") as pool:
            try:
                while True:
                    while wanted and self.ended is None and len(running) < CALLS_AT_ONCE:
                        index, request = next(waiting, (-1, None))
                        if request is None:
                            break
                        running[pool.submit(_called, llm, request, stop)] = index
                    if not running:
                        return
                    done, _ = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                    self.watch.check(self.step)
                    for future in done:
                        wanted = take(running.pop(future), self._outcome(future)) and wanted
            finally:
                stop.set()  # calls whose replies nobody will read are given up

    def one(self, request: Request, size: ModelSize | None) -> JSON | Failure:
        """The value of the reply to one request, or what went wrong, as it would with any more; see `all`."""
        outcomes: list[JSON | Failure] = []

        def take(index: int, outcome: JSON | Failure) -> bool:  # noqa: ARG001  (there is one)
            outcomes.append(outcome)
            return True

        self.all([request], size, take)
        if outcomes:
            return outcomes[0]
        assert self.ended is not None
        return self.ended

    def used(self) -> LlmUse:
        """What the step has cost."""
        return LlmUse(
            self.usage.calls, self.usage.tokens_in, self.usage.tokens_out, self.usage.dollars, self.cache_hits,
            self.decided, self.failed,
        )  # fmt: skip

    def _outcome(self, future: Future[Reply]) -> JSON | Failure:
        try:
            reply = future.result()
        except LLMCancelledError as error:
            raise PlanCancelledError(f"the plan was cancelled: step={self.step}") from error
        except FAILURES as error:
            self.usage += error.usage
            self._unavailable = self._unavailable + 1 if isinstance(error, LLMUnavailableError) else 0
            if isinstance(error, LLMBudgetError) or self._unavailable >= UNAVAILABLE_MAX:
                self.ended = error
            return error
        self.usage += reply.usage
        self._unavailable = 0
        return reply.value


def _called(llm: LLM, request: Request, stop: threading.Event) -> Reply:
    return llm.complete(
        [Message("system", request.system), Message("user", request.user)],
        schema=request.schema,
        max_tokens=request.max_tokens,
        timeout_seconds=max(SECONDS_MIN, request.max_tokens / TOKENS_A_SECOND),
        cancelled=stop,
    )
