"""Reading a request: bytes to JSON to a validated model, and what is wrong with it as pointers and codes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from lumaai.errors import InvalidRequestError
from lumaai.routes.parse import is_quick, no_collections, parse_json, parse_large
from lumaai.turns import Turns
from lumaai.wire.faults import invalid_request

M = TypeVar("M", bound=BaseModel)

CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)

# Runs work in a thread: what a lane's `run` is.
InThread = Callable[..., Awaitable[Any]]


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def media_type(scope: Scope) -> str:
    """The Content-Type without parameters, in lower case; "" if there is none."""
    value = header(scope, b"content-type") or b""
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def require_media_type(scope: Scope, *allowed: str, encodings: Sequence[str] = ()) -> None:
    """Refuse bodies of another type or encoding.

    Raises:
        InvalidRequestError: status 415.
    """
    given = media_type(scope)
    if given not in allowed and not (given.endswith("+json") and "application/json" in allowed):
        wanted = " or ".join(allowed)
        raise InvalidRequestError(
            f"body has an unsupported Content-Type: expected={wanted} got={given or 'none'!s:.100}",
            code="unsupported_media_type",
            status=415,
        )
    _require_utf8(header(scope, b"content-type") or b"")
    encoding = header(scope, b"content-encoding")
    if encoding is not None and encoding.lower().decode("latin-1") not in ("identity", *encodings):
        wanted = f"expected={' or '.join(encodings)}" if encodings else "send it without Content-Encoding"
        raise InvalidRequestError(
            f"such compressed bodies are not supported: {wanted}",
            code="unsupported_encoding",
            status=415,
        )


def _require_utf8(content_type: bytes) -> None:
    found = _CHARSET.search(content_type.decode("latin-1")) if b";" in content_type else None
    if found is not None and found[1].lower() not in CHARSETS:
        raise InvalidRequestError(
            f"body has an unsupported charset: expected=utf-8 got={found[1]!r:.40}",
            code="unsupported_charset",
            status=415,
        )


async def read_bytes(receive: Receive) -> bytes:
    """The whole body; how large it may be is bounded where `receive` comes from.

    Raises:
        ClientDisconnect: the client went away in the middle.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        return whole
    pieces = []
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()


async def read_body(
    scope: Scope,
    receive: Receive,
    model: type[M],
    in_thread: InThread,
    *,
    may_lack: bool = False,
    turns: Turns | None = None,
) -> M:
    """The JSON body as `model`; one that takes long is read by `in_thread`, so that other requests go on.

    Args:
        scope: of the request.
        receive: where the body comes from.
        model: of the body.
        in_thread: runs work in a thread.
        may_lack: no body at all stands for `{}`, whether a Content-Type announces JSON or nothing.
        turns: one is waited for once the body has come whole.

    Raises:
        InvalidRequestError: not JSON (400), not of this type (415) or not of this shape (422, naming places).
        TooLargeError: it has more lists and objects than any body needs.
        OverloadedError: its turn did not come in time.
    """
    if may_lack and not media_type(scope):
        content = await read_bytes(receive)
        if not content:
            return _validated({}, model)
    require_media_type(scope, "application/json")
    content = await read_bytes(receive)
    if turns is not None:
        await turns.take()
    if may_lack and not content:
        return _validated({}, model)
    if is_quick(content):
        return _validated(parse_json(content), model)
    read: M = await in_thread(_read_large, content, model)
    return read


def _read_large(content: bytes, model: type[M]) -> M:
    with no_collections():
        read = _validated_large(content, model)
    if not isinstance(read, InvalidRequestError):
        return read
    try:
        raise read  # from here, and without its cause: what was read is gone before garbage is collected again
    finally:
        del read


def _validated_large(content: bytes, model: type[M]) -> M | InvalidRequestError:
    data = parse_large(content)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        return _refused(error, data, model)


def _validated(data: Any, model: type[M]) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _refused(error, data, model) from error


def _refused(error: ValidationError, data: Any, model: type[BaseModel]) -> InvalidRequestError:
    return invalid_request(error, data, "body does not have the right shape", model)


def validated_query(scope: Scope, model: type[M]) -> M:
    """The query string as `model`.

    Raises:
        InvalidRequestError: a parameter that is unknown, given twice or wrong.
    """
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    values = dict(pairs)
    if len(values) != len(pairs):
        raise InvalidRequestError("a query parameter is given twice", code="invalid_value")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_request(error, values, "query string does not have the right shape", model) from error
