"""engine.highwater: how far a database had come."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import CorruptionError
from engine.highwater import MARK_FILE, HighWater, Mark


def test_a_mark_survives_and_never_goes_back(tmp_path: Path) -> None:
    """Recorded, read again; a smaller number leaves the larger one."""
    high_water = HighWater(tmp_path)
    assert high_water.mark is None
    high_water.record(7, 2)
    high_water.record(5, 3, ["b.sst", "a.sst"])
    assert HighWater(tmp_path).mark == Mark(7, 3, clean=True, tables=("a.sst", "b.sst"))
    assert [file.name for file in tmp_path.iterdir()] == [MARK_FILE]


def test_the_same_mark_is_not_written_twice(tmp_path: Path) -> None:
    """An idle database leaves its disk alone."""
    high_water = HighWater(tmp_path)
    high_water.record(7, 2)
    (tmp_path / MARK_FILE).unlink()
    high_water.record(7, 2)
    assert not (tmp_path / MARK_FILE).exists()


@pytest.mark.parametrize(("sequence", "following"), [(6, 2), (7, 1)])
def test_a_store_behind_the_mark_is_damaged(tmp_path: Path, sequence: int, following: int) -> None:
    """The message names the store and both numbers; level with the mark, or ahead of it, is fine."""
    high_water = HighWater(tmp_path)
    high_water.record(7, 2)
    high_water.check(7, 2, [], tmp_path / "store")
    high_water.check(8, 3, ["new.sst"], tmp_path / "store")
    with pytest.raises(CorruptionError, match=r"store (sequence=6 expected at least 7|next_collection=1 .* least 2)"):
        high_water.check(sequence, following, [], tmp_path / "store")


def test_tables_that_the_store_was_closed_with_must_be_there(tmp_path: Path) -> None:
    """A manifest cut short names fewer; one that is whole names all."""
    high_water = HighWater(tmp_path)
    high_water.record(7, 2, ["000001.sst", "000002.sst"])
    high_water.check(7, 2, ["000002.sst", "000001.sst"], tmp_path)
    with pytest.raises(CorruptionError, match=r"lost tables: path=.* 000002\.sst"):
        high_water.check(7, 2, ["000001.sst"], tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sequence": 1}', '{"sequence": "x"}'])
def test_a_mark_that_cannot_be_read_is_none(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning: the store may well be sound."""
    (tmp_path / MARK_FILE).write_text(text)
    assert HighWater(tmp_path).mark is None
    assert [record.message for record in caplog.records] == ["highwater.damaged"]
