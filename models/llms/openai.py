"""Language models that speak OpenAI's chat completions: OpenAI, Azure, Gemini, DeepSeek, Ollama, vLLM.

The key and the address are arguments. The SDK would read `OPENAI_API_KEY`, `OPENAI_BASE_URL`,
`OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`, `OPENAI_ADMIN_KEY`, `OPENAI_CUSTOM_HEADERS` and Azure's own from the environment
wherever it is given nothing, and send the key of one endpoint to another; so every one of these is set here.
Only `lumaai` reads the environment. Proxy settings (`HTTPS_PROXY`) are the HTTP library's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from models.errors import LLMReplyError
from models.llms.capabilities import Capabilities
from models.llms.endpoint import Call, Completion, Finish, count_of
from models.llms.providers import Provider, StructuredMode
from models.llms.sdk import SdkEndpoint
from models.llms.structured import SCHEMA_DESCRIPTION, SCHEMA_NAME, is_strict, schema_instruction

OPENAI_URL = "https://api.openai.com/v1"
AZURE_API_VERSION = "2024-10-21"  # the newest of the dated ones that are not previews

_NO_KEY = "none"  # local servers ask for no key, but the SDK wants one
_FINISH = {"length": Finish.TRUNCATED, "content_filter": Finish.REFUSED}
_OTHER_LIMIT = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


class OpenAIEndpoint(SdkEndpoint):
    """One address and model behind the chat completions protocol; see `Endpoint`.

    Args:
        provider: what is known of it.
        name: the LLM's, for messages.
        model: what it is called there; with Azure, the deployment.
        url: ends before `/chat/completions`; with Azure, before `/openai`.
        api_key: None for servers that want none.
        api_version: of Azure.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        name: str,
        model: str,
        url: str,
        api_key: str | None,
        api_version: str | None = None,
    ) -> None:
        self._provider, self._model = provider, model
        key = api_key or _NO_KEY
        # A redirection would carry the question, and with some providers the key, to another address.
        http = openai.DefaultAsyncHttpxClient(follow_redirects=False)
        client: openai.AsyncOpenAI
        if provider.protocol == "azure":
            version = api_version or AZURE_API_VERSION
            client = openai.AsyncAzureOpenAI(
                api_key=key, azure_endpoint=url, api_version=version, max_retries=0, http_client=http
            )
        else:
            client = openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0, http_client=http)
        _forget_environment(client)
        super().__init__(
            name=name,
            url=url,
            key=key,
            client=client,
            create=client.chat.completions.create,  # imported here, not in the time of the first request
            whole=_completion,
            pieces=_Pieces,
            failure=openai.OpenAIError,
            unreachable=openai.APIConnectionError,
        )

    def request(self, call: Call, way: Capabilities, *, stream: bool) -> dict[str, Any]:
        """The arguments of the SDK's `create`."""
        turns = [{"role": message.role, "content": message.content} for message in call.messages]
        limit = self._provider.limit_parameter
        request: dict[str, Any] = {
            "model": self._model,
            "messages": turns,
            _OTHER_LIMIT[limit] if way.limit_swapped else limit: call.max_tokens,
        }
        if way.temperature:
            request["temperature"] = call.temperature
        if stream:
            request["stream"] = True
            if way.stream_usage:
                request["stream_options"] = {"include_usage": True}
        if call.schema is not None:
            mode = way.structured or StructuredMode.PLAIN
            if not (self._provider.shows_schema and mode in {StructuredMode.JSON_SCHEMA, StructuredMode.TOOL}):
                turns.insert(0, {"role": "system", "content": schema_instruction(call.schema)})
            request |= _structured(mode, dict(call.schema))
        return request

    def enforces(self, schema: Mapping[str, object], way: Capabilities) -> bool:
        """Whether the endpoint is asked to hold the reply to the schema."""
        del schema  # any will do
        return way.structured not in {None, StructuredMode.JSON_OBJECT, StructuredMode.PLAIN}


