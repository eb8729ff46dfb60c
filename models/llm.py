"""The language model protocol: messages in, text or a JSON value out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

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
    """What replies cost: requests made, tokens read and tokens written."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.calls + other.calls, self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answered.

    Attributes:
        text: as it was written; JSON if a schema was asked for.
        value: the parsed JSON if a schema was asked for, else None.
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
    ) -> Reply:
        """The model's next message.

        Args:
            messages: at least one, the last from the user.
            schema: JSON schema of an object; the reply is then one JSON value in `Reply.value`. The endpoint
                enforces it where it can; the caller must still validate.
            max_tokens: tokens of the reply at most.
            temperature: 0 is as repeatable as the model gets; ignored by models that do not take it.
            timeout_seconds: silence allowed in one attempt; there are at most three attempts.

        Raises:
            LLMUnavailableError: no connection, timeout, rate limit or 5xx, after the retries.
            LLMReplyError: not JSON though a schema was given, cut off at `max_tokens`, refused or empty.
            LLMError: the provider refused the request: key, model name, or the request itself.
        """
