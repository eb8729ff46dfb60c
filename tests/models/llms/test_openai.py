"""The real SDK against a local server: what is sent, what is made of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from models import LLM, LLMError, LLMReplyError, LLMUnavailableError, Message, RemoteLLM, Usage, load_llm
from models.llms.capabilities import Capabilities
from models.llms.endpoint import Call
from models.llms.openai import OpenAIEndpoint
from models.llms.providers import PROVIDERS, StructuredMode
from tests.models.llms.conftest import KEY, Load
from tests.models.llms.server import (
    Answer,
    Cut,
    Provider,
    Scripted,
    openai_refusal,
    openai_reply,
    openai_stream,
    openai_tool_call,
    sse,
)

MESSAGES = [Message("system", "Be brief."), Message("user", "How many?")]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"count": {"type": "integer"}},
    "required": ["count"],
    "additionalProperties": False,
}
OPTIONAL = {"type": "object", "properties": {"count": {"type": "integer"}}}


def read(llm: RemoteLLM, **options: Any) -> tuple[list[str], Any]:
    """The pieces of a streamed reply, and the reply."""
    *pieces, reply = llm.stream(MESSAGES, **options)
    return [piece for piece in pieces if isinstance(piece, str)], reply


def test_text_is_asked_for_and_returned(provider: Provider, llm: RemoteLLM) -> None:
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
    assert KEY not in repr(llm)


def test_openai_itself_gets_the_newer_name_of_the_limit() -> None:
    """Its newer models refuse max_tokens; an endpoint that wants the other name gets it."""
    endpoint = OpenAIEndpoint(PROVIDERS["openai"], name="n", model="m", url="http://127.0.0.1:1", api_key=KEY)
    call = Call(tuple(MESSAGES), None, 50, 0.0)
    request = endpoint.request(call, Capabilities(), stream=False)
    assert (request["max_completion_tokens"], "max_tokens" in request) == (50, False)
    request = endpoint.request(call, Capabilities(limit_swapped=True), stream=False)
    assert (request["max_tokens"], "max_completion_tokens" in request) == (50, False)


def test_azure_is_asked_under_its_deployment(provider: Provider, load: Load) -> None:
    """The deployment and the version are in the address, the key in a header of its own."""
    provider.play(openai_reply("Three."))
    assert load("azure", model="mine", api_version="2024-10-21").complete(MESSAGES).text == "Three."
    (request,) = provider.requests
    assert request.path == "/openai/deployments/mine/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    assert request.body["max_completion_tokens"] == 2048


@pytest.mark.parametrize("name", ["gemini", "deepseek", "ollama", "llama_cpp", "vllm", "compatible"])
def test_the_other_providers_speak_chat_completions(provider: Provider, load: Load, name: str) -> None:
    """With the key where there is one; each has its own way to structured output."""
    provider.supports = frozenset(PROVIDERS[name].modes)
    provider.play(openai_tool_call('{"count": 3}') if name == "deepseek" else openai_reply('{"count": 3}'))
    llm = load(name)
    assert llm.complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    assert provider.requests[0].mode == ("tool" if name == "deepseek" else "json_schema")
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert llm.name == f"{name}/m"
    shown = "JSON schema" in provider.requests[0].body["messages"][0]["content"]
    assert shown is not PROVIDERS[name].shows_schema


def test_a_schema_is_sent_strictly_and_the_value_parsed(provider: Provider, llm: RemoteLLM) -> None:
    """The schema goes as it is."""
    provider.play(openai_reply('{"count": 3}'))
    assert llm.complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    expected = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}
    assert provider.requests[0].body["response_format"] == expected


def test_a_schema_with_optional_properties_is_not_sent_as_strict(provider: Provider, llm: RemoteLLM) -> None:
    """Strict mode would refuse it."""
    provider.play(openai_reply("{}"))
    llm.complete(MESSAGES, schema=OPTIONAL)
    assert provider.requests[0].body["response_format"]["json_schema"]["strict"] is False


@pytest.mark.parametrize(
    ("mode", "answer", "sent"),
    [
        ("tool", openai_tool_call('{"count": 3}'), "tools"),
        ("structured_outputs", openai_reply('{"count": 3}'), "structured_outputs"),
        ("guided_json", openai_reply('{"count": 3}'), "guided_json"),
        ("grammar", openai_reply('{"count": 3}'), "json_schema"),
        ("json_object", openai_reply('{"count": 3}'), "response_format"),
        ("plain", openai_reply('Here:\n```json\n{"count": 3}\n```'), None),
    ],
)
def test_every_way_to_structured_output_gives_the_value(
    provider: Provider, load: Load, mode: str, answer: Answer, sent: str | None
) -> None:
    """An endpoint that has one way only is asked in that way; what it does not know it refuses."""
    provider.supports = frozenset({mode, "plain"})
    provider.play(answer)
    assert load("compatible").complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    assert [request.mode for request in provider.requests] == [mode]
    assert sent is None or sent in provider.requests[0].body


@pytest.mark.parametrize(
    ("message", "param", "gone", "instead"),
    [
        ("Unsupported value: 'temperature' does not support 0", "temperature", "temperature", None),
        ("Use 'max_completion_tokens' instead", "max_tokens", "max_tokens", "max_completion_tokens"),
    ],
)
def test_a_parameter_that_is_refused_is_left_out_from_then_on(
    provider: Provider, llm: RemoteLLM, message: str, param: str, gone: str, instead: str | None
) -> None:
    """Reasoning models take only their default temperature, and some servers the other name of the limit."""
    provider.play(openai_refusal(400, message, param), openai_reply("a"), openai_reply("b"))
    assert llm.complete(MESSAGES).usage.calls == 2
    assert llm.complete(MESSAGES).usage.calls == 1
    assert [gone in request.body for request in provider.requests] == [True, False, False]
    assert instead is None or instead in provider.requests[2].body


def test_a_stream_gives_pieces_and_then_the_reply(provider: Provider, llm: RemoteLLM) -> None:
    """The pieces joined are the text; usage comes with the last event."""
    provider.play(openai_stream("Three", " films", "."))
    pieces, reply = read(llm)
    assert pieces == ["Three", " films", "."]
    assert (reply.text, reply.value, reply.usage) == ("Three films.", None, Usage(1, 11, 7))
    assert provider.requests[0].body["stream"] is True
    assert provider.requests[0].body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("tool", [False, True])
def test_a_structured_stream_gives_the_json_in_pieces(provider: Provider, load: Load, tool: bool) -> None:
    """As words, or as the arguments of a tool call."""
    provider.supports = frozenset({"tool", "plain"} if tool else {"json_schema"})
    provider.play(openai_stream('{"cou', 'nt": 3}', finish_reason="tool_calls" if tool else "stop", tool=tool))
    pieces, reply = read(load(), schema=SCHEMA)
    assert ("".join(pieces), reply.value) == ('{"count": 3}', {"count": 3})


def test_a_stream_without_usage_is_counted_by_estimate(provider: Provider, llm: RemoteLLM) -> None:
    """A server that refuses stream_options is asked without; what it read and wrote is bounded from above."""
    refused = openai_refusal(400, "unknown field stream_options", "stream_options")
    provider.play(refused, openai_stream("Three", usage=False))
    _, reply = read(llm)
    assert "stream_options" not in provider.requests[1].body
    assert reply.usage.calls == 2
    assert reply.usage.tokens_in > len("Be brief. How many?")
    assert reply.usage.tokens_out == len("Three")


@pytest.mark.parametrize("pieces", [(), ("Three", " fi")])
def test_a_stream_that_is_cut_is_unavailable(provider: Provider, llm: RemoteLLM, pieces: tuple[str, ...]) -> None:
    """Before the first piece it is retried, after it never: half a reply was seen already."""
    cut = openai_stream(*pieces, finish_reason=None, cut=True)
    provider.play(cut, cut, cut)
    seen: list[Any] = []
    with pytest.raises(LLMUnavailableError, match="broke off"):
        seen.extend(llm.stream(MESSAGES))
    assert tuple(seen) == pieces
    assert len(provider.requests) == (1 if pieces else 3)


def test_a_stream_that_ends_without_a_reason_is_cut(provider: Provider, llm: RemoteLLM) -> None:
    """A connection closed in order, but too early."""
    provider.play(openai_stream("Three", finish_reason=None))
    with pytest.raises(LLMUnavailableError, match="broke off"):
        list(llm.stream(MESSAGES))


@pytest.mark.parametrize("event", ["{not json", "[1, 2]", '{"choices": [{"delta": {"content": 5}}]}', '{"choices": 7}'])
def test_nonsense_in_a_stream_is_a_reply_error(provider: Provider, llm: RemoteLLM, event: str) -> None:
    """Not JSON, or of another shape."""
    stream = openai_stream("Three")
    stream.events = [*stream.events[:2], sse(event), *stream.events[2:]]
    provider.play(stream)
    with pytest.raises(LLMError):
        list(llm.stream(MESSAGES))


def test_an_error_in_the_midst_of_a_stream_is_raised(provider: Provider, llm: RemoteLLM) -> None:
    """The server's words for it, without the key."""
    stream = openai_stream("Three", finish_reason=None)
    error = {"error": {"message": f"overloaded, {KEY}", "type": "server_error"}}
    stream.events = [*stream.events, sse(error)]
    provider.play(stream)
    with pytest.raises(LLMUnavailableError, match="overloaded") as caught:
        list(llm.stream(MESSAGES))
    assert KEY not in str(caught.value)


