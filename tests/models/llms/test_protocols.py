"""The server's idea of the protocols against the SDKs'."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from anthropic.types import MessageCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from tests.models.llms.protocols import ANTHROPIC_REQUEST, OPENAI_REQUEST, mode_of, violations

USER = [{"role": "user", "content": "x"}]
OPENAI: dict[str, Any] = {"model": "m", "messages": USER, "max_tokens": 5}
OPEN_SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def required(hints: dict[str, Any]) -> set[str]:
    return {name for name, hint in hints.items() if "Required" in str(hint)}


def test_parameters_are_those_of_openais_types() -> None:
    """No parameter that the SDK does not know, and the same ones required."""
    hints = get_type_hints(CompletionCreateParamsStreaming, include_extras=True)
    assert set(OPENAI_REQUEST["properties"]) <= set(hints)
    assert set(OPENAI_REQUEST["required"]) == required(hints) - {"stream"}


def test_parameters_are_those_of_anthropics_types() -> None:
    """The temperature, which the SDK has dropped and older models take, is the one exception."""
    hints = get_type_hints(MessageCreateParams.__args__[1], include_extras=True)  # type: ignore[attr-defined] # a Union
    assert set(ANTHROPIC_REQUEST["properties"]) - set(hints) == {"temperature"}
    assert set(ANTHROPIC_REQUEST["required"]) == required(hints) - {"stream"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "m"},
        {**OPENAI, "messages": []},
        {**OPENAI, "messages": [{"role": "robot", "content": "x"}]},
        {**OPENAI, "messages": [{"role": "user", "content": 5}]},
        {**OPENAI, "max_tokens": "5"},
        {**OPENAI, "max_completion_tokens": 5},
        {**OPENAI, "temperature": 3},
        {**OPENAI, "guided_json": OPEN_SCHEMA},
        {**OPENAI, "stream_options": {"include_usage": True}},
        {**OPENAI, "response_format": {"type": "json_schema"}},
        {
            **OPENAI,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": OPEN_SCHEMA, "strict": True},
            },
        },
        {
            **OPENAI,
            "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": {"type": "thing"}}},
        },
        {**OPENAI, "tools": [{"type": "function", "function": {"name": "two words"}}]},
    ],
)
def test_the_server_finds_what_is_wrong_with_a_chat_completion(wrong: dict[str, Any]) -> None:
    """Missing, of another type, out of range, unknown, contradictory."""
    assert violations(OPENAI, "openai", extended=False) == []
    assert violations(wrong, "openai", extended=False)


@pytest.mark.parametrize(
    "wrong",
    [
        OPENAI | {"messages": [{"role": "system", "content": "x"}]},
        {"model": "m", "messages": USER},
        OPENAI | {"temperature": 1.5},
        OPENAI | {"response_format": {"type": "json_object"}},
        OPENAI | {"tools": [{"name": "reply", "input_schema": {"type": "array"}}]},
        OPENAI | {"output_config": {"format": {"type": "json_schema", "schema": OPEN_SCHEMA}}},
    ],
)
def test_the_server_finds_what_is_wrong_with_a_message(wrong: dict[str, Any]) -> None:
    """Likewise."""
    assert violations(OPENAI, "anthropic", extended=False) == []
    assert violations(wrong, "anthropic", extended=False)


def test_ways_to_structured_output_are_told_apart() -> None:
    """Each by what it puts into a request."""
    requests: list[tuple[dict[str, Any], str]] = [
        ({}, "plain"),
        ({"tools": []}, "tool"),
        ({"output_config": {}}, "json_schema"),
        ({"response_format": {"type": "json_object"}}, "json_object"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"guided_json": {}}, "guided_json"),
        ({"json_schema": {}}, "grammar"),
    ]
    assert [mode_of(request) for request, _ in requests] == [mode for _, mode in requests]
