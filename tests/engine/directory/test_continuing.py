"""engine.directory.continuing: after a restore over a database no number means two things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import (
    ArchiveError,
    ChangesGoneError,
    ConditionFailedError,
    Conditions,
    Database,
    Schema,
    StorageError,
    restore_archive,
)
from engine.directory import durable
from engine.directory.continuing import SEQUENCES_UNSURE, read_past
from engine.directory.layout import COUNTER_FILE, MARK_FILE, RESTORE_JOURNAL, RESTORING
from engine.directory.restoring import stage, write_journal
from engine.store import keys
from engine.store.rocks import DOCUMENTS

Restore = Callable[[Database, Path], Database]


def by_the_owner(database: Database, archive: Path) -> Database:
    return database.restore(archive)


def while_closed(database: Database, archive: Path) -> Database:
    database.close()
    restore_archive(archive, database.path, replace=True)
    return Database.open(database.path)


def finished_by_opening(database: Database, archive: Path) -> Database:
    """Killed just after the journal was written."""
    stage(archive, database.path)
    write_journal(database.path)
    database.close()
    return Database.open(database.path)


WAYS: list[Restore] = [by_the_owner, while_closed, finished_by_opening]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database.open(tmp_path / "db", seal_rows=1_000_000)


@pytest.mark.parametrize("restore", WAYS)
@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_numbers_of_what_was_given_up_name_nothing_else(
    database: Database, tmp_path: Path, restore: Restore, name: str
) -> None:
    """A version of then matches neither what was restored nor what is written since; followers have to start over."""
    films = database.create_collection("films", Schema())
    database.create_collection("empty", Schema())
    kept = films.add([{"id": "a", "v": "zero", "vector": [1.0, 0.0]}, {"id": "gone"}]).sequence
    films.delete(ids=["gone"])
    database.archive(tmp_path / name)
    stale = films.add([{"id": "x", "v": "old world"}]).sequence
    films.add([{"id": "a", "v": "one"}])
    last = films.add([{"id": "y"}]).sequence
    place = database.changes(0).next
    assert place == last
    with restore(database, tmp_path / name) as restored:
        again = restored.collection("films")
        assert again.snapshot().get(["a", "gone", "x"]) == [{"id": "a", "v": "zero"}, None, None]
        assert again.snapshot().search(np.array([1.0, 0.0]), 1).ids == ["a"]
        (version,) = again.snapshot().versions(["a"])
        assert version is not None
        assert version > last
        for after in (0, kept, place):
            with pytest.raises(ChangesGoneError) as caught:
                restored.changes(after)
        start = caught.value.oldest
        assert start == restored.sequence == version
        added = again.add([{"id": "x", "v": "another's"}, {"id": "y"}])
        assert added.sequence == start + 1
        assert [record.sequence for record in restored.changes(start).changes] == [added.sequence]
        for number in range(1, last + 1):
            for id_ in ("a", "x"):
                with pytest.raises(ConditionFailedError):
                    again.add([{"id": id_, "v": "lost"}], conditions=Conditions(if_version={id_: number}))
        assert stale <= last
        again.add([{"id": "a", "v": "two"}], conditions=Conditions(if_version={"a": version}))
        assert restored.check().problems == []
        expected = again.snapshot().get(["a", "x", "y"])
    with Database.open(tmp_path / "db") as opened:
        assert opened.collection("films").snapshot().get(["a", "x", "y"]) == expected
        assert opened.collection("films").snapshot().versions(["y"]) == [added.sequence]
        assert opened.sequence == added.sequence + 1


def test_of_another_database_no_version_is_kept(database: Database, tmp_path: Path) -> None:
    """The same number was another content here, although the archive is the longer one."""
    mine = database.create_collection("c", Schema()).add([{"id": "x", "v": "mine"}]).sequence
    with Database.open(tmp_path / "other") as other:
        theirs = other.create_collection("c", Schema())
        assert theirs.add([{"id": "x", "v": "theirs"}]).sequence == mine
        for i in range(10):
            theirs.add([{"id": str(i)}])
        other.archive(tmp_path / "copy")
    with database.restore(tmp_path / "copy") as restored:
        assert restored.sequence == 12
        with pytest.raises(ConditionFailedError):
            restored.collection("c").add([{"id": "x"}], conditions=Conditions(if_version={"x": mine}))


def test_restored_again_and_again_it_never_goes_back(database: Database, tmp_path: Path) -> None:
    """Also from archives of what was restored: versions of each round are new."""
    database.create_collection("c", Schema()).add([{"id": "x"}])
    database.archive(tmp_path / "0")
    seen = set(database.collection("c").snapshot().versions(["x"]))
    for i in range(4):
        database = database.restore(tmp_path / str(i))
        (version,) = database.collection("c").snapshot().versions(["x"])
        assert version not in seen
        seen.add(version)
        database.archive(tmp_path / str(i + 1))
    database.close()


def test_a_new_place_keeps_everything(database: Database, tmp_path: Path) -> None:
    """Versions, the log, and where followers are; also where there is only an empty database."""
    collection = database.create_collection("c", Schema())
    first = collection.add([{"id": "x"}]).sequence
    collection.add([{"id": "y"}])
    database.archive(tmp_path / "copy")
    database.close()
    Database.open(tmp_path / "empty").close()
    for name in ("new", "empty"):
        restore_archive(tmp_path / "copy", tmp_path / name, replace=True)
        with Database.open(tmp_path / name) as restored:
            assert restored.sequence == 2
            assert len(restored.changes(0).changes) == 2
            assert restored.collection("c").snapshot().versions(["x"]) == [first]


def test_of_a_damaged_database_enough_is_left_out(database: Database, tmp_path: Path) -> None:
    """Its store cannot say how far it came: what its mark says, and far above."""
    collection = database.create_collection("c", Schema())
    collection.add([{"id": "x"}])
    database.archive(tmp_path / "copy")
    last = collection.add([{"id": "y"}]).sequence
    database.close()
    (tmp_path / "db" / "store" / "CURRENT").write_text("nonsense\n")
    assert read_past(tmp_path / "db").furthest == last + SEQUENCES_UNSURE
    (tmp_path / "db" / MARK_FILE).unlink()
    (tmp_path / "db" / COUNTER_FILE).write_bytes(b"nonsense")
    restore_archive(tmp_path / "copy", tmp_path / "db", replace=True)
    with Database.open(tmp_path / "db") as restored:
        assert restored.sequence == SEQUENCES_UNSURE + 1
        assert restored.collection("c").snapshot().count() == 1


def test_an_archive_of_a_damaged_collection_goes_to_a_new_place_only(database: Database, tmp_path: Path) -> None:
    """What is left of it would otherwise be cut off from its log; the database that is there stays."""
    collection = database.create_collection("c", Schema())
    collection.add([{"id": str(i), "text": "x" * 100} for i in range(100)])
    collection.optimize()
    for columns in (tmp_path / "db").rglob("columns.arrow"):
        columns.unlink()
    batch = database._store.batch()
    batch.delete(DOCUMENTS, keys.document_key(collection.number, 5))
    batch.flush()
    database.archive(tmp_path / "copy")
    with pytest.raises(ArchiveError, match="new place only"):
        database.restore(tmp_path / "copy")
    collection.add([{"id": "more"}])
    database.close()
    restore_archive(tmp_path / "copy", tmp_path / "new")
    with Database.open(tmp_path / "new") as restored:
        assert restored.collections() == ["c"]


@pytest.mark.parametrize("fault", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_restore_that_failed_to_decide_does_not_happen_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """The journal was there already, and its directory could not be synced: what is acknowledged afterwards stays."""
    collection = database.create_collection("c", Schema())
    collection.add([{"id": "a"}])
    database.archive(tmp_path / "copy")
    real = durable.sync_directory

    def refuse(path: Path) -> None:
        if (path / RESTORE_JOURNAL).exists():
            raise fault
        real(path)

    with monkeypatch.context() as patched:
        patched.setattr(durable, "sync_directory", refuse)
        with pytest.raises((StorageError, KeyboardInterrupt)):
            database.restore(tmp_path / "copy")
    collection.add([{"id": "acknowledged"}])
    database.close()
    assert not (tmp_path / "db" / RESTORE_JOURNAL).exists()
    assert not (tmp_path / "db" / RESTORING).exists()
    with Database.open(tmp_path / "db") as again:
        assert again.collection("c").snapshot().get(["acknowledged"]) == [{"id": "acknowledged"}]


def test_a_decision_that_cannot_be_taken_back_stands(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal can neither be synced nor removed: then the restore happens, at once."""
    collection = database.create_collection("c", Schema())
    collection.add([{"id": "a"}])
    database.archive(tmp_path / "copy")
    collection.add([{"id": "b"}])
    broken = True
    real_sync, real_unlink = durable.sync_directory, Path.unlink

    def sync(path: Path) -> None:
        if broken and (path / RESTORE_JOURNAL).exists():
            raise OSError(5, "Input/output error")
        real_sync(path)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        nonlocal broken
        if broken and path.name == RESTORE_JOURNAL:
            broken = False  # the disk recovers
            raise OSError(5, "Input/output error")
        real_unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(durable, "sync_directory", sync)
    monkeypatch.setattr(Path, "unlink", unlink)
    with database.restore(tmp_path / "copy") as restored:
        assert not broken
        assert restored.collection("c").snapshot().get(["a", "b"]) == [{"id": "a"}, None]


def test_an_interrupted_close_leaves_the_directory_free(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the database closes for a restore: the next opening finishes it."""
    database.create_collection("c", Schema()).add([{"id": "a"}])
    database.archive(tmp_path / "copy")
    real = database._commits.close

    def interrupt() -> None:
        real()
        raise KeyboardInterrupt

    monkeypatch.setattr(database._commits, "close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        database.restore(tmp_path / "copy")
    with Database.open(tmp_path / "db") as again:
        assert again.collection("c").snapshot().versions(["a"]) == [2]
