"""The real SDK against a local server: what is sent, what is made of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from models import LLM, LLMError, LLMReplyError, LLMUnavailableError, Message, RemoteLLM, Usage, load_llm
from tests.models.llms.conftest import KEY, Load
from tests.models.llms.server import (
    Answer,
    Cut,
    Provider,
    Received,
    Scripted,
    anthropic_refusal,
    anthropic_reply,
    anthropic_stream,
    sse,
)

MESSAGES = [Message("system", "Be brief."), Message("user", "How many?")]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
TEXT = {"type": "text", "text": "Three."}
TOOL_CALL = {"type": "tool_use", "id": "t1", "name": "reply", "input": {"count": 3}}


@pytest.fixture
def llm(load: Load) -> RemoteLLM:
    return load("anthropic")


def sent_key(request: Received) -> str:
    """The key, which older SDKs send in a header of its own."""
    return request.headers.get("x-api-key") or request.headers["authorization"].removeprefix("Bearer ")


def read(llm: RemoteLLM, **options: Any) -> tuple[list[str], Any]:
    """The pieces of a streamed reply, and the reply."""
    *pieces, reply = llm.stream(MESSAGES, **options)
    return [piece for piece in pieces if isinstance(piece, str)], reply


def test_text_is_asked_for_and_returned(provider: Provider, llm: RemoteLLM) -> None:
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


def test_a_schema_becomes_a_tool_that_must_be_called(provider: Provider, llm: RemoteLLM) -> None:
    """The tool's input is the value."""
    provider.play(anthropic_reply(TEXT, TOOL_CALL, stop_reason="tool_use"))
    reply = llm.complete(MESSAGES, schema=SCHEMA)
    assert (reply.value, reply.text) == ({"count": 3}, '{"count": 3}')
    body = provider.requests[0].body
    assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [("reply", SCHEMA)]
    assert body["tool_choice"] == {"type": "tool", "name": "reply"}


def test_a_model_that_refuses_forced_tools_gets_a_format_where_the_schema_is_closed(
    provider: Provider, llm: RemoteLLM
) -> None:
    """Models that always think do; an open schema is then asked for in words."""
    provider.supports = frozenset({"json_schema", "plain"})
    provider.play(anthropic_reply({"type": "text", "text": '{"count": 3}'}), anthropic_reply(TEXT))
    assert llm.complete(MESSAGES, schema=CLOSED).value == {"count": 3}
    assert provider.requests[0].body["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    with pytest.raises(LLMReplyError, match="not JSON"):
        llm.complete(MESSAGES, schema=SCHEMA)
    assert provider.requests[1].mode == "plain"
    assert provider.requests[1].body["system"].startswith("Reply with one JSON object")
    provider.play(anthropic_reply({"type": "text", "text": '{"count": 3}'}))
    llm.complete(MESSAGES, schema=SCHEMA)
    assert len(provider.probes) == 2  # words from a model that was only asked in words prove nothing against it


def test_a_model_without_temperature_is_asked_without_from_then_on(provider: Provider, llm: RemoteLLM) -> None:
    """Newer models refuse it."""
    provider.play(anthropic_refusal(400, "temperature is not supported"), anthropic_reply(TEXT), anthropic_reply(TEXT))
    assert llm.complete(MESSAGES).usage.calls == 2
    assert llm.complete(MESSAGES).usage.calls == 1
    assert ["temperature" in request.body for request in provider.requests] == [True, False, False]


def test_a_stream_gives_pieces_and_then_the_reply(provider: Provider, llm: RemoteLLM) -> None:
    """The pieces joined are the text; tokens read come first, tokens written last."""
    provider.play(anthropic_stream("Three", " films", "."))
    pieces, reply = read(llm)
    assert pieces == ["Three", " films", "."]
    assert (reply.text, reply.usage) == ("Three films.", Usage(1, 11, 7))


def test_a_structured_stream_gives_the_tools_input_in_pieces(provider: Provider, llm: RemoteLLM) -> None:
    """As it is written, and at last parsed."""
    provider.play(anthropic_stream('{"cou', 'nt": 3}', tool=True, stop_reason="tool_use"))
    pieces, reply = read(llm, schema=SCHEMA)
    assert (pieces, reply.value) == (['{"cou', 'nt": 3}'], {"count": 3})


@pytest.mark.parametrize("pieces", [(), ("Three", " fi")])
def test_a_stream_that_is_cut_is_unavailable(provider: Provider, llm: RemoteLLM, pieces: tuple[str, ...]) -> None:
    """Before the first piece it is retried, after it never."""
    cut = anthropic_stream(*pieces, stop_reason=None, cut=True)
    provider.play(cut, cut, cut)
    seen: list[Any] = []
    with pytest.raises(LLMUnavailableError, match="broke off"):
        seen.extend(llm.stream(MESSAGES))
    assert tuple(seen) == pieces
    assert len(provider.requests) == (1 if pieces else 3)


def test_overload_in_the_midst_of_a_stream_is_unavailable(provider: Provider, llm: RemoteLLM) -> None:
    """It comes as an event after the status 200."""
    stream = anthropic_stream("Three", stop_reason=None)
    error = {"type": "error", "error": {"type": "overloaded_error", "message": f"overloaded {KEY}"}}
    stream.events = [*stream.events, sse(error, "error")]
    provider.play(stream)
    with pytest.raises(LLMUnavailableError, match="overloaded") as caught:
        list(llm.stream(MESSAGES))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("data", ["{not json", "[1]", '{"type": "content_block_delta", "index": 0, "delta": 5}'])
def test_nonsense_in_a_stream_is_an_error_of_ours(provider: Provider, llm: RemoteLLM, data: str) -> None:
    """Not JSON, or of another shape."""
    stream = anthropic_stream("Three")
    stream.events = [*stream.events[:3], sse(data, "content_block_delta"), *stream.events[3:]]
    provider.play(stream)
    with pytest.raises(LLMError):
        list(llm.stream(MESSAGES))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (anthropic_reply(TEXT), "not JSON"),
        (anthropic_reply(stop_reason="refusal"), "finish_reason=refusal"),
        (anthropic_reply(TOOL_CALL, stop_reason="max_tokens"), "cut off"),
        (anthropic_reply(TOOL_CALL, stop_reason="model_context_window_exceeded"), "cut off"),
        (anthropic_reply(), "refusal or empty"),
    ],
)
def test_replies_that_cannot_be_used_say_why(provider: Provider, llm: RemoteLLM, answer: Answer, reason: str) -> None:
    """Words instead of the tool call, a refusal, a call cut off, nothing."""
    provider.play(answer)
    with pytest.raises(LLMReplyError, match=reason):
        llm.complete(MESSAGES, schema=SCHEMA)


