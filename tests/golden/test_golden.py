"""P10: a directory of every released format opens in this version, and one of a newer format is refused, untouched."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Database, FormatError, IdempotencyKey, Schema, Snapshot
from engine.directory.layout import FORMAT_FILE
from engine.directory.migration import FORMAT

HERE = Path(__file__).parent
ARCHIVES = sorted(path.name for path in HERE.glob("format-*.tar.gz"))


def unpack(name: str, target: Path) -> dict[str, Any]:
    """Put a golden directory at `target`; what it must hold."""
    with tarfile.open(HERE / name) as archive:
        archive.extractall(target, filter="data")
    expected: dict[str, Any] = json.loads((HERE / f"format-{format_of(name)}.json").read_text())
    return expected


def format_of(name: str) -> int:
    match = re.match(r"format-(\d+)-", name)
    assert match is not None
    return int(match[1])


def compare(database: Database, expected: dict[str, Any]) -> None:
    """Every document with its vectors, the schema, the counts, and each vector finds its document."""
    assert database.collections() == sorted(expected["collections"])
    for name, known in expected["collections"].items():
        snapshot = database.collection(name).snapshot()
        ids = list(known["documents"])
        assert snapshot.count() == len(ids)
        assert sorted(snapshot.ids(snapshot.ordinals())) == sorted(ids)
        for id_, document in zip(ids, snapshot.get(ids, vectors=True), strict=True):
            assert document == known["documents"][id_]
        assert snapshot.schema == Schema.from_json(known["schema"])
        _compare_searches(snapshot, known["documents"])
    for name, (key, fingerprint, ids) in expected.get("replies", {}).items():
        reply = database.collection(name).replayed(IdempotencyKey(key, fingerprint))
        assert reply is None or list(reply.ids) == ids  # answers are kept for a day


def _compare_searches(snapshot: Snapshot, documents: dict[str, Any]) -> None:
    for field in snapshot.schema.vectors:
        for id_, document in documents.items():
            if field in document:
                vector = np.atleast_2d(document[field])[0]
                hits = snapshot.search(vector, 1, vector_field=field)
                assert hits.scores[0] > 0.99999, id_
                (found,) = hits.ids
                assert any(np.allclose(row, vector) for row in np.atleast_2d(documents[found][field])) or found == id_


def test_every_format_up_to_this_one_has_a_golden_directory() -> None:
    """Whoever raises the format number also keeps a directory of it (`python -m tests.golden.make`)."""
    assert {format_of(name) for name in ARCHIVES} == set(range(1, FORMAT + 1))


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_directory_of_a_released_format_opens_with_all_that_is_in_it(name: str, tmp_path: Path) -> None:
    """At once, after opening again, after new writes, and after everything was merged."""
    expected = unpack(name, tmp_path / "db")
    sequence = expected["sequence"]
    for _ in range(2):
        with Database.open(tmp_path / "db") as database:
            assert database.sequence >= sequence
            compare(database, expected)
    assert json.loads((tmp_path / "db" / FORMAT_FILE).read_text())["format"] == FORMAT
    with Database.open(tmp_path / "db") as database:
        for collection in map(database.collection, database.collections()):
            result = collection.add([{"id": "new to this version"}])
            assert result.added == 1
            assert result.sequence > sequence
            collection.optimize()
            collection.delete(ids=["new to this version"])
        compare(database, expected)
        assert not database.check(repair=False).problems


def test_a_newer_format_is_refused_untouched_and_the_version_needed_is_named(tmp_path: Path) -> None:
    """Format 99: nothing in the directory changes, and the message says what it is and what is read here."""
    path = tmp_path / "db"
    with Database.open(path) as database:
        database.create_collection("a", Schema()).add([{"id": "1"}])
    (path / FORMAT_FILE).write_text('{"format": 99, "needs": "9.9"}')
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(FormatError, match=r"format 99.*9\.9"):
        Database.open(path)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
