from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import models
from models import PRICES, PROVIDERS, LLMError, Price, StructuredMode, load_llm, read_key_file, read_prices
from models.llms.prices import price_of


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"provider": "openai"}, "API key is missing"),
        ({"provider": "anthropic"}, "API key is missing"),
        ({"provider": "azure", "base_url": "http://127.0.0.1:1", "model": "m"}, "API key is missing"),
        ({"provider": "azure", "api_key": "k", "model": "m"}, "address is missing"),
        ({"provider": "azure", "api_key": "k", "base_url": "http://127.0.0.1:1"}, "must be named"),
        ({"provider": "ollama"}, "must be named"),
        ({"provider": "compatible", "model": "m"}, "address is missing"),
        ({"provider": "openai", "base_url": "http://127.0.0.1:1/v1"}, "must be named"),
        ({"provider": "openai", "api_key": "sk-secret\n"}, "characters that no key has"),
        ({"provider": "openai", "api_key": "sk-sécret"}, "characters that no key has"),
        ({"provider": "ollama", "model": "m", "base_url": "localhost:11434"}, "address must begin"),
        ({"provider": "ollama", "model": "m", "base_url": "http://[::1/v1"}, "address must begin"),
        ({"provider": "ollama", "model": "m", "base_url": "http://localhost:port/v1"}, "address must begin"),
        ({"provider": "ollama", "model": "m", "base_url": "file:///etc/passwd"}, "address must begin"),
        ({"provider": "other", "api_key": "k"}, "provider is unknown: expected one of openai, azure"),
    ],
)
def test_llms_that_cannot_be_loaded_say_why(arguments: dict[str, Any], reason: str) -> None:
    """Before any request is made; the key is in no message."""
    with pytest.raises(LLMError, match=reason) as caught:
        load_llm(**arguments)
    assert "cret" not in str(caught.value)


def test_every_provider_can_be_loaded() -> None:
    """With what it asks for and nothing else; no request is made."""
    for provider in PROVIDERS.values():
        given: dict[str, Any] = {
            "model": None if provider.default_model else "m",
            "api_key": "k" if provider.key_variable else None,
            "base_url": None if provider.base_url else "http://127.0.0.1:1/v1",
        }
        with load_llm(provider.name, **given) as llm:
            assert llm.name == f"{provider.name}/{provider.default_model or 'm'}"


def test_the_table_of_providers_holds_together() -> None:
    """Names, the plain way at the end of each, and prices of the models that are taken by default."""
    for name, provider in PROVIDERS.items():
        assert provider.name == name
        assert provider.modes[-1] is StructuredMode.PLAIN
        assert len(set(provider.modes)) == len(provider.modes)
    assert {name.partition("/")[0] for name in PRICES} <= set(PROVIDERS)
    for name in ("openai", "anthropic", "gemini"):
        assert f"{name}/{PROVIDERS[name].default_model}" in PRICES


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("openai/gpt-5.4-mini", PRICES["openai/gpt-5.4-mini"]),
        ("openai/gpt-5.4-mini-2026-03-17", PRICES["openai/gpt-5.4-mini"]),
        ("anthropic/claude-haiku-4-5-20251001", PRICES["anthropic/claude-haiku-4-5"]),
        ("openai/gpt-5.4-pro", None),
        ("gpt-5.4", None),
    ],
)
def test_prices_are_found_by_name_and_for_dated_versions(name: str, price: Price | None) -> None:
    """And for no other model whose name only begins alike."""
    assert price_of(name, PRICES) == price


def test_prices_are_for_a_million_tokens() -> None:
    """2,000 read at 0.75 and 100 written at 4.50: 0.0015 + 0.00045 dollars."""
    assert Price(0.75, 4.5).dollars(2000, 100) == pytest.approx(0.00195)
    for wrong in ((-1, 0), (0, float("inf"))):
        with pytest.raises(ValueError, match="price must be"):
            Price(*wrong)


def test_prices_are_read_from_a_file(tmp_path: Path) -> None:
    """JSON by model."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"openai/mine": {"input": 1, "output": 2.5}}))
    assert read_prices(path) == {"openai/mine": Price(1, 2.5)}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"m": 5}',
        '{"m": {"input": 1}}',
        '{"m": {"input": "1", "output": 1}}',
        '{"m": {"input": -1, "output": 1}}',
    ],
)
def test_wrong_prices_name_their_file(tmp_path: Path, content: str) -> None:
    """Not JSON, no table, a price that lacks something or is none."""
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(LLMError, match="path="):
        read_prices(path)
    with pytest.raises(LLMError, match="cannot be read"):
        read_prices(tmp_path / "nothing")


def test_a_key_is_read_from_a_file(tmp_path: Path) -> None:
    """Without the line's end."""
    (tmp_path / "key").write_text("sk-secret\n")
    assert read_key_file(tmp_path / "key") == "sk-secret"


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"sk-secret two", b"sk-secret\nmore", b"\xff\xfesk-secret", b"k" * 9000]
)
def test_a_file_that_holds_no_key_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    """Empty, several words, not text, too long."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(LLMError, match="key file") as caught:
        read_key_file(tmp_path / "key")
    assert "secret" not in repr(caught.value)
    assert "secret" not in repr(caught.value.__context__ or "")
    with pytest.raises(LLMError, match="FileNotFoundError"):
        read_key_file(tmp_path / "nothing")


def test_all_names_are_exported() -> None:
    """Each can be had from the package."""
    for name in models.__all__:
        assert getattr(models, name) is not None
