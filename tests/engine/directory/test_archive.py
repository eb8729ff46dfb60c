"""engine.directory.archive: consistent copies, as a directory or a tar."""

from __future__ import annotations

import errno
import json
import os
import tarfile
import threading
from pathlib import Path

import pytest

from engine import ArchiveError, Collection, Database, Schema, StorageFullError, restore_archive, verify_archive

KINDS = ("copy", "copy.tar")


def fill(database: Database) -> None:
    """A sealed collection with deleted and replaced documents, one in the log only, and an empty one."""
    films = database.create_collection("films", Schema())
    films.add([{"id": str(i), "title": f"film {i}", "vector": [1.0, float(i)]} for i in range(50)])
    films.delete(ids=["7"])
    films.optimize()
    films.add([{"id": "3", "title": "again", "vector": [2.0, 1.0]}])
    database.create_collection("notes", Schema()).add([{"id": "n"}])
    database.create_collection("empty", Schema())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_restored_is_what_was_archived(database: Database, tmp_path: Path, kind: str) -> None:
    """Documents, vectors, counts, the sequence; later writes are not in it, and numbers go on from there."""
    fill(database)
    info = database.archive(tmp_path / kind)
    database.collection("films").add([{"id": "later"}])
    assert (info.name, info.sequence) == ("copy", 4)
    assert verify_archive(tmp_path / kind) == info
    assert restore_archive(tmp_path / kind, tmp_path / "restored") == info
    with Database.open(tmp_path / "restored") as restored:
        assert restored.collections() == ["empty", "films", "notes"]
        assert restored.sequence == 4
        snapshot = restored.collection("films").snapshot()
        assert snapshot.count() == 49
        assert snapshot.get(["3", "7", "later"], vectors=True) == [
            {"id": "3", "title": "again", "vector": [2.0, 1.0]},
            None,
            None,
        ]
        assert restored.collection("films").stats()["segments"][0]["documents"] == 49
        assert restored.check().problems == []
        assert restored.collection("notes").add([{"id": "m"}]).sequence == 5
        assert restored.create_collection("new", Schema()).number == 4


def test_a_directory_shares_its_files_with_the_database(database: Database, tmp_path: Path) -> None:
    """Tables and segments are hard links: an archive beside the data takes no room."""
    fill(database)
    database.archive(tmp_path / "copy")
    linked = [path for path in (tmp_path / "copy").rglob("*") if path.is_file() and path.stat().st_nlink > 1]
    assert {path.parts[len(tmp_path.parts) + 1] for path in linked} == {"store", "indexes"}


