"""Which slot of a Tantivy index holds which field, kept in a file beside it.

Tantivy's schema is fixed when an index is made. Ours has numbered slots, all analysed alike (by us), so that a field
can join later without a new index.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.text.analyzer import VERSION
from engine.text.errors import TextIndexDamagedError, TextIndexOutdatedError

FILE = "fields.json"
FORMAT = 1
SLOTS_MIN = 8


class TextField(msgspec.Struct, frozen=True):
    """One field of an index.

    Attributes:
        slot: number of the Tantivy field that holds it.
        language: of its stems; None for none.
    """

    slot: int
    language: str | None = None

    @property
    def name(self) -> str:
        """Name of the Tantivy field."""
        return slot_name(self.slot)


class FieldTable(msgspec.Struct, frozen=True):
    """What `fields.json` says."""

    format: int
    analyzer: int
    slots: int
    fields: dict[str, TextField]

    def with_fields(self, languages: Mapping[str, str | None]) -> FieldTable:
        """This table, knowing all of `languages` (field → language); fields that are no more keep their slots.

        Raises:
            TextIndexOutdatedError: a field changed its language, or no slot is free: the index must be built again.
        """
        fields = dict(self.fields)
        for name, language in languages.items():
            known = fields.setdefault(name, TextField(len(fields), language))
            if known.language != language:
                raise TextIndexOutdatedError(f"field {name!r} has another language: {known.language} → {language}")
        if len(fields) > self.slots:
            raise TextIndexOutdatedError(f"no slot is free: slots={self.slots} fields={len(fields)}")
        return self if fields == self.fields else msgspec.structs.replace(self, fields=fields)


def slot_name(slot: int) -> str:
    """Name of the Tantivy field with that number."""
    return f"text_{slot}"


def make_table(languages: Mapping[str, str | None]) -> FieldTable:
    """A table for a new index, with room for as many fields again."""
    slots = SLOTS_MIN
    while slots < 2 * len(languages):
        slots *= 2
    return FieldTable(FORMAT, VERSION, slots, {}).with_fields(languages)


def read_table(directory: Path) -> FieldTable | None:
    """The table of an index; None where there is no index.

    Raises:
        TextIndexDamagedError: it cannot be read.
        TextIndexOutdatedError: it is of another format, or of another version of the analysis.
    """
    path = directory / FILE
    try:
        table = msgspec.json.decode(path.read_bytes(), type=FieldTable)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise TextIndexDamagedError(f"table of text fields cannot be read: path={path} reason={error}") from error
    if (table.format, table.analyzer) != (FORMAT, VERSION):
        raise TextIndexOutdatedError(f"text index is of another version: path={path}")
    return table


def write_table(directory: Path, table: FieldTable) -> None:
    """Replace the table, durably."""
    path, aside = directory / FILE, directory / f"{FILE}.new"
    with aside.open("wb") as file:
        file.write(msgspec.json.encode(table))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
