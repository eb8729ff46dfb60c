"""One endpoint of an embedding or reranking service: requests, retries, and its errors as ours.

Requests go through the `openai` SDK's client, which most services are spoken to with, also for paths that are not
OpenAI's own; the key and the address are arguments, as in `models.llms.openai`.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import openai

from models.errors import LLMError, RemoteModelError, RemoteReplyError, RemoteUnavailableError
from models.llms.network import check_endpoint
from models.llms.openai import openai_client

log = logging.getLogger(__name__)

_NO_KEY = "none"  # local servers ask for no key, but the SDK wants one
_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_RETRY_AFTER_SECONDS_MAX = 60.0
_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: a wait is drawn from 0 to first_seconds × 2^attempt.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        attempts: requests at most, the first included.
        first_seconds: upper end of the first wait; `longest_seconds` of any.
        timeout_seconds: of one request.
    """

    attempts: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 20.0
    timeout_seconds: float = 60.0

    def wait_seconds(self, attempt: int, asked_for: float | None) -> float:
        """How long to wait after `attempt` (from 0); never less than the server asked for, up to a minute."""
        drawn = random.uniform(0, min(self.first_seconds * 2**attempt, self.longest_seconds))  # noqa: S311 - jitter
        return max(drawn, min(asked_for or 0.0, _RETRY_AFTER_SECONDS_MAX))


class RemoteEndpoint:
    """Sends JSON and returns JSON; safe to call from many threads.

    Args:
        url: the address that paths are appended to.
        api_key: None for servers that want none.
        model: its name, for messages.
        policy: how often and how long.
        sleep: waits between attempts.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        model: str,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self._model = url, model
        self._key = api_key or _NO_KEY
        self._policy, self._sleep = policy or RetryPolicy(), sleep
        self._client = openai_client(self._key, url, max_retries=0)
        self._client.timeout = self._policy.timeout_seconds

    def post(self, path: str, body: Mapping[str, object]) -> object:
        """The reply's JSON, after as many attempts as it takes.

        Raises:
            RemoteUnavailableError: the last attempt failed on the network or on the other side.
            RemoteReplyError: the reply is not JSON.
            RemoteModelError: the service refused the request, whose status is in `details["status"]`.
        """
        try:
            check_endpoint(self.url)
        except LLMError as error:
            raise RemoteModelError(str(error), provider_url=self.url) from None
        for attempt in range(self._policy.attempts):
            try:
                return self._post_once(path, body)
            except RemoteUnavailableError as error:
                if attempt + 1 == self._policy.attempts:
                    raise
                wait = self._policy.wait_seconds(attempt, error.details.get("retry_after_seconds"))
                log.info("remote.retried", extra={"model": self._model, "attempt": attempt + 1, "seconds": wait})
                self._sleep(wait)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()

    def _post_once(self, path: str, body: Mapping[str, object]) -> object:
        try:
            reply: object = self._client.post(path, cast_to=object, body=dict(body))
        except openai.OpenAIError as error:
            raise self._translated(error) from None  # the SDK's own words may quote a part of the key
        except (ValueError, RecursionError) as error:
            raise RemoteReplyError(f"service answered with something else than JSON: model={self._model}") from error
        if isinstance(reply, str):  # the SDK hands on what has no JSON content type as text
            raise RemoteReplyError(f"service answered with something else than JSON: model={self._model}")
        return reply

    def _translated(self, error: openai.OpenAIError) -> RemoteModelError:
        status = getattr(error, "status_code", None)
        facts = f"model={self._model}" + (f" status={status}" if status is not None else "")
        if isinstance(error, openai.APIConnectionError):
            return RemoteUnavailableError(f"service cannot be reached: {facts} reason={type(error).__name__}")
        if isinstance(error, openai.APIResponseValidationError):
            return RemoteReplyError(f"service answered with nonsense: {facts}")
        if status in {401, 403}:
            return RemoteModelError(f"service refused the API key: {facts}", status=status)
        reason = str(error).replace(self._key, "[key]")[:_REASON_CHARACTERS]
        if isinstance(status, int) and (status in _RETRYABLE_STATUS or status >= 500):
            return RemoteUnavailableError(
                f"service is unavailable: {facts} reason={reason}",
                status=status,
                retry_after_seconds=_retry_after(error),
            )
        return RemoteModelError(f"service refused the request: {facts} reason={reason}", status=status)


def _retry_after(error: openai.OpenAIError) -> float | None:
    """Seconds that the server asked to wait, where it said so in numbers."""
    if not isinstance(error, openai.APIStatusError):
        return None
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(float(error.response.headers[header]) * unit, 0.0)
        except (KeyError, ValueError):
            continue
    return None
