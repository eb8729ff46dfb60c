"""CSV: types that whole columns agree on, and bad rows named by their line."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lumaai.errors import InvalidRequestError
from lumaai.ingestion import read

Rows = Callable[..., list[Any]]


@pytest.fixture
def rows(tmp_path: Path) -> Any:
    """Write a CSV file; its records as documents without ids, or as (line, problem)."""

    def of(text: str | bytes, *, name: str = "a.csv", fields: Any = None) -> list[object]:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return [
            {k: v for k, v in record.document.items() if k != "id"}
            if record.document
            else (record.position, record.problem)
            for record in read(path, fields=fields)
        ]

    return of


def column(rows: Rows, *cells: str) -> list[object]:
    text = "name,value\n" + "".join(f'n{i},"{cell}"\n' for i, cell in enumerate(cells))
    return [row.get("value", "missing") for row in rows(text)]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-20", "0"], [1, -20, 0]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1.5e-07", "1e+3"], [1.5e-07, 1000.0]),
        (["true", "FALSE", "True"], [True, False, True]),
        (["1", "", " "], [1, "missing", "missing"]),
        (["1.5", "NaN", "n/a", "NULL"], [1.5, "missing", "missing", "missing"]),
        (["", "nan"], ["missing", "nan"]),
        (["007", "123"], ["007", "123"]),
        (["+4930123", "12"], ["+4930123", "12"]),
        (["1234567890123456", "1"], ["1234567890123456", "1"]),
        (["12e3", "1"], ["12e3", "1"]),
        (["inf", "1"], ["inf", "1"]),
        (["1e+999", "1"], ["1e+999", "1"]),
        (["1,000", "2"], ["1,000", "2"]),
        (["true", "1"], ["true", "1"]),
        (["2024-01-31", "2024-02-01"], ["2024-01-31", "2024-02-01"]),
        (["Namibia", "NA"], ["Namibia", "NA"]),
        (["٣", "1"], ["٣", "1"]),
    ],
)
def test_a_column_has_one_type(rows: Rows, cells: Any, values: Any) -> None:
    """Numbers only where every cell is one and none could be a code; empty cells are left out."""
    found = column(rows, *cells)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_ids_stay_strings(tmp_path: Path) -> None:
    """The id column is text, whatever it looks like."""
    path = tmp_path / "a.csv"
    path.write_text("id,year\n12,1999\n013,2000\n")
    assert [record.document for record in read(path)] == [{"id": "12", "year": 1999}, {"id": "013", "year": 2000}]


def test_fields_that_the_collection_has_as_text_stay_text(rows: Rows) -> None:
    """A second file whose codes all look like numbers does not contradict the first."""
    assert rows("zip,n\n10115,1\n", fields={"zip": {"type": "keyword"}}) == [{"zip": "10115", "n": 1}]


DECLARED = {"declared": True}


@pytest.mark.parametrize(
    ("spec", "cells", "values"),
    [
        ({"type": "integer"}, ["1", "soon", "", "n/a"], [1, "soon", "missing", "missing"]),
        ({"type": "integer"}, ["1", "007"], [1, "007"]),
        ({"type": "integer"}, ["1", "2.5"], [1.0, 2.5]),
        ({"type": "integer", **DECLARED}, ["1", "2.5", "3.0", "007", "1,5"], [1, 2.5, 3, 7, "1,5"]),
        ({"type": "number"}, ["1", "2", "soon"], [1, 2, "soon"]),
        ({"type": "number", **DECLARED}, ["1", "2.5", ".5", "soon", "1e999"], [1.0, 2.5, 0.5, "soon", "1e999"]),
        ({"type": "number", **DECLARED}, ["1", "2", "-"], [1, 2, "-"]),
        ({"type": "boolean"}, ["TRUE", "1", "false", "NULL"], [True, "1", False, "missing"]),
        ({"type": "datetime"}, ["1999", "2000-01-01"], ["1999", "2000-01-01"]),
        ({"type": "json"}, ["1", "x"], ["1", "x"]),
        ({"type": "json"}, ["1", "2"], [1, 2]),
    ],
)
def test_cells_become_what_the_collection_has(rows: Rows, spec: Any, cells: Any, values: Any) -> None:
    """Each by itself; one that does not fit stays as it is, for the collection to refuse its row alone."""
    text = "name,value\n" + "".join(f'n,"{cell}"\n' for cell in cells)
    found = [row.get("value", "missing") for row in rows(text, fields={"value": spec})]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("cells", "bad", "reason"),
    [
        ([*map(str, range(19)), "?"], 21, "no integer: got='?' (19 of 20 rows have one)"),
        ([*map(str, range(18)), "0.5", "true"], 21, "no number: got='true' (19 of 20 rows have one)"),
        (["", "no", *["true"] * 19, "n/a"], 3, "no boolean: got='no' (19 of 20 rows have one)"),
        ([*map(str, range(19)), "x" * 99], 21, "no integer: got='" + "x" * 39 + "…' (19 of 20 rows have one)"),
    ],
)
def test_what_nearly_all_cells_are_the_others_must_be(tmp_path: Path, cells: Any, bad: int, reason: str) -> None:
    """95 % of 20 or more: the rows with the others are named, and no note is made."""
    path = tmp_path / "a.csv"
    path.write_text("id,value\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    notes: list[str] = []
    records = list(read(path, on_note=notes.append))
    assert [(r.position, r.problem) for r in records if r.problem] == [
        (bad, f"column 'value' has a value that is {reason}")
    ]
    assert not any(isinstance(r.document["value"], str) for r in records if r.document and "value" in r.document)
    assert notes == []


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["1", "2", "unknown"], "holds 1 value that is no number ('unknown', line 4): kept as text"),
        (["x", "1", "2", "3", "true"], "holds 2 values that are no numbers ('x', first on line 2): kept as text"),
        (["true", "true", "2"], "holds 1 value that is no boolean ('2', line 4): kept as text"),
        ([*["10115"] * 40, "01067"], "holds 1 value that is no number ('01067', line 42): kept as text"),
        ([*["7"] * 18, "a", "b"], "holds 2 values that are no numbers ('a', first on line 20): kept as text"),
        (["1984", "Alien", "Brazil"], None),
        (["1", "2"], None),
        (["", ""], None),
    ],
)
def test_a_column_that_some_cells_keep_text_is_noted(tmp_path: Path, cells: Any, note: str | None) -> None:
    """Codes always do, whatever their share; no number is lost or changed, and words among words are no news."""
    path = tmp_path / "a.csv"
    path.write_text("id,value\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    notes: list[str] = []
    records = list(read(path, on_note=notes.append))
    assert notes == ([] if note is None else [f"{path}: column value {note}"])
    if note is not None:
        assert [r.document["value"] for r in records if r.document] == cells


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_taken_from_the_first_line(rows: Rows, delimiter: Any) -> None:
    """What the header has most of separates the cells."""
    assert rows(f"a{delimiter}b{delimiter}c\n1{delimiter}2{delimiter}x y\n") == [{"a": 1, "b": 2, "c": "x y"}]


def test_quotes_line_breaks_and_a_byte_order_mark_are_understood(rows: Rows) -> None:
    """Cells may hold delimiters, quotes and lines; the mark is no part of the first name."""
    text = '\ufeffa,b\r\n"x, ""y""","two\r\nlines"\r\n'
    assert rows(text) == [{"a": 'x, "y"', "b": "two\r\nlines"}]


