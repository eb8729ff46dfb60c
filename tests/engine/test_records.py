from __future__ import annotations

from pathlib import Path

import pytest

from engine import Database, DatabaseClosedError, InvalidInputError, ReadOnlyError, Schema, restore_archive
from engine.records import RECORD_BYTES_MAX


def test_records_are_durable_and_apart_by_kind(tmp_path: Path) -> None:
    """What was written is there after reopening, under its kind and name; lasting ones are a kind of their own."""
    with Database.open(tmp_path / "db") as database:
        database.records("alias").write({"b": b"2", "a": b"1", "ü/x": b"3"})
        database.records("alia").write({"s/a": b"another"})
        database.records("alias", lasting=True).write({"a": b"lasting"})
        database.records("alias").write({"b": None, "never": None, "c": b""})
    with Database.open(tmp_path / "db") as database:
        assert database.records("alias").items() == {"a": b"1", "c": b"", "ü/x": b"3"}
        assert database.records("alia").items() == {"s/a": b"another"}
        assert database.records("alias", lasting=True).get("a") == b"lasting"
        assert database.records("alias").get("b") is None
        assert database.check().problems == []
        assert database.collections() == []


def test_records_are_read_beside_the_owner_and_not_written(tmp_path: Path) -> None:
    """As of the last refresh."""
    with Database.open(tmp_path / "db") as owner:
        owner.create_collection("c", Schema())
        owner.records("alias").write({"a": b"1"})
        with Database.open(tmp_path / "db", read_only=True) as reader:
            records = reader.records("alias")
            assert records.items() == {"a": b"1"}
            with pytest.raises(ReadOnlyError):
                records.write({"a": b"2"})
            owner.records("alias").write({"a": b"3"})
            reader.refresh()
            assert records.get("a") == b"3"


def test_a_restore_replaces_records_but_for_the_lasting_ones(tmp_path: Path) -> None:
    """In place, over a closed database, and over one that nothing was written to; elsewhere all come."""

    def fill(database: Database, value: bytes) -> None:
        for lasting in (False, True):
            database.records("k", lasting=lasting).write({"both": value, value.decode(): value})

    def found(database: Database) -> tuple[set[str], set[str]]:
        return set(database.records("k").items()), set(database.records("k", lasting=True).items())

    archive = tmp_path / "archive"
    with Database.open(tmp_path / "db") as database:
        fill(database, b"old")
        database.archive(archive)
        database.records("k", lasting=True).write({"old": None})
        fill(database, b"new")
        database.records("k").write({"old": None})
        assert found(database) == ({"both", "new"}, {"both", "new"})
        with database.restore(archive) as restored:
            assert found(restored) == ({"both", "old"}, {"both", "new"})
            assert restored.records("k", lasting=True).get("both") == b"new"
    restore_archive(archive, tmp_path / "db", replace=True)
    with Database.open(tmp_path / "db") as database:
        assert found(database) == ({"both", "old"}, {"both", "new"})
    restore_archive(archive, tmp_path / "elsewhere")
    with Database.open(tmp_path / "elsewhere") as database:
        assert found(database) == ({"both", "old"}, {"both", "old"})


def test_records_are_bounded_and_closed_with_their_database(tmp_path: Path) -> None:
    """A value that is too large leaves the others of the same call unwritten."""
    database = Database.open(tmp_path / "db")
    records = database.records("k")
    with pytest.raises(InvalidInputError):
        records.write({"a": b"1", "b": bytes(RECORD_BYTES_MAX + 1)})
    assert records.items() == {}
    for kind in ("", "a/b", "ä"):
        with pytest.raises(InvalidInputError):
            database.records(kind)
    database.close()
    for use in (records.items, lambda: records.write({"a": b"1"})):
        with pytest.raises(DatabaseClosedError):
            use()
