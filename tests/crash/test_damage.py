"""Damage to the store's files: an error that names them, never an older or an emptier database, and nothing removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import CorruptionError, Database, FormatError, Schema
from engine.directory.highwater import HighWater, Mark
from engine.store import keys
from engine.store.rocks import LOG, SYSTEM, Store


def build(path: Path, *, killed: bool = False) -> None:
    """Two collections, one of them sealed, one dropped, and changes in the log; closed, or as a crash leaves it."""
    with Database.open(path, seal_rows=1_000_000) as database:
        for name in ("sealed", "dropped", "head"):
            collection = database.create_collection(name, Schema())
            for i in range(5):
                collection.add([{"id": str(i), "vector": [1.0, i]}])
        database.collection("sealed").optimize()
        database.drop_collection("dropped")
        if killed:
            database._mark()
            shutil.copytree(path, path.with_suffix(".killed"))
    if killed:
        shutil.rmtree(path)
        path.with_suffix(".killed").rename(path)


def files(path: Path) -> dict[str, bytes]:
    """All that is not RocksDB's own diary."""
    found = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("LO"))
    return {str(file.relative_to(path)): file.read_bytes() for file in found if file.name != "lumaai.lock"}


def only(path: Path, pattern: str) -> Path:
    (file,) = (file for file in (path / "store").glob(pattern) if file.stat().st_size)
    return file


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "log cut by a byte": lambda path: cut(only(path, "*.log"), -1),
    "log cut in half": lambda path: cut(only(path, "*.log"), only(path, "*.log").stat().st_size // 2),
    "log empty": lambda path: cut(only(path, "*.log"), 0),
    "log missing": lambda path: only(path, "*.log").unlink(),
    "manifest cut in half": lambda path: cut(only(path, "MANIFEST-*"), only(path, "MANIFEST-*").stat().st_size // 2),
    "manifest cut by a byte": lambda path: cut(only(path, "MANIFEST-*"), -1),
    "manifest missing": lambda path: only(path, "MANIFEST-*").unlink(),
    "CURRENT missing": lambda path: (path / "store" / "CURRENT").unlink(),
    "CURRENT names another": lambda path: (path / "store" / "CURRENT").write_text("MANIFEST-000777\n"),
    "store missing": lambda path: shutil.rmtree(path / "store"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_cut_short_is_refused_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    """The error names the store's directory; segments that no manifest names any more are still there."""
    path = tmp_path / "db"
    build(path, killed=True)
    DAMAGES[damage](path)
    before = files(path)
    with pytest.raises(CorruptionError, match=str(path / "store")):
        Database.open(path)
    assert files(path) == before


@pytest.mark.parametrize("damage", ["manifest cut in half", "CURRENT missing"])
def test_a_store_in_tables_is_refused_likewise(tmp_path: Path, damage: str) -> None:
    """As before, when the log's changes have become tables."""
    path = tmp_path / "db"
    build(path)
    assert list((path / "store").glob("*.sst"))
    DAMAGES[damage](path)
    before = files(path)
    with pytest.raises(CorruptionError, match=str(path / "store")):
        Database.open(path)
    assert files(path) == before


def test_a_manifest_that_has_lost_tables_is_refused(tmp_path: Path) -> None:
    """Recovery wrote them and closing marked them: a manifest without its last records is as of before that."""
    path = tmp_path / "db"
    build(path, killed=True)
    before = only(path, "MANIFEST-*").read_bytes()
    Database.open(path).close()
    manifest = only(path, "MANIFEST-*")
    data = manifest.read_bytes()
    assert data != before
    lost = 0
    for size in range(len(data) - 1, len(data) // 2, -40):
        manifest.write_bytes(data[:size])
        try:
            HighWater(path).check(15, 5, _tables(path / "store"), path / "store")
        except CorruptionError as error:
            lost += "lost tables" in str(error)
            with pytest.raises(CorruptionError, match=str(path / "store")):
                Database.open(path)
    assert lost > 0


def _tables(path: Path) -> list[str]:
    store = Store(path, read_only=True)
    try:
        return store.tables()
    finally:
        store.close()


def test_a_flipped_byte_in_any_table_loses_nothing_quietly(tmp_path: Path) -> None:
    """Every table, at three places: an error, or every document and every change as before."""
    path, work = tmp_path / "db", tmp_path / "work"
    build(path)
    refused: list[str] = []
    tables = [table.name for table in (path / "store").glob("*.sst")]
    for table in tables:
        for share in (0.01, 0.1, 0.4):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(path, work)
            data = bytearray((work / "store" / table).read_bytes())
            data[int(len(data) * share)] ^= 4
            (work / "store" / table).write_bytes(data)
            try:
                with Database.open(work, seal_rows=1_000_000) as database:
                    for name in ("sealed", "head"):
                        snapshot = database.collection(name).snapshot()
                        found = snapshot.get([str(i) for i in range(5)])
                        assert [document and document["id"] for document in found] == ["0", "1", "2", "3", "4"]
                        assert snapshot.count() == 5
            except CorruptionError as error:
                refused.append(str(error))
    assert len(refused) >= len(tables)
    assert all(str(work / "store") in message for message in refused)


@pytest.mark.parametrize("missing", [1, 9, 15])
def test_a_hole_in_the_log_is_refused(tmp_path: Path, missing: int) -> None:
    """The first, one of a dropped collection, or the last of fifteen: the message says which."""
    path = tmp_path / "db"
    with Database.open(path, seal_rows=1_000_000) as database:
        for name in ("a", "b", "c"):
            for i in range(5):
                if not i:
                    database.create_collection(name, Schema())
                database.collection(name).add([{"id": str(i)}])
        database.drop_collection("b")
        batch = database._store.batch()
        batch.delete(LOG, keys.log_key(missing))
        batch.flush()
    with pytest.raises(CorruptionError, match=f"hole: path={path / 'store'} expected sequence={missing} "):
        Database.open(path)


def test_the_log_is_whole_from_where_it_was_truncated(tmp_path: Path) -> None:
    """The floor is stored with the truncation and never goes back, though a collection's own seal is older."""
    path = tmp_path / "db"
    with Database.open(path, seal_rows=1_000_000) as database:
        a, b = (database.create_collection(name, Schema()) for name in "ab")
        a.add([{"id": "1"}])
        a.optimize()  # covers 1
        b.add([{"id": "1"}])
        b.optimize()  # covers 2
        database._truncate_log(everything=True)
        a.add([{"id": "2"}])  # a is pending again, and its seal older than the floor
        database._truncate_log(everything=True)
        assert database._store.get(SYSTEM, keys.LOG_FLOOR) == b"2"
    for _ in range(2):
        with Database.open(path, seal_rows=1_000_000) as database:
            assert database.collection("a").snapshot().count() == 2


def test_the_mark_follows_writes_within_seconds_and_is_exact_after_closing(tmp_path: Path) -> None:
    """Unclean while open; after `close` it says the last sequence, so losing one write is noticed."""
    path = tmp_path / "db"
    database = Database.open(path)
    collection = database.create_collection("c", Schema())
    assert json.loads((path / "highwater.json").read_text())["next_collection"] == 2
    collection.add([{"id": "1"}])
    database._mark()
    assert HighWater(path).mark == Mark(1, 2)
    collection.add([{"id": "2"}])
    database.close()
    tables = sorted(table.name for table in (path / "store").glob("*.sst"))
    assert HighWater(path).mark == Mark(2, 2, tuple(tables))


def test_a_lost_mark_is_made_again(tmp_path: Path) -> None:
    """It guards the store; without it the store opens as it is."""
    path = tmp_path / "db"
    build(path)
    (path / "highwater.json").unlink()
    Database.open(path).close()
    assert json.loads((path / "highwater.json").read_text())["sequence"] == 15


def test_a_missing_marker_file_is_named(tmp_path: Path) -> None:
    """A store without `lumaai.json` is a database that has lost it, not a foreign directory."""
    path = tmp_path / "db"
    build(path)
    (path / "lumaai.json").unlink()
    with pytest.raises(FormatError, match=f"missing: path={path / 'lumaai.json'}"):
        Database.open(path)
