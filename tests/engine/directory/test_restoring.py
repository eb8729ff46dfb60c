"""engine.directory.restoring: untrustworthy archives are refused, and a target is replaced whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine import (
    ArchiveError,
    Database,
    DatabaseClosedError,
    DatabaseLockedError,
    FormatError,
    Schema,
    StorageError,
    StorageFullError,
    restore_archive,
    verify_archive,
)
from engine.directory.archive import list_checksum
from engine.directory.highwater import HighWater
from engine.store import keys
from engine.store.rocks import LOG, SYSTEM, Store


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A directory; its tar is beside it."""
    with Database.open(tmp_path / "source", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(i), "vector": [1.0, float(i)]} for i in range(20)])
        collection.optimize()
        collection.add([{"id": "tail"}])
        database.archive(tmp_path / "archive")
        database.archive(tmp_path / "archive.tar")
    return tmp_path / "archive"


def content(path: Path) -> dict[str, bytes]:
    """All files of a directory but the lock."""
    files = (file for file in path.rglob("*") if file.is_file() and file.name != "lumaai.lock")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def make_target(path: Path) -> dict[str, bytes]:
    """A database that a refused archive must leave as it is."""
    with Database.open(path) as database:
        database.create_collection("old", Schema()).add([{"id": "old"}])
    return content(path)


def refuse(source: Path, target: Path, message: str) -> None:
    """Verifying and restoring refuse `source`; a new target is not made, an old one is untouched."""
    with pytest.raises(ArchiveError, match=message):
        verify_archive(source)
    with pytest.raises(ArchiveError, match=message):
        restore_archive(source, target / "new")
    assert not (target / "new").exists()
    old = target / "old"
    before = make_target(old) if not old.exists() else content(old)
    with pytest.raises(ArchiveError, match=message):
        restore_archive(source, old, replace=True)
    assert content(old) == before
    assert not (old / "restoring").exists()


