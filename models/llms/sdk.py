"""What an SDK's client of one address does, whichever protocol it speaks: send, stream, close, and fail as we do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from models.errors import LLMError
from models.llms.endpoint import Completion
from models.llms.failures import broken_off, replies_read, translated_error


class Pieces(Protocol):
    """A reply that is being put together from what a stream brings."""

    def add(self, item: Any, /) -> str:
        """Take an item in; returns its text, or its part of a tool call's JSON."""

    def completion(self) -> Completion | None:
        """The whole; None where the stream ended before the reply did."""


class SdkEndpoint:
    """The half of an `Endpoint` that is alike for all SDKs.

    Args:
        name: the LLM's, for messages.
        url: of the endpoint.
        key: never to be shown.
        client: the SDK's, with `close`.
        create: its coroutine for one request, whole or streamed.
        whole: what it gives → a completion.
        pieces: makes the collector of a stream's items.
        failure: the base class of the SDK's errors.
        unreachable: of those the class that no response made.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        key: str,
        client: Any,
        create: Callable[..., Awaitable[Any]],
        whole: Callable[[Any], Completion],
        pieces: Callable[[], Pieces],
        failure: type[Exception],
        unreachable: type[Exception],
    ) -> None:
        self.url = url
        self._name, self._key = name, key
        self._client, self._create = client, create
        self._whole, self._pieces = whole, pieces
        self._failure, self._unreachable = failure, unreachable

    async def send(self, request: Mapping[str, Any], timeout_seconds: float) -> Completion:
        """One request and its reply, without retries."""
        with self._translated():
            return self._whole(await self._create(**request, timeout=timeout_seconds))

    async def stream(
        self, request: Mapping[str, Any], timeout_seconds: float
    ) -> AsyncGenerator[str | Completion, None]:
        """One request and the pieces of its reply, the whole as the last item."""
        pieces = self._pieces()
        with self._translated():
            items = await self._create(**request, timeout=timeout_seconds)
        try:
            while True:
                with self._translated():
                    item = await anext(items, None)
                    text = None if item is None else pieces.add(item)
                if item is None:
                    break
                if text:
                    yield text
        finally:
            await items.close()
        completion = pieces.completion()
        if completion is None:
            raise broken_off(self._name)
        yield completion

    async def close(self) -> None:
        """Close the connections; idempotent."""
        await self._client.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with replies_read():
                yield
        except self._failure as error:
            unreachable = isinstance(error, self._unreachable)
            # The SDK's own words may quote a part of the key.
            raise translated_error(error, self._name, self._key, unreachable=unreachable) from None
        except LLMError:
            raise
        except Exception as error:  # the SDK hands on what its HTTP library raises in the midst of a body
            raise broken_off(self._name, error) from error
