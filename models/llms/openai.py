"""Language models that speak OpenAI's chat completions: OpenAI, Ollama, llama.cpp, vLLM, DeepSeek and others.

The key and the address are arguments. The SDK would read `OPENAI_API_KEY`, `OPENAI_BASE_URL`,
`OPENAI_ORG_ID`, `OPENAI_PROJECT_ID`, `OPENAI_ADMIN_KEY` and `OPENAI_CUSTOM_HEADERS` from the environment
wherever it is given nothing, and send the key of one endpoint to another; so every one of these is set here.
Only `lumaai` reads the environment. Proxy settings (`HTTPS_PROXY`) are the HTTP library's business.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import openai
from openai.types.chat import ChatCompletion

from models.errors import LLMError, LLMReplyError
from models.llm import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_SECONDS, Message, Reply, Usage
from models.llms.failures import replies_read, translated_error
from models.llms.network import check_endpoint
from models.llms.structured import SCHEMA_NAME, is_strict, parse_value, schema_instruction

log = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_OPENAI_MODEL = "gpt-5.4-mini"
MAX_RETRIES = 2

_NO_KEY = "none"  # local servers ask for no key, but the SDK wants one

StructuredMode = Literal["json_schema", "json_object", "plain"]
_WEAKER: Mapping[StructuredMode, StructuredMode] = {"json_schema": "json_object", "json_object": "plain"}


@dataclass(frozen=True, slots=True)
class _Capabilities:
    """What an endpoint was found to take; starts with the best and is weakened when a request is refused."""

    structured: StructuredMode = "json_schema"
    temperature: bool = True


class OpenAILLM:
    """A model behind the chat completions protocol; safe to call from many threads.

    Args:
        model: its name at the endpoint.
        api_key: None for local servers that want none.
        base_url: the endpoint, ending before `/chat/completions`; by default OpenAI's.

    Raises:
        LLMError: OpenAI's own endpoint without a key.
    """

    def __init__(self, *, model: str, api_key: str | None = None, base_url: str | None = None) -> None:
        if base_url is None and not api_key:
            raise LLMError("API key is missing: provider=openai")
        self.name = f"openai/{model}"
        self._model = model
        self._key = api_key or _NO_KEY
        self._url = base_url or OPENAI_URL
        # OpenAI's newer models refuse max_tokens; other servers do not all know its successor.
        self._limit_name = "max_completion_tokens" if base_url is None else "max_tokens"
        self._capabilities = _Capabilities()
        self._client = openai_client(self._key, self._url)

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
        capabilities, calls = self._capabilities, 0
        while True:
            request = self._request(messages, schema, capabilities, max_tokens, temperature)
            calls += 1
            try:
                with replies_read():
                    completion = self._client.chat.completions.create(**request, timeout=timeout_seconds)
            except openai.BadRequestError as error:
                weaker = _weakened(capabilities, error, structured=schema is not None)
                if weaker is None:
                    raise self._translated(error) from error
                capabilities = weaker
            except openai.OpenAIError as error:
                raise self._translated(error) from None  # the SDK's own words may quote a part of the key
            else:
                self._remember(capabilities)
                with replies_read():
                    return _reply(completion, calls, structured=schema is not None)

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()

    def _request(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, object] | None,
        capabilities: _Capabilities,
        max_tokens: int,
        temperature: float,
    ) -> dict[str, Any]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        request: dict[str, Any] = {"model": self._model, "messages": turns, self._limit_name: max_tokens}
        if capabilities.temperature:
            request["temperature"] = temperature
        if schema is None:
            return request
        if capabilities.structured == "json_schema":
            named = {"name": SCHEMA_NAME, "schema": dict(schema), "strict": is_strict(schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
            return request
        turns.insert(0, {"role": "system", "content": schema_instruction(schema)})
        if capabilities.structured == "json_object":
            request["response_format"] = {"type": "json_object"}
        return request

    def _remember(self, capabilities: _Capabilities) -> None:
        if capabilities != self._capabilities:
            log.info("llm.weakened", extra={"model": self.name, "structured": capabilities.structured})
            self._capabilities = capabilities

    def _translated(self, error: openai.OpenAIError) -> LLMError:
        return translated_error(error, self.name, self._key, unreachable=isinstance(error, openai.APIConnectionError))


def openai_client(key: str, url: str, *, max_retries: int = MAX_RETRIES) -> openai.OpenAI:
    """A client of the SDK that takes nothing from the environment."""
    client = openai.OpenAI(api_key=key, base_url=url, max_retries=max_retries)
    client.organization = client.project = client.admin_api_key = None
    client._custom_headers = {}  # noqa: SLF001 - OPENAI_CUSTOM_HEADERS may carry another endpoint's credentials
    return client


def _weakened(capabilities: _Capabilities, error: openai.BadRequestError, *, structured: bool) -> _Capabilities | None:
    """What to try after a refusal; None if nothing is left to leave out."""
    if capabilities.temperature and "temperature" in f"{error.param} {error.message}":
        return replace(capabilities, temperature=False)
    if structured and capabilities.structured in _WEAKER:
        return replace(capabilities, structured=_WEAKER[capabilities.structured])
    return None


def _reply(completion: ChatCompletion, calls: int, *, structured: bool) -> Reply:
    if not completion.choices:
        raise LLMReplyError("reply holds no choice")
    choice = completion.choices[0]
    if choice.finish_reason == "length":
        raise LLMReplyError("reply was cut off at its token limit", text=choice.message.content)
    if choice.message.refusal or choice.finish_reason == "content_filter" or not choice.message.content:
        raise LLMReplyError(f"reply is a refusal or empty: finish_reason={choice.finish_reason}")
    text = choice.message.content
    tokens = completion.usage
    usage = Usage(calls, tokens.prompt_tokens, tokens.completion_tokens) if tokens else Usage(calls)
    return Reply(text, parse_value(text) if structured else None, usage)
