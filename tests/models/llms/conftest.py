from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from models import Clock, LLMCancelledError, RemoteLLM, RetryPolicy, load_llm
from tests.models.llms.server import Provider, running_provider

KEY = "sk-secret-1234567890"

Load = Callable[..., RemoteLLM]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The local server; proxies of this machine are left out of it. At the end no request was malformed."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_provider() as running:
        yield running
        assert running.violations == []


@pytest.fixture
def load(provider: Provider) -> Iterator[Load]:
    """Loads a language model of the local server, by default through the OpenAI SDK; closes it in the end."""
    with ExitStack() as opened:

        def load(name: str = "openai", **options: Any) -> RemoteLLM:
            root = provider.url if name in {"anthropic", "azure"} else f"{provider.url}/v1"
            quick = RetryPolicy(attempts=3, first_seconds=0.01)
            chosen: dict[str, Any] = {"model": "m", "api_key": KEY, "base_url": root, "retries": quick} | options
            return opened.enter_context(load_llm(name, **chosen))

        yield load


@pytest.fixture
def llm(load: Load) -> RemoteLLM:
    """A model behind the chat completions protocol."""
    return load()


class FakeClock(Clock):
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self.time

    def wait(self, seconds: float, cancelled: threading.Event | None = None) -> None:
        if cancelled is not None and cancelled.is_set():
            raise LLMCancelledError("cancelled")
        with self._lock:
            self.waits.append(seconds)
            self.time += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
