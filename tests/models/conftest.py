"""Fixtures of the model tests: one embedder for all of them, no calls to real language models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models import Embedder, load_embedder, restrict_llms_to_loopback
from models.registry import find_model
from tests.models.embedding_server import Service, running_service


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    restrict_llms_to_loopback()
    yield
    restrict_llms_to_loopback(enabled=False)


@pytest.fixture(scope="session")
def model_directory() -> Path:
    """The installed weights of the default model."""
    return find_model("all-MiniLM-L6-v2")


@pytest.fixture(scope="session")
def graph_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="session")
def embedder(graph_cache: Path) -> Embedder:
    return load_embedder(cache_directory=graph_cache, threads=2)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A local embedding and reranking service; at the end no request of the test was malformed."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_service() as running:
        yield running
        assert running.refused == []
