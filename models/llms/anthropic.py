"""Anthropic's language models, through its SDK; structured output as a tool call that the model must make.

The key and the address are arguments. The SDK would read `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`,
`ANTHROPIC_BASE_URL`, `ANTHROPIC_CUSTOM_HEADERS` and profiles on disk wherever it is given nothing; so the key
and the address are always set here and the headers cleared. Only `lumaai` reads the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anthropic

from models.errors import LLMError, LLMReplyError
from models.llm import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_SECONDS, JSON, Message, Reply, Usage
from models.llms.failures import replies_read, translated_error
from models.llms.network import check_endpoint
from models.llms.structured import SCHEMA_NAME

ANTHROPIC_URL = "https://api.anthropic.com"
DEFAULT_ANTHROPIC_MODEL = "claude-haiku-4-5"
MAX_RETRIES = 2


class AnthropicLLM:
    """A model behind Anthropic's messages protocol; safe to call from many threads.

    Args:
        model: its name at the endpoint.
        api_key: the key; needed.
        base_url: the endpoint, ending before `/v1/messages`; by default Anthropic's.

    Raises:
        LLMError: no key.
    """

    def __init__(
        self, *, model: str = DEFAULT_ANTHROPIC_MODEL, api_key: str | None = None, base_url: str | None = None
    ) -> None:
        if not api_key:
            raise LLMError("API key is missing: provider=anthropic")
        self.name = f"anthropic/{model}"
        self._model = model
        self._key = api_key
        self._url = base_url or ANTHROPIC_URL
        self._takes_temperature = True  # until a request is refused because of it, as newer models do
        self._client = anthropic.Anthropic(api_key=api_key, base_url=self._url, max_retries=MAX_RETRIES)
        # ANTHROPIC_CUSTOM_HEADERS may carry another endpoint's credentials.
        self._client._custom_headers = {}  # noqa: SLF001 - the SDK has no argument that leaves them out

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        temperature: float = 0.0,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Reply:
        """The model's next message; see `LLM.complete`."""
        check_endpoint(self._url)
        request = self._request(messages, schema, max_tokens)
        for calls in (1, 2):
            # The SDK has no argument for the temperature any more, because its newest models take none.
            body = {"temperature": temperature} if self._takes_temperature else {}
            try:
                with replies_read():
                    reply = self._client.messages.create(**request, extra_body=body, timeout=timeout_seconds)
            except anthropic.BadRequestError as error:
                if not (body and "temperature" in str(error)):
                    raise self._translated(error) from error
                self._takes_temperature = False
            except anthropic.AnthropicError as error:
                raise self._translated(error) from None  # the SDK's own words may quote a part of the key
            else:
                with replies_read():
                    return _reply(reply, calls, structured=schema is not None)
        raise LLMError(f"language model refused the request: model={self.name}")

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()

    def _request(
        self, messages: Sequence[Message], schema: Mapping[str, object] | None, max_tokens: int
    ) -> dict[str, Any]:
        turns = [{"role": m.role, "content": m.content} for m in messages if m.role != "system"]
        request: dict[str, Any] = {"model": self._model, "messages": turns, "max_tokens": max_tokens}
        if system := "\n\n".join(m.content for m in messages if m.role == "system"):
            request["system"] = system
        if schema is not None:
            description = "Give the reply in this form."
            request["tools"] = [{"name": SCHEMA_NAME, "description": description, "input_schema": dict(schema)}]
            request["tool_choice"] = {"type": "tool", "name": SCHEMA_NAME}
        return request

    def _translated(self, error: anthropic.AnthropicError) -> LLMError:
        unreachable = isinstance(error, anthropic.APIConnectionError)
        return translated_error(error, self.name, self._key, unreachable=unreachable)


def _reply(message: anthropic.types.Message, calls: int, *, structured: bool) -> Reply:
    if message.stop_reason == "max_tokens":
        raise LLMReplyError("reply was cut off at its token limit")
    usage = Usage(calls, message.usage.input_tokens, message.usage.output_tokens)
    for block in message.content:
        if structured and block.type == "tool_use":
            return Reply(json.dumps(block.input, ensure_ascii=False), cast("JSON", block.input), usage)
    text = "".join(block.text for block in message.content if block.type == "text")
    if structured or not text:
        raise LLMReplyError(f"reply is a refusal or empty: stop_reason={message.stop_reason}", text=text)
    return Reply(text, None, usage)