def test_a_refused_key_is_not_repeated_in_the_error(provider: Provider, llm: RemoteLLM) -> None:
    """Nor is the error one to retry."""
    provider.play(openai_refusal(401, f"Incorrect API key provided: {KEY}"))
    with pytest.raises(LLMError, match="refused the API key") as caught:
        llm.complete(MESSAGES)
    assert KEY not in repr(caught.value)
    assert not caught.value.retryable
    assert len(provider.requests) == 1


def test_a_refused_request_is_an_error_without_the_key(provider: Provider, llm: RemoteLLM) -> None:
    """An unknown model: the provider's reason is kept, the request not repeated."""
    provider.play(openai_refusal(404, f"model m does not exist, {KEY}"))
    with pytest.raises(LLMError, match="model m does not exist") as caught:
        llm.complete(MESSAGES)
    assert KEY not in str(caught.value)
    assert caught.value.details["status"] == 404
    assert len(provider.requests) == 1


@pytest.mark.parametrize("answer", [openai_refusal(429, "slow down"), openai_refusal(500, "oops"), Cut()])
def test_trouble_is_retried_twice_and_then_unavailable(provider: Provider, llm: RemoteLLM, answer: Scripted) -> None:
    """Three attempts in all; the error says that later may help, and what it cost."""
    provider.play(answer, answer, answer)
    with pytest.raises(LLMUnavailableError) as caught:
        llm.complete(MESSAGES)
    assert caught.value.retryable
    assert caught.value.usage.calls == len(provider.requests) == 3
    provider.play(answer, openai_reply("Three."))
    assert llm.complete(MESSAGES).usage.calls == 2


