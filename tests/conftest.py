"""Fixtures for all tests: the public data sets beside the repository, and no way out to the network."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import models

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """The folder of a public data set; skips the test where the sets are not beside the repository."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.is_dir():
            pytest.skip(f"data set {name} is not beside the repository (../shared/data/{name})")
        return path

    return find


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A connection to anything but this machine fails: no test may call a real model or fetch a file."""
    if "network" in request.keywords:
        yield
        return
    models.restrict_llms_to_loopback()
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"test tried to reach the network: {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    keys = {provider.key_variable for provider in models.PROVIDERS.values() if provider.key_variable is not None}
    for name in (
        *keys,
        *(name for name in os.environ if name.startswith("LUMAAI_LLM_")),
        "LUMAAI_API_KEY",
        "LUMAAI_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    yield
