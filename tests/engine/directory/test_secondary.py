"""engine.directory.secondary: readers beside a living owner, which change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import (
    Collection,
    CollectionNotFoundError,
    Database,
    FormatError,
    ReadOnlyError,
    Schema,
    StorageError,
    parse_filter,
)


def files(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its inode, the time of its last change, and its content."""
    return {
        str(file.relative_to(path)): (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes())
        for file in path.rglob("*")
        if file.is_file() and file.name not in ("LOG", "highwater.json")  # the owner's own
    }


def test_a_reader_sees_what_was_committed_when_it_refreshes(database: Database, path: Path) -> None:
    """Additions, replacements, deletions, growth of the schema, seals, new and dropped collections, step by step."""
    films = database.create_collection("films", Schema())
    films.add([{"id": str(i), "vector": [1.0, float(i)]} for i in range(10)])
    with Database.open(path, read_only=True) as reader:
        seen = reader.collection("films")
        films.add([{"id": "3", "year": 1999}, {"id": "new"}])
        films.delete(ids=["4"])
        assert seen.snapshot().count() == 10
        old = seen.snapshot()
        assert reader.refresh() == database.sequence == 3
        assert seen.snapshot().count() == 10
        assert seen.snapshot().get(["3", "4", "new"]) == [{"id": "3", "year": 1999}, None, {"id": "new"}]
        assert seen.snapshot().count(parse_filter({"year": 1999})) == 1
        assert old.get(["3", "4", "new"]) == [{"id": "3"}, {"id": "4"}, None]
        films.optimize()
        database.create_collection("notes", Schema()).add([{"id": "n"}])
        reader.refresh()
        assert len(seen.stats()["segments"]) == 1
        assert seen.snapshot().search(np.array([1.0, 9.0]), 1).ids == ["9"]
        assert reader.collections() == ["films", "notes"]
        films.delete(ids=["9"])
        reader.refresh()
        assert seen.snapshot().search(np.array([1.0, 9.0]), 1).ids == ["8"]
        database.drop_collection("films")
        reader.refresh()
        assert reader.collections() == ["notes"]
        with pytest.raises(CollectionNotFoundError):
            seen.snapshot()
        again = database.create_collection("films", Schema())
        again.add([{"id": "other"}])
        reader.refresh()
        assert reader.collection("films").snapshot().get(["other", "3"]) == [{"id": "other"}, None]


WRITES: dict[str, Callable[[Database, Collection], object]] = {
    "create": lambda database, _: database.create_collection("x", Schema()),
    "drop": lambda database, _: database.drop_collection("c"),
    "archive": lambda database, _: database.archive("/tmp/never"),
    "restore": lambda database, _: database.restore("/tmp/never"),
    "check": lambda database, _: database.check(repair=False),
    "compact": lambda database, _: database.compact(),
    "purge": lambda database, _: database.purge(),
    "add": lambda _, collection: collection.add([{"id": "1"}]),
    "add the same": lambda _, collection: collection.add([{"id": "0"}]),
    "patch": lambda _, collection: collection.patch([{"id": "0", "a": 1}]),
    "delete": lambda _, collection: collection.delete(ids=["0"]),
    "optimize": lambda _, collection: collection.optimize(),
}


@pytest.mark.parametrize("write", WRITES)
def test_everything_that_writes_is_refused(database: Database, path: Path, write: str) -> None:
    """With an error of its own, whether or not it would have changed anything."""
    database.create_collection("c", Schema()).add([{"id": "0"}])
    with Database.open(path, read_only=True) as reader, pytest.raises(ReadOnlyError, match="for reading only"):
        WRITES[write](reader, reader.collection("c"))