def test_a_refused_key_is_not_repeated_in_the_error(provider: Provider, llm: RemoteLLM) -> None:
    """Nor is the error one to retry."""
    provider.play(anthropic_refusal(401, f"invalid x-api-key {KEY}"))
    with pytest.raises(LLMError, match="refused the API key") as caught:
        llm.complete(MESSAGES)
    assert KEY not in repr(caught.value)
    assert not caught.value.retryable


def test_a_refused_request_is_an_error_without_the_key(provider: Provider, llm: RemoteLLM) -> None:
    """The provider's reason is kept."""
    provider.play(anthropic_refusal(400, f"prompt is too long for {KEY}"))
    with pytest.raises(LLMError, match="prompt is too long") as caught:
        llm.complete(MESSAGES)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        anthropic_refusal(429, "slow down", "rate_limit_error"),
        anthropic_refusal(500, "oops", "api_error"),
        anthropic_refusal(529, "overloaded", "overloaded_error"),
        Cut(),
    ],
)
def test_trouble_is_retried_twice_and_then_unavailable(provider: Provider, llm: RemoteLLM, answer: Scripted) -> None:
    """Three attempts in all; 529 is Anthropic's own word for overload."""
    provider.play(answer, answer, answer)
    with pytest.raises(LLMUnavailableError):
        llm.complete(MESSAGES)
    assert len(provider.requests) == 3
    provider.play(answer, anthropic_reply(TEXT))
    assert llm.complete(MESSAGES).usage.calls == 2


def test_tokens_of_caches_are_counted_as_read(provider: Provider, llm: RemoteLLM) -> None:
    """What comes from a cache or goes into it is read as well."""
    answer = anthropic_reply(TEXT)
    answer.body["usage"] |= {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    provider.play(answer)
    assert llm.complete(MESSAGES).usage == Usage(1, 131, 7)


def test_the_environment_is_not_read(provider: Provider, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither key nor token nor address nor headers."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-environment")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "from-environment")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://192.0.2.1/")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-From-Environment: 1")
    with pytest.raises(LLMError, match="API key is missing"):
        load_llm("anthropic", base_url=provider.url)
    provider.play(anthropic_reply(TEXT))
    assert load("anthropic").complete(MESSAGES).text == "Three."
    assert sent_key(provider.requests[0]) == KEY
    assert "environment" not in str(provider.requests[0].headers).lower()


def test_remote_calls_are_refused_while_only_loopback_is_allowed() -> None:
    """The provider's own address is not this machine's."""
    with load_llm("anthropic", api_key=KEY) as llm, pytest.raises(LLMError, match="only loopback is allowed"):
        llm.complete(MESSAGES)


@pytest.mark.parametrize("body", [[], "text", {"content": 3}, {"content": [{"type": "text", "text": 5}]}, None])
def test_an_endpoint_that_answers_nonsense_is_a_reply_error(provider: Provider, llm: RemoteLLM, body: Any) -> None:
    """JSON of another shape is the endpoint's fault, not a crash of ours."""
    provider.play(Answer(200, body))
    with pytest.raises(LLMReplyError):
        llm.complete(MESSAGES, schema=SCHEMA)
