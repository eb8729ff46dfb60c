"""Reader of CSV and TSV files: one document a row, with the types that whole columns agree on."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.record import Record, record_of
from lumaai.ingestion.source import not_utf8, opened_text

_DELIMITERS = ",;\t|"
_CELL_CHARACTERS_MAX = 16 * 1024 * 1024
# Codes are not numbers: "007", "+49 30", and digits beyond what a float64 or a spreadsheet keeps stay as they are.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
# An exponent counts only behind a point or with a sign: "12e3" is as likely a part number.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,17}(?:[eE][+-]?[0-9]{1,3})?|[eE][+-][0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}
# What stands for a missing value in a column of numbers or booleans; among words they are words.
_MISSING = frozenset({"nan", "na", "n/a", "null", "none"})
_ID_COLUMNS = frozenset({"id", "_id"})


class _Kind(IntEnum):
    """What the cells of a column have been so far; a column's kind only grows."""

    EMPTY = 0
    BOOLEAN = 1
    INTEGER = 2
    NUMBER = 3
    STRING = 4


def read_csv(path: Path, keep_text: Collection[str] = ()) -> Iterator[Record]:
    """The rows of a CSV file, by the names in its first line; empty cells are left out.

    The file is read twice: a column is integer, number or boolean only if all its cells are, so that a column of
    codes never falls apart into numbers and strings. The delimiter is the one of `,` `;` tab `|` that the first
    line has most of.

    Args:
        path: the file.
        keep_text: columns to be kept as strings whatever they look like (fields that the collection has as text).

    Raises:
        InvalidRequestError: no header, a name twice, not UTF-8, or not CSV (an open quote).
    """
    with _rows(path) as (header, rows):
        kinds = [_Kind.EMPTY] * len(header)
        for row in rows:
            if len(row.cells) == len(header):
                kinds = [_grown(kind, cell) for kind, cell in zip(kinds, row.cells, strict=True)]
    converters = [_converter(kind, name, keep_text) for kind, name in zip(kinds, header, strict=True)]
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
            reader = csv.reader(_again(first, text), delimiter=delimiter, strict=True)
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


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


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
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidRequestError(f"{path} has a column twice: {', '.join(twice)}", code="file_malformed")
    return names


def _grown(kind: _Kind, cell: str) -> _Kind:
    """The kind of a column that has this cell too."""
    if kind is _Kind.STRING:
        return kind
    word = cell.strip()
    if not word or word.lower() in _MISSING:
        return kind
    own = _kind_of(word)
    if kind is _Kind.EMPTY or kind is own:
        return own
    return _Kind.NUMBER if _Kind.BOOLEAN not in (kind, own) and _Kind.STRING not in (kind, own) else _Kind.STRING


def _kind_of(word: str) -> _Kind:
    if _INTEGER.fullmatch(word):
        return _Kind.INTEGER
    if _NUMBER.fullmatch(word) and math.isfinite(float(word)):
        return _Kind.NUMBER
    return _Kind.BOOLEAN if word.lower() in _BOOLEANS else _Kind.STRING


_Converter = Callable[[str], object]


def _converter(kind: _Kind, name: str, keep_text: Collection[str]) -> _Converter:
    """Cell → value, None for a missing one."""
    if name in _ID_COLUMNS or name in keep_text:
        return lambda cell: cell or None
    match kind:
        case _Kind.INTEGER:
            return lambda cell: None if _is_missing(cell) else int(cell)
        case _Kind.NUMBER:
            return lambda cell: None if _is_missing(cell) else float(cell)
        case _Kind.BOOLEAN:
            return lambda cell: None if _is_missing(cell) else _BOOLEANS[cell.strip().lower()]
        case _:
            return lambda cell: cell if cell.strip() else None


def _is_missing(cell: str) -> bool:
    word = cell.strip().lower()
    return not word or word in _MISSING


def _record(row: _Row, header: list[str], converters: list[_Converter]) -> Record:
    size = sum(map(len, row.cells)) + len(row.cells)
    problem = row.problem
    if problem is None and len(row.cells) != len(header):
        problem = f"row has {len(row.cells)} cells: expected={len(header)}"
    if problem is not None:
        return Record(row.line, problem=problem, bytes=size)
    values = ((name, convert(cell)) for name, convert, cell in zip(header, converters, row.cells, strict=True))
    return record_of(row.line, {name: value for name, value in values if value is not None}, size)
