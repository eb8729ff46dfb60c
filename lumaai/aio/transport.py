"""Made from `lumaai/transport.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlencode

from lumaai.aio.pool import AsyncExchange, AsyncPool
from lumaai.errors import (
    ConnectionFailedError,
    InternalError,
    LumaError,
)
from lumaai.http.message import NotConnectedError, Request, Response
from lumaai.transport import (
    ATTEMPTS,
    EVENT_STREAM,
    IDEMPOTENCY_KEY,
    IDEMPOTENCY_REPLAYED,
    JSON_HEADERS,
    EventReader,
    JSONValue,
    Written,
    _header_value,
    _successful,
    _wait_seconds,
    encode,
)


class AsyncTransport:
    """Sends requests to one service. For the tasks of one event loop.

    What the service refuses early (429, 503 with `retryable`) is sent again, because nothing was done; what broke on
    the way is sent again only where repeating does no harm (`safe`) or where no connection was made at all. Writes are
    made harmless to repeat by an idempotency key, which stays the same from attempt to attempt.

    Args:
        url: the service's address, such as `http://127.0.0.1:8000`.
        timeout_seconds: how long one answer is waited for.

    Raises:
        InvalidRequestError: `url` is not an address of a service.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout_seconds: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._pool = AsyncPool(self.url, timeout_seconds)
        self._headers = {"accept": "application/json", "user-agent": "lumaai"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {_header_value(api_key)}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the transport cannot be used afterwards."""
        self._pool.close()

    async def get(self, path: str, **parameters: str | int) -> JSONValue:
        """The JSON answer to GET."""
        return self._decoded(await self.send("GET", path, parameters=parameters))

    async def post(
        self,
        path: str,
        body: Mapping[str, JSONValue],
        *,
        safe: bool,
        parameters: Mapping[str, str] | None = None,
    ) -> JSONValue:
        """The JSON answer to POST; `safe` where the same request twice does no more than once."""
        return self._decoded(await self.send("POST", path, body=body, parameters=parameters, safe=safe))

    async def write(self, path: str, body: Mapping[str, JSONValue], *, key: str | None, safe: bool = True) -> Written:
        """The answer to a POST that writes.

        Args:
            path: of the operation.
            body: of the request.
            key: the idempotency key.
            safe: sent again where the connection breaks: it has a key, or does no more when it comes twice.
        """
        headers = {} if key is None else {IDEMPOTENCY_KEY: key}
        response = await self.send("POST", path, body=body, headers=headers, safe=safe)
        return Written(self._decoded(response), IDEMPOTENCY_REPLAYED in response.headers)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, JSONValue] | None = None,
        parameters: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        safe: bool = True,
        patient: bool = False,
    ) -> Response:
        """A response of success, after as many attempts as it takes and is allowed.

        Args:
            method: of HTTP.
            path: of the operation.
            body: sent as JSON.
            parameters: of the query string.
            headers: beside those that every request has.
            safe: the same request twice does no more than once.
            patient: the answer may take as long as it takes, such as after work on all files.

        Raises:
            LumaError: the service refused; of the class that the embedded database raises.
            ConnectionFailedError: nothing answers there, or the connection broke.
            InvalidRequestError: `body` cannot be written as JSON.
        """
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        request = self._request(method, target, None if body is None else encode(body), headers or {})
        for attempt in range(ATTEMPTS):
            try:
                return _successful(await self._pool.send(request, patient=patient))
            except (OSError, LumaError) as error:
                await self._pause(attempt, error, safe=safe)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def pieces(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer to GET in pieces, as they arrive.

        Raises:
            LumaError: the service refused.
            ConnectionFailedError: nothing answers there, or the connection broke.
        """
        exchange = await self._opened(self._request("GET", path, None, {}))
        try:
            yield exchange.pieces()
        except OSError as error:
            raise self._failure(error, repeatable=True) from error
        finally:
            exchange.close()

    @asynccontextmanager
    async def events(
        self, path: str, body: Mapping[str, JSONValue]
    ) -> AsyncIterator[AsyncIterator[tuple[str, JSONValue]]]:
        """The server-sent events that a POST is answered with, each as its name and its data, as they arrive.

        Raises:
            LumaError: the service refused, or said in the midst of its answer that it cannot go on.
            ConnectionFailedError: nothing answers there, or the connection broke.
        """
        exchange = await self._opened(self._request("POST", path, encode(body), {"accept": EVENT_STREAM}))
        try:
            yield _events(exchange)
        except OSError as error:
            raise self._failure(error, repeatable=False) from error
        finally:
            exchange.close()

    async def _opened(self, request: Request) -> AsyncExchange:
        """An answer of success as far as its head, after as many attempts as it takes and is allowed."""
        for attempt in range(ATTEMPTS):
            try:
                exchange = await self._pool.open(request)
                if 200 <= exchange.status < 300:
                    return exchange
                try:
                    _successful(Response(exchange.status, exchange.headers, await exchange.read()))
                finally:
                    exchange.close()
            except (OSError, LumaError) as error:
                await self._pause(attempt, error, safe=True)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _request(self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]) -> Request:
        typed = JSON_HEADERS if content is not None else {}
        return Request(method, target, {**self._headers, **typed, **headers}, content)

    async def _pause(self, attempt: int, error: OSError | LumaError, *, safe: bool) -> None:
        """Wait for the next attempt, or raise where another makes no sense."""
        cause = error
        if isinstance(error, OSError):
            error = self._failure(error, repeatable=safe or isinstance(error, NotConnectedError))
        wait = _wait_seconds(error, attempt)
        if wait is None or attempt == ATTEMPTS - 1:
            if error is cause:
                raise error
            raise error from cause
        await asyncio.sleep(wait)

    def _failure(self, error: OSError, *, repeatable: bool) -> ConnectionFailedError:
        if isinstance(error, TimeoutError):
            # Not repeated: who waited this long has been told the limit, and the service may still be at work.
            return ConnectionFailedError(f"no answer in time from {self.url}: {error}", retryable=False)
        reason = str(error) or type(error).__name__
        return ConnectionFailedError(f"no connection to the service at {self.url}: {reason}", retryable=repeatable)

    def _decoded(self, response: Response) -> JSONValue:
        try:
            return response.json()
        except ValueError as error:
            kind = response.headers.get("content-type", "without a type")
            raise InternalError(f"{self.url} answered with something else than JSON: {kind}") from error


async def _events(exchange: AsyncExchange) -> AsyncIterator[tuple[str, JSONValue]]:
    """Server-sent events (HTML standard, 9.2), as far as our service writes them: a name, and one JSON value.

    Raises:
        LumaError: an event named "error" says so.
        ConnectionFailedError: the stream ended before an event was whole.
    """
    events = EventReader()
    async for piece in exchange.pieces():
        for event in events.feed(piece):  # noqa: UP028 - the asynchronous twin has no `yield from`
            yield event
    events.end()