def rewrite_list(archive: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change what `archive.json` says, with a checksum that fits."""
    listed = json.loads((archive / "archive.json").read_text())
    change(listed)
    listed["checksum"] = list_checksum(listed)
    (archive / "archive.json").write_text(json.dumps(listed))


def test_damage_to_any_file_of_a_directory_is_refused(archive: Path, tmp_path: Path) -> None:
    """One flipped bit in the middle, a byte too few, a byte too many, missing: each by the file's name."""
    for name in sorted(content(archive)):
        file = archive / name
        data = file.read_bytes()
        file.unlink()  # not the database's own, which is linked
        for damaged in (data[:-1], data + b"x", bytes([data[0] ^ 1]) + data[1:] if data else b"x"):
            if damaged != data:
                file.write_bytes(damaged)
                with pytest.raises(ArchiveError, match=file.name.replace(".", r"\.")):
                    verify_archive(archive)
        file.unlink()
        with pytest.raises(ArchiveError, match=r"missing"):
            verify_archive(archive)
        file.write_bytes(data)
    refuse_after = archive / "store" / "CURRENT"
    refuse_after.write_text("MANIFEST-000001\n")
    refuse(archive, tmp_path / "t", "CURRENT")


def test_a_tar_cut_short_or_flipped_anywhere_is_refused(archive: Path, tmp_path: Path) -> None:
    """Cut at a hundred places, and a bit flipped at three hundred: refused, or of no consequence (padding)."""
    tar = archive.with_suffix(".tar")
    data, whole = tar.read_bytes(), verify_archive(tar)
    work = tmp_path / "work.tar"
    end = 10240  # of a tar are zeros, and more so of one as small as this
    for i in range(100):
        work.write_bytes(data[: (len(data) - end) * i // 100])
        with pytest.raises(ArchiveError):
            verify_archive(work)
    refused = 0
    for i in range(300):
        place = len(data) * i // 300
        work.write_bytes(data[:place] + bytes([data[place] ^ (1 << i % 8)]) + data[place + 1 :])
        try:
            assert verify_archive(work).sequence == whole.sequence
        except ArchiveError:
            refused += 1
    assert refused > 100
    work.write_bytes(data[: len(data) // 2])
    refuse(work, tmp_path / "t", "work.tar")


UNSAFE = ["../evil", "/tmp/evil", "store/../../evil", "store/a/b", "evil", "store/", "", "indexes/1/2/x", "store/.x"]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_listed_name_outside_a_database_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    """Even with a list that is consistent in itself."""
    rewrite_list(archive, lambda listed: listed["files"].update({name: [0, "00"]}))  # type: ignore[attr-defined]
    refuse(archive, tmp_path / "t", "names a file that no database has")


def retar(source: Path, target: Path, *extra: tarfile.TarInfo) -> None:
    """A tar of a directory archive with more members at its end."""
    with tarfile.open(target, "w") as tar:
        for name in sorted(content(source), key=lambda each: (each != "archive.json", each)):
            tar.add(source / name, arcname=name)
        for member in extra:
            tar.addfile(member, io.BytesIO(b"\0" * member.size))


def member(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


HOSTILE = {
    "traversing": member("../evil", size=4),
    "absolute": member("/tmp/lumaai-evil", size=4),
    "symbolic link": member("store/evil", tarfile.SYMTYPE, link="/etc/passwd"),
    "hard link": member("store/evil", tarfile.LNKTYPE, link="/etc/passwd"),
    "device": member("store/evil", tarfile.CHRTYPE),
    "pipe": member("store/evil", tarfile.FIFOTYPE),
    "directory": member("store/evil", tarfile.DIRTYPE),
    "twice": member("lumaai.json", size=4),
    "list twice": member("archive.json", size=4),
    "not listed": member("store/evil", size=4),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_members_of_a_tar_are_refused(archive: Path, tmp_path: Path, what: str) -> None:
    """Nothing is written outside the target, nor left in it."""
    retar(archive, tmp_path / "hostile.tar", HOSTILE[what])
    refuse(tmp_path / "hostile.tar", tmp_path / "t", "twice|not listed|plain files")
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/lumaai-evil").exists()


@pytest.mark.parametrize("kind", ["link", "directory link", "pipe"])
def test_links_and_pipes_in_a_directory_are_refused(archive: Path, tmp_path: Path, kind: str) -> None:
    """Wherever they point, and without waiting at a pipe."""
    place = archive / "store" / "CURRENT"
    match kind:
        case "link":
            place.rename(tmp_path / "CURRENT")
            place.symlink_to(tmp_path / "CURRENT")
        case "directory link":
            (archive / "store").rename(tmp_path / "moved")
            (archive / "store").symlink_to(tmp_path / "moved")
        case _:
            os.mkfifo(archive / "store" / "000001.log")
    refuse(archive, tmp_path / "t", "plain files")


def test_foreign_and_newer_archives_are_refused(archive: Path, tmp_path: Path) -> None:
    """A tar of something else, a file, an empty directory, one that is not there; a newer one names the version."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.tar").write_text("x" * 5000)
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(member("readme", size=3), io.BytesIO(b"abc"))
    for name in ("empty", "file.tar", "other.tar", "nowhere", "source"):
        refuse(tmp_path / name, tmp_path / "t", r"no archive|cannot be read|does not exist")
    rewrite_list(archive, lambda listed: listed.update(format=7, needs="9.1"))
    refuse(archive, tmp_path / "t", "format 7, which needs LumaDB AI 9.1 or later")
    rewrite_list(archive, lambda listed: listed.update(format=2, archive=2))
    refuse(archive, tmp_path / "t", "needs LumaDB AI 9.1 or later")


def test_an_archive_that_lies_about_its_sequence_is_refused(archive: Path, tmp_path: Path) -> None:
    """All checksums fit, but the store has come to another point."""
    rewrite_list(archive, lambda listed: listed.update(sequence=77))
    with pytest.raises(ArchiveError, match="sequence=2 listed=77"):
        restore_archive(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def resign(archive: Path) -> None:
    """List the files of an archive as they are now."""
    files = {name: data for name, data in content(archive).items() if name != "archive.json"}
    entries = {name: [len(data), hashlib.blake2b(data, digest_size=32).hexdigest()] for name, data in files.items()}
    rewrite_list(archive, lambda listed: listed.update(files=entries))


def rewrite_store(archive: Path, key: bytes, value: bytes, family: str = SYSTEM) -> None:
    store = Store(archive / "store")
    batch = store.batch()
    batch.put(family, key, value)
    batch.flush()
    store.flush()
    store.close()
    resign(archive)


def rewrite_mark(archive: Path, sequence: int) -> None:
    (archive / "highwater.json").unlink()
    (archive / "highwater.counter").unlink()
    high_water = HighWater(archive)
    high_water.record(sequence, 2)
    high_water.close()
    resign(archive)


UNUSABLE: dict[str, Callable[[Path], None]] = {
    "mark ahead of the store": lambda archive: rewrite_mark(archive, 1_000_000),
    "table of collections": lambda archive: rewrite_store(archive, keys.meta_key("c"), b"garbage"),
    "counters": lambda archive: rewrite_store(archive, keys.state_key(1), b"garbage"),
    "manifest": lambda archive: rewrite_store(archive, keys.manifest_key(1), b"garbage"),
    "number": lambda archive: rewrite_store(archive, keys.NEXT_COLLECTION, b"garbage"),
    "change": lambda archive: rewrite_store(archive, keys.log_key(2), b"garbage", LOG),
}


@pytest.mark.parametrize("what", UNUSABLE)
@pytest.mark.parametrize("by", ["path", "owner"])
def test_an_archive_that_cannot_be_opened_gives_nothing_up(archive: Path, tmp_path: Path, what: str, by: str) -> None:
    """All checksums fit, but the database in it would not open: what is there stays."""
    make_target(tmp_path / "old")
    UNUSABLE[what](archive)
    verify_archive(archive)
    if by == "owner":
        with Database.open(tmp_path / "old") as database:
            with pytest.raises(ArchiveError, match="cannot be used"):
                database.restore(archive)
            database.collection("old").add([{"id": "goes on"}])
    else:
        with pytest.raises(ArchiveError, match="cannot be used"):
            restore_archive(archive, tmp_path / "old", replace=True)
    assert not (tmp_path / "old" / "restoring").exists()
    with Database.open(tmp_path / "old") as database:
        assert database.collection("old").snapshot().get(["old"]) == [{"id": "old"}]


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("key", ["archive", "format", "sequence", "size"])
@pytest.mark.parametrize("value", [True, -1, INF, NAN, 1e300, 2**80, "1", None, []])
def test_a_number_that_is_none_is_refused(archive: Path, tmp_path: Path, key: str, value: object) -> None:
    """Neither true nor infinity nor a negative one counts as a number of a list."""

    def change(listed: dict[str, Any]) -> None:
        if key == "size":
            listed["files"]["store/CURRENT"][0] = value
        else:
            listed[key] = value

    rewrite_list(archive, change)
    with pytest.raises(ArchiveError, match="cannot be read"):
        verify_archive(archive)


@pytest.mark.parametrize("name", ["lumaai.json", "store/CURRENT"])
def test_an_archive_without_what_every_database_has_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    (archive / name).unlink()
    resign(archive)
    refuse(archive, tmp_path / "t", f"missing={name}")


def test_a_directory_of_more_levels_than_a_database_has_is_refused(archive: Path, tmp_path: Path) -> None:
    """Without walking all of them."""
    (archive / "indexes" / "a" / "b" / "c").mkdir(parents=True)
    with pytest.raises(ArchiveError, match="plain files"):
        verify_archive(archive)


def test_a_target_in_use_or_with_other_files_is_refused(archive: Path, tmp_path: Path) -> None:
    """A database asks for `replace`, its owner keeps it, other files and archives are never touched."""
    before = make_target(tmp_path / "old")
    with pytest.raises(ArchiveError, match="holds a database"):
        restore_archive(archive, tmp_path / "old")
    assert content(tmp_path / "old") == before
    with Database.open(tmp_path / "old") as owner:
        with pytest.raises(DatabaseLockedError):
            restore_archive(archive, tmp_path / "old", replace=True)
        assert owner.collection("old").snapshot().count() == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for target, message in (("mine", "other files"), ("archive", "itself an archive"), ("archive.tar", "no directory")):
        with pytest.raises(ArchiveError, match=message):
            restore_archive(archive, tmp_path / target, replace=True)
    assert list(content(tmp_path / "mine")) == ["thesis.txt"]


def test_an_archive_is_not_opened_as_a_database(archive: Path) -> None:
    """It would be changed, and then be no archive any more."""
    before = content(archive)
    with pytest.raises(FormatError, match="is an archive"):
        Database.open(archive)
    assert content(archive) == before


@pytest.mark.parametrize("kind", ["archive", "archive.tar"])
def test_replacing_keeps_nothing_of_the_old(archive: Path, tmp_path: Path, kind: str) -> None:
    """Collections, indexes and marks are the archive's."""
    make_target(tmp_path / "old")
    restore_archive(archive.with_name(kind), tmp_path / "old", replace=True)
    with Database.open(tmp_path / "old") as database:
        assert database.collections() == ["c"]
        assert database.collection("c").snapshot().count() == 21
        assert database.check().problems == []


@pytest.mark.parametrize("point", ["restore.before_copy", "restore.after_file", "restore.after_copy"])
def test_a_full_disk_before_the_swap_changes_nothing(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """The error is ours; the copy is gone."""
    before = make_target(tmp_path / "old")

    def fail(name: str) -> None:
        if name == point:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.failpoints.hit", fail)
    with pytest.raises(StorageFullError):
        restore_archive(archive, tmp_path / "old", replace=True)
    assert content(tmp_path / "old") == before


@pytest.mark.parametrize("nth", range(1, 11))
def test_a_swap_cut_short_anywhere_is_finished_by_opening(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """After the journal there is one outcome, wherever it stopped, and however often."""
    make_target(tmp_path / "old")
    passed = 0

    def fail(name: str) -> None:
        nonlocal passed
        if (tmp_path / "old" / "restore.json").exists() and name != "restore.after_journal":  # which calls it off
            passed += 1
            if passed == nth:
                raise OSError(5, name)

    monkeypatch.setattr("engine.failpoints.hit", fail)
    with suppress(StorageError):
        restore_archive(archive, tmp_path / "old", replace=True)
    assert passed == nth
    monkeypatch.undo()
    with Database.open(tmp_path / "old") as database:
        assert database.collections() == ["c"]
        assert database.collection("c").snapshot().count() == 21
    assert not (tmp_path / "old" / "restoring").exists()


def test_the_owner_restores_itself(archive: Path, tmp_path: Path) -> None:
    """`Database.restore` serves until the copy is verified; a refused archive leaves it open and unchanged."""
    make_target(tmp_path / "old")
    database = Database.open(tmp_path / "old")
    shutil.copytree(archive, tmp_path / "bad")
    (tmp_path / "bad" / "store" / "CURRENT").write_text("x")
    with pytest.raises(ArchiveError):
        database.restore(tmp_path / "bad")
    database.collection("old").add([{"id": "new"}])
    assert database.collection("old").snapshot().count() == 2
    restored = database.restore(archive)
    with restored:
        assert restored.collections() == ["c"]
        restored.collection("c").add([{"id": "more"}])
        with pytest.raises(DatabaseLockedError):
            Database.open(tmp_path / "old")
    database.close()  # the one given up: of no consequence
    with Database.open(tmp_path / "old") as again:
        assert again.collection("c").snapshot().count() == 22


KILLED = """
import os, sys
from engine import failpoints, restore_archive
from engine.directory import durable
from pathlib import Path
if sys.argv[3] == "draft":
    replace = Path.replace
    def killed(draft, target):
        if draft.name == "restore.json.new":
            os.kill(os.getpid(), 9)
        return replace(draft, target)
    Path.replace = killed
else:
    failpoints.arm(sys.argv[3] + ":kill@1")
restore_archive(sys.argv[1], sys.argv[2], replace=True)
"""


@pytest.mark.parametrize("point", ["restore.after_swap", "restore.after_journal_removed", "restore.after_old_removed"])
def test_a_restore_killed_while_it_tidies_has_happened(archive: Path, tmp_path: Path, point: str) -> None:
    """The journal goes before what it speaks of: in whichever order, the directory opens."""
    make_target(tmp_path / "old")
    killed = subprocess.run([sys.executable, "-c", KILLED, archive, tmp_path / "old", point], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with Database.open(tmp_path / "old") as database:
        assert database.collections() == ["c"]
    assert not (tmp_path / "old" / "restoring").exists()


def test_a_journal_without_what_it_speaks_of_is_finished(archive: Path, tmp_path: Path) -> None:
    """All was swapped, and the copies are gone already: as older versions left it."""
    restore_archive(archive, tmp_path / "new")
    (tmp_path / "new" / "restore.json").write_text('{"names": ["indexes", "lumaai.json", "store"]}')
    with Database.open(tmp_path / "new") as database:
        assert database.collection("c").snapshot().count() == 21
    assert not (tmp_path / "new" / "restore.json").exists()


@pytest.mark.parametrize("how", ["restore", "restore in place", "open"])
def test_a_draft_of_the_journal_is_of_no_consequence(archive: Path, tmp_path: Path, how: str) -> None:
    """Killed while the journal was written: a new target is as good as new."""
    new = tmp_path / "new"
    killed = subprocess.run([sys.executable, "-c", KILLED, archive, new, "draft"], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (new / "restore.json.new").exists()
    if how != "open":
        restore_archive(archive, new, replace=how == "restore in place")
    with Database.open(new) as database:
        assert database.collections() == ([] if how == "open" else ["c"])
    assert not (new / "restore.json.new").exists()


@pytest.mark.parametrize("point", ["restore.before_copy", "restore.after_copy", "archive.before_rename"])
def test_closing_ends_what_works_on_the_directory(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A restore or an archive under way is waited for, and changes nothing for the next owner."""
    make_target(tmp_path / "old")
    database = Database.open(tmp_path / "old")
    reached, errors = threading.Event(), []

    def wait(name: str) -> None:
        if name == point and not reached.is_set():
            reached.set()
            while not database._closed:
                pass

    def work() -> None:
        try:
            if point.startswith("archive"):
                database.archive(tmp_path / "copy.tar")
            database.restore(archive)
        except DatabaseClosedError as error:
            errors.append(error)

    monkeypatch.setattr("engine.failpoints.hit", wait)
    worker = threading.Thread(target=work)
    worker.start()
    assert reached.wait(30)
    database.close()
    assert not (tmp_path / "old" / "restoring").exists()
    assert not (tmp_path / "old" / "archiving").exists()
    assert not (tmp_path / "old" / "restore.json").exists()
    with Database.open(tmp_path / "old") as owner:
        owner.collection("old").add([{"id": "of the next owner"}])
        worker.join(30)
        assert len(errors) == 1
    with Database.open(tmp_path / "old") as again:
        assert again.collection("old").snapshot().count() == 2


def test_a_progress_may_close_the_database(archive: Path, tmp_path: Path) -> None:
    """What it is told of ends there; nothing hangs."""
    before = make_target(tmp_path / "old")
    database = Database.open(tmp_path / "old")
    with pytest.raises(DatabaseClosedError):
        database.restore(archive, progress=lambda *_: database.close())
    assert content(tmp_path / "old").keys() >= {"lumaai.json"} & before.keys()
    with Database.open(tmp_path / "old") as again:
        assert again.collections() == ["old"]


@pytest.mark.parametrize("name", ["archive", "archive.tar"])
def test_a_disk_error_beside_the_journal_calls_the_restore_off(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The database goes on, and what it acknowledges then is still there when it is opened again."""
    make_target(tmp_path / "old")

    def fail(point: str) -> None:
        if point == "restore.after_journal":
            raise OSError(28, "No space left on device")

    with Database.open(tmp_path / "old") as database:
        monkeypatch.setattr("engine.failpoints.hit", fail)
        with pytest.raises(StorageFullError):
            database.restore(archive.with_name(name))
        monkeypatch.undo()
        assert not (tmp_path / "old" / "restore.json").exists()
        database.collection("old").add([{"id": "later"}])
    with Database.open(tmp_path / "old") as again:
        assert again.collection("old").snapshot().count() == 2


@pytest.mark.parametrize("point", ["restore.before_swap", "restore.between_renames", "restore.after_swap"])
def test_a_disk_that_refuses_the_swap_is_named_and_opening_finishes(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """`Database.restore` raises an error of ours, the directory is free, and so does opening while the disk is bad."""
    make_target(tmp_path / "old")
    database = Database.open(tmp_path / "old")

    def fail(name: str) -> None:
        if name == point:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("engine.failpoints.hit", fail)
    with pytest.raises(StorageError, match=str(tmp_path)):
        database.restore(archive)
    with pytest.raises(StorageError, match=str(tmp_path)):
        Database.open(tmp_path / "old")
    monkeypatch.undo()
    with Database.open(tmp_path / "old") as again:
        assert again.collections() == ["c"]


def test_a_stray_copy_is_cleared_away(archive: Path, tmp_path: Path) -> None:
    """Left by a restore that was killed before its journal: nothing of it comes in."""
    make_target(tmp_path / "old")
    shutil.copytree(archive, tmp_path / "old" / "restoring" / "new")
    with Database.open(tmp_path / "old") as database:
        assert database.collections() == ["old"]
    assert not (tmp_path / "old" / "restoring").exists()
