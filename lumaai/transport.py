"""HTTP for the client: one kept-alive connection pool, bounded retries, errors of the service as LumaErrors."""

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
from urllib.parse import quote

import httpx

from lumaai.errors import (
    ConnectionFailedError,
    InternalError,
    InvalidRequestError,
    LumaError,
    NotFoundError,
    from_problem,
)

JSONValue = Any  # what `json.loads` gives

ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.1  # doubled from attempt to attempt, each jittered by up to a half
RETRY_AFTER_SECONDS_MAX = 10.0  # a service that asks for more is not waited for: its error is raised
CONNECT_TIMEOUT_SECONDS = 5.0
CONNECTIONS_MAX = 32
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
    """Sends requests to one service. May be used from many threads: httpx's pool guards itself.

    What the service refuses early (429, 503 with `retryable`) is sent again, because nothing was done; what broke on
    the way is sent again only where repeating does no harm (`safe`) or where no connection was made at all. Writes are
    made harmless to repeat by an idempotency key, which stays the same from attempt to attempt.

    Args:
        url: the service's address, such as `http://127.0.0.1:8000`.
        timeout_seconds: how long one answer is waited for.
        transport: what carries requests in place of the network (a test's own).

    Raises:
        InvalidRequestError: `url` is not an address of a service.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"accept": "application/json"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {_header_value(api_key)}"
        try:
            self._http = httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS)),
                limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
                transport=transport,
            )
        except httpx.InvalidURL as error:
            raise InvalidRequestError(f"not an address of a service: {url} ({error})") from error
        if not self._http.base_url.host:
            raise InvalidRequestError(f"not an address of a service: {url}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the transport cannot be used afterwards."""
        self._http.close()

    def get(self, path: str, **parameters: str | int) -> JSONValue:
        """The JSON answer to GET."""
        return _decoded(self.send("GET", path, parameters=parameters))

    def post(
        self,
        path: str,
        body: Mapping[str, JSONValue],
        *,
        safe: bool,
        parameters: Mapping[str, str] | None = None,
    ) -> JSONValue:
        """The JSON answer to POST; `safe` where the same request twice does no more than once."""
        return _decoded(self.send("POST", path, body=body, parameters=parameters, safe=safe))

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
        return Written(_decoded(response), IDEMPOTENCY_REPLAYED in response.headers)

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
    ) -> httpx.Response:
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
        content = None if body is None else encode(body)
        given = {**(JSON_HEADERS if content is not None else {}), **(headers or {})}
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS) if patient else httpx.USE_CLIENT_DEFAULT
        request = self._http.build_request(
            method, path, params=parameters, content=content, headers=given, timeout=timeout
        )
        return self._attempted(request, safe=safe)

    @contextmanager
    def pieces(self, path: str) -> Iterator[Iterator[bytes]]:
        """The answer to GET in pieces, as they arrive.

        Raises:
            LumaError: the service refused.
            ConnectionFailedError: nothing answers there, or the connection broke.
        """
        try:
            with self._http.stream("GET", path) as response:
                if not response.is_success:
                    response.read()
                    raise _problem(response)
                yield response.iter_bytes()
        except httpx.TransportError as error:
            raise _connection_failure(self.url, error, repeatable=True) from error

    @contextmanager
    def events(self, path: str, body: Mapping[str, JSONValue]) -> Iterator[Iterator[tuple[str, JSONValue]]]:
        """The server-sent events that a POST is answered with, each as its name and its data, as they arrive.

        Raises:
            LumaError: the service refused, or said in the midst of its answer that it cannot go on.
            ConnectionFailedError: nothing answers there, or the connection broke.
        """
        headers = {**JSON_HEADERS, "accept": EVENT_STREAM}
        request = self._http.build_request("POST", path, content=encode(body), headers=headers)
        response = self._attempted(request, safe=True, whole=False)
        try:
            yield _events(response)
        except httpx.TransportError as error:
            raise _connection_failure(self.url, error, repeatable=False) from error
        finally:
            response.close()

    def _attempted(self, request: httpx.Request, *, safe: bool, whole: bool = True) -> httpx.Response:
        """A response of success, after as many attempts as it takes and is allowed."""
        for attempt in range(ATTEMPTS):
            error = self._refusal(request, safe=safe, whole=whole)
            if isinstance(error, httpx.Response):
                return error
            wait = _wait_seconds(error, attempt)
            if wait is None or attempt == ATTEMPTS - 1:
                raise error
            time.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _refusal(self, request: httpx.Request, *, safe: bool, whole: bool) -> httpx.Response | LumaError:
        """One attempt: its response, read to its end where it is to be `whole`, or the error it stands for."""
        try:
            response = self._http.send(request, stream=not whole)
            if not whole and not response.is_success:
                response.read()
        except httpx.TransportError as error:
            unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
            failure = _connection_failure(self.url, error, repeatable=safe or unsent)
            failure.__cause__ = error
            return failure
        return response if response.is_success else _problem(response)


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
    """A numpy array or scalar as plain JSON; duck-typed, so that numpy is not imported for it."""
    plain = getattr(value, "tolist", None)
    if plain is None:
        raise TypeError(f"{type(value).__name__} is not a JSON value")
    return plain()


def _decoded(response: httpx.Response) -> JSONValue:
    try:
        return response.json()
    except ValueError as error:
        kind = response.headers.get("content-type", "without a type")
        raise InternalError(f"{response.url} answered with something else than JSON: {kind}") from error


def _events(response: httpx.Response) -> Iterator[tuple[str, JSONValue]]:
    """Server-sent events (HTML standard, 9.2), as far as our service writes them: a name, and one JSON value.

    Raises:
        LumaError: an event named "error" says so.
        ConnectionFailedError: the stream ended before an event was whole.
    """
    name, data, seen = "message", "", False
    for line in response.iter_lines():
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line and data:
            value = json.loads(data)
            if name == "error":
                raise from_problem(value)
            yield name, value
            seen = name == "answer"
            name, data = "message", ""
    if not seen:
        raise ConnectionFailedError("the service stopped in the midst of its answer", retryable=False)


def _problem(response: httpx.Response) -> LumaError:
    """The error that a refused request raises; a body that is no problem document still gives its status."""
    try:
        data = response.json()
    except ValueError:
        data = None
    error = from_problem(data if isinstance(data, dict) else {}, status=response.status_code)
    stated = response.headers.get("retry-after", "")
    if error.retry_after is None and stated.isdigit():
        error.retry_after = float(stated)
    return error


def _connection_failure(url: str, error: httpx.TransportError, *, repeatable: bool) -> ConnectionFailedError:
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        # Not repeated: who waited this long has been told the limit, and the service may still be at work.
        return ConnectionFailedError(f"no answer in time from {url}: {type(error).__name__}", retryable=False)
    reason = str(error) or type(error).__name__
    return ConnectionFailedError(f"no connection to the service at {url}: {reason}", retryable=repeatable)


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
