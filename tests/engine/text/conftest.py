"""A text index in a temporary directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from engine.text.index import TextIndex

MakeIndex = Callable[..., TextIndex]


@pytest.fixture
def make_index(tmp_path: Path) -> Iterator[MakeIndex]:
    """Opens the index in `tmp_path / "text"`, again and again if need be; closes it in the end."""
    opened: list[TextIndex] = []

    def make(languages: Mapping[str, str | None] | None = None) -> TextIndex:
        for index in opened:
            index.close()
        opened[:] = [TextIndex(tmp_path / "text", {"text": None} if languages is None else languages)]
        return opened[0]

    yield make
    for index in opened:
        index.close()
