"""Anthropic's language models, through its SDK.

The key and the address are arguments. The SDK would read `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`,
`ANTHROPIC_BASE_URL`, `ANTHROPIC_CUSTOM_HEADERS` and profiles on disk wherever it is given nothing; so the key
and the address are always set here and the headers cleared. Only `lumaai` reads the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
from anthropic.types import Message, RawMessageStreamEvent

from models.llms.capabilities import Capabilities
from models.llms.endpoint import Call, Completion, Finish, count_of
from models.llms.providers import StructuredMode
from models.llms.sdk import SdkEndpoint
from models.llms.structured import SCHEMA_DESCRIPTION, SCHEMA_NAME, is_strict, schema_instruction

_FINISH = {
    "max_tokens": Finish.TRUNCATED,
    "model_context_window_exceeded": Finish.TRUNCATED,
    "refusal": Finish.REFUSED,
}


class AnthropicEndpoint(SdkEndpoint):
    """One address and model behind Anthropic's messages protocol; see `Endpoint`.

    Args:
        name: the LLM's, for messages.
        model: what it is called there.
        url: ends before `/v1/messages`.
        api_key: needed.
    """

    def __init__(self, *, name: str, model: str, url: str, api_key: str) -> None:
        self._model = model
        # A redirection would carry the question and the key to another address.
        http = anthropic.DefaultAsyncHttpxClient(follow_redirects=False)
        client = anthropic.AsyncAnthropic(api_key=api_key, base_url=url, max_retries=0, http_client=http)
        # ANTHROPIC_CUSTOM_HEADERS may carry another endpoint's credentials.
        client._custom_headers = {}  # noqa: SLF001 - the SDK has no argument that leaves them out
        super().__init__(
            name=name,
            url=url,
            key=api_key,
            client=client,
            create=client.messages.create,  # imported here, not in the time of the first request
            whole=_completion,
            pieces=_Pieces,
            failure=anthropic.AnthropicError,
            unreachable=anthropic.APIConnectionError,
        )

    def request(self, call: Call, way: Capabilities, *, stream: bool) -> dict[str, Any]:
        """The arguments of the SDK's `create`."""
        system = [message.content for message in call.messages if message.role == "system"]
        turns = [{"role": m.role, "content": m.content} for m in call.messages if m.role != "system"]
        request: dict[str, Any] = {"model": self._model, "messages": turns, "max_tokens": call.max_tokens}
        if way.temperature:
            # The SDK has no argument for the temperature any more, because its newest models take none.
            request["extra_body"] = {"temperature": call.temperature}
        if stream:
            request["stream"] = True
        if call.schema is not None:
            structured = _structured(way.structured or StructuredMode.PLAIN, dict(call.schema))
            if not structured:
                system.insert(0, schema_instruction(call.schema))
            request |= structured
        if system:
            request["system"] = "\n\n".join(system)
        return request

    def enforces(self, schema: Mapping[str, object], way: Capabilities) -> bool:
        """Whether the endpoint is asked to hold the reply to the schema; open ones only a tool takes."""
        return bool(_structured(way.structured or StructuredMode.PLAIN, dict(schema)))


def _structured(mode: StructuredMode, schema: dict[str, object]) -> dict[str, Any]:
    """What a request says to be answered with JSON of the schema; nothing where only words are left."""
    if mode is StructuredMode.TOOL:
        tool = {"name": SCHEMA_NAME, "description": SCHEMA_DESCRIPTION, "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": SCHEMA_NAME}}
    if mode is StructuredMode.JSON_SCHEMA and is_strict(schema):
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    return {}


def _completion(message: Message) -> Completion:
    arguments = None
    text = []
    for block in message.content:
        if block.type == "tool_use" and arguments is None:
            arguments = json.dumps(block.input, ensure_ascii=False)
        elif block.type == "text":
            text.append(block.text)
    reason = message.stop_reason or ""
    finish = _FINISH.get(reason, Finish.COMPLETE)
    return Completion("".join(text), arguments, finish, reason, *_tokens(message.usage))


@dataclass(slots=True)
class _Pieces:
    """A reply that is being put together from the events of a stream."""

    text: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    tool_index: int | None = None
    reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None

    def add(self, event: RawMessageStreamEvent) -> str:
        """Take an event in; returns its text, or its part of a tool call's JSON."""
        match event.type:
            case "message_start":
                self.tokens_in, self.tokens_out = _tokens(event.message.usage)
            case "content_block_start" if event.content_block.type == "tool_use" and self.tool_index is None:
                self.tool_index = event.index
            case "content_block_delta" if event.delta.type == "text_delta":
                self.text.append(event.delta.text)
                return event.delta.text
            case "content_block_delta" if event.delta.type == "input_json_delta" and event.index == self.tool_index:
                self.arguments.append(event.delta.partial_json)
                return event.delta.partial_json
            case "message_delta":
                self.reason = event.delta.stop_reason or self.reason
                self.tokens_out = count_of(event.usage.output_tokens)  # of the whole reply so far
        return ""

    def completion(self) -> Completion | None:
        """The whole; None where the stream ended before the reply did."""
        reason = self.reason
        if reason is None:
            return None
        arguments = None if self.tool_index is None else "".join(self.arguments)
        finish = _FINISH.get(reason, Finish.COMPLETE)
        return Completion("".join(self.text), arguments, finish, reason, self.tokens_in, self.tokens_out)


def _tokens(usage: Any) -> tuple[int | None, int | None]:
    """Tokens read (from caches and into them, too) and written, where the endpoint says so in numbers that can be."""
    if usage is None or (read := count_of(usage.input_tokens)) is None:
        return None, None
    cached = (usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    return read + sum(count_of(tokens) or 0 for tokens in cached), count_of(usage.output_tokens)
