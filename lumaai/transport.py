"""HTTP for the client: one kept-alive connection pool, bounded retries, errors of the service as LumaErrors.

The asynchronous twin of `Transport` is made from this file (`make twins`).
"""

from __future__ import annotations

import json
import math
import random
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

from engine import plain_scalar
from lumaai.errors import (
    ConnectionFailedError,
    InternalError,
    InvalidRequestError,
    LumaError,
    NotFoundError,
    from_problem,
)
from lumaai.http.message import NotConnectedError, Request, Response
from lumaai.http.pool import Exchange, Pool

JSONValue = Any  # what `json.loads` gives

ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.1  # doubled from attempt to attempt, each jittered by up to a half
RETRY_AFTER_SECONDS_MAX = 10.0  # a service that asks for more is not waited for: its error is raised
EVENT_STREAM = "text/event-stream"
JSON_HEADERS = {"content-type": "application/json"}
IDEMPOTENCY_KEY = "idempotency-key"
IDEMPOTENCY_REPLAYED = "idempotency-replayed"


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a write.

    Attributes:
        replayed: the service had done it before, under the same key.
    """

    body: JSONValue
    replayed: bool


class Transport:
    """Sends requests to one service. May be used from many threads.

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
        self._pool = Pool(self.url, timeout_seconds)
        self._headers = {"accept": "application/json", "user-agent": "lumaai"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {_header_value(api_key)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the transport cannot be used afterwards."""
        self._pool.close()

    def get(self, path: str, **parameters: str | int) -> JSONValue:
        """The JSON answer to GET."""
        return self._decoded(self.send("GET", path, parameters=parameters))

    def post(
        self,
        path: str,
        body: Mapping[str, JSONValue],
        *,
        safe: bool,
        parameters: Mapping[str, str] | None = None,
    ) -> JSONValue:
        """The JSON answer to POST; `safe` where the same request twice does no more than once."""
        return self._decoded(self.send("POST", path, body=body, parameters=parameters, safe=safe))

    def write(self, path: str, body: Mapping[str, JSONValue], *, key: str | None, safe: bool = True) -> Written:
        """The answer to a POST that writes.

        Args:
            path: of the operation.
            body: of the request.
            key: the idempotency key.
            safe: sent again where the connection breaks: it has a key, or does no more when it comes twice.
        """
        headers = {} if key is None else {IDEMPOTENCY_KEY: key}
        response = self.send("POST", path, body=body, headers=headers, safe=safe)
        return Written(self._decoded(response), IDEMPOTENCY_REPLAYED in response.headers)

    def send(
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
                return _successful(self._pool.send(request, patient=patient))
            except (OSError, LumaError) as error:
                self._pause(attempt, error, safe=safe)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def pieces(self, path: str) -> Iterator[Iterator[bytes]]:
        """The answer to GET in pieces, as they arrive.

        Raises:
            LumaError: the service refused.
            ConnectionFailedError: nothing answers there, or the connection broke.
        """
        exchange = self._opened(self._request("GET", path, None, {}))
        try:
            yield exchange.pieces()
        except OSError as error:
            raise self._failure(error, repeatable=True) from error
        finally:
            exchange.close()

    @contextmanager
    def events(self, path: str, body: Mapping[str, JSONValue]) -> Iterator[Iterator[tuple[str, JSONValue]]]:
        """The server-sent events that a POST is answered with, each as its name and its data, as they arrive.

        Raises:
            LumaError: the service refused, or said in the midst of its answer that it cannot go on.
            ConnectionFailedError: nothing answers there, or the connection broke.
        """
        exchange = self._opened(self._request("POST", path, encode(body), {"accept": EVENT_STREAM}))
        try:
            yield _events(exchange)
        except OSError as error:
            raise self._failure(error, repeatable=False) from error
        finally:
            exchange.close()

    def _opened(self, request: Request) -> Exchange:
        """An answer of success as far as its head, after as many attempts as it takes and is allowed."""
        for attempt in range(ATTEMPTS):
            try:
                exchange = self._pool.open(request)
                if 200 <= exchange.status < 300:
                    return exchange
                try:
                    _successful(Response(exchange.status, exchange.headers, exchange.read()))
                finally:
                    exchange.close()
            except (OSError, LumaError) as error:
                self._pause(attempt, error, safe=True)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _request(self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]) -> Request:
        typed = JSON_HEADERS if content is not None else {}
        return Request(method, target, {**self._headers, **typed, **headers}, content)

    def _pause(self, attempt: int, error: OSError | LumaError, *, safe: bool) -> None:
        """Wait for the next attempt, or raise where another makes no sense."""
        cause = error
        if isinstance(error, OSError):
            error = self._failure(error, repeatable=safe or isinstance(error, NotConnectedError))
        wait = _wait_seconds(error, attempt)
        if wait is None or attempt == ATTEMPTS - 1:
            if error is cause:
                raise error
            raise error from cause
        time.sleep(wait)

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


def new_key() -> str:
    """A fresh idempotency key."""
    return secrets.token_hex(16)


def collection_path(name: str) -> str:
    """The path of a collection.

    Raises:
        NotFoundError: no path leads to a collection of such a name.
    """
    if not name or "/" in name:  # no path leads to such a collection, because none can be made
        raise NotFoundError(f"collection does not exist: {name!r}", code="collection_not_found")
    quoted = quote(name, safe="")
    # Dots alone would be steps in the path.
    return f"/v1/collections/{quoted if quoted.strip('.') else quoted.replace('.', '%2E')}"


def given_keys(body: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """The keys that say something: None is what the service assumes anyway."""
    return {key: value for key, value in body.items() if value is not None}


def encode(body: Mapping[str, JSONValue]) -> bytes:
    """A request's body. NaN and Infinity pass, so that the service names the place, as the embedded database does.

    Raises:
        InvalidRequestError: a value that JSON has no form for.
    """
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}", code="invalid_value") from error


def _plain(value: object) -> JSONValue:
    """A date, decimal, UUID, numpy array or scalar as plain JSON; duck-typed, so that numpy is not imported for it."""
    plain = plain_scalar(value)
    if plain is not value:
        return plain
    listed = getattr(value, "tolist", None)
    if listed is None or (type(value).__module__ == "numpy" and value.shape == ()):
        raise TypeError(f"{type(value).__name__} is not a JSON value")
    return listed()


def _events(exchange: Exchange) -> Iterator[tuple[str, JSONValue]]:
    """Server-sent events (HTML standard, 9.2), as far as our service writes them: a name, and one JSON value.

    Raises:
        LumaError: an event named "error" says so.
        ConnectionFailedError: the stream ended before an event was whole.
    """
    events = EventReader()
    for piece in exchange.pieces():
        for event in events.feed(piece):  # noqa: UP028 - the asynchronous twin has no `yield from`
            yield event
    events.end()


class EventReader:
    """Server-sent events out of pieces that may end anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._name, self._data = "message", ""
        self._is_answered = False

    def feed(self, piece: bytes) -> list[tuple[str, JSONValue]]:
        """The events that are whole now.

        Raises:
            LumaError: an event named "error" says so.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [event for line in lines for event in self._line(line.rstrip(b"\r").decode())]

    def end(self) -> None:
        """Nothing more comes.

        Raises:
            ConnectionFailedError: the answer had not come.
        """
        if not self._is_answered:
            raise ConnectionFailedError("the service stopped in the midst of its answer", retryable=False)

    def _line(self, line: str) -> list[tuple[str, JSONValue]]:
        if line.startswith("event:"):
            self._name = line[6:].strip()
        elif line.startswith("data:"):
            self._data += line[5:].strip()
        elif not line and self._data:
            name, value = self._name, json.loads(self._data)
            self._name, self._data = "message", ""
            if name == "error":
                raise from_problem(value)
            self._is_answered = name == "answer"
            return [(name, value)]
        return []


def _successful(response: Response) -> Response:
    """The response, if it is one of success.

    Raises:
        LumaError: what it says instead; a body that is no problem document still gives its status.
    """
    if response.is_success:
        return response
    try:
        data = response.json()
    except ValueError:
        data = None
    error = from_problem(data if isinstance(data, dict) else {}, status=response.status)
    stated = response.headers.get("retry-after", "")
    if error.retry_after is None and stated.isdigit():
        error.retry_after = float(stated)
    raise error


def _wait_seconds(error: LumaError, attempt: int) -> float | None:
    """How long to wait before the next attempt; None where another makes no sense."""
    if not error.retryable or not (isinstance(error, ConnectionFailedError) or error.status in {429, 503}):
        return None
    wait: float = FIRST_WAIT_SECONDS * 2**attempt * random.uniform(1.0, 1.5)  # noqa: S311 - jitter, no secret
    if error.retry_after is None or not math.isfinite(error.retry_after):
        return wait
    return None if error.retry_after > RETRY_AFTER_SECONDS_MAX else max(wait, error.retry_after)


def _header_value(api_key: str) -> str:
    if not api_key.isascii() or not api_key.isprintable() or not api_key:
        raise InvalidRequestError("the API key must be printable ASCII text and not empty")
    return api_key
