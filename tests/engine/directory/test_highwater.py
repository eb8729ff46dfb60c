"""engine.directory.highwater: how far a database had come."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Database, Schema
from engine.directory import highwater
from engine.directory.highwater import Counter, HighWater, Mark
from engine.directory.layout import COUNTER_FILE, MARK_FILE
from engine.errors import CorruptionError


def test_a_mark_survives_and_never_goes_back(tmp_path: Path) -> None:
    """Recorded, read again; a smaller number leaves the larger one."""
    high_water = HighWater(tmp_path)
    assert high_water.mark is None
    high_water.record(7, 2)
    high_water.record(5, 3, ["b.sst", "a.sst"])
    assert HighWater(tmp_path).mark == Mark(7, 3, ("a.sst", "b.sst"))
    assert sorted(file.name for file in tmp_path.iterdir()) == [COUNTER_FILE, MARK_FILE]


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


def test_a_flipped_bit_anywhere_in_the_mark_is_damage_of_its_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Never another mark: the store is not blamed, and the counter still guards it."""
    high_water = HighWater(tmp_path)
    high_water.record(7, 2, ["000001.sst", "000002.sst"])
    file = tmp_path / MARK_FILE
    data = file.read_bytes()
    for place in range(len(data)):
        for bit in range(8):
            file.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
            caplog.clear()
            again = HighWater(tmp_path)
            if again.mark is None:
                assert [record.message for record in caplog.records] == ["highwater.damaged"]
                assert [found for found, _ in again.found] == [file]
            else:
                assert again.mark == high_water.mark  # a blank became another
            again.check(7, 2, ["000001.sst", "000002.sst"], tmp_path)
            with pytest.raises(CorruptionError, match=r"sequence=6 expected at least 7"):
                again.check(6, 2, [], tmp_path)


def test_a_mark_without_a_checksum_is_read(tmp_path: Path) -> None:
    """As written before there was one, open and closed; a field too many is damage."""
    file = tmp_path / MARK_FILE
    file.write_text('{"sequence": 7, "next_collection": 2, "clean": true, "tables": ["a.sst"]}')
    assert HighWater(tmp_path).mark == Mark(7, 2, ("a.sst",))
    file.write_text('{"sequence": 7, "next_collection": 2, "clean": false, "tables": []}')
    assert HighWater(tmp_path).mark == Mark(7, 2)
    file.write_text('{"sequence": 7, "next_collection": 2, "clean": false, "tables": [], "dhecksum": 1}')
    assert HighWater(tmp_path).mark is None


def test_an_opening_that_is_cut_short_leaves_no_mark_of_a_clean_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where the store may be written, its tables are not held against it: the next opening finds it sound."""
    with Database.open(tmp_path) as database:
        database.create_collection("c", Schema()).add([{"id": "1"}])
    closed = HighWater(tmp_path).mark
    assert closed is not None
    assert closed.closed_with

    def interrupt(*_: object, **__: object) -> None:
        mark = HighWater(tmp_path).mark
        assert mark is not None
        assert mark.closed_with is None
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("engine.database.Store", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Database.open(tmp_path)
    assert HighWater(tmp_path).mark == Mark(closed.sequence, closed.next_collection)
    with Database.open(tmp_path) as database:
        assert database.collection("c").snapshot().count() == 1


def test_the_counter_is_exact_where_the_mark_lags(tmp_path: Path) -> None:
    """Advanced without a record: the store must have come as far, and the message names the counter."""
    high_water = HighWater(tmp_path)
    high_water.record(7, 2)
    high_water.advance(9)
    again = HighWater(tmp_path)
    assert again.sequence == 9
    again.check(9, 2, [], tmp_path)
    with pytest.raises(CorruptionError, match=r"sequence=8 expected at least 9 \(by highwater\.counter\)"):
        again.check(8, 2, [], tmp_path)


def test_a_counter_never_goes_back_and_survives_reopening(tmp_path: Path) -> None:
    """Three advances, a smaller one, a new object each time; nothing is made by looking."""
    file = tmp_path / "counter"
    assert Counter(file).sequence is None
    assert not file.exists()
    for given, expected in ((3, 3), (5, 5), (4, 5), (6, 6)):
        counter = Counter(file)
        counter.advance(given)
        counter.close()
        assert Counter(file).sequence == expected


def test_a_flipped_bit_anywhere_in_the_counter_never_makes_it_larger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One slot goes, the other stays: at worst one write behind. Without its magic, or cut short, it says nothing."""
    file = tmp_path / "counter"
    counter = Counter(file)
    for sequence in range(1, 12):
        counter.advance(sequence)
    counter.close()
    data = file.read_bytes()
    for place in range(len(data)):
        file.write_bytes(bytes(byte ^ (1 << place % 8) if i == place else byte for i, byte in enumerate(data)))
        assert Counter(file).sequence in ((None,) if place < 8 else (10, 11))
    for size in (0, 1, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        caplog.clear()
        assert Counter(file).sequence is None
        assert [record.message for record in caplog.records] == ["highwater.damaged"]


def test_missing_and_damaged_files_are_named_and_written_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each by its name; after `write_anew` both say what they said."""
    high_water = HighWater(tmp_path)
    high_water.record(7, 2)
    assert high_water.damages() == []
    (tmp_path / MARK_FILE).unlink()
    high_water.warn_of_missing()
    assert [record.__dict__["path"] for record in caplog.records] == [str(tmp_path / MARK_FILE)]
    (tmp_path / COUNTER_FILE).write_bytes(b"")
    assert [file.name for file, _ in high_water.damages()] == [MARK_FILE, COUNTER_FILE]
    high_water.write_anew()
    assert high_water.damages() == []
    assert (HighWater(tmp_path).mark, HighWater(tmp_path).sequence) == (Mark(7, 2), 7)
    high_water.advance(8)
    assert HighWater(tmp_path).sequence == 8


def test_a_look_at_the_files_beside_writers_finds_them_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written between reading a file and judging it makes no damage of it."""
    high_water = HighWater(tmp_path)
    high_water.record(7, 2)

    class Read(Counter):
        def __init__(self, file: Path) -> None:
            super().__init__(file)
            high_water.record((self.sequence or 0) + 1, 2)

    monkeypatch.setattr(highwater, "Counter", Read)
    assert high_water.damages() == []
    high_water.close()
