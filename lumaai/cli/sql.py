"""`lumaai sql` and `lumaai query`: one query."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli.options import examples
from lumaai.cli.rows import Format, FormatOption, LimitOption, TimeoutOption, print_result
from lumaai.cli.shell import Shell
from lumaai.cli.target import DirectoryOption, UrlOption, opened

if TYPE_CHECKING:
    from lumaai.sql import SqlResult

queries = typer.Typer()


ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="VALUE", help="For the next ?: JSON, or else text; may be repeated."),
]


@queries.command(
    epilog=examples(
        "lumaai sql 'SELECT genre, avg(rating) FROM films GROUP BY genre'",
        "lumaai sql 'SELECT title FROM films WHERE year > ?' -p 1990 -f csv > films.csv",
        "lumaai sql \"SELECT title, _score FROM search('films', 'space opera', 5)\"",
        "lumaai sql                                    a shell; queries end with a semicolon",
    )
)
def sql(
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="[default: a shell]", show_default=False)] = None,
    *,
    parameters: ParameterOption = None,
    form: FormatOption = Format.TABLE,
    limit: LimitOption = 10_000,
    timeout: TimeoutOption = 30.0,
    dialect: Annotated[str, typer.Option(help="duckdb, sqlite, postgres, mysql and others.")] = "duckdb",
    explain: Annotated[bool, typer.Option("--explain", help="Also say what ran, on stderr.")] = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Run a query in SQL over the collections, or open a shell."""
    with opened(directory, url, reading=True) as database:
        if query is None and sys.stdin.isatty():
            Shell(database, form, limit, timeout, dialect).run()
            return
        text = sys.stdin.read() if query is None else query
        values = [_value(item) for item in parameters or []]
        result = database.sql(text, values, limit=limit, timeout=timeout, dialect=dialect, explain=explain)
    print_result(result, form)
    print_explanation(result)


@queries.command(
    epilog=examples(
        "lumaai query nql 'how many films are there where year is after 1990'",
        "lumaai query lql \"UPDATE films SET genre = 'drama' WHERE title STARTS WITH 'The'\"",
        'lumaai query jql \'{"find": "films", "sort": {"year": -1}, "limit": 3}\' -f json',
        "lumaai query nql 'explain count films where year is after 1990'",
    )
)
def query(
    language: Annotated[str, typer.Argument(metavar="lql|jql|nql", show_default=False)],
    statement: Annotated[str, typer.Argument(metavar="STATEMENT", show_default=False)],
    *,
    parameters: ParameterOption = None,
    form: FormatOption = Format.TABLE,
    limit: LimitOption = 10_000,
    timeout: TimeoutOption = 30.0,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Run a statement in LQL (like SQL, also writes), JQL (JSON) or NQL (English)."""
    values = [_value(item) for item in parameters or []]
    with opened(directory, url) as database:
        result = database.query(language, statement, values or None, limit=limit, timeout=timeout)
    print_result(result, form)
    print_explanation(result)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def print_explanation(result: SqlResult) -> None:
    """What ran, to stderr, if that was asked for."""
    if result.explain is not None:
        typer.echo(json.dumps(result.explain, indent=2, default=str), err=True)
