from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from models import CacheUnavailableError, ModelError, SqliteCache

DIM = 64
MARKED = np.full((1, DIM), 1234.5, dtype=np.float32)  # found again by its bytes
KEY = b"0123456789abcdef"


def digest(number: int) -> bytes:
    return number.to_bytes(16, "big")


def files_hold(directory: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in directory.iterdir())


def test_vectors_survive_reopening(tmp_path: Path) -> None:
    """A second cache over the file has what the first was given."""
    first = SqliteCache(tmp_path / "v.sqlite3")
    first.put_many("m", [KEY], MARKED)
    first.close()
    second = SqliteCache(tmp_path / "v.sqlite3")
    (vector,) = second.get_many("m", [KEY])
    assert vector is not None
    assert vector.tolist() == MARKED[0].tolist()
    second.close()


@pytest.mark.parametrize("how", ["delete", "clear"])
def test_deleted_bytes_are_in_no_file(tmp_path: Path, how: str) -> None:
    """Neither digest nor vector, in the file or its log; other entries stay after a deletion."""
    cache = SqliteCache(tmp_path / "v.sqlite3")
    others = np.zeros((50, DIM), dtype=np.float32)
    cache.put_many("m", [digest(row) for row in range(50)], others)
    cache.put_many("m", [KEY], MARKED)
    assert files_hold(tmp_path, KEY)
    assert files_hold(tmp_path, MARKED.tobytes())
    if how == "delete":
        cache.delete_many([KEY])
    else:
        cache.clear()
    assert not files_hold(tmp_path, KEY)
    assert not files_hold(tmp_path, MARKED.tobytes())
    assert (cache.get_many("m", [digest(7)])[0] is not None) is (how == "delete")
    cache.close()


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    """It costs the vectors, not the service."""
    path = tmp_path / "v.sqlite3"
    path.write_bytes(b"this is no database at all" * 400)
    cache = SqliteCache(path)
    assert cache.get_many("m", [KEY]) == [None]
    cache.put_many("m", [KEY], MARKED)
    assert cache.get_many("m", [KEY])[0] is not None
    cache.close()


def test_a_flipped_bit_in_a_vector_is_a_miss(tmp_path: Path) -> None:
    """SQLite does not check its pages; the vector's own checksum does."""
    path = tmp_path / "v.sqlite3"
    cache = SqliteCache(path)
    cache.put_many("m", [KEY], MARKED)
    cache.close()
    content = bytearray(path.read_bytes())
    content[content.index(MARKED.tobytes()) + 17] ^= 1
    path.write_bytes(content)
    cache = SqliteCache(path)
    assert cache.get_many("m", [KEY]) == [None]
    cache.close()


def test_damage_found_while_in_use_costs_the_vectors_only(tmp_path: Path) -> None:
    """Pages overwritten under an open cache: misses, then a new file."""
    path = tmp_path / "v.sqlite3"
    cache = SqliteCache(path)
    cache.put_many("m", [digest(row) for row in range(2000)], np.zeros((2000, DIM), np.float32))
    cache.close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    cache = SqliteCache(path)
    assert cache.get_many("m", [digest(3)]) == [None]
    cache.put_many("m", [KEY], MARKED)
    assert cache.get_many("m", [KEY])[0] is not None
    cache.close()


def test_the_file_stays_within_its_limit_and_the_newest_stay(tmp_path: Path) -> None:
    """10,000 vectors of 260 bytes through a file of 512 KiB."""
    path = tmp_path / "v.sqlite3"
    cache = SqliteCache(path, file_bytes_max=512 << 10)
    for start in range(0, 10_000, 100):
        cache.put_many("m", [digest(start + row) for row in range(100)], np.zeros((100, DIM), np.float32))
    assert path.stat().st_size < 1.3 * (512 << 10)
    kept = [vector is not None for vector in cache.get_many("m", [digest(row) for row in range(10_000)])]
    assert sum(kept) > 500
    assert all(kept[-500:])
    assert not any(kept[:5000])
    cache.close()


def test_a_locked_file_costs_speed_but_forgetting_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the write lock: putting is given up, deleting says so."""
    monkeypatch.setattr("models.caches.sqlite._BUSY_SECONDS", 0.05)
    cache = SqliteCache(tmp_path / "v.sqlite3")
    cache.put_many("m", [KEY], MARKED)
    other = sqlite3.connect(tmp_path / "v.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    cache.put_many("m", [digest(1)], MARKED)
    assert [vector is None for vector in cache.get_many("m", [KEY, digest(1)])] == [False, True]
    with pytest.raises(CacheUnavailableError, match=r"v\.sqlite3"):
        cache.delete_many([KEY])
    other.execute("ROLLBACK")
    other.close()
    cache.delete_many([KEY])
    assert cache.get_many("m", [KEY]) == [None]
    cache.close()


def put_from_another_process(path: Path, first: int) -> None:
    cache = SqliteCache(path)
    for row in range(first, first + 50):
        cache.put_many("m", [digest(row)], np.full((1, DIM), row, np.float32))
    cache.close()


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Three writers at once; every vector is there and right."""
    path = tmp_path / "v.sqlite3"
    SqliteCache(path).close()
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(put_from_another_process, [(path, first) for first in (0, 50, 100)])
    cache = SqliteCache(path)
    vectors = cache.get_many("m", [digest(row) for row in range(150)])
    assert [None if vector is None else int(vector[0]) for vector in vectors] == list(range(150))
    cache.close()


def test_a_path_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ModelError, match=r"no/v\.sqlite3"):
        SqliteCache(tmp_path / "no" / "v.sqlite3")


def test_a_closed_cache_has_nothing(tmp_path: Path) -> None:
    """A late call during shutdown is no error."""
    cache = SqliteCache(tmp_path / "v.sqlite3")
    cache.close()
    cache.put_many("m", [KEY], MARKED)
    assert cache.get_many("m", [KEY]) == [None]
