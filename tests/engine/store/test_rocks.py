"""engine.store.rocks: the store, and its errors as ours."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from engine.errors import CorruptionError, DatabaseClosedError
from engine.store.options import StoreOptions
from engine.store.pieces import PIECE_BYTES
from engine.store.rocks import DOCUMENTS, IDS, Store


def put(store: Store, key: bytes, value: bytes) -> None:
    batch = store.batch()
    batch.put(DOCUMENTS, key, value)
    batch.flush()


def test_values_survive_reopening(tmp_path: Path) -> None:
    """Families are apart; a store that was closed can be opened again in the same process."""
    store = Store(tmp_path / "s")
    put(store, b"a\x00", b"1")
    store.sync()
    store.close()
    store = Store(tmp_path / "s")
    assert store.get(DOCUMENTS, b"a\x00") == b"1"
    assert store.get(IDS, b"a\x00") is None
    assert store.get_many(DOCUMENTS, [b"x", b"a\x00", b"a\x00"]) == [None, b"1", b"1"]
    assert store.get_many(DOCUMENTS, []) == []
    store.close()


def test_items_are_in_order_and_bounded(tmp_path: Path) -> None:
    """From the first key up to but without the last; deleted ranges are gone."""
    store = Store(tmp_path / "s")
    for key in (b"d", b"a", b"c", b"b"):
        put(store, key, key * 2)
    assert list(store.items(DOCUMENTS, b"b", b"d")) == [(b"b", b"bb"), (b"c", b"cc")]
    batch = store.batch()
    batch.delete_range(DOCUMENTS, b"a", b"c")
    batch.delete(DOCUMENTS, b"d")
    batch.flush()
    assert [key for key, _ in store.items(DOCUMENTS, b"", b"z")] == [b"c"]
    store.close()


def test_items_in_many_chunks_are_all_there_once(tmp_path: Path) -> None:
    """Chunks end by number and by size; what is written while they are read neither doubles nor hides the others."""
    store = Store(tmp_path / "s")
    written = [b"%05d" % i for i in range(5000)]
    batch = store.batch()
    for i, key in enumerate(written):
        batch.put(DOCUMENTS, key, b"x" * (400_000 if i % 1000 == 0 else 10))
    batch.put(DOCUMENTS, b"00000\x00", b"follows at once")
    batch.flush()
    found: list[bytes] = []
    for key, _ in store.items(DOCUMENTS, b"", b"z"):
        if len(found) == 100:
            put(store, b"00001", b"again")
        found.append(key)
    assert found == sorted([*written, b"00000\x00"])
    store.close()


def test_a_scan_that_reads_more_on_its_way_stops_nobody(tmp_path: Path) -> None:
    """A nested read inside a loop over `items`, beside one who waits to be alone: both go on."""
    store = Store(tmp_path / "s")
    put(store, b"a", b"1")
    items = store.items(DOCUMENTS, b"", b"z")
    assert next(items) == (b"a", b"1")
    done = threading.Event()

    def alone() -> None:
        with store.alone():
            done.set()

    threading.Thread(target=alone, daemon=True).start()
    assert done.wait(5)
    assert store.get(DOCUMENTS, b"a") == b"1"
    assert list(items) == []
    store.close()


def test_large_batches_go_in_pieces(tmp_path: Path) -> None:
    """`flush_if_large` writes when a piece is full and not before."""
    store = Store(tmp_path / "s")
    batch = store.batch()
    batch.put(DOCUMENTS, b"a", b"x")
    batch.flush_if_large()
    assert store.get(DOCUMENTS, b"a") is None
    batch.put(DOCUMENTS, b"b", b"x" * PIECE_BYTES)
    batch.flush_if_large()
    assert store.get(DOCUMENTS, b"a") == b"x"
    store.close()


def test_after_closing_every_call_says_so(tmp_path: Path) -> None:
    """Closing waits for those inside, and later calls get `DatabaseClosedError`, also while it closes."""
    store = Store(tmp_path / "s")
    put(store, b"a", b"x" * 1000)
    stop = threading.Event()
    other: list[BaseException] = []

    def read() -> None:
        while not stop.is_set():
            try:
                assert store.get_many(DOCUMENTS, [b"a"] * 100)[0] == b"x" * 1000
            except DatabaseClosedError:
                return
            except BaseException as error:  # noqa: BLE001
                other.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    store.close()
    stop.set()
    for thread in threads:
        thread.join()
    assert other == []
    for call in (store.sync, store.memory, lambda: store.get(DOCUMENTS, b"a"), lambda: put(store, b"b", b"")):
        with pytest.raises(DatabaseClosedError):
            call()


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    """A manifest of other bytes, or none, is corruption with the store's path, not a crash."""
    Store(tmp_path / "s").close()
    (manifest,) = (tmp_path / "s").glob("MANIFEST-*")
    for damage in (lambda: (tmp_path / "s" / "CURRENT").write_bytes(b"nonsense"), manifest.unlink):
        damage()
        with pytest.raises(CorruptionError, match=str(tmp_path / "s")):
            Store(tmp_path / "s")


