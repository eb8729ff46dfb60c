"""A language model that plays a script, for tests: replies, malformed JSON, errors, streams that are cut."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from models.errors import LLMCancelledError, LLMError, LLMUnavailableError
from models.llm import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_SECONDS, JSON, Message, Reply, Usage
from models.llms.budget import Budgets, budgets_of, charged
from models.llms.structured import parse_value

_PIECES = re.compile(r"\s*\S+\s*$|\s*\S+")


@dataclass(frozen=True, slots=True)
class ScriptedRequest:
    """What `complete` or `stream` was called with."""

    messages: tuple[Message, ...]
    schema: Mapping[str, object] | None
    max_tokens: int
    temperature: float
    timeout_seconds: float
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class ScriptedCut:
    """A reply whose connection is cut after `text`."""

    text: str


ScriptedReply: TypeAlias = "JSON | Exception | ScriptedCut"


class ScriptedLLM:
    """Gives the scripted replies in order and records every request in `requests`.

    Args:
        replies: a str is the text of a reply (parsed as JSON if a schema is asked for, as a real model's would
            be); any other JSON is its value; an exception is raised; or a function that makes one of these of a
            request, which may be called from several threads at once.
    """

    def __init__(
        self,
        replies: Sequence[ScriptedReply] | Callable[[ScriptedRequest], ScriptedReply],
        *,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self.requests: list[ScriptedRequest] = []
        self._answer = replies if callable(replies) else None
        self._replies = deque(() if callable(replies) else replies)
        self._lock = threading.Lock()  # guards the requests and the replies

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        budget: Budgets = None,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        """The next reply of the script; tokens are counted as words.

        Raises:
            LLMReplyError: a schema was given and the scripted text is not JSON.
            LLMBudgetError: the budget has no room for a call of these words and `max_tokens`.
            LLMCancelledError: `cancelled` was set before.
            LLMError: the script has ended.
        """
        request = ScriptedRequest(tuple(messages), schema, max_tokens, temperature, timeout_seconds)
        text = self._played(request, budget, cancelled)
        if isinstance(text, ScriptedCut):
            raise LLMUnavailableError("scripted connection was cut")
        return _reply(request, text)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        budget: Budgets = None,
        cancelled: threading.Event | None = None,
    ) -> Generator[str | Reply, None, None]:
        """The next reply of the script word by word, and then as a whole; raises what `complete` does."""
        request = ScriptedRequest(tuple(messages), schema, max_tokens, temperature, timeout_seconds, streamed=True)
        text = self._played(request, budget, cancelled)
        for piece in _PIECES.findall(text.text if isinstance(text, ScriptedCut) else text):
            if cancelled is not None and cancelled.is_set():
                raise LLMCancelledError("call was cancelled")
            yield piece
        if isinstance(text, ScriptedCut):
            raise LLMUnavailableError("scripted connection was cut")
        yield _reply(request, text)

    def _played(
        self, request: ScriptedRequest, budget: Budgets, cancelled: threading.Event | None
    ) -> str | ScriptedCut:
        if cancelled is not None and cancelled.is_set():
            raise LLMCancelledError("call was cancelled")
        words = _words(request)
        with charged(budgets_of(budget), Usage(1, words, request.max_tokens)) as charge:
            charge.actual = Usage(1, words, 0)
            reply = self._next(request)
            if isinstance(reply, Exception):
                raise reply
            if isinstance(reply, ScriptedCut):
                return reply
            text = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
            charge.actual = Usage(1, words, len(text.split()))
            return text

    def _next(self, request: ScriptedRequest) -> ScriptedReply:
        with self._lock:
            self.requests.append(request)
            if self._answer is None:
                if not self._replies:
                    raise LLMError(f"script has ended: requests={len(self.requests)}")
                return self._replies.popleft()
        return self._answer(request)


def _words(request: ScriptedRequest) -> int:
    return sum(len(message.content.split()) for message in request.messages)


def _reply(request: ScriptedRequest, text: str) -> Reply:
    value = parse_value(text) if request.schema is not None else None
    return Reply(text, value, Usage(1, _words(request), len(text.split())))
