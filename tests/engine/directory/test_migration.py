"""engine.directory.migration: formats, and the way from each to the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import Database, FormatError, Schema
from engine.directory.migration import FORMAT, NEEDS, describe_newer, migrate, read_format, write_marker


def format_1(path: Path) -> None:
    """What this version writes, with the marks of format 1."""
    with Database.open(path) as database:
        database.create_collection("c", Schema()).add([{"id": "1"}])
    (path / "lumaai.json").write_text('{"format": 1}')
    (path / "highwater.counter").unlink()


def test_opening_migrates_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The marker names the format and the version that reads it; a counter guards the store from then on."""
    format_1(path)
    with caplog.at_level("INFO"):
        for _ in range(2):
            with Database.open(path) as database:
                assert database.collection("c").snapshot().count() == 1
    assert json.loads((path / "lumaai.json").read_text()) == {"format": FORMAT, "needs": NEEDS}
    assert (path / "highwater.counter").exists()
    names = [record.message for record in caplog.records]
    assert names.count("database.migrated") == 1
    assert "highwater.missing" not in names


def test_a_reader_does_not_migrate(path: Path) -> None:
    """It reads format 1 as it is."""
    format_1(path)
    with Database.open(path, read_only=True) as reader:
        assert reader.collection("c").snapshot().get(["1"]) == [{"id": "1"}]
    assert (path / "lumaai.json").read_text() == '{"format": 1}'


@pytest.mark.parametrize("point", ["migrate.before_step", "migrate.after_step", "migrate.after_marker"])
def test_a_migration_cut_short_is_done_again(path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Every step can be repeated; until the marker is written, the format is the old one."""
    format_1(path)

    def fail(name: str) -> None:
        if name == point:
            raise OSError(5, name)

    monkeypatch.setattr("engine.failpoints.hit", fail)
    with pytest.raises(OSError, match=point):
        migrate(path)
    monkeypatch.undo()
    assert read_format(path) == (FORMAT if point == "migrate.after_marker" else 1)
    migrate(path)
    assert read_format(path) == FORMAT
    with Database.open(path) as database:
        assert database.collection("c").snapshot().count() == 1


def test_a_damaged_database_is_not_migrated(path: Path) -> None:
    """The store is looked at first; the marker stays."""
    format_1(path)
    (path / "store" / "CURRENT").unlink()
    with pytest.raises(Exception, match="CURRENT"):
        Database.open(path)
    assert (path / "lumaai.json").read_text() == '{"format": 1}'


NEWER = [
    ('{"format": 7, "needs": "3.1.0"}', "LumaDB AI 3.1.0 or later"),
    ('{"format": 7}', "a version that reads format 7"),
]


@pytest.mark.parametrize(("text", "message"), NEWER)
def test_a_newer_format_names_the_version_it_needs(tmp_path: Path, text: str, message: str) -> None:
    """And what this one reads."""
    (tmp_path / "lumaai.json").write_text(text)
    with pytest.raises(FormatError, match=f"format 7, which needs {message}; this version reads up to format {FORMAT}"):
        read_format(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "2"}', '{"format": 0}', '{"format": true}', "\xff"])
def test_a_marker_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    """By its path."""
    (tmp_path / "lumaai.json").write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match=str(tmp_path / "lumaai.json")):
        read_format(tmp_path)
    write_marker(tmp_path)
    assert read_format(tmp_path) == FORMAT


@pytest.mark.parametrize("needs", [None, 3, "", "soon", NEEDS, "0.0.9", "0.1", "9" * 5000])
def test_a_newer_format_never_asks_for_a_version_that_cannot_read_it(needs: object) -> None:
    """Where the file names none, an older one, this one, or nonsense: then the format says what is needed."""
    assert describe_newer(3, needs).startswith("format 3, which needs a version that reads format 3; ")
    assert describe_newer(3, "0.1.1").startswith("format 3, which needs LumaDB AI 0.1.1 or later; ")
