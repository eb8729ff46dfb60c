from __future__ import annotations

import sys
from pathlib import Path

import pytest

from models import (
    ModelError,
    ModelName,
    ModelNameError,
    ModelNotFoundError,
    RemoteAccess,
    load_embedder,
    load_reranker,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("all-MiniLM-L6-v2", ModelName("onnx", "all-MiniLM-L6-v2")),
        ("onnx:x", ModelName("onnx", "x")),
        ("torch:BAAI/bge-m3", ModelName("torch", "BAAI/bge-m3")),
        ("openai:text-embedding-3-small", ModelName("openai", "text-embedding-3-small")),
        ("openai:m@http://host:1/v1/", ModelName("openai", "m", "http://host:1/v1")),
        ("openai:a@b", ModelName("openai", "a@b")),
        ("openai:a@b@https://h/v1", ModelName("openai", "a@b", "https://h/v1")),
        ("hashing", ModelName("hashing", "")),
        ("unknown:x", ModelName("onnx", "unknown:x")),
    ],
)
def test_names_are_taken_apart(name: str, expected: ModelName) -> None:
    assert ModelName.parse(name) == expected


@pytest.mark.parametrize("name", ["openai:", "torch:", "static:", "openai:@http://host/v1"])
def test_incomplete_names_say_what_is_missing(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="incomplete"):
        ModelName.parse(name)


@pytest.mark.parametrize("name", ["a" * 5000, "openai:" + "a" * 5000, "x\0y", "x\ny", "torch:\ud800"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ModelNameError):
        ModelName.parse(name)


@pytest.mark.parametrize("name", ["a" * 4000, "onnx:" + "a" * 300])
def test_a_name_that_no_path_can_have_is_a_model_that_is_not_there(tmp_path: Path, name: str) -> None:
    assert not ModelName.parse(name).is_directory
    with pytest.raises(ModelNotFoundError):
        load_embedder(name, cache_directory=tmp_path)


def test_a_directory_of_such_a_name_is_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may hold a colon."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openai:x").mkdir()
    assert ModelName.parse("openai:x") == ModelName("onnx", "openai:x")


def test_a_key_goes_to_its_own_address_only() -> None:
    access = RemoteAccess("https://mine/v1", "secret")
    assert access.at(None) is access
    assert access.at("https://mine/v1") is access
    assert access.at("https://other/v1") == RemoteAccess("https://other/v1", None)
    assert RemoteAccess(None, "secret").at("https://other/v1").api_key is None
    assert "secret" not in repr(access)


def test_the_hub_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get it, or how to do without."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelNotFoundError, match="pip install huggingface_hub"):
        load_embedder("hub:sentence-transformers/all-MiniLM-L6-v2", cache_directory=tmp_path)


def test_the_hub_without_a_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked for at an address that is no model's name."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="hub:"):
        load_embedder("hub:nobody/nothing", cache_directory=tmp_path)
    with pytest.raises(ModelNotFoundError, match="no such model"):
        load_embedder("hub:a/b/c/d", cache_directory=tmp_path)


def test_rerankers_of_services_need_an_address(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="address of the reranking service"):
        load_reranker("openai:m", cache_directory=tmp_path)
