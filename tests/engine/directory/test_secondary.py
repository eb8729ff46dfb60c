"""engine.directory.secondary: readers beside a living owner, which change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine import (
    Collection,
    CollectionNotFoundError,
    Database,
    Durability,
    FormatError,
    ReadOnlyError,
    Schema,
    StorageError,
    parse_filter,
)
from engine.directory import secondary
from engine.directory.highwater import HighWater
from engine.directory.secondary import SecondaryCollection
from engine.meta import Counters
from engine.store import checks
from engine.store.rocks import FAMILIES, Store


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
                        extra = snapshot.get(["extra"])[0] is not None
                        count = snapshot.count() - extra
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
        assert faults == []


def test_a_reader_follows_a_restore(database: Database, path: Path, tmp_path: Path) -> None:
    """The files under it are others; it shows what was restored."""
    database.create_collection("c", Schema()).add([{"id": "1"}])
    database.archive(tmp_path / "copy")
    database.collection("c").add([{"id": "2"}])
    with Database.open(path, read_only=True) as reader:
        seen = reader.collection("c")
        old = seen.snapshot()
        assert old.count() == 2
        with database.restore(tmp_path / "copy") as restored:
            restored.create_collection("d", Schema())
            assert reader.refresh() == restored.sequence
            assert reader.collections() == ["c", "d"]
            assert reader.collection("c").snapshot().get(["1", "2"]) == [{"id": "1"}, None]


def test_a_reader_is_never_shown_several_moments_at_once(path: Path) -> None:
    """While the owner replaces all documents, flushes and compacts: each refresh shows one whole batch, by all ways."""
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema())
        ids = [str(i) for i in range(50)]
        collection.add([{"id": id_, "n": 0} for id_ in ids])
        stop = threading.Event()

        def write() -> None:
            n = 0
            while not stop.is_set():
                n += 1
                collection.add([{"id": id_, "n": n} for id_ in ids], durability=Durability.NONE)

        def tidy() -> None:
            while not stop.wait(0.05):
                database.compact()

        threads = [threading.Thread(target=work) for work in (write, tidy)]
        for thread in threads:
            thread.start()
        try:
            with Database.open(path, read_only=True) as reader:
                until, seen = time.monotonic() + 5, -1
                while time.monotonic() < until:
                    sequence = database.sequence
                    assert reader.refresh() >= sequence
                    snapshot = reader.collection("c").snapshot()
                    found = snapshot.get(ids)
                    numbers = {document["n"] for document in found if document is not None}
                    assert (snapshot.count(), found.count(None), len(numbers)) == (50, 0, 1)
                    assert max(numbers) >= seen
                    seen = max(numbers)
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_a_refresh_reads_only_what_is_new(database: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing where nothing was written; not the log of before; no segment again for what is said of garbage."""
    old = database.create_collection("old", Schema())
    old.add([{"id": "1"}])
    new = database.create_collection("new", Schema())
    new.add([{"id": "1"}])
    read: list[int] = []
    loaded: list[int] = []

    def read_log(store: Store, after: int) -> Iterator[bytes]:
        read.append(after)
        return checks.read_log(store, after)

    with Database.open(path, read_only=True) as reader:
        monkeypatch.setattr(secondary, "read_log", read_log)
        opening = SecondaryCollection.open

        def load(each: SecondaryCollection, counters: Counters) -> None:
            loaded.append(each.number)
            opening(each, counters)

        monkeypatch.setattr(SecondaryCollection, "open", load)
        assert reader.refresh() == 2
        assert (read, loaded) == ([], [])
        new.add([{"id": "2"}])
        assert reader.refresh() == 3
        assert (read, loaded) == ([2], [])
        new.add([{"id": "1", "n": 1}])
        new.optimize()
        assert reader.refresh() == 4
        assert loaded == [new.number]
        while new.state.collect():
            pass
        new.delete(ids=["2"])
        assert reader.refresh() == 5
        assert loaded == [new.number]
        assert reader.collection("new").snapshot().get(["1", "2"]) == [{"id": "1", "n": 1}, None]


def test_a_reader_waits_for_a_restore_to_end(database: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is there, and then the store is not: both for a moment, or longer than one waits."""
    database.create_collection("c", Schema()).add([{"id": "1"}])
    with Database.open(path, read_only=True) as reader:
        for begin, end in (
            (lambda: (path / "restore.json").write_text("{}"), (path / "restore.json").unlink),
            (lambda: (path / "store").rename(path / "away"), lambda: (path / "away").rename(path / "store")),
        ):
            begin()
            timer = threading.Timer(0.3, end)
            timer.start()
            assert reader.refresh() == 1
            timer.join()
        monkeypatch.setattr(secondary, "WAIT_SECONDS", 0.1)
        (path / "restore.json").write_text("{}")
        with pytest.raises(StorageError, match="is under way"):
            reader.refresh()
        assert reader.collection("c").snapshot().get(["1"]) == [{"id": "1"}]
        (path / "restore.json").unlink()
        assert reader.refresh() == 1


def test_a_reader_may_open_while_the_owner_does(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mark names the tables that it was closed with; the owner, opening just then, compacts them away."""
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema())
        for i in range(3):
            collection.add([{"id": str(i)}])
            database._store.flush()
    owners: list[Database] = []

    class Slow(HighWater):
        def __init__(self, directory: Path) -> None:
            super().__init__(directory)
            if not owners:
                owners.append(Database.open(path))
                for family in FAMILIES:
                    owners[0]._store.compact(family, rewrite=True)

    monkeypatch.setattr(secondary, "HighWater", Slow)
    with Database.open(path, read_only=True) as reader:
        assert reader.collection("c").snapshot().count() == 3
    owners[0].close()


def test_what_is_no_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(secondary, "WAIT_SECONDS", 0.1)
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
    """By another user, beside the owner, who has opened its door; opening it for writing is an OSError."""
    base = tmp_path_factory.mktemp("shared")
    for directory in (base, *list(base.parents)[:3]):  # with several test processes there is one more between
        if directory.name.startswith(("shared", "pytest-", "popen-")):
            directory.chmod(0o755)
    with Database.open(base / "db") as database:
        database.create_collection("c", Schema()).add([{"id": "1"}])
        (base / "db").chmod(0o755)
        command = [sys.executable, "-c", UNPRIVILEGED, str(base / "db")]
        child = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert child.returncode == 0, child.stderr.decode()
    told, error = child.stdout.decode().splitlines()
    assert json.loads(told) == {"writable": False, "count": 1, "get": [{"id": "1"}]}
    assert error == "PermissionError"