def test_a_redirection_is_not_followed(provider: Provider, llm: RemoteLLM) -> None:
    """It would carry key and question to another address."""
    moved = Answer(307, {}, headers={"Location": f"{provider.url}/v1/chat/completions"})
    provider.play(moved, openai_reply("Three."))
    with pytest.raises(LLMError, match="status=307"):
        llm.complete(MESSAGES)
    assert len(provider.requests) == 1


def test_nobody_there_is_unavailable() -> None:
    """Connection refused; no tokens are counted."""
    with load_llm("openai", model="m", base_url="http://127.0.0.1:9/v1") as llm:
        with pytest.raises(LLMUnavailableError, match="cannot be reached") as caught:
            llm.complete(MESSAGES)
        assert caught.value.usage == Usage(3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (openai_reply("not JSON"), "not JSON"),
        (openai_reply('{"count": NaN}'), "not JSON"),
        (openai_reply('{"cou', finish_reason="length"), "cut off"),
        (openai_tool_call('{"cou'), "not JSON"),
        (openai_reply(None, refusal="I will not"), "refusal"),
        (openai_reply("", finish_reason="content_filter"), "content_filter"),
        (Answer(200, {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}), "no choice"),
    ],
)
def test_replies_that_cannot_be_used_say_why(provider: Provider, llm: RemoteLLM, answer: Answer, reason: str) -> None:
    """Malformed, cut off, refused, filtered, empty; what they cost is known all the same."""
    provider.play(answer)
    with pytest.raises(LLMReplyError, match=reason) as caught:
        llm.complete(MESSAGES, schema=SCHEMA)
    assert caught.value.usage.calls == 1 + len(provider.probes)


