"""Reader of CSV and TSV files: one document a row, with the types that whole columns agree on."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.columns import Column, Converter
from lumaai.ingestion.record import Record, record_of
from lumaai.ingestion.source import not_utf8, opened_text

_DELIMITERS = ",;\t|"
_CELL_CHARACTERS_MAX = 16 * 1024 * 1024
_NAMES_SHOWN_MAX = 5


def read_csv(
    path: Path,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[Record]:
    """The rows of a CSV file, by the names in its first line; empty cells are left out.

    A cell becomes what the collection has the column as; one that does not fit stays text, for the collection to
    refuse. A column that is new is integer, number or boolean if all its cells are (the file is read twice), so that
    codes never fall apart into numbers and strings, or if nearly all are (`columns.MAJORITY_SHARE`): then the rows
    with the others are bad ones. The delimiter is the one of `,` `;` tab `|` that the first line has most of.

    Args:
        path: the file.
        fields: how the collection has its fields, by name: `{"type": "integer", "declared": true}`.
        on_note: told what is worth knowing of a column that is read, such as which cell keeps it text.

    Raises:
        InvalidRequestError: no header, a name twice, not UTF-8, or not CSV (an open quote).
    """
    with _rows(path) as (header, rows):
        columns = [Column(name, (fields or {}).get(name)) for name in header]
        for row in rows:
            if len(row.cells) == len(columns):
                for column, cell in zip(columns, row.cells, strict=True):
                    column.see(cell, row.line)
    for note in filter(None, (column.note() for column in columns)):
        if on_note is not None:
            on_note(f"{path}: {note}")
    converters = [column.converter() for column in columns]
    with _rows(path) as (header, rows):
        for row in rows:
            yield _record(row, header, converters)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row, the line it starts on, and why it could not be read."""

    line: int
    cells: list[str]
    problem: str | None = None


@contextmanager
def _rows(path: Path) -> Iterator[tuple[list[str], Iterator[_Row]]]:
    csv.field_size_limit(_CELL_CHARACTERS_MAX)
    with opened_text(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        try:
            first = text.readline()
            if not first.strip():
                raise InvalidRequestError(f"{path} has no header line", code="file_malformed")
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(itertools.chain([first], text), delimiter=delimiter, strict=True)
            header = _named(path, next(reader))
            yield header, _numbered(reader)
        except UnicodeDecodeError as error:
            raise not_utf8(path, error, binary.tell() - len(error.object)) from error
        except csv.Error as error:
            raise InvalidRequestError(
                f"{path} is not CSV: {error} (line {reader.line_num})", code="file_malformed"
            ) from error
        finally:
            text.detach()


def _numbered(reader: Any) -> Iterator[_Row]:
    """The rows of a `csv.reader`. One that is malformed is passed over; an open quote takes all that follows it."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield _Row(line, [], f"row is not CSV: {error}")
            continue
        if cells is None:
            return
        if cells:
            yield _Row(line, cells)


def _named(path: Path, header: Sequence[str]) -> list[str]:
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(sorted(twice[:_NAMES_SHOWN_MAX])) + (", …" if len(twice) > _NAMES_SHOWN_MAX else "")
        raise InvalidRequestError(f"{path} has a column twice: {shown}", code="file_malformed")
    return names


def _record(row: _Row, header: list[str], converters: list[Converter]) -> Record:
    size = sum(map(len, row.cells)) + len(row.cells)
    problem = row.problem
    if problem is None and len(row.cells) != len(header):
        problem = f"row has {len(row.cells)} cells: expected={len(header)}"
    if problem is not None:
        return Record(row.line, problem=problem, bytes=size)
    values = ((name, convert(cell)) for name, convert, cell in zip(header, converters, row.cells, strict=True))
    try:
        document = {name: value for name, value in values if value is not None}
    except ValueError as error:
        return Record(row.line, problem=str(error), bytes=size)
    return record_of(row.line, document, size)
