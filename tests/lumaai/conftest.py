"""A database of films and of points, for the tests of the embedded facade."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lumaai.collection import Collection
from lumaai.database import Database
from tests.lumaai.films import FILMS, CountingEmbedder, open_database


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def db(tmp_path: Path, embedder: CountingEmbedder) -> Iterator[Database]:
    with open_database(tmp_path, embedder) as database:
        yield database


@pytest.fixture
def films(db: Database) -> Collection:
    films = db.create_collection("films")
    films.add(FILMS)
    return films


@pytest.fixture
def points(db: Database) -> Collection:
    """Vectors of the caller's own, without text."""
    points = db.create_collection("points", {"v": {"type": "vector", "dim": 2}})
    points.add(ids=["a", "b", "c"], vectors=[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], fields={"n": [1, 2, 3]})
    return points
