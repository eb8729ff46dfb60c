"""Plans with steps that ask a language model, as a user runs them: the real SDKs against a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lumaai.database import Database
from lumaai.errors import InvalidRequestError, LumaError
from lumaai.settings import load_settings
from models import Message, ScriptedRequest
from tests.lumaai.conftest import Run
from tests.lumaai.films import FILMS, CountingEmbedder
from tests.lumaai.serving import serving
from tests.models.llms.server import (
    Answer,
    Provider,
    Received,
    Scripted,
    anthropic_reply,
    openai_refusal,
    openai_reply,
    running_provider,
)
from tests.promptql.operators.semantic.judge import answered

KEEP = {
    "id": "keep", "op": "llm_filter", "input": "films", "instruction": "it plays in France", "fields": ["plot"],
    "quality": {"target": "recall", "value": 1.0},
}  # fmt: skip
SHOUT = {"id": "m", "op": "llm_map", "input": "keep", "instruction": "shout", "fields": ["plot"], "as": "shout"}
PLAN: dict[str, Any] = {
    "question": "which films play in France",
    "steps": [
        {"id": "films", "op": "scan", "collection": "films"},
        KEEP,
        SHOUT,
        {"id": "end", "op": "answer", "input": "m", "fields": ["title"]},
    ],
    "output": "end",
}
FRENCH = [film["title"] for film in FILMS if "Paris" in film["plot"]]


def says(question: str, text: Any) -> Any:
    return text.upper() if "shout" in question else "Paris" in text


def right(received: Received) -> Scripted:
    """The right reply, in the protocol of the request."""
    body = received.body
    system = [Message("system", body["system"])] if "system" in body else []
    turns = [Message(turn["role"], turn["content"]) for turn in body["messages"]]
    reply = json.dumps(answered(ScriptedRequest((*system, *turns), None, 0, 0.0, 0.0), says))
    if received.path.endswith("/messages"):
        return anthropic_reply({"type": "text", "text": reply})
    return openai_reply(reply)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        provider.otherwise = right
        yield provider
    assert provider.violations == []


@pytest.fixture
def place(tmp_path: Path) -> Path:
    with Database(tmp_path / "db", load_embedder=lambda _: CountingEmbedder()) as database:
        database.create_collection("films", embed={}).add(FILMS)
    return tmp_path / "db"


def opened(place: Path, **given: Any) -> Database:
    settings = load_settings(**given)
    return Database(place, load_embedder=lambda _: CountingEmbedder(), llm=lambda: settings.llm)


@pytest.mark.parametrize("name", ["compatible", "anthropic"])
def test_a_plan_runs_over_the_real_sdks(provider: Provider, place: Path, name: str) -> None:
    """One call for both questions; the answer has what it cost, and its documents."""
    url = f"{provider.url}/v1" if name == "compatible" else provider.url
    with opened(place, llm_provider=name, llm_base_url=url, llm_model="m", llm_api_key="sk-x") as database:
        answer = database.execute(PLAN)
        assert list(answer.values) == FRENCH
        (step,) = [step for step in answer.steps if step.llm is not None]
        assert step.llm is not None
        assert step.op == "llm_fused"
        assert (step.llm.calls - len(provider.probes), len(provider.requests)) == (1, 1)
        assert answer.usage["llm"]["tokens_in"] == step.llm.tokens_in
        assert answer.completeness == 1.0
        assert answer.citations[0].ids == tuple(film["id"] for film in FILMS if film["title"] in FRENCH)
        again = database.execute({**PLAN, "question": "once more"})
        assert (again.usage["llm"]["calls"], again.usage["llm"]["cache_hits"]) == (0, 2 * len(FILMS))


WORDS = openai_reply("I cannot say.")
CUT = openai_reply('{"rows": [', finish_reason="length")
REFUSAL = openai_reply(None, refusal="I will not.")


@pytest.mark.parametrize("wrong", [[WORDS, CUT], [CUT, REFUSAL], [REFUSAL, WORDS]])
def test_busy_and_failing_endpoints_are_asked_again(provider: Provider, place: Path, wrong: list[Scripted]) -> None:
    """429 and 500, then words instead of JSON, a reply that is cut off, or a refusal: then the right one."""
    provider.play(openai_refusal(429, "slow down"), openai_refusal(500, "oops"), *wrong)
    with opened(place, llm_base_url=f"{provider.url}/v1", llm_model="m") as database:
        answer = database.execute(PLAN)
    assert list(answer.values) == FRENCH
    assert answer.warnings == ()


def test_a_slow_reply_is_waited_for(provider: Provider, place: Path) -> None:
    """Its rows come with the others."""

    def slow(received: Received) -> Scripted:
        reply = right(received)
        assert isinstance(reply, Answer)
        return replace(reply, delay_seconds=0.3)

    provider.otherwise = slow
    with opened(place, llm_base_url=f"{provider.url}/v1", llm_model="m") as database:
        assert list(database.execute(PLAN).values) == FRENCH


def test_a_budget_of_calls_is_never_passed(provider: Provider, place: Path) -> None:
    """Nothing is asked with none, and the error names the limit."""
    given = {"llm_base_url": f"{provider.url}/v1", "llm_model": "m", "llm_calls_max": 0}
    with opened(place, **given) as database, pytest.raises(LumaError, match="budget"):
        database.execute(PLAN)
    assert provider.requests == provider.probes == []


def test_a_wrong_key_is_said_so(provider: Provider, place: Path) -> None:
    """At the first call, without the key in the message."""
    provider.play(openai_refusal(401, "no such key"))
    given = {"llm_base_url": f"{provider.url}/v1", "llm_model": "m", "llm_api_key": "sk-secret"}
    with opened(place, **given) as database, pytest.raises(LumaError) as caught:
        database.execute(PLAN)
    assert "secret" not in str(caught.value)


def test_without_a_language_model_the_twin_is_named(place: Path) -> None:
    """The plan is valid, and refused before anything runs."""
    with Database(place, load_embedder=lambda _: CountingEmbedder()) as database:
        assert database.validate(PLAN).valid
        with pytest.raises(InvalidRequestError, match="classify_local"):
            database.execute(PLAN)


def test_the_small_model_is_another_of_the_same_provider(provider: Provider, place: Path) -> None:
    """Named in the settings; within the same budget."""
    plan = {**PLAN, "steps": [PLAN["steps"][0], {**KEEP, "model": "small"}, SHOUT, PLAN["steps"][-1]]}
    given = {"llm_base_url": f"{provider.url}/v1", "llm_model": "large", "llm_small_model": "tiny"}
    with opened(place, **given) as database:
        assert list(database.execute(plan).values) == FRENCH
    assert [request.body["model"] for request in provider.requests] == ["tiny", "large"]


def test_the_command_line_runs_such_plans(
    provider: Provider, place: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file, with the calls of each step."""
    monkeypatch.setenv("LUMAAI_LLM_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("LUMAAI_LLM_MODEL", "m")
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    shown = run("execute", tmp_path / "plan.json", "--db", place)
    assert shown.exit_code == 0
    assert FRENCH[0] in shown.stdout
    assert "llm_fused" in shown.stdout
    assert "calls" in shown.stdout
    explained = json.loads(run("execute", tmp_path / "plan.json", "--db", place, "--json").stdout)
    assert explained["answer"]["values"] == FRENCH


def test_explaining_shows_what_the_optimizer_did(place: Path) -> None:
    """Without asking anything of a model."""
    with Database(place, load_embedder=lambda _: CountingEmbedder()) as database:
        explanation = database.explain(PLAN)
    assert "fuse_semantic" in [rewrite.rule for rewrite in explanation.rewrites]
    assert "it plays in France" in explanation.text


def test_the_service_answers_with_what_steps_cost(provider: Provider, tmp_path: Path) -> None:
    """POST /v1/ask/execute; as events with the progress of the step; and as a program."""
    settings = load_settings(llm_base_url=f"{provider.url}/v1", llm_model="m")
    with serving(tmp_path, llm=lambda: settings.llm) as service:
        service.database.create_collection("films").add(FILMS)
        body = service.post("/v1/ask/execute", {"plan": PLAN}).json()
        assert body["answer"]["values"] == FRENCH
        assert body["usage"]["llm"]["calls"] >= 1
        events = service.post("/v1/ask/execute", {"plan": {**PLAN, "question": ""}, "stream": True}).text
        assert "event: step_started" in events
        assert '"cache_hits":6' in events.replace(" ", "")
        assert service.put("/v1/programs/french", {"plan": PLAN}).status_code in (200, 201)
        ran = service.post("/v1/programs/french/run", {})
        assert ran.json()["answer"]["values"] == FRENCH
