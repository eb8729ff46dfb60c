"""What the protocols have in common: a call, a reply, and an endpoint that turns one into the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from models.llm import Message
from models.llms.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller wants."""

    messages: tuple[Message, ...]
    schema: Mapping[str, object] | None
    max_tokens: int
    temperature: float


class Finish(Enum):
    """Why a reply ended."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply as it came.

    Attributes:
        text: the words.
        arguments: the JSON of the tool call; None without one.
        finish: why it ended; `reason` is the provider's word for it.
        tokens_in: None where the endpoint does not say, as of `tokens_out`.
    """

    text: str
    arguments: str | None
    finish: Finish
    reason: str
    tokens_in: int | None
    tokens_out: int | None


def count_of(tokens: object) -> int | None:
    """The number of tokens that an endpoint claims; None for what cannot be one."""
    return tokens if isinstance(tokens, int) and tokens >= 0 else None


class Endpoint(Protocol):
    """An SDK's client of one address and model. Its coroutines run on one event loop.

    All of its errors are `LLMError`s. Those that an HTTP response made have its status in `details["status"]`, the
    parameter that it names in `details["parameter"]` and how long to wait in `details["retry_after_seconds"]`; those
    without one say in `details["sent"]` whether the request may have reached the model.
    """

    url: str

    def request(self, call: Call, way: Capabilities, *, stream: bool) -> dict[str, Any]:
        """The request's body as the SDK takes it; also what its size is estimated by."""

    def enforces(self, schema: Mapping[str, object], way: Capabilities) -> bool:
        """Whether a request made in this way has the endpoint hold the reply to the schema, not words alone."""

    async def send(self, request: Mapping[str, Any], timeout_seconds: float) -> Completion:
        """One request and its reply, without retries."""

    def stream(self, request: Mapping[str, Any], timeout_seconds: float) -> AsyncGenerator[str | Completion, None]:
        """One request and the pieces of its reply, the whole as the last item."""

    async def close(self) -> None:
        """Close the connections; idempotent."""
