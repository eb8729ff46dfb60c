"""One endpoint of an embedding or reranking service: requests, retries, and its errors as ours.

Requests go through the `openai` SDK's client, which most services are spoken to with, also for paths that are not
OpenAI's own; the key and the address are arguments, as in `models.llms.openai`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

import openai

from models.errors import LLMError, RemoteModelError, RemoteReplyError, RemoteUnavailableError
from models.llms.network import check_endpoint
from models.llms.openai import openai_client
from models.retries import RetryPolicy, may_pass, retry_after_seconds

log = logging.getLogger(__name__)

_NO_KEY = "none"  # local servers ask for no key, but the SDK wants one
_REASON_CHARACTERS = 300


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
        if isinstance(error, openai.APIStatusError) and may_pass(status):
            return RemoteUnavailableError(
                f"service is unavailable: {facts} reason={reason}",
                status=status,
                retry_after_seconds=retry_after_seconds(error.response.headers),
            )
        return RemoteModelError(f"service refused the request: {facts} reason={reason}", status=status)
