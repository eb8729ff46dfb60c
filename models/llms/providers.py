"""The providers of language models, as data: how each is reached and what is known of it beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class StructuredMode(StrEnum):
    """How an endpoint is asked for JSON that fits a schema."""

    JSON_SCHEMA = "json_schema"  # `response_format` with the schema (OpenAI), `output_config` (Anthropic)
    TOOL = "tool"  # a tool whose arguments have the schema, and which the model must call
    STRUCTURED_OUTPUTS = "structured_outputs"  # vLLM from 0.12 on
    GUIDED_JSON = "guided_json"  # vLLM before 0.12
    GRAMMAR = "grammar"  # llama.cpp: `json_schema`, which it turns into a grammar
    JSON_OBJECT = "json_object"  # some JSON; the schema stands in the prompt
    PLAIN = "plain"  # nothing but the prompt; fences are taken off


LimitParameter = Literal["max_tokens", "max_completion_tokens"]

_M = StructuredMode


@dataclass(frozen=True, slots=True)
class Provider:
    """One of them.

    Attributes:
        name: the first half of an LLM's name.
        protocol: "openai" is chat completions; "azure" the same under deployments; "anthropic" is messages.
        base_url: None where every user has an address of its own.
        key_variable: of the environment, for those who read it; None where a key may be left out.
        default_model: None where it must be named.
        modes: ways to structured output, the best first; the first that a probe finds working is taken.
        shows_schema: whether the model is shown the schema of a request; if not, the prompt repeats it.
        limit_parameter: what the limit of a reply is called.
        free: runs on one's own machines: tokens cost nothing.
    """

    name: str
    protocol: Literal["openai", "azure", "anthropic"] = "openai"
    base_url: str | None = None
    key_variable: str | None = None
    default_model: str | None = None
    modes: tuple[StructuredMode, ...] = (_M.JSON_SCHEMA, _M.TOOL, _M.JSON_OBJECT, _M.PLAIN)
    shows_schema: bool = True
    limit_parameter: LimitParameter = "max_tokens"
    free: bool = False


_GUIDED = (_M.JSON_SCHEMA, _M.STRUCTURED_OUTPUTS, _M.GUIDED_JSON, _M.GRAMMAR, _M.TOOL, _M.JSON_OBJECT, _M.PLAIN)

PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            "openai",
            base_url="https://api.openai.com/v1",
            key_variable="OPENAI_API_KEY",
            default_model="gpt-5.4-mini",
            limit_parameter="max_completion_tokens",  # its newer models refuse max_tokens
        ),
        Provider(
            "azure",
            protocol="azure",
            key_variable="AZURE_OPENAI_API_KEY",
            limit_parameter="max_completion_tokens",
        ),
        Provider(
            "anthropic",
            protocol="anthropic",
            base_url="https://api.anthropic.com",
            key_variable="ANTHROPIC_API_KEY",
            default_model="claude-haiku-4-5",
            # Its schemas must be closed; a tool takes any. Models that always think refuse forced tools.
            modes=(_M.TOOL, _M.JSON_SCHEMA, _M.PLAIN),
        ),
        Provider(
            "gemini",  # https://ai.google.dev/gemini-api/docs/openai
            base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
            key_variable="GEMINI_API_KEY",
            default_model="gemini-3.5-flash",
        ),
        Provider(
            "deepseek",  # https://api-docs.deepseek.com
            base_url="https://api.deepseek.com",
            key_variable="DEEPSEEK_API_KEY",
            default_model="deepseek-v4-flash",
            modes=(_M.TOOL, _M.JSON_OBJECT, _M.PLAIN),
        ),
        Provider(
            "ollama",  # https://docs.ollama.com/api/openai-compatibility
            base_url="http://localhost:11434/v1",
            modes=(_M.JSON_SCHEMA, _M.TOOL, _M.JSON_OBJECT, _M.PLAIN),
            shows_schema=False,
            free=True,
        ),
        Provider(
            "llama_cpp",  # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
            base_url="http://localhost:8080/v1",
            modes=(_M.JSON_SCHEMA, _M.GRAMMAR, _M.TOOL, _M.JSON_OBJECT, _M.PLAIN),
            shows_schema=False,
            free=True,
        ),
        Provider(
            "vllm",  # https://docs.vllm.ai/en/latest/features/structured_outputs/
            base_url="http://localhost:8000/v1",
            modes=(_M.JSON_SCHEMA, _M.STRUCTURED_OUTPUTS, _M.GUIDED_JSON, _M.TOOL, _M.JSON_OBJECT, _M.PLAIN),
            shows_schema=False,
            free=True,
        ),
        Provider("compatible", modes=_GUIDED, shows_schema=False),  # whatever else speaks chat completions
    )
}
