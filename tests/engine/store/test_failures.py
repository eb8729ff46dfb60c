"""engine.store.failures: what RocksDB and the disk say, as the engine's errors."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engine.errors import CorruptionError, StorageError, StorageFullError
from engine.store.failures import translate, translate_opening
from engine.store.rocks import DOCUMENTS, Store


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Exception("IO error: No space left on device: While appending to file: /s/000004.log: x"), StorageFullError),
        (Exception("IO error: While appending to file: /s/000004.log: File too large"), StorageFullError),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/s/x"), StorageFullError),
        (OSError(errno.EIO, "Input/output error", "/s/File too large"), StorageError),
        (Exception("Corruption: block checksum mismatch"), CorruptionError),
        (Exception("IO error: something"), StorageError),
    ],
)
def test_errors_of_the_disk_have_kinds(error: Exception, kind: type[Exception]) -> None:
    """Full, damaged, or failed."""
    assert type(translate(error)) is kind


@pytest.mark.parametrize("name", ["quota", "No space left on device", "File too large", "Corruption: x"])
def test_a_directory_may_have_any_name(name: str) -> None:
    """What the path says is no reason."""
    path = Path("/srv") / name / "db"
    for error in (Exception(f"IO error: timeout: {path}/000004.log"), Exception("IO error: timeout")):
        assert type(translate(error, path)) is StorageError
    assert type(translate_opening(Exception(f"IO error: No such file: {path}/block/CURRENT"), path)) is CorruptionError


def damage(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def test_a_damaged_log_is_named_with_what_to_do(tmp_path: Path) -> None:
    """A flipped byte in the middle of the log, in a directory named for a lock."""
    path = tmp_path / "blocks"
    store = Store(path)
    for i in range(20):
        batch = store.batch()
        batch.put(DOCUMENTS, b"%d" % i, b"x" * 1000)
        batch.flush()
    store.sync()
    copy = tmp_path / "block"
    copy.mkdir()
    for file in path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    store.close()
    (log,) = copy.glob("*.log")
    damage(log, 5000)
    with pytest.raises(CorruptionError, match=rf"{log}.*lumaai restore.*read_only"):
        Store(copy)


def test_a_damaged_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    """By the error of whoever reads it."""
    store = Store(tmp_path / "s")
    batch = store.batch()
    batch.put(DOCUMENTS, b"a", b"x" * 1000)
    batch.flush()
    store.flush()
    store.close()
    for table in (tmp_path / "s").glob("*.sst"):
        damage(table, 20)
    store = Store(tmp_path / "s")
    with pytest.raises(CorruptionError, match=r"\d{6}\.sst.*lumaai restore.*read_only"):
        store.get(DOCUMENTS, b"a")
    store.close()