def test_wrong_fields_are_the_callers_to_find(provider: Provider, llm: RemoteLLM) -> None:
    """JSON of another schema is handed on: only the caller can say what is wrong with it."""
    provider.play(openai_reply('{"number": "three"}'))
    assert llm.complete(MESSAGES, schema=SCHEMA).value == {"number": "three"}


def test_the_environment_is_not_read(provider: Provider, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, address, organization or header of the environment reaches a local server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-environment")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-from-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://192.0.2.1/")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-from-environment")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-from-environment")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer from-environment\nX-From-Environment: 1")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "from-environment")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "from-environment")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://192.0.2.1/environment")
    monkeypatch.setenv("OPENAI_API_VERSION", "environment")
    provider.play(openai_reply("Three."), openai_reply("Three."))
    load(api_key=None).complete(MESSAGES)
    load("azure").complete(MESSAGES)
    assert provider.requests[0].headers["authorization"] == "Bearer none"
    assert provider.requests[1].headers["api-key"] == KEY
    assert "environment" not in str([(request.path, request.headers) for request in provider.requests]).lower()


def test_remote_calls_are_refused_while_only_loopback_is_allowed() -> None:
    """The switch that every test here runs under."""
    for url in ("https://api.openai.com/v1", "http://192.0.2.1/v1", "http://localhost.example.org/v1"):
        with load_llm("openai", model="m", api_key=KEY, base_url=url) as llm:
            with pytest.raises(LLMError, match="only loopback is allowed"):
                llm.complete(MESSAGES)
            with pytest.raises(LLMError, match="only loopback is allowed"):
                next(llm.stream(MESSAGES))


@pytest.mark.parametrize("body", [[], "text", {"choices": [{"message": {"content": ["list"]}}]}, {"choices": 3}, None])
def test_an_endpoint_that_answers_nonsense_is_a_reply_error(provider: Provider, llm: RemoteLLM, body: Any) -> None:
    """JSON of another shape is the endpoint's fault, not a crash of ours."""
    provider.play(Answer(200, body))
    with pytest.raises(LLMReplyError):
        llm.complete(MESSAGES)


def test_a_reply_nested_beyond_reading_is_a_reply_error(provider: Provider, llm: RemoteLLM) -> None:
    """Brackets without end do not exhaust the stack."""
    provider.play(openai_reply("[" * 100_000))
    with pytest.raises(LLMReplyError):
        llm.complete(MESSAGES, schema=SCHEMA)


def test_all_modes_are_tried_here() -> None:
    """A new way needs a test above."""
    assert set(PROVIDERS["compatible"].modes) == set(StructuredMode)