def test_a_damaged_block_ends_no_iteration_quietly(tmp_path: Path) -> None:
    """One flipped byte in the first block of a table: `items` raises, naming the store, instead of ending there."""
    store = Store(tmp_path / "s")
    for i in range(200):
        put(store, b"%03d" % i, b"x" * 1000)
    store._families[DOCUMENTS].flush()
    store.close()
    table = max((tmp_path / "s").glob("*.sst"), key=lambda file: file.stat().st_size)
    data = bytearray(table.read_bytes())
    data[20] ^= 1
    table.write_bytes(data)
    store = Store(tmp_path / "s")
    with pytest.raises(CorruptionError, match=str(tmp_path / "s")):
        list(store.items(DOCUMENTS, b"", b"z"))
    store.close()


def test_a_store_opened_to_look_at_is_not_changed(tmp_path: Path) -> None:
    """The log is replayed in memory: the values are there, and every file is as it was."""
    store = Store(tmp_path / "s")
    put(store, b"a", b"1")
    store.close()

    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (tmp_path / "s").iterdir() if not file.name.startswith("LOG")}

    before = files()
    store = Store(tmp_path / "s", read_only=True)
    assert store.get(DOCUMENTS, b"a") == b"1"
    store.close()
    assert files() == before


def test_compacting_takes_what_is_deleted_out_of_the_files(tmp_path: Path) -> None:
    """Of one range or of all; what lives stays."""
    store = Store(tmp_path / "s", options=StoreOptions(compression=False))
    for key in (b"a", b"m", b"z"):
        put(store, key, b"TEXT-" + key)
    store.flush()

    def held(text: bytes) -> bool:
        return any(text in file.read_bytes() for file in (tmp_path / "s").iterdir())

    batch = store.batch()
    batch.delete(DOCUMENTS, b"a")
    batch.delete_range(DOCUMENTS, b"m", b"n")
    batch.flush()
    store.flush()
    assert held(b"TEXT-a")
    store.compact(DOCUMENTS, b"a", b"n")
    assert not held(b"TEXT-a")
    assert not held(b"TEXT-m")
    assert store.get(DOCUMENTS, b"z") == b"TEXT-z"
    store.compact(DOCUMENTS, rewrite=True)
    assert store.get_many(DOCUMENTS, [b"a", b"m", b"z"]) == [None, None, b"TEXT-z"]
    store.close()


def test_a_manifest_holds_no_key_of_dropped_tables(tmp_path: Path) -> None:
    """After one more edit: it is begun anew each time."""
    store = Store(tmp_path / "s")
    put(store, b"SECRET-KEY", b"x")
    store.flush()
    assert any(b"SECRET-KEY" in file.read_bytes() for file in (tmp_path / "s").glob("MANIFEST-*"))
    batch = store.batch()
    batch.delete(DOCUMENTS, b"SECRET-KEY")
    batch.put(DOCUMENTS, b"other", b"x")
    batch.flush()
    store.flush()
    store.compact(DOCUMENTS)
    put(store, b"other", b"y")
    store.flush()
    assert [file.name for file in (tmp_path / "s").iterdir() if b"SECRET-KEY" in file.read_bytes()] == []
    store.close()


def test_closing_ends_a_compaction(tmp_path: Path) -> None:
    """Cancelled, it raises that the database is closing; nothing is lost."""
    store = Store(tmp_path / "s")
    for i in range(60):
        batch = store.batch()
        for j in range(400):
            batch.put(DOCUMENTS, b"%03d-%03d" % (j, i), os.urandom(2000))
        batch.flush()
        if i % 20 == 19:
            store.flush()
    store.sync()
    outcome: list[BaseException] = []

    def compact() -> None:
        try:
            store.compact(DOCUMENTS, rewrite=True)
        except BaseException as error:  # noqa: BLE001  (looked at below)
            outcome.append(error)

    thread = threading.Thread(target=compact)
    thread.start()
    while not store._compacting:
        time.sleep(0.001)
    store.cancel_compactions()
    thread.join(30)
    assert not thread.is_alive()
    assert [type(error) for error in outcome] in ([DatabaseClosedError], [])
    store.close()
    store = Store(tmp_path / "s")
    assert sum(1 for _ in store.items(DOCUMENTS, b"", b"~")) == 24_000
    store.close()


def test_memory_is_accounted_for(tmp_path: Path) -> None:
    """Memtables hold what was written, until it is flushed; reading fills the cache, within its limit."""
    store = Store(tmp_path / "s", options=StoreOptions(cache_bytes=1_000_000))
    for i in range(500):
        put(store, b"%03d" % i, os.urandom(4000))
    before = store.memory()
    assert before["memtables_bytes"] >= 2_000_000
    store.flush()
    assert store.memory()["memtables_bytes"] < 200_000
    for i in range(0, 500, 10):
        store.get_many(DOCUMENTS, [b"%03d" % j for j in range(i, i + 10)])
    assert 300_000 < store.memory()["block_cache_bytes"] <= 1_200_000
    assert store.memory()["block_cache_bytes_max"] == 1_000_000
    store.close()
