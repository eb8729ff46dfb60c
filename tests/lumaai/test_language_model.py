from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from lumaai.errors import InvalidRequestError
from lumaai.settings import load_settings
from models import BudgetedLLM, LLMBudgetError, LLMError, Message, Price
from tests.models.llms.server import Provider, openai_reply, running_provider

MESSAGES = [Message("user", "How many?")]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Provider]:
    """A language model's server, and a cache directory of the test's own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with running_provider() as running:
        yield running
        assert running.violations == []


def llm_of(**given: Any) -> BudgetedLLM:
    llm = load_settings(**given).llm
    assert isinstance(llm, BudgetedLLM)
    return llm


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai/gpt-5.4-mini"),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic/claude-haiku-4-5"),
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, "openai/gpt-5.4-mini"),
        ({"LUMAAI_LLM_BASE_URL": "http://127.0.0.1:1/v1", "LUMAAI_LLM_MODEL": "tiny"}, "openai/tiny"),
        (
            {"LUMAAI_LLM_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"},
            "anthropic/claude-haiku-4-5",
        ),
        ({"LUMAAI_LLM_PROVIDER": "gemini", "GEMINI_API_KEY": "k"}, "gemini/gemini-3.5-flash"),
        ({"LUMAAI_LLM_PROVIDER": "deepseek", "LUMAAI_LLM_API_KEY": "k"}, "deepseek/deepseek-v4-flash"),
        ({"LUMAAI_LLM_PROVIDER": "ollama", "LUMAAI_LLM_MODEL": "tiny"}, "ollama/tiny"),
        (
            {
                "LUMAAI_LLM_PROVIDER": "azure",
                "LUMAAI_LLM_BASE_URL": "https://x.openai.azure.com",
                "LUMAAI_LLM_MODEL": "mine",
                "AZURE_OPENAI_API_KEY": "k",
            },
            "azure/mine",
        ),
        ({"GEMINI_API_KEY": "k"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_environment_names_the_language_model(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str | None
) -> None:
    """By a provider, or by an address and keys alone."""
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    llm = load_settings().llm
    assert (None if llm is None else llm.name) == name
    if isinstance(llm, BudgetedLLM):
        llm.close()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"llm_provider": "oracle"}, "must be one of openai, azure"),
        ({"llm_provider": "gemini"}, "needs GEMINI_API_KEY, LUMAAI_LLM_API_KEY or LUMAAI_LLM_KEY_FILE"),
        ({"llm_provider": "ollama"}, "needs LUMAAI_LLM_MODEL"),
        ({"llm_provider": "azure", "llm_api_key": "sk-secret"}, "needs LUMAAI_LLM_BASE_URL"),
        ({"llm_provider": "openai", "llm_base_url": "http://127.0.0.1:1"}, "needs LUMAAI_LLM_MODEL"),
        ({"llm_base_url": "http://127.0.0.1:1"}, "needs LUMAAI_LLM_MODEL"),
        ({"llm_api_key": "sk-secret", "llm_key_file": "key"}, "are two keys"),
        ({"llm_calls_max": -1}, "llm_calls_max"),
        ({"llm_requests_per_minute": 0}, "llm_requests_per_minute"),
    ],
)
def test_settings_that_name_none_say_what_is_missing(given: dict[str, Any], reason: str) -> None:
    """Before the first question, and without a key in it."""
    with pytest.raises(InvalidRequestError, match=reason) as caught:
        load_settings(**given)
    assert "secret" not in str(caught.value)


def test_the_key_comes_from_a_file(provider: Provider, tmp_path: Path) -> None:
    """And is not shown."""
    (tmp_path / "key").write_text("sk-secret\n")
    llm = llm_of(llm_base_url=f"{provider.url}/v1", llm_model="m", llm_key_file=tmp_path / "key")
    provider.play(openai_reply("Three."))
    llm.complete(MESSAGES)
    llm.close()
    assert provider.requests[0].headers["authorization"] == "Bearer sk-secret"
    assert "secret" not in repr(llm)
    with pytest.raises(LLMError, match="key file cannot be read"):
        _ = load_settings(llm_provider="openai", llm_key_file=tmp_path / "nothing").llm


def test_a_key_of_its_own_goes_before_the_providers(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_API_KEY may be that of another endpoint."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    llm = llm_of(llm_base_url=f"{provider.url}/v1", llm_model="m", llm_api_key="sk-own")
    provider.play(openai_reply("Three."))
    llm.complete(MESSAGES)
    llm.close()
    assert provider.requests[0].headers["authorization"] == "Bearer sk-own"


def test_a_budget_is_that_of_one_question(provider: Provider, tmp_path: Path) -> None:
    """Calls, dollars by one's own prices; the next question begins anew."""
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"openai/m": {"input": 1, "output": 2}}))
    llm = llm_of(
        llm_base_url=f"{provider.url}/v1",
        llm_model="m",
        llm_prices_file=prices,
        llm_calls_max=1,
        llm_dollars_max=0.5,
        llm_tokens_max=9000,
        llm_seconds_max=60,
    )
    provider.play(openai_reply("Three."), openai_reply("Three."))
    for _ in range(2):
        question = llm.renewed()
        assert question.complete(MESSAGES).usage.dollars == pytest.approx(Price(1, 2).dollars(11, 7))
        with pytest.raises(LLMBudgetError, match="limit=calls"):
            question.complete(MESSAGES)
    llm.close()
    limits = (llm.budget.calls, llm.budget.tokens, llm.budget.dollars, llm.budget.seconds)
    assert limits == (1, 9000, 0.5, 60)


def test_questions_are_planned_within_the_budget(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan from the model; without room for a call the rules answer, and say that they took over."""
    monkeypatch.setenv("LUMAAI_LLM_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("LUMAAI_LLM_MODEL", "m")
    steps = [{"id": "s1", "op": "scan", "collection": "films"}, {"id": "s2", "op": "answer", "input": "s1"}]
    provider.play(openai_reply(json.dumps({"steps": steps, "output": "s2"})))
    with lumaai.connect(tmp_path / "data") as db:
        db.create_collection("films", embed={}).add([{"id": "1", "year": 1990}])
        assert db.ask("How many films are there?", planner="llm").planner == "llm"
        assert len(provider.requests) == 1
    monkeypatch.setenv("LUMAAI_LLM_CALLS_MAX", "0")
    with lumaai.connect(tmp_path / "data") as db:
        answer = db.ask("How many films are there?")
        assert "1" in answer.text
        assert answer.planner != "llm"
    assert len(provider.requests) == 1
    assert (tmp_path / "cache" / "lumaai" / "llm_capabilities.json").exists()
