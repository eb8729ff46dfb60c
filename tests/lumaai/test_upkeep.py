"""Looking after a directory: snapshots, restore, changes, read-only openers, progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from lumaai.database import Database
from lumaai.errors import (
    ConflictError,
    DatabaseLockedError,
    GoneError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    ReadOnlyError,
)
from lumaai.snapshots import TarOfSnapshot, write_file
from tests.lumaai.films import FILMS, open_database


def filled(path: Path, **options: Any) -> Database:
    database = Database(path, default_model="hashing", **options)
    database.create_collection("films").add(FILMS)
    return database


def test_a_collection_in_hand_goes_on_after_a_restore(tmp_path: Path) -> None:
    """It is the collection of its name in what was restored; one that is not there then, is not there."""
    with filled(tmp_path / "data") as database:
        films = database["films"]
        database.create_snapshot("one")
        films.delete(filter={})
        later = database.create_collection("later")
        later.add([{"id": "1", "title": "x"}])
        assert database.restore_snapshot("one").sequence == 1
        assert films.count() == 3
        assert films.search("a creature on a moon", limit=1).ids == ["2"]
        with pytest.raises(NotFoundError):
            later.count()
        assert films.add([{"id": "4", "title": "after"}]).sequence > 1
    with Database(tmp_path / "data", default_model="hashing") as database:
        assert database["films"].count() == 4


def test_reads_and_writes_during_a_restore_fail_cleanly_or_succeed(tmp_path: Path) -> None:
    """Threads that never stop asking are told for a moment to ask again, never anything else."""
    with filled(tmp_path / "data") as database:
        films = database["films"]
        database.create_snapshot("one")
        stop, wrong = threading.Event(), list[BaseException]()

        def ask(number: int) -> None:
            while not stop.is_set():
                try:
                    assert films.count() >= 3
                    films.add([{"id": f"t{number}", "title": "written meanwhile"}])
                except OverloadedError as error:
                    if error.code != "restoring":
                        wrong.append(error)
                    time.sleep(0.001)
                except BaseException as error:  # noqa: BLE001 - told below
                    wrong.append(error)
                    return

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            database.restore_snapshot("one")
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert films.count() >= 3


def test_scrolls_end_with_a_restore(tmp_path: Path) -> None:
    """Their cursors are gone."""
    with filled(tmp_path / "data") as database:
        database.create_snapshot("one")
        cursor = database["films"].scroll(limit=1).next_cursor
        database.restore_snapshot("one")
        with pytest.raises(GoneError):
            database["films"].scroll(cursor=cursor)


def test_snapshots_lie_where_they_are_told_to(tmp_path: Path) -> None:
    """Another directory than the database's; what else lies there is passed over."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "notes.txt").write_text("not a snapshot")
    (place / "empty").mkdir()
    with filled(tmp_path / "data", snapshots_directory=place) as database:
        database.create_snapshot("one")
        assert [info.name for info in database.snapshots()] == ["one"]
        assert (place / "one").is_dir()
        assert not (tmp_path / "data" / "snapshots").exists()
        with pytest.raises(NotFoundError):
            database.restore_snapshot("absent")
        with pytest.raises(InvalidRequestError):
            database.restore_snapshot("empty")


def test_a_link_in_place_of_a_snapshot_is_none(tmp_path: Path) -> None:
    """Deleting or restoring it would reach elsewhere."""
    with filled(tmp_path / "data") as database:
        database.create_snapshot("one")
        database.export_snapshot("one", tmp_path / "one.tar")
        (database.path / "snapshots" / "link").symlink_to(database.path / "snapshots" / "one")
        assert [info.name for info in database.snapshots()] == ["one"]
        with pytest.raises(NotFoundError):
            database.delete_snapshot("link")


def test_a_snapshot_is_exported_once(tmp_path: Path) -> None:
    """An existing file is never written over, and one that cannot be written leaves nothing behind."""
    with filled(tmp_path / "data") as database:
        database.create_snapshot("one")
        target = database.export_snapshot("one", tmp_path / "one.tar")
        content = target.read_bytes()
        with pytest.raises(ConflictError):
            database.export_snapshot("one", target)
        with pytest.raises(InvalidRequestError):
            database.export_snapshot("one", tmp_path / "no" / "such" / "one.tar")
        assert target.read_bytes() == content
        info = lumaai.restore(target, tmp_path / "restored")
        assert (info.name, info.sequence) == ("one", 1)
    with Database(tmp_path / "restored", default_model="hashing") as restored:
        assert restored["films"].get(["1"]) == [FILMS[0]]


