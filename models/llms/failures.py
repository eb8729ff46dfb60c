"""Errors of the providers' SDKs as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import LLMError, LLMReplyError, LLMUnavailableError

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_REASON_CHARACTERS = 300


def translated_error(error: Exception, name: str, key: str, *, unreachable: bool) -> LLMError:
    """Our error for one of an SDK; never holds the key."""
    status = getattr(error, "status_code", None)
    facts = f"model={name}" + (f" status={status}" if status is not None else "")
    if unreachable:
        return LLMUnavailableError(f"language model cannot be reached: {facts} reason={type(error).__name__}")
    if status in {401, 403}:
        return LLMError(f"language model refused the API key: {facts}", status=status)
    reason = str(error).replace(key, "[key]")[:_REASON_CHARACTERS]
    if isinstance(status, int) and (status in _RETRYABLE_STATUS or status >= 500):
        return LLMUnavailableError(f"language model is unavailable: {facts} reason={reason}", status=status)
    return LLMError(f"language model refused the request: {facts} reason={reason}", status=status)


@contextmanager
def replies_read() -> Iterator[None]:
    """Turn what reading a malformed reply raises into LLMReplyError.

    The SDKs check little: a body that is no JSON, or JSON of another shape, surfaces as one of Python's own errors.
    """
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise LLMReplyError(f"endpoint answered with nonsense: {type(error).__name__}") from error