def test_bad_rows_are_named_by_the_line_they_start_on(rows: Rows) -> None:
    """Too few cells, too many, or text behind a quote: reported, and the others are read."""
    found = rows('a,b\n1,"two\nlines"\n2\n3,x,y\n"4"4,x\n5,x\n')
    assert found == [
        {"a": 1, "b": "two\nlines"},
        (4, "row has 1 cells: expected=2"),
        (5, "row has 3 cells: expected=2"),
        (6, "row is not CSV: ',' expected after '\"'"),
        {"a": 5, "b": "x"},
    ]


def test_an_open_quote_is_reported_where_it_opens(rows: Rows) -> None:
    """It takes the rest of the file with it, and says so once."""
    found = rows('a,b\n1,x\n2,"open\n3,y\n4,z\n')
    assert found == [{"a": 1, "b": "x"}, (3, "row is not CSV: unexpected end of data")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no header line"),
        ("\n1,2\n", "has no header line"),
        ("a,b,a\n1,2,3\n", "has a column twice: a"),
        (b"a,b\n1,caf\xe9\n", "is not UTF-8 (byte 0xe9 at byte 9)"),
        (b"\xff\xfea\x00,\x00b\x00", "it is UTF-16; convert it to UTF-8"),
        (b"a,b\n\x00\x01\x02", "it is binary"),
    ],
)
def test_files_that_are_no_csv_say_why(rows: Rows, text: Any, message: Any) -> None:
    """The whole file is refused before any row of it."""
    with pytest.raises(InvalidRequestError) as caught:
        rows(text)
    assert message in str(caught.value)


def test_columns_without_a_name_are_numbered(rows: Rows) -> None:
    """No cell is lost for want of a name."""
    assert rows("a,,c\n1,2,3\n") == [{"a": 1, "column_2": 2, "c": 3}]


def test_a_header_of_very_many_names_is_read_in_no_time(rows: Rows) -> None:
    """Time grows with their number, not with its square, which would be minutes of processor time."""
    names = [f"c{number}" for number in range(60_000)]
    started = time.process_time()
    (document,) = rows(f"{','.join(names)}\n{','.join('1' * len(names))}\n")
    assert len(document) == len(names)
    with pytest.raises(InvalidRequestError, match="twice: c0, c1, c2, c3, c4, …"):
        rows(f"{','.join(names + names)}\n")
    assert time.process_time() - started < 15