def openai_client(key: str, url: str, *, max_retries: int) -> openai.OpenAI:
    """A client of the SDK that takes nothing from the environment."""
    client = openai.OpenAI(api_key=key, base_url=url, max_retries=max_retries)
    _forget_environment(client)
    return client


def _forget_environment(client: openai.OpenAI | openai.AsyncOpenAI) -> None:
    client.organization = client.project = client.admin_api_key = None
    client._custom_headers = {}  # noqa: SLF001 - OPENAI_CUSTOM_HEADERS may carry another endpoint's credentials


def _structured(mode: StructuredMode, schema: dict[str, object]) -> dict[str, Any]:
    """What a request says to be answered with JSON of the schema."""
    match mode:
        case StructuredMode.JSON_SCHEMA:
            named = {"name": SCHEMA_NAME, "schema": schema, "strict": is_strict(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        case StructuredMode.TOOL:
            function = {"name": SCHEMA_NAME, "description": SCHEMA_DESCRIPTION, "parameters": schema}
            choice = {"type": "function", "function": {"name": SCHEMA_NAME}}
            return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
        case StructuredMode.STRUCTURED_OUTPUTS:
            return {"extra_body": {"structured_outputs": {"json": schema}}}
        case StructuredMode.GUIDED_JSON:
            return {"extra_body": {"guided_json": schema}}
        case StructuredMode.GRAMMAR:
            return {"extra_body": {"json_schema": schema}}
        case StructuredMode.JSON_OBJECT:
            return {"response_format": {"type": "json_object"}}
        case StructuredMode.PLAIN:
            return {}


def _completion(reply: ChatCompletion) -> Completion:
    if not reply.choices:
        raise LLMReplyError("reply holds no choice", sent=True)
    choice = reply.choices[0]
    message, reason = choice.message, choice.finish_reason
    arguments = None
    for tool in message.tool_calls or ():
        if tool.type == "function":
            arguments = _checked_text(tool.function.arguments)
            break
    finish = Finish.REFUSED if message.refusal else _FINISH.get(reason, Finish.COMPLETE)
    return Completion(_checked_text(message.content), arguments, finish, reason, *_tokens(reply.usage))


@dataclass(slots=True)
class _Pieces:
    """A reply that is being put together from the pieces of a stream."""

    text: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    finish: Finish | None = None
    reason: str = ""
    refused: bool = False
    usage: CompletionUsage | None = None

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Take a piece in; returns its text, or its part of a tool call's JSON."""
        self.usage = chunk.usage or self.usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if choice.finish_reason:
            self.reason = choice.finish_reason
            self.finish = _FINISH.get(self.reason, Finish.COMPLETE)
        self.refused = self.refused or bool(choice.delta.refusal)
        text = _checked_text(choice.delta.content)
        self.text.append(text)
        calls = [tool for tool in choice.delta.tool_calls or () if tool.index == 0 and tool.function]
        arguments = "".join(_checked_text(tool.function.arguments) for tool in calls if tool.function)
        self.arguments.append(arguments)
        return text or arguments

    def completion(self) -> Completion | None:
        """The whole; None where the stream ended before the reply did."""
        if self.finish is None:
            return None
        arguments = "".join(self.arguments) or None
        finish = Finish.REFUSED if self.refused else self.finish
        return Completion("".join(self.text), arguments, finish, self.reason, *_tokens(self.usage))


def _checked_text(text: object) -> str:
    """The text, "" for None.

    Raises:
        TypeError: it is none.
    """
    if text is None or isinstance(text, str):
        return text or ""
    raise TypeError(f"text expected: got={type(text).__name__}")


def _tokens(usage: CompletionUsage | None) -> tuple[int | None, int | None]:
    """Tokens read and written, where the endpoint says so in numbers that can be."""
    return (None, None) if usage is None else (count_of(usage.prompt_tokens), count_of(usage.completion_tokens))
