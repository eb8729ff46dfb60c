"""Fixtures of the engine's tests: a database in a fresh directory, and collections in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Collection, Database, Schema


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database.open(path, seal_rows=1_000_000) as opened:
        yield opened


@pytest.fixture
def collection(database: Database) -> Collection:
    return database.create_collection("things", Schema())
