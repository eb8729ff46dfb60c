"""Errors as the answers to requests, and the ids that both are known by."""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from lumaai.errors import (
    InternalError,
    InvalidRequestError,
    LumaError,
)
from lumaai.routes.body import header
from lumaai.routes.operation import MethodNotAllowedError
from lumaai.wire import as_openai

PROBLEM = "application/problem+json"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")


def raw_problem(error: LumaError, request_id: str, *, closes: bool = False) -> bytes:
    """An answer to what does not become a request of the application; `closes`: the last on its connection."""
    response = problem_response(error, request_id)
    head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nx-request-id: {request_id}\r\n"
    head += "connection: close\r\n" if closes else ""
    headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    return head.encode() + headers + b"\r\n" + bytes(response.body)


def problem_response(error: LumaError, request_id: str, *, like_openai: bool = False) -> Response:
    """An error as RFC 9457 problem details; `like_openai`: that OpenAI's clients read, too."""
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = error.allow
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status in {429, 503} and (error.retry_after is not None or error.retryable):
        headers["Retry-After"] = str(max(1, round(error.retry_after or 1)))
    problem = error.to_problem(instance=request_id)
    if like_openai:
        problem = as_openai(problem)
        headers["X-Should-Retry"] = "true" if error.retryable else "false"
    content = msgspec.json.encode(problem)
    return Response(content, status_code=problem["status"], headers=headers, media_type=PROBLEM)


def as_luma_error(error: Exception) -> LumaError:
    """What is told of an error that nobody foresaw."""
    if isinstance(error, RecursionError):
        return InvalidRequestError("the request is nested too deeply", code="too_deep")
    return InternalError("something went wrong in the service: its log has more under this request's id")


def request_id_of(scope: Scope) -> str:
    """The caller's X-Request-Id if it is a plain word, else a new one."""
    given = header(scope, b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return secrets.token_hex(8)
