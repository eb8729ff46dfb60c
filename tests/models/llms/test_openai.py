"""The real SDK against a local server: what is sent, what is made of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from models import LLM, LLMError, LLMReplyError, LLMUnavailableError, Message, Usage, restrict_llms_to_loopback
from models.llms.openai import OpenAILLM
from tests.models.llms.server import Answer, Provider, openai_refusal, openai_reply

KEY = "sk-secret-1234567890"
MESSAGES = [Message("system", "Be brief."), Message("user", "How many?")]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"count": {"type": "integer"}},
    "required": ["count"],
    "additionalProperties": False,
}


@pytest.fixture
def llm(provider: Provider) -> Iterator[OpenAILLM]:
    llm = OpenAILLM(model="m", api_key=KEY, base_url=f"{provider.url}/v1")
    yield llm
    llm.close()


def test_text_is_asked_for_and_returned(provider: Provider, llm: OpenAILLM) -> None:
    """Path, key and body are those of chat completions; usage comes back."""
    provider.play(openai_reply("Three."))
    reply = llm.complete(MESSAGES, max_tokens=50, temperature=0.5)
    assert (reply.text, reply.value, reply.usage) == ("Three.", None, Usage(1, 11, 7))
    (request,) = provider.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}],
        "max_tokens": 50,
        "temperature": 0.5,
    }
    assert isinstance(llm, LLM)
    assert llm.name == "openai/m"


def test_openai_itself_gets_the_newer_name_of_the_limit() -> None:
    """Its newer models refuse max_tokens."""
    llm = OpenAILLM(model="m", api_key=KEY)
    request = llm._request(MESSAGES, None, llm._capabilities, 50, 0.0)
    assert request["max_completion_tokens"] == 50
    assert "max_tokens" not in request
    llm.close()


def test_a_schema_is_sent_strictly_and_the_value_parsed(provider: Provider, llm: OpenAILLM) -> None:
    """The schema goes as it is."""
    provider.play(openai_reply('{"count": 3}'))
    assert llm.complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    expected = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}
    assert provider.requests[0].body["response_format"] == expected


def test_a_schema_with_optional_properties_is_not_sent_as_strict(provider: Provider, llm: OpenAILLM) -> None:
    """Strict mode would refuse it."""
    provider.play(openai_reply("{}"))
    llm.complete(MESSAGES, schema={"type": "object", "properties": {"count": {"type": "integer"}}})
    assert provider.requests[0].body["response_format"]["json_schema"]["strict"] is False


def test_an_endpoint_that_refuses_schemas_is_asked_in_weaker_ways_and_remembered(
    provider: Provider, llm: OpenAILLM
) -> None:
    """Schema, JSON mode, plain with the schema in words; the second question starts with what worked."""
    refused = openai_refusal(400, "response_format is not supported", "response_format")
    provider.play(refused, refused, openai_reply('Here:\n```json\n{"count": 3}\n```'), openai_reply('{"count": 4}'))
    reply = llm.complete(MESSAGES, schema=SCHEMA)
    assert (reply.value, reply.usage.calls) == ({"count": 3}, 3)
    formats = [request.body.get("response_format", {}).get("type") for request in provider.requests]
    assert formats == ["json_schema", "json_object", None]
    assert all("JSON schema" in request.body["messages"][0]["content"] for request in provider.requests[1:])
    assert llm.complete(MESSAGES, schema=SCHEMA).usage.calls == 1
    assert "response_format" not in provider.requests[3].body


def test_a_model_without_temperature_is_asked_without(provider: Provider, llm: OpenAILLM) -> None:
    """Reasoning models take only their default; the schema is kept."""
    provider.play(openai_refusal(400, "Unsupported value", "temperature"), openai_reply('{"count": 3}'))
    assert llm.complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    assert "temperature" not in provider.requests[1].body
    assert provider.requests[1].body["response_format"]["type"] == "json_schema"


def test_a_refused_request_is_an_error_and_weakens_nothing(provider: Provider, llm: OpenAILLM) -> None:
    """Too long a prompt is refused in every way; the next question is asked in full again."""
    refused = openai_refusal(400, f"prompt is too long, key {KEY}")
    provider.play(refused, refused, refused, openai_reply('{"count": 3}'))
    with pytest.raises(LLMError, match="prompt is too long") as caught:
        llm.complete(MESSAGES, schema=SCHEMA)
    assert not caught.value.retryable
    assert KEY not in str(caught.value)
    llm.complete(MESSAGES, schema=SCHEMA)
    assert provider.requests[3].body["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_repeated_in_the_error(provider: Provider, llm: OpenAILLM, status: int) -> None:
    """Providers quote parts of it; we do not."""
    provider.play(openai_refusal(status, f"Incorrect API key provided: {KEY[:8]}"))
    with pytest.raises(LLMError, match=f"refused the API key: model=openai/m status={status}") as caught:
        llm.complete(MESSAGES)
    assert KEY[:8] not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert not isinstance(caught.value, LLMUnavailableError)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overload_is_retried_twice_and_then_unavailable(provider: Provider, llm: OpenAILLM, status: int) -> None:
    """Three attempts in all."""
    provider.play(*[openai_refusal(status, "overloaded")] * 3)
    with pytest.raises(LLMUnavailableError, match=f"status={status}") as caught:
        llm.complete(MESSAGES)
    assert caught.value.retryable
    assert len(provider.requests) == 3


def test_one_failure_is_not_noticed(provider: Provider, llm: OpenAILLM) -> None:
    """The SDK tries again."""
    provider.play(openai_refusal(503, "overloaded"), openai_reply("Three."))
    assert llm.complete(MESSAGES).text == "Three."


def test_a_slow_answer_is_unavailable(provider: Provider, llm: OpenAILLM) -> None:
    """Each attempt waits no longer than it was told to."""
    provider.play(*[Answer(200, {}, delay_seconds=5)] * 3)
    with pytest.raises(LLMUnavailableError, match="APITimeoutError"):
        llm.complete(MESSAGES, timeout_seconds=0.1)


def test_nobody_listening_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 1 of this machine refuses connections."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    llm = OpenAILLM(model="m", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(LLMUnavailableError, match="cannot be reached"):
        llm.complete(MESSAGES)
    llm.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (openai_reply("not JSON"), "not JSON"),
        (openai_reply('{"count": NaN}'), "not JSON"),
        (openai_reply('{"cou', finish_reason="length"), "cut off"),
        (openai_reply(None, refusal="I will not"), "refusal"),
        (openai_reply("", finish_reason="content_filter"), "content_filter"),
        (Answer(200, {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}), "no choice"),
    ],
)
def test_replies_that_cannot_be_used_say_why(provider: Provider, llm: OpenAILLM, answer: Answer, reason: str) -> None:
    """Malformed, cut off, refused, filtered, empty."""
    provider.play(answer)
    with pytest.raises(LLMReplyError, match=reason):
        llm.complete(MESSAGES, schema=SCHEMA)


def test_the_environment_is_not_read(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, address, organization or header of the environment reaches a local server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-environment")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-from-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://192.0.2.1/")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-from-environment")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-from-environment")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer from-environment\nX-From-Environment: 1")
    llm = OpenAILLM(model="m", base_url=f"{provider.url}/v1")
    provider.play(openai_reply("Three."))
    llm.complete(MESSAGES)
    llm.close()
    assert provider.requests[0].headers["authorization"] == "Bearer none"
    assert "environment" not in str(provider.requests[0].headers).lower()


def test_remote_calls_are_refused_while_only_loopback_is_allowed() -> None:
    """The switch that every test here runs under."""
    restrict_llms_to_loopback()
    for url in ("https://api.openai.com/v1", "http://192.0.2.1/v1", "http://localhost.example.org/v1"):
        llm = OpenAILLM(model="m", api_key=KEY, base_url=url)
        with pytest.raises(LLMError, match="only loopback is allowed"):
            llm.complete(MESSAGES)
        llm.close()


@pytest.mark.parametrize("body", [[], "text", {"choices": [{"message": {"content": ["list"]}}]}, {"choices": 3}, None])
def test_an_endpoint_that_answers_nonsense_is_a_reply_error(provider: Provider, llm: OpenAILLM, body: Any) -> None:
    """JSON of another shape is the endpoint's fault, not a crash of ours."""
    provider.play(Answer(200, body))
    with pytest.raises(LLMError):
        llm.complete(MESSAGES, schema=SCHEMA)


def test_a_reply_nested_beyond_reading_is_a_reply_error(provider: Provider, llm: OpenAILLM) -> None:
    """Brackets without end do not exhaust the stack."""
    provider.play(openai_reply("[" * 100_000))
    with pytest.raises(LLMReplyError):
        llm.complete(MESSAGES, schema=SCHEMA)
