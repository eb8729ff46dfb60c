"""Errors of the providers' SDKs as ours, without keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.errors import LLMError, LLMReplyError, LLMUnavailableError
from models.retries import may_pass, retry_after_seconds

_REASON_CHARACTERS = 300
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
# What providers call failures of their own inside a stream, which has begun with status 200.
_MAY_PASS = frozenset({"api_error", "overloaded_error", "rate_limit_error", "server_error", "timeout_error"})


def translated_error(error: Any, name: str, key: str, *, unreachable: bool) -> LLMError:
    """Our error for one of an SDK; never holds the key.

    Args:
        error: it.
        name: the LLM's, for the message.
        key: what must not be shown.
        unreachable: whether no response came at all.
    """
    status = getattr(error, "status_code", None)
    facts = f"model={name}" + (f" status={status}" if status is not None else "")
    if unreachable:
        sent = type(error.__cause__).__name__ not in _NOT_SENT
        reason = type(error).__name__
        if sent and "Timeout" not in reason:
            return broken_off(name, error.__cause__)
        return LLMUnavailableError(f"language model cannot be reached: {facts} reason={reason}", sent=sent)
    if status in {401, 403}:
        return LLMError(f"language model refused the API key: {facts}", status=status)
    reason = f"reason={str(error).replace(key, '[key]')[:_REASON_CHARACTERS]}"
    if status in {None, 200}:  # an error event in the midst of a stream
        return _broken_stream(error, f"{facts} {reason}")
    details = {"status": status, "parameter": getattr(error, "param", None)}
    if may_pass(status):
        wait = retry_after_seconds(error.response.headers)
        message = f"language model is unavailable: {facts} {reason}"
        return LLMUnavailableError(message, retry_after_seconds=wait, **details)
    return LLMError(f"language model refused the request: {facts} {reason}", **details)


def _broken_stream(error: Any, facts: str) -> LLMError:
    kind = getattr(error, "type", None)
    if kind in _MAY_PASS or kind is None:
        return LLMUnavailableError(f"language model broke off: {facts}", sent=True)
    return LLMError(f"language model broke off: {facts}", sent=True)


@contextmanager
def replies_read() -> Iterator[None]:
    """Turn what reading a malformed reply raises into LLMReplyError.

    The SDKs check little: a body that is no JSON, or JSON of another shape, surfaces as one of Python's own errors.
    """
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, AssertionError) as error:
        raise LLMReplyError(f"endpoint answered with nonsense: {type(error).__name__}", sent=True) from error


def broken_off(name: str, cause: BaseException | None = None) -> LLMUnavailableError:
    """The error of a connection that ended before the reply did."""
    reason = "connection lost" if cause is None else type(cause).__name__
    return LLMUnavailableError(f"language model broke off: model={name} reason={reason}", sent=True)