def test_no_file_of_the_database_is_changed(path: Path) -> None:
    """Neither with a log to replay, nor with tables, nor where the newest segment is damaged: names, inodes, bytes."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(i), "vector": [1.0, float(i)]} for i in range(30)])
        collection.optimize()
        collection.add([{"id": "tail"}])
        for _ in range(2):
            before = files(path)
            with Database.open(path, read_only=True) as reader:
                assert reader.collection("c").snapshot().count() == 31
            assert files(path) == before
    (columns,) = path.rglob("columns.arrow")
    columns.write_bytes(columns.read_bytes()[:-8])
    before = files(path)
    with Database.open(path, read_only=True) as reader:
        assert reader.collection("c").snapshot().count() == 31
        assert reader.collection("c").snapshot().search(np.array([1.0, 5.0]), 1).ids == ["5"]
    assert files(path) == before


def test_readers_follow_an_owner_who_seals_merges_and_purges(path: Path) -> None:
    """Two readers refresh as fast as they can while segments come and go: whole batches, never fewer than before."""
    with Database.open(path, seal_rows=50) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": f"0-{i}", "vector": [1.0, float(i)]} for i in range(10)])
        stop, faults = threading.Event(), []

        def follow() -> None:
            least = 0
            try:
                with Database.open(path, read_only=True) as reader:
                    while not stop.is_set():
                        reader.refresh()
                        snapshot = reader.collection("c").snapshot()
                        count = snapshot.count()
                        assert count % 10 == 0
                        assert count >= least
                        least = count
                        batch = count // 10 - 1
                        found = snapshot.get([f"{batch}-{i}" for i in range(10)])
                        assert all(document is not None for document in found)
            except BaseException as error:  # noqa: BLE001
                faults.append(repr(error))

        readers = [threading.Thread(target=follow) for _ in range(2)]
        for thread in readers:
            thread.start()
        for batch in range(1, 60):
            collection.add([{"id": f"{batch}-{i}", "vector": [1.0, float(i)]} for i in range(10)])
            collection.add([{"id": "extra"}] if batch % 2 == 0 else [{"id": f"{batch}-0", "vector": [2.0, 1.0]}])
            collection.delete(ids=["extra"])
            if batch % 10 == 0:
                collection.optimize()
            if batch % 25 == 0:
                database.compact()
        stop.set()
        for thread in readers:
            thread.join()
        assert [fault for fault in faults if "assert" not in fault] == []


def test_a_reader_follows_a_restore(database: Database, path: Path, tmp_path: Path) -> None:
    """The files under it are others; it shows what was restored."""
    database.create_collection("c", Schema()).add([{"id": "1"}])
    database.archive(tmp_path / "copy")
    database.collection("c").add([{"id": "2"}])
    with Database.open(path, read_only=True) as reader:
        seen = reader.collection("c")
        assert seen.snapshot().count() == 2
        with database.restore(tmp_path / "copy") as restored:
            restored.create_collection("d", Schema())
            assert reader.refresh() == 1
            assert reader.collections() == ["c", "d"]
            assert reader.collection("c").snapshot().get(["1", "2"]) == [{"id": "1"}, None]


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """A directory that is not there is not made; an empty one stays empty; an unfinished restore is named."""
    with pytest.raises(FormatError, match="no database"):
        Database.open(tmp_path / "missing", read_only=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no database"):
        Database.open(tmp_path / "empty", read_only=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
    assert list((tmp_path / "empty").iterdir()) == []
    Database.open(tmp_path / "db").close()
    (tmp_path / "db" / "restore.json").write_text('{"names": []}')
    with pytest.raises(StorageError, match="restore was cut short"):
        Database.open(tmp_path / "db", read_only=True)


UNPRIVILEGED = """
import json, os, sys
import engine
from engine.database import Database
with Database.open(sys.argv[1], read_only=True) as reader:  # all modules, while they can be read
    reader.collection("c").snapshot().get(["1"])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
path = sys.argv[1]
try:
    open(path + "/probe", "w"); writable = True
except OSError:
    writable = False
with Database.open(path, read_only=True) as reader:
    snapshot = reader.collection("c").snapshot()
    print(json.dumps({"writable": writable, "count": snapshot.count(), "get": snapshot.get(["1"])}))
try:
    Database.open(path)
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not write")
def test_a_directory_that_cannot_be_written_can_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By another user, beside the owner; opening it for writing is an OSError."""
    base = tmp_path_factory.mktemp("shared")
    for directory in (base, base.parent, base.parent.parent):
        directory.chmod(0o755)
    with Database.open(base / "db") as database:
        database.create_collection("c", Schema()).add([{"id": "1"}])
        command = [sys.executable, "-c", UNPRIVILEGED, str(base / "db")]
        child = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert child.returncode == 0, child.stderr.decode()
    told, error = child.stdout.decode().splitlines()
    assert json.loads(told) == {"writable": False, "count": 1, "get": [{"id": "1"}]}
    assert error == "PermissionError"