def test_the_length_of_a_tar_is_known_beforehand(tmp_path: Path) -> None:
    """Also with names that need a header of their own, empty files and files of whole blocks."""
    names = {"a": 0, "b" * 120: 512, f"{'c' * 60}/{'d' * 90}": 513, "é": 1}
    for name, size in names.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
    tar = TarOfSnapshot(tmp_path, names)
    assert sum(map(len, tar.pieces())) == tar.length
    assert TarOfSnapshot(tmp_path, {"huge": 9 << 30}).length > 9 << 30


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    """What breaks in the middle leaves nothing."""

    def broken() -> Any:
        yield b"some"
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_file(broken(), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_restoring_refuses_what_is_in_use_or_taken(tmp_path: Path) -> None:
    """A database that is open, or that is there and was not said to be replaced; nothing is changed."""
    with filled(tmp_path / "data") as database:
        database.create_snapshot("one")
        archive = database.export_snapshot("one", tmp_path / "one.tar")
        with pytest.raises(DatabaseLockedError):
            lumaai.restore(archive, tmp_path / "data", replace=True)
    with pytest.raises(InvalidRequestError):
        lumaai.restore(archive, tmp_path / "data")
    with pytest.raises(InvalidRequestError):
        lumaai.restore(tmp_path / "none.tar", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    lumaai.restore(archive, tmp_path / "data", replace=True)
    with Database(tmp_path / "data", default_model="hashing") as database:
        assert database["films"].count() == 3
        assert [info.name for info in database.snapshots()] == ["one"]  # they stay


def test_progress_is_told_in_fractions(tmp_path: Path) -> None:
    """Of every kind of long work: stages, and 0 to 1 that never falls back within one."""
    told: list[tuple[str, float]] = []
    with filled(tmp_path / "data") as database:
        for work in (
            lambda: database.create_snapshot("one", progress=lambda *step: told.append(step)),
            lambda: database.check(progress=lambda *step: told.append(step)),
            lambda: database.compact(progress=lambda *step: told.append(step)),
            lambda: database.purge(progress=lambda *step: told.append(step)),
            lambda: database.restore_snapshot("one", progress=lambda *step: told.append(step)),
        ):
            told.clear()
            work()
            assert told
            fractions = [fraction for _, fraction in told]
            for stage in {name for name, _ in told}:
                of_stage = [fraction for name, fraction in told if name == stage]
                assert of_stage == sorted(of_stage), stage
            assert 0.0 <= fractions[0] <= fractions[-1] <= 1.0


def test_a_directory_is_read_beside_its_owner(tmp_path: Path) -> None:
    """As of opening, and of each refresh; what writes is refused."""
    with filled(tmp_path / "data") as owner:
        with lumaai.connect(tmp_path / "data", read_only=True) as reader:
            assert isinstance(reader, Database)
            films = reader["films"]
            assert films.get(["1"]) == [FILMS[0]]
            owner["films"].add([{"id": "4", "title": "later"}])
            owner.create_collection("more", embed={})
            assert films.count() == 3
            assert reader.refresh() == 2
            assert films.count() == 4
            assert reader.collections() == ["films", "more"]
            for write in (
                lambda: films.delete(ids=["1"]),
                lambda: reader["more"].add([{"id": "1"}]),
                lambda: reader["more"].patch([{"id": "1"}]),
                lambda: reader.drop("films"),
                lambda: reader.create_collection("third", embed={}),
                reader.compact,
                reader.purge,
            ):
                with pytest.raises(ReadOnlyError):
                    write()
        assert owner["films"].count() == 4


def test_read_only_belongs_to_a_directory(tmp_path: Path) -> None:
    """Not to an address; and a directory that is not there is not made."""
    with pytest.raises(InvalidRequestError):
        lumaai.connect("http://127.0.0.1:1", read_only=True)
    with pytest.raises((InvalidRequestError, NotFoundError, lumaai.CorruptionError)):
        lumaai.connect(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


def test_a_writer_refreshes_to_what_it_has_written(tmp_path: Path) -> None:
    """There is nothing that it would not show."""
    with filled(tmp_path / "data") as database:
        assert database.refresh() == 1
        assert database["films"].count() == 3


def test_changes_take_whole_numbers(tmp_path: Path) -> None:
    """And a collection that is there."""
    with open_database(tmp_path) as database:
        for options in ({"after": -1}, {"after": "1"}, {"limit": 0}, {"limit": 10_001}, {"after": True}):
            with pytest.raises(InvalidRequestError):
                database.changes(**options)
        with pytest.raises(NotFoundError):
            database.changes(collection="none")
        assert list(database.changes()) == []


def test_what_was_left_unfinished_is_swept(tmp_path: Path) -> None:
    """When the owner opens the directory, and before a purge; readers change nothing, and other files stay."""
    place = tmp_path / "data" / "snapshots"

    def leave() -> None:
        for name in ("old.deleting", "20250131T120000.123Z.partial"):
            (place / name).mkdir(parents=True)
            (place / name / "file").write_text("what was deleted")

    leave()
    (place / "notes.txt").write_text("x")
    (tmp_path / "data").rename(tmp_path / "moved")
    filled(tmp_path / "data").close()
    (tmp_path / "moved" / "snapshots").rename(place)
    with Database(tmp_path / "data", read_only=True) as database:
        assert database.snapshots() == []
        assert len(list(place.iterdir())) == 3
    with Database(tmp_path / "data", default_model="hashing") as database:
        assert [path.name for path in place.iterdir()] == ["notes.txt"]
        leave()
        assert database.purge()["snapshots"] == []
        assert [path.name for path in place.iterdir()] == ["notes.txt"]
        database.create_snapshot("one")
        assert database.purge()["snapshots"] == database.compact()["snapshots"] == ["one"]


def test_a_snapshot_that_is_read_is_not_deleted(tmp_path: Path) -> None:
    """Refused until the tar is read to its end, or given up."""
    with filled(tmp_path / "data") as database:
        database.create_snapshot("one")
        for finish in (list, lambda pieces: pieces.close()):
            pieces = database.snapshot_tar("one").pieces()
            next(pieces)
            with pytest.raises(ConflictError) as caught:
                database.delete_snapshot("one")
            assert caught.value.code == "snapshot_in_use"
            finish(pieces)
        tar = database.snapshot_tar("one")
        database.delete_snapshot("one")
        with pytest.raises(NotFoundError):
            next(tar.pieces())


def test_snapshots_that_come_and_go_are_there_or_not(tmp_path: Path) -> None:
    """Made, listed, read and deleted at once by many threads: refused as missing, taken or in use, nothing else."""
    wrong: list[BaseException] = []
    stop = time.monotonic() + 3.0
    with filled(tmp_path / "data") as database:

        def run(work: Callable[[str], object], name: str) -> None:
            while time.monotonic() < stop:
                try:
                    work(name)
                except (NotFoundError, ConflictError):
                    pass
                except BaseException as error:  # noqa: BLE001 - told below
                    wrong.append(error)
                    return

        def read(name: str) -> None:
            for _ in database.snapshot_tar(name).pieces():
                pass

        works: list[Callable[[str], object]] = [
            database.create_snapshot, database.delete_snapshot, database.delete_snapshot, read,
            lambda _: database.snapshots(),
        ]  # fmt: skip
        threads = [threading.Thread(target=run, args=(work, name)) for work in works for name in "pq"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_two_exports_to_one_target_do_not_mix(tmp_path: Path) -> None:
    """One of them wins, the other is refused; both drafts are gone."""
    target = tmp_path / "one.tar"
    second: list[str] = []

    def pieces() -> Iterator[bytes]:
        yield b"first "
        write_file([b"second"], target)
        second.append(target.read_text())
        yield b"first"

    with pytest.raises(ConflictError):
        write_file(pieces(), target)
    assert second == ["second"]
    assert target.read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["one.tar"]


def test_names_are_on_disk_before_an_export_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is synced after the file has its name, and after a snapshot has lost its own."""
    seen: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr(
        "lumaai.snapshots.sync_directory", lambda path: seen.append((path, sorted(p.name for p in path.iterdir())))
    )
    with filled(tmp_path / "data") as database:
        database.create_snapshot("one")
        (tmp_path / "out").mkdir()
        database.export_snapshot("one", tmp_path / "out" / "one.tar")
        assert len(seen) == 1
        assert "one.tar" in seen[0][1]
        database.delete_snapshot("one")
        assert seen[1] == (tmp_path / "data" / "snapshots", ["one.deleting"])