def test_writers_wait_for_links_only(
    database: Database, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint, for which they are held, is made beside the store; to another file system it is copied later."""
    fill(database)
    made: list[Path] = []
    checkpoint = database._store.checkpoint

    def observe(target: Path) -> None:
        made.append(target)
        checkpoint(target)

    monkeypatch.setattr(database._store, "checkpoint", observe)
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        if Path(target).parent.name == "copy.partial":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    database.archive(tmp_path / "copy")
    assert [target.parent.parent for target in made] == [path]
    assert verify_archive(tmp_path / "copy").files > 0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", path.name]
    assert not (path / "archiving").exists()


def test_nothing_is_left_beside_an_archive(database: Database, path: Path, tmp_path: Path) -> None:
    """Neither a draft next to it, nor a folder in the database."""
    fill(database)
    for kind in KINDS:
        database.archive(tmp_path / kind)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", "copy.tar", "db"]
    assert "archiving" not in {entry.name for entry in path.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_existing_target_is_refused(database: Database, tmp_path: Path, kind: str) -> None:
    """And so is one in a folder that is not there; nothing is changed."""
    (tmp_path / kind).write_text("mine")
    with pytest.raises(ArchiveError, match="exists already"):
        database.archive(tmp_path / kind)
    assert (tmp_path / kind).read_text() == "mine"
    with pytest.raises(ArchiveError, match="does not exist"):
        database.archive(tmp_path / "missing" / kind)


def test_a_pair_written_in_one_batch_is_never_split(database: Database, tmp_path: Path) -> None:
    """A writer keeps two counters equal, batch by batch, while seals and merges go on; so are they in every archive."""
    collection = database.create_collection("pairs", Schema())
    collection.add([{"id": "a", "n": 0}, {"id": "b", "n": 0}])
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            collection.add([{"id": "a", "n": n}, {"id": "b", "n": n}, {"id": f"x{n}", "vector": [1.0, n % 7]}])
            if n % 20 == 0:
                collection.optimize()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        sequences = [database.archive(tmp_path / f"{i}.tar").sequence for i in range(4)]
    finally:
        stop.set()
        writer.join()
    assert sequences == sorted(sequences)
    for i, sequence in enumerate(sequences):
        restore_archive(tmp_path / f"{i}.tar", tmp_path / f"restored{i}")
        with Database.open(tmp_path / f"restored{i}") as restored:
            snapshot = restored.collection("pairs").snapshot()
            a, b = snapshot.get(["a", "b"])
            assert a is not None
            assert b is not None
            assert a["n"] == b["n"] == sequence - 1
            assert snapshot.count() == 2 + sequence - 1
            assert restored.check().problems == []


def test_a_segment_merged_away_meanwhile_is_no_trouble(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is merged right after the checkpoint: the segments it names are linked already."""
    collection = database.create_collection("c", Schema())
    for i in range(3):
        collection.add([{"id": str(i), "vector": [1.0, float(i)]}])
        collection.state.seal()

    def merge(name: str) -> None:
        if name == "archive.after_checkpoint":
            collection.optimize()

    monkeypatch.setattr("engine.failpoints.hit", merge)
    database.archive(tmp_path / "copy")
    monkeypatch.undo()
    restore_archive(tmp_path / "copy", tmp_path / "restored")
    with Database.open(tmp_path / "restored") as restored:
        assert len(restored.collection("c").stats()["segments"]) == 3
        assert restored.collection("c").state.builds == 0


def test_a_damaged_segment_is_left_out_and_built_again(database: Database, path: Path, tmp_path: Path) -> None:
    """The archive holds the documents; restoring it makes the index from them, before anything is given up."""
    fill(database)
    (columns,) = (path / "indexes").rglob("columns.arrow")
    data = bytearray(columns.read_bytes())
    data[len(data) // 2] ^= 1
    columns.unlink()
    columns.write_bytes(data)
    database.archive(tmp_path / "copy.tar")
    with tarfile.open(tmp_path / "copy.tar") as tar:
        assert not [name for name in tar.getnames() if name.startswith("indexes/")]
    restore_archive(tmp_path / "copy.tar", tmp_path / "restored")
    with Database.open(tmp_path / "restored") as restored:
        assert restored.collection("films").state.builds == 0
        assert len(restored.collection("films").stats()["segments"]) == 1
        assert restored.collection("films").snapshot().count() == 49


def test_progress_ends_at_all_bytes(database: Database, tmp_path: Path) -> None:
    """Steps by name, never backwards, the last one complete."""
    fill(database)
    for kind in KINDS:
        told: list[tuple[str, int, int]] = []

        def tell(step: str, done: int, total: int, told: list[tuple[str, int, int]] = told) -> None:
            told.append((step, done, total))

        info = database.archive(tmp_path / kind, progress=tell)
        assert {step for step, _, _ in told} == {"archive"}
        assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
        assert told[-1] == ("archive", info.bytes, info.bytes)


def test_the_tar_is_a_plain_one(database: Database, tmp_path: Path) -> None:
    """Any tar reads it; its list comes first and names every file with its size."""
    fill(database)
    database.archive(tmp_path / "copy.tar")
    with tarfile.open(tmp_path / "copy.tar") as tar:
        members = tar.getmembers()
        listed = json.load(tar.extractfile(members[0]))  # type: ignore[arg-type]
    assert members[0].name == "archive.json"
    assert {member.name: member.size for member in members[1:]} == {n: size for n, (size, _) in listed["files"].items()}


def test_a_disk_that_refuses_leaves_nothing(
    collection: Collection, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is ours, writes go on, and the next archive succeeds."""
    collection.add([{"id": "1"}])
    for point in ("archive.after_checkpoint", "archive.before_list", "archive.after_member", "archive.before_rename"):

        def fail(name: str, point: str = point) -> None:
            if name == point:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr("engine.failpoints.hit", fail)
        with pytest.raises(StorageFullError):
            database.archive(tmp_path / "copy.tar")
        monkeypatch.undo()
        assert [entry.name for entry in tmp_path.iterdir()] == ["db"]
        collection.add([{"id": point}])
    database.archive(tmp_path / "copy.tar")
