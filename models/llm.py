"""The language model protocol: messages in, text or a JSON value out, at once or as it is written."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from models.llms.budget import Budgets

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

DEFAULT_MAX_TOKENS = 2048
DEFAULT_TIMEOUT_SECONDS = 18.0  # an attempt: with two retries, under the minute that a service gives a question


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What replies cost.

    Attributes:
        calls: requests made, retries and the probe of an endpoint included.
        tokens_in: read by the model; where the endpoint does not say, an upper estimate.
        tokens_out: written by it, thoughts that are not shown included.
        dollars: by the table of prices; 0 where none is known.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.dollars + other.dollars,
        )

    @property
    def tokens(self) -> int:
        """Read and written together."""
        return self.tokens_in + self.tokens_out


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answered.

    Attributes:
        text: as it was written; JSON if a schema was asked for.
        value: the parsed JSON if a schema was asked for, else None.
        usage: of all requests that it took.
    """

    text: str
    value: JSON
    usage: Usage


@runtime_checkable
class LLM(Protocol):
    """A language model. Safe to call from many threads."""

    @property
    def name(self) -> str:
        """Provider and model, such as "openai/gpt-5.4-mini"."""

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
        """The model's next message.

        Args:
            messages: at least one, the last from the user.
            schema: JSON schema of an object; the reply is then one JSON value in `Reply.value`. The endpoint
                enforces it where it can; the caller must still validate.
            max_tokens: tokens of the reply at most.
            temperature: 0 is as repeatable as the model gets; ignored by models that do not take it.
            timeout_seconds: of one attempt; there are at most three attempts.
            budget: one `Budget` or several that this call, its retries included, takes from.
            cancelled: gives the call up soon after it is set.

        Raises:
            LLMUnavailableError: no connection, timeout, rate limit or 5xx, after the retries.
            LLMReplyError: not JSON though a schema was given, cut off at `max_tokens`, refused or empty.
            LLMBudgetError: the budget might not have sufficed for the next request, which was not made.
            LLMCancelledError: `cancelled` was set.
            LLMError: the provider refused the request: key, model name, or the request itself.
        """

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
        """The model's next message as it is written: pieces of its text, and at last the whole reply.

        The pieces joined are `Reply.text`. Closing the generator gives the call up. Failures are retried only
        while no piece has come; after that they are raised.

        Args:
            messages: as in `complete`, like all that is not named here.
            schema: as in `complete`; the pieces are then pieces of the JSON.
            max_tokens: as in `complete`.
            temperature: as in `complete`.
            timeout_seconds: silence allowed between two pieces; the whole may take ten times as long.
            budget: as in `complete`.
            cancelled: as in `complete`.

        Raises:
            LLMError: as in `complete`, while it is read.
        """
