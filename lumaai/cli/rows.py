"""Rows of queries as commands print them: a table for people, JSON and CSV for other programs."""

from __future__ import annotations

import csv
import io
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output

if TYPE_CHECKING:
    from lumaai.sql import SqlResult

CELL_CHARACTERS = 60


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table, json (an object a row) or csv.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="Rows at most.")]
TimeoutOption = Annotated[float, typer.Option(min=0.001, max=600, help="Seconds that it may take.")]


def print_result(result: SqlResult, form: Format) -> None:
    """Rows to stdout; what there is to say about them to stderr."""
    names = [column.name for column in result.columns]
    if form is Format.CSV:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(value, whole=True) for value in row] for row in result.json_rows())
        output.print_csv(table.getvalue())
    elif form is Format.JSON:
        output.print_json([dict(zip(names, row, strict=True)) for row in result.json_rows()])
    else:
        shown = [[_cell(value, whole=False) for value in row] for row in result.json_rows()]
        output.print_table([names, ["─" * max(1, len(name)) for name in names], *shown])
        typer.echo(f"{output.plural(len(result), 'row')} in {result.milliseconds:.1f} ms", err=True)
    if result.truncated:
        typer.echo("lumaai: there are more rows: ask for them with --limit", err=True)


def _cell(value: Any, *, whole: bool) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if whole:
        return text
    line = "".join(letter if letter.isprintable() else " " for letter in text).rstrip()
    return line if len(line) <= CELL_CHARACTERS else f"{line[: CELL_CHARACTERS - 1]}…"
