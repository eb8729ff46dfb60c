"""engine.text.fields: slots of fields and the file that tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.text.errors import TextIndexDamagedError, TextIndexOutdatedError
from engine.text.fields import FILE, FORMAT, TextField, make_table, read_table, write_table


def test_a_field_keeps_its_slot() -> None:
    """Whoever joins or leaves."""
    table = make_table({"title": "en", "text": None})
    assert (table.slots, table.fields) == (8, {"title": TextField(0, "en"), "text": TextField(1)})
    grown = table.with_fields({"body": None, "text": None})
    assert grown.fields == {"title": TextField(0, "en"), "text": TextField(1), "body": TextField(2)}
    assert table.with_fields({"text": None}) is table
    assert grown.fields["body"].name == "text_2"


def test_a_table_that_cannot_hold_a_field_is_outdated() -> None:
    """Another language, or more fields than slots."""
    table = make_table({"title": "en"})
    with pytest.raises(TextIndexOutdatedError, match="field 'title' has another language: en → None"):
        table.with_fields({"title": None})
    with pytest.raises(TextIndexOutdatedError, match="no slot is free: slots=8 fields=9"):
        table.with_fields({str(i): None for i in range(8)})


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    """None where there is none; damage and other formats are told apart."""
    assert read_table(tmp_path) is None
    table = make_table({"größe": "de", "x": None})
    write_table(tmp_path, table)
    assert read_table(tmp_path) == table
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    path = tmp_path / FILE
    path.write_text(path.read_text().replace(f'"format":{FORMAT}', '"format":99'))
    with pytest.raises(TextIndexOutdatedError, match="of another version"):
        read_table(tmp_path)
    path.write_bytes(b"\xff")
    with pytest.raises(TextIndexDamagedError, match="cannot be read"):
        read_table(tmp_path)
