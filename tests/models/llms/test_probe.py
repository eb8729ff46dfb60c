"""Which way to structured output is found at endpoints that obey, refuse, ignore and fail."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models import (
    Budget,
    LLMBudgetError,
    LLMCancelledError,
    LLMError,
    LLMReplyError,
    LLMUnavailableError,
    Message,
    Usage,
)
from models.llms.capabilities import CapabilityStore
from models.llms.probe import PROBE_TOKENS_MAX
from tests.models.llms.conftest import Load
from tests.models.llms.server import (
    ALL_MODES,
    Answer,
    Provider,
    Received,
    Scripted,
    anthropic_reply,
    openai_refusal,
    openai_reply,
    openai_tool_call,
)

MESSAGES = [Message("user", "How many?")]
SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer"}},
    "required": ["count"],
    "additionalProperties": False,
}
THREE = '{"count": 3}'


def modes(requests: list[Received]) -> list[str]:
    return [request.mode for request in requests]


def test_an_endpoint_is_probed_once_and_remembered(provider: Provider, load: Load) -> None:
    """One small request before the first structured call; none before others, and none before the second."""
    llm = load()
    provider.play(openai_reply("Three."), openai_reply(THREE), openai_reply(THREE))
    llm.complete(MESSAGES)
    assert provider.probes == []
    assert llm.complete(MESSAGES, schema=SCHEMA).usage == Usage(2, 22, 14)  # the probe is paid for, too
    assert llm.complete(MESSAGES, schema=SCHEMA).usage == Usage(1, 11, 7)
    assert modes(provider.probes) == ["json_schema"]
    assert provider.probes[0].body["max_tokens"] == PROBE_TOKENS_MAX


@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_an_endpoint_that_refuses_or_ignores_schemas_is_asked_in_the_best_way_that_it_has(
    provider: Provider, load: Load, name: str
) -> None:
    """Schemas are ignored, tools refused, JSON mode obeyed."""
    provider.supports, provider.ignores = frozenset({"json_object"}), frozenset({"json_schema"})
    provider.extended = False  # what only vLLM and llama.cpp know is refused by the server's own check
    provider.play(openai_reply(THREE))
    llm = load(name) if name == "ollama" else load(name, base_url=f"{provider.url}/v1")
    reply = llm.complete(MESSAGES, schema=SCHEMA)
    assert reply.value == {"count": 3}
    assert modes(provider.requests) == ["json_object"]
    assert reply.usage.calls == 1 + len(provider.probes) + len(provider.violations)
    if name == "ollama":
        assert modes(provider.probes) == ["json_schema", "tool", "json_object"]
    provider.violations.clear()


def test_an_endpoint_that_ignores_everything_is_asked_in_words(provider: Provider, load: Load) -> None:
    """And its fences are taken off."""
    provider.supports, provider.ignores = frozenset(), ALL_MODES
    provider.play(openai_reply(f"Sure!\n```json\n{THREE}\n```"))
    assert load().complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    assert modes(provider.requests) == ["plain"]


def test_a_server_that_fails_on_a_way_has_another(provider: Provider, load: Load) -> None:
    """llama.cpp answers 500 to tools without --jinja; that is no reason to give up."""

    def answer(request: Received) -> Scripted:
        (provider.probes if "Greet" in str(request.body) else provider.requests).append(request)
        if request.mode in {"json_object", "plain"}:
            return openai_reply('{"greeting": "hello", "count": 3}')
        return openai_refusal(500, "tools param requires --jinja flag")

    provider.answer = answer  # type: ignore[method-assign] # a server of another kind
    value = load("deepseek").complete(MESSAGES, schema=SCHEMA).value
    assert value == {"greeting": "hello", "count": 3}
    assert modes(provider.requests) == ["json_object"]


def test_an_endpoint_that_cannot_be_reached_is_not_taken_for_one_that_refuses(provider: Provider, load: Load) -> None:
    """A key refused, an overload, silence: the error is raised and nothing is remembered."""
    llm = load()
    failing = [openai_refusal(401, "no"), *[openai_refusal(503, "busy")] * 3]
    play = provider.answer
    provider.answer = lambda request: failing.pop(0)  # type: ignore[method-assign] # a server in trouble
    with pytest.raises(LLMError, match="refused the API key"):
        llm.complete(MESSAGES, schema=SCHEMA)
    with pytest.raises(LLMUnavailableError, match="busy"):
        llm.complete(MESSAGES, schema=SCHEMA)
    provider.answer = play  # type: ignore[method-assign] # as before
    provider.play(openai_reply(THREE))
    llm.complete(MESSAGES, schema=SCHEMA)
    assert modes(provider.requests) == ["json_schema"]


@pytest.mark.parametrize("status", [400, 500])
def test_what_refuses_everything_is_not_remembered_for_it(provider: Provider, load: Load, status: int) -> None:
    """It does so for another reason than the way it was asked; when that has passed, the best way is found."""
    llm = load("ollama")
    play = provider.answer
    broken = openai_refusal(status, "out of memory")
    provider.answer = lambda request: broken  # type: ignore[method-assign] # a server in trouble
    with pytest.raises(LLMError, match="out of memory"):
        llm.complete(MESSAGES, schema=SCHEMA)
    provider.answer = play  # type: ignore[method-assign] # as before
    provider.play(openai_reply(THREE))
    llm.complete(MESSAGES, schema=SCHEMA)
    assert modes(provider.requests) == ["json_schema"]


def test_an_unknown_model_is_asked_once(provider: Provider, load: Load) -> None:
    """Its name does not become known by asking otherwise."""
    asked = []

    def answer(request: Received) -> Scripted:
        asked.append(request.mode)
        return openai_refusal(404, "model m does not exist")

    provider.answer = answer  # type: ignore[method-assign] # a server without the model
    with pytest.raises(LLMError, match="does not exist"):
        load().complete(MESSAGES, schema=SCHEMA)
    assert asked == ["json_schema"]


def test_a_probe_that_is_cut_off_counts_as_obeyed(provider: Provider, load: Load) -> None:
    """A model that thinks for longer than the probe allows has at least taken the request."""

    def answer(request: Received) -> Answer:
        provider.requests.append(request)
        thinking = "Greet" in str(request.body)
        return openai_reply("", finish_reason="length") if thinking else openai_reply(THREE)

    provider.answer = answer  # type: ignore[method-assign] # a server of another kind
    load().complete(MESSAGES, schema=SCHEMA)
    assert modes(provider.requests) == ["json_schema"] * 2


def test_what_is_remembered_is_corrected_when_the_endpoint_refuses(provider: Provider, load: Load) -> None:
    """The same question is asked in the next weaker way, and later ones at once in that way."""
    llm = load()
    provider.play(openai_reply(THREE))
    llm.complete(MESSAGES, schema=SCHEMA)
    provider.supports = frozenset({"tool"})
    provider.play(openai_tool_call(THREE), openai_tool_call(THREE))
    provider.extended = True
    for _ in range(2):
        assert llm.complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    assert modes(provider.requests)[-1] == "tool"
    assert modes(provider.requests).count("json_schema") == 2  # the first, and the one that was refused


def test_a_refusal_for_another_reason_is_not_remembered(provider: Provider, load: Load) -> None:
    """A prompt that is too long is refused in every way; the next question is asked in the best way again."""
    llm = load()
    provider.play(openai_reply(THREE))
    llm.complete(MESSAGES, schema=SCHEMA)
    before = len(provider.requests)
    provider.play(*[openai_refusal(400, "prompt is too long")] * 7)
    with pytest.raises(LLMError, match="too long"):
        llm.complete(MESSAGES, schema=SCHEMA)
    assert len(provider.requests) - before == 7
    provider.play(openai_reply(THREE))
    llm.complete(MESSAGES, schema=SCHEMA)
    assert modes(provider.requests)[-1] == "json_schema"


def test_words_where_json_was_enforced_lead_to_another_probe(provider: Provider, load: Load) -> None:
    """An endpoint that begins to ignore schemas is found out by the next question."""
    llm = load()
    provider.play(openai_reply(THREE))
    llm.complete(MESSAGES, schema=SCHEMA)
    provider.supports, provider.ignores = frozenset({"json_object"}), ALL_MODES - {"json_object"}
    provider.play(openai_reply("Three."), openai_reply(THREE))
    with pytest.raises(LLMReplyError, match="not JSON"):
        llm.complete(MESSAGES, schema=SCHEMA)
    assert llm.complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    assert modes(provider.requests) == ["json_schema", "json_schema", "json_object"]


def test_another_process_does_not_probe_again(provider: Provider, load: Load, tmp_path: Path) -> None:
    """Where a directory is given; another model of the endpoint is probed for itself."""
    provider.play(*[openai_reply(THREE) for _ in range(3)])
    load(capabilities_directory=tmp_path).complete(MESSAGES, schema=SCHEMA)
    load(capabilities_directory=tmp_path).complete(MESSAGES, schema=SCHEMA)
    assert len(provider.probes) == 1
    load(capabilities_directory=tmp_path, model="n").complete(MESSAGES, schema=SCHEMA)
    assert [probe.body["model"] for probe in provider.probes] == ["m", "n"]


def test_a_correction_is_kept_on_disk(provider: Provider, load: Load, tmp_path: Path) -> None:
    """What was found later stands in the place of what was found before."""
    provider.play(openai_reply(THREE))
    load("ollama", capabilities_directory=tmp_path).complete(MESSAGES, schema=SCHEMA)
    provider.supports = frozenset({"tool"})
    provider.play(openai_tool_call(THREE))
    load("ollama", capabilities_directory=tmp_path).complete(MESSAGES, schema=SCHEMA)
    assert CapabilityStore(tmp_path).get(f"{provider.url}/v1", "m").structured == "tool"


def test_a_budget_without_room_for_probes_goes_without_one(provider: Provider, load: Load) -> None:
    """The best way is assumed: an endpoint that has it answers within one call, and is known then."""
    llm = load()
    provider.play(openai_reply(THREE), openai_reply(THREE))
    budget = Budget(calls=1)
    assert llm.complete(MESSAGES, schema=SCHEMA, budget=budget).value == {"count": 3}
    assert budget.spent.calls == 1
    llm.complete(MESSAGES, schema=SCHEMA)
    assert provider.probes == []


def test_many_threads_wait_for_one_probe(provider: Provider, load: Load) -> None:
    """Eight first questions at once cost one probe."""
    llm = load()
    provider.play(*[openai_reply(THREE) for _ in range(8)])
    cancelled = threading.Event()
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(llm.complete, MESSAGES, schema=SCHEMA, cancelled=cancelled) for _ in range(8)]
        assert [call.result().value for call in calls] == [{"count": 3}] * 8
    assert len(provider.probes) == 1


def test_a_wait_for_anothers_probe_ends_with_event_and_budget(provider: Provider, load: Load) -> None:
    """The probe of another thread may take long."""
    llm, cancelled = load(), threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with llm._probing:
        with pytest.raises(LLMCancelledError):
            llm.complete(MESSAGES, schema=SCHEMA, cancelled=cancelled)
        with pytest.raises(LLMBudgetError, match="seconds"):
            llm.complete(MESSAGES, schema=SCHEMA, budget=Budget(seconds=0.2))
    assert provider.requests == provider.probes == []


def test_anthropics_protocol_is_probed_as_well(provider: Provider, load: Load) -> None:
    """Tools are refused by a model that always thinks; its output format works."""
    provider.supports = frozenset({"json_schema"})
    provider.play(anthropic_reply({"type": "text", "text": THREE}))
    assert load("anthropic").complete(MESSAGES, schema=SCHEMA).value == {"count": 3}
    assert modes(provider.probes) == ["tool", "json_schema"]
