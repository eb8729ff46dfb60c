"""engine.store.stamps: whether all families show the same moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import CorruptionError
from engine.store.rocks import FAMILIES, IDS, LOG, SYSTEM, VECTORS, Store
from engine.store.stamps import STAMP, UnevenError, check_stamps


def put(store: Store, *families: str) -> None:
    batch = store.batch()
    for family in families:
        batch.put(family, b"key", b"value")
    batch.flush()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_a_store_that_has_caught_up_is_even(tmp_path: Path, scratch: Path) -> None:
    """With nothing in it, after each write, a flush, a compaction, a failed process and another opening."""
    store = Store(tmp_path / "s")
    beside = Store(tmp_path / "s", scratch=scratch)
    assert check_stamps(beside) == 0
    for families in ((IDS,), (SYSTEM,), (LOG, VECTORS), FAMILIES):
        put(store, *families)
        beside.catch_up()
        assert check_stamps(beside) == store.written()
        store.flush()
        store.compact(IDS, rewrite=True)
        beside.catch_up()
        assert check_stamps(beside) == store.written()
        store.close()
        store = Store(tmp_path / "s")
        put(store, IDS)
        beside.renew()
        assert check_stamps(beside) == store.written()
    assert list(store.items(IDS, b"", b"\xff" * 9)) == [(b"key", b"value")]
    beside.close()
    store.close()


def test_a_family_that_is_behind_is_found(tmp_path: Path) -> None:
    """Or whose last write went past the stamps; a stamp that is none is damage."""
    for family, key, error in (
        (IDS, STAMP, UnevenError),
        (IDS, b"other", UnevenError),
        (SYSTEM, STAMP, CorruptionError),
    ):
        store = Store(tmp_path / f"{family}{len(key)}")
        put(store, IDS, LOG)
        assert check_stamps(store) == store.written()
        store._families[family].put(key, b"1" if family == IDS else b"{")
        with pytest.raises(error):
            check_stamps(store)
        store.close()


def test_an_earlier_versions_store_has_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store._families[IDS].put(b"key", b"value")
    assert check_stamps(store) == 1
    store.close()


def test_files_that_come_and_go_meanwhile_are_noticed(tmp_path: Path, scratch: Path) -> None:
    """Whoever looks once more finds nothing new."""
    store = Store(tmp_path / "s")
    put(store, IDS)
    beside = Store(tmp_path / "s", scratch=scratch)
    beside.check_steady()
    store.flush()
    with pytest.raises(UnevenError, match="changed while it was read"):
        beside.check_steady()
    beside.renew()
    beside.check_steady()
    beside.close()
    store.close()
