"""A language model that plays a script, for tests: replies, malformed JSON, errors."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.errors import LLMError
from models.llm import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_SECONDS, JSON, Message, Reply, Usage
from models.llms.structured import parse_value


@dataclass(frozen=True, slots=True)
class ScriptedRequest:
    """What `complete` was called with."""

    messages: tuple[Message, ...]
    schema: Mapping[str, object] | None
    max_tokens: int
    temperature: float
    timeout_seconds: float


class ScriptedLLM:
    """Gives the scripted replies in order and records every request in `requests`.

    Args:
        replies: a str is the text of a reply (parsed as JSON if a schema is asked for, as a real model's would
            be); any other JSON is its value; an exception is raised.
    """

    def __init__(self, replies: Sequence[JSON | Exception], *, name: str = "scripted") -> None:
        self.name = name
        self.requests: list[ScriptedRequest] = []
        self._replies = deque(replies)
        self._lock = threading.Lock()  # guards the two above

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Reply:
        """The next reply of the script; tokens are counted as words.

        Raises:
            LLMReplyError: a schema was given and the scripted text is not JSON.
            LLMError: the script has ended.
        """
        request = ScriptedRequest(tuple(messages), schema, max_tokens, temperature, timeout_seconds)
        with self._lock:
            self.requests.append(request)
            if not self._replies:
                raise LLMError(f"script has ended: requests={len(self.requests)}")
            reply = self._replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        text = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
        words_in = sum(len(message.content.split()) for message in messages)
        value = parse_value(text) if schema is not None else None
        return Reply(text, value, Usage(1, words_in, len(text.split())))
