"""A database of films and of points, for the tests of the embedded facade; the command line, for those of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lumaai.cli.commands import app
from lumaai.collection import Collection
from lumaai.database import Database
from tests.lumaai.films import FILMS, CountingEmbedder, open_database

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """A command in this process; it ends with an exit code, never with a traceback."""

    def invoke(*arguments: str | Path, standard_input: str | None = None) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=standard_input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return invoke


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
