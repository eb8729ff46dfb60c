"""The real SDK against a local server: what is sent, what is made of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from models import LLM, LLMError, LLMReplyError, LLMUnavailableError, Message, Usage, load_llm
from models.llms.anthropic import AnthropicLLM
from tests.models.llms.server import Answer, Provider, Received, anthropic_refusal, anthropic_reply

KEY = "sk-ant-secret-1234567890"
MESSAGES = [Message("system", "Be brief."), Message("user", "How many?")]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
TEXT = {"type": "text", "text": "Three."}
TOOL_CALL = {"type": "tool_use", "id": "t1", "name": "reply", "input": {"count": 3}}


@pytest.fixture
def llm(provider: Provider) -> Iterator[AnthropicLLM]:
    llm = AnthropicLLM(model="m", api_key=KEY, base_url=provider.url)
    yield llm
    llm.close()


def sent_key(request: Received) -> str:
    """The key, which older SDKs send in a header of its own."""
    return request.headers.get("x-api-key") or request.headers["authorization"].removeprefix("Bearer ")


def test_text_is_asked_for_and_returned(provider: Provider, llm: AnthropicLLM) -> None:
    """Path, key and body are those of the messages protocol; system messages have their own place."""
    provider.play(anthropic_reply(TEXT))
    reply = llm.complete(MESSAGES, max_tokens=50, temperature=0.5)
    assert (reply.text, reply.value, reply.usage) == ("Three.", None, Usage(1, 11, 7))
    (request,) = provider.requests
    assert request.path == "/v1/messages"
    assert sent_key(request) == KEY
    assert request.headers["anthropic-version"]
    assert request.body == {
        "model": "m",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "How many?"}],
        "max_tokens": 50,
        "temperature": 0.5,
    }
    assert isinstance(llm, LLM)
    assert llm.name == "anthropic/m"


def test_a_schema_becomes_a_tool_that_must_be_called(provider: Provider, llm: AnthropicLLM) -> None:
    """The tool's input is the value."""
    provider.play(anthropic_reply(TEXT, TOOL_CALL, stop_reason="tool_use"))
    reply = llm.complete(MESSAGES, schema=SCHEMA)
    assert (reply.value, reply.text) == ({"count": 3}, '{"count": 3}')
    body = provider.requests[0].body
    assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [("reply", SCHEMA)]
    assert body["tool_choice"] == {"type": "tool", "name": "reply"}


def test_a_model_without_temperature_is_asked_without_from_then_on(provider: Provider, llm: AnthropicLLM) -> None:
    """Newer models refuse it."""
    provider.play(anthropic_refusal(400, "temperature is not supported"), anthropic_reply(TEXT), anthropic_reply(TEXT))
    assert llm.complete(MESSAGES).usage.calls == 2
    assert llm.complete(MESSAGES).usage.calls == 1
    assert ["temperature" in request.body for request in provider.requests] == [True, False, False]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (anthropic_reply(TEXT), "refusal or empty"),
        (anthropic_reply(stop_reason="refusal"), "stop_reason=refusal"),
        (anthropic_reply(TOOL_CALL, stop_reason="max_tokens"), "cut off"),
    ],
)
def test_replies_that_cannot_be_used_say_why(
    provider: Provider, llm: AnthropicLLM, answer: Answer, reason: str
) -> None:
    """Words instead of the tool call, a refusal, a call cut off."""
    provider.play(answer)
    with pytest.raises(LLMReplyError, match=reason):
        llm.complete(MESSAGES, schema=SCHEMA)


def test_a_refused_key_is_not_repeated_in_the_error(provider: Provider, llm: AnthropicLLM) -> None:
    """Nor is the error one to retry."""
    provider.play(anthropic_refusal(401, f"invalid x-api-key {KEY}"))
    with pytest.raises(LLMError, match="refused the API key") as caught:
        llm.complete(MESSAGES)
    assert KEY not in repr(caught.value)
    assert not caught.value.retryable


def test_a_refused_request_is_an_error_without_the_key(provider: Provider, llm: AnthropicLLM) -> None:
    """The provider's reason is kept."""
    provider.play(anthropic_refusal(400, f"prompt is too long for {KEY}"))
    with pytest.raises(LLMError, match="prompt is too long") as caught:
        llm.complete(MESSAGES)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 529])
def test_overload_is_retried_twice_and_then_unavailable(provider: Provider, llm: AnthropicLLM, status: int) -> None:
    """Three attempts in all; 529 is Anthropic's own word for overload."""
    provider.play(*[anthropic_refusal(status, "overloaded")] * 3)
    with pytest.raises(LLMUnavailableError, match=f"status={status}"):
        llm.complete(MESSAGES)
    assert len(provider.requests) == 3


def test_a_slow_answer_is_unavailable(provider: Provider, llm: AnthropicLLM) -> None:
    """Each attempt waits no longer than it was told to."""
    provider.play(*[Answer(200, {}, delay_seconds=5)] * 3)
    with pytest.raises(LLMUnavailableError, match="APITimeoutError"):
        llm.complete(MESSAGES, timeout_seconds=0.1)


def test_the_environment_is_not_read(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither key nor token nor address nor headers."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-environment")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "from-environment")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://192.0.2.1/")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-From-Environment: 1")
    with pytest.raises(LLMError, match="API key is missing"):
        load_llm("anthropic", base_url=provider.url)
    llm = load_llm("anthropic", api_key=KEY, base_url=provider.url)
    provider.play(anthropic_reply(TEXT))
    assert llm.complete(MESSAGES).text == "Three."
    assert sent_key(provider.requests[0]) == KEY
    assert "environment" not in str(provider.requests[0].headers).lower()
    assert isinstance(llm, AnthropicLLM)
    llm.close()


def test_remote_calls_are_refused_while_only_loopback_is_allowed() -> None:
    """The provider's own address is not this machine's."""
    llm = AnthropicLLM(model="m", api_key=KEY)
    with pytest.raises(LLMError, match="only loopback is allowed"):
        llm.complete(MESSAGES)
    llm.close()


@pytest.mark.parametrize("body", [[], "text", {"content": 3}, {"content": [{"type": "text", "text": 5}]}, None])
def test_an_endpoint_that_answers_nonsense_is_a_reply_error(provider: Provider, llm: AnthropicLLM, body: Any) -> None:
    """JSON of another shape is the endpoint's fault, not a crash of ours."""
    provider.play(Answer(200, body))
    with pytest.raises(LLMError):
        llm.complete(MESSAGES, schema=SCHEMA)
