"""A small database for the tests of the embedded facade, and an embedder that counts what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lumaai.database import Database
from lumaai.results import Hit, PassageHit
from models import Embedder
from models.embedder import Vectors
from models.embedders.hashing import HashingEmbedder

FILMS: list[dict[str, Any]] = [
    {"id": "1", "title": "The Matrix", "plot": "A hacker learns that his world is a simulation.", "year": 1999},
    {"id": "2", "title": "Alien", "plot": "A crew meets a creature on a distant moon.", "year": 1979},
    {"id": "3", "title": "Amélie", "plot": "A waitress in Paris decides to help people.", "year": 2001},
]


class CountingEmbedder(HashingEmbedder):
    """The hashing embedder, keeping the texts that it was given."""

    def __init__(self, dim: int = 64, *, max_tokens: int = 254) -> None:
        super().__init__(dim, max_tokens=max_tokens)
        self.texts: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return super().embed_documents(texts)


def open_database(path: Path, embedder: Embedder | None = None) -> Database:
    """A database whose every model is `embedder` (hashing by default)."""
    chosen = embedder if embedder is not None else HashingEmbedder()
    return Database(path, load_embedder=lambda _: chosen)


def passage_of(hit: Hit) -> PassageHit:
    """The hit's passage, which it must have."""
    assert hit.passage is not None
    return hit.passage
