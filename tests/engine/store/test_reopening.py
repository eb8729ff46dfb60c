"""engine.store.reopening: a store after a write that failed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DatabaseClosedError, StorageError, StorageFullError
from engine.store.ballast import BALLAST_BYTES, BALLAST_FILE
from engine.store.reopening import Reopening
from engine.store.rocks import DOCUMENTS, IDS, Store

FULL = Exception("IO error: No space left on device: While appending to file: 000004.log: No space left on device")


def put(store: Store, key: bytes, family: str = DOCUMENTS) -> None:
    batch = store.batch()
    batch.put(family, key, b"1")
    batch.flush()


def reopening(store: Store) -> Reopening:
    return store._reopening


class Lying:
    """A RocksDB that says it wrote one more than it did."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def latest_sequence_number(self) -> int:
        return int(self._db.latest_sequence_number()) + 1


@pytest.mark.parametrize("use", ["get", "items", "delete", "put"])
def test_an_attempt_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    """Opening anew fails once, for want of descriptors say; the next read or write opens it."""
    store = Store(tmp_path / "s")
    put(store, b"a")
    reopening(store).failed(Exception("IO error: While appending to file"))

    def refuse(*, lean: bool = False) -> None:
        raise StorageError("store failed: Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(store, "open_handles", refuse)
        for _ in range(2):
            with pytest.raises(StorageError, match="Too many open files"):
                put(store, b"b")
        with pytest.raises(StorageError, match="Too many open files"):
            store.get(DOCUMENTS, b"a")
    if use == "get":
        assert store.get(DOCUMENTS, b"a") == b"1"
    elif use == "items":
        assert list(store.items(DOCUMENTS, b"", b"z")) == [(b"a", b"1")]
    else:
        put(store, b"c", IDS if use == "delete" else DOCUMENTS)
    put(store, b"d")
    assert store.get_many(DOCUMENTS, [b"a", b"b", b"d"]) == [b"1", None, b"1"]
    store.close()


def test_a_log_that_lost_writes_is_never_gone_on_from(tmp_path: Path) -> None:
    """However often somebody tries, reading or writing; until it is opened again, by a check of its own."""
    store = Store(tmp_path / "s")
    put(store, b"a")
    store._db = Lying(store._db)  # type: ignore[assignment]
    reopening(store).refused = True
    for _ in range(3):
        with pytest.raises(StorageError, match="expected=4 got=3"):
            put(store, b"b")
        with pytest.raises(StorageError, match="expected=4 got=3"):
            put(store, b"b", IDS)
        with pytest.raises(StorageError, match="expected=4 got=3"):
            store.get(DOCUMENTS, b"a")
    store.close()
    again = Store(tmp_path / "s")
    assert again.get_many(DOCUMENTS, [b"a", b"b"]) == [b"1", None]
    again.close()


def test_a_closed_store_is_not_opened_anew(tmp_path: Path) -> None:
    """Neither by a write nor by a read, also when a write had failed; another may open it."""
    store = Store(tmp_path / "s")
    batch = store.batch()
    batch.put(DOCUMENTS, b"a", b"1")
    reopening(store).refused = True
    store.close()
    batch.put(DOCUMENTS, b"b", b"1")
    with pytest.raises(DatabaseClosedError):
        batch.flush()
    with pytest.raises(DatabaseClosedError):
        store.get(DOCUMENTS, b"a")
    Store(tmp_path / "s").close()


def test_a_full_disk_gives_up_the_ballast_for_deletes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stores documents waits for its room; what was there stays, through both ways of opening."""
    store = Store(tmp_path / "s")
    ballast = tmp_path / "s" / BALLAST_FILE
    assert ballast.stat().st_blocks * 512 >= BALLAST_BYTES
    put(store, b"a")
    reopening(store).failed(FULL)
    assert not ballast.exists()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.posix_fallocate", full)
        with pytest.raises(StorageFullError, match=str(BALLAST_BYTES)):
            put(store, b"b")
        put(store, b"b", IDS)
        assert store.get(DOCUMENTS, b"a") == b"1"
        assert sorted(file.name for file in (tmp_path / "s").glob("ballast*")) == []
    put(store, b"c")
    assert ballast.exists()
    assert store.get_many(DOCUMENTS, [b"a", b"b", b"c"]) == [b"1", None, b"1"]
    assert store.get(IDS, b"b") == b"1"
    store.close()


def test_many_meet_a_store_that_is_to_be_opened_anew(tmp_path: Path) -> None:
    """Readers and writers at once, while writes go on failing: nothing is lost, and nobody waits for ever."""
    store = Store(tmp_path / "s")
    faults: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for i in range(30):
                put(store, b"%d-%d" % (thread, i), IDS if i % 2 else DOCUMENTS)
                assert sum(1 for _ in store.items(DOCUMENTS, b"", b"z")) >= i // 2
                if i % 10 == thread:
                    reopening(store).refused = True
        except BaseException as error:  # noqa: BLE001  (looked at below)
            faults.append(error)

    threads = [threading.Thread(target=work, args=(thread,), daemon=True) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert faults == []
    assert sum(1 for family in (DOCUMENTS, IDS) for _ in store.items(family, b"", b"z")) == 120
    store.close()


def test_torn_logs_are_read_through_several_openings(tmp_path: Path) -> None:
    """Opened lean, a log whose last record was cut short stays beside those begun after it."""
    store = Store(tmp_path / "s")
    for round_ in range(3):
        put(store, b"%d" % round_, IDS)
        store.sync()
        newest = max((tmp_path / "s").glob("*.log"))
        with newest.open("ab") as file:
            file.write(b"\x12\x34\x56\x78\xff\x7f\x01cut short")  # a header that promises 32 KiB
        reopening(store).refused = True
        put(store, b"after-%d" % round_, IDS)
    assert sum(1 for _ in store.items(IDS, b"", b"z")) == 6
    store.sync()
    copy = tmp_path / "copy"
    copy.mkdir()
    for each in (tmp_path / "s").iterdir():
        (copy / each.name).write_bytes(each.read_bytes())
    store.close()
    again = Store(copy)
    assert sum(1 for _ in again.items(IDS, b"", b"z")) == 6
    again.close()
