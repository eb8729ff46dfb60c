from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.models.llms.server import Provider, running_provider


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The local server; proxies of this machine are left out of it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_provider() as running:
        yield running
