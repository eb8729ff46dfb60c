"""`lumaai sql` and `lumaai query`: one query, or a shell with history and completion."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import examples
from lumaai.cli.target import DirectoryOption, UrlOption, opened
from lumaai.errors import LumaError

if TYPE_CHECKING:
    from lumaai import Client, Database
    from lumaai.sql import SqlResult

CELL_CHARACTERS = 60
HISTORY_LINES = 1_000
PROMPT, CONTINUED = "sql> ", "...> "
HELP = """Queries end with ";". SHOW TABLES lists the collections, DESCRIBE shows the columns of one.
.tables  .schema COLLECTION  .format table|json|csv  .help  .quit"""
KEYWORDS = (
    "select from where group by having order limit offset join left inner on using with as and or not in is null "
    "like ilike between distinct count sum avg min max case when then else end union all exists over partition "
    "rows asc desc cast describe summarize explain show tables search unnest"
).split()

queries = typer.Typer()


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table, json (an object a row) or csv.")]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="VALUE", help="For the next ?: JSON, or else text; may be repeated."),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="Rows at most.")]
TimeoutOption = Annotated[float, typer.Option(min=0.001, max=600, help="Seconds that it may take.")]


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


def print_result(result: SqlResult, form: Format) -> None:
    """Rows to stdout; what there is to say about them to stderr."""
    names = [column.name for column in result.columns]
    if form is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(value, whole=True) for value in row] for row in result.json_rows())
    elif form is Format.JSON:
        output.print_json([dict(zip(names, row, strict=True)) for row in result.json_rows()])
    else:
        shown = [[_cell(value, whole=False) for value in row] for row in result.json_rows()]
        output.print_table([names, ["─" * max(1, len(name)) for name in names], *shown])
        typer.echo(f"{output.plural(len(result), 'row')} in {result.milliseconds:.1f} ms", err=True)
    if result.truncated:
        typer.echo("lumaai: there are more rows: ask for them with --limit", err=True)


def print_explanation(result: SqlResult) -> None:
    """What ran, to stderr, if that was asked for."""
    if result.explain is not None:
        typer.echo(json.dumps(result.explain, indent=2, default=str), err=True)


def _cell(value: Any, *, whole: bool) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if whole:
        return text
    line = "".join(letter if letter.isprintable() else " " for letter in text).rstrip()
    return line if len(line) <= CELL_CHARACTERS else f"{line[: CELL_CHARACTERS - 1]}…"


class Shell:
    """Reads queries from a terminal until the end of input; history and completion are readline's.

    Args:
        database: what is asked.
        form: how rows are printed.
        limit: rows at most.
        timeout: seconds a query may take.
        dialect: what queries are written in.
    """

    def __init__(self, database: Database | Client, form: Format, limit: int, timeout: float, dialect: str) -> None:
        self._database = database
        self._form = form
        self._options = {"limit": limit, "dialect": dialect}
        self._timeout = timeout
        self._names: list[str] | None = None

    def run(self) -> None:
        """Until Ctrl-D or `.quit`."""
        with_history(self.complete)
        typer.echo(HELP)
        lines: list[str] = []
        while True:
            try:
                line = input(CONTINUED if lines else PROMPT)
            except EOFError:
                typer.echo()
                return
            except KeyboardInterrupt:
                typer.echo()
                lines.clear()
                continue
            if not lines and line.strip().startswith("."):
                if self.command(line.split()):
                    return
                continue
            lines += [line] if line.strip() or lines else []
            if line.rstrip().endswith(";"):
                self.ask("\n".join(lines))
                lines.clear()

    def ask(self, text: str) -> None:
        """Run one query and print its rows, or what is wrong with it."""
        try:
            print_result(self._database.sql(text, timeout=self._timeout, **self._options), self._form)  # type: ignore[arg-type]
        except LumaError as error:
            typer.echo(f"lumaai: {error.message}", err=True)

    def command(self, words: list[str]) -> bool:
        """Do what a word with a dot says; whether it was the last."""
        match words:
            case [".quit" | ".exit"]:
                return True
            case [".tables"]:
                self.ask("SHOW TABLES")
            case [".schema", name]:
                self.ask("DESCRIBE " + '"' + name.replace('"', '""') + '"')
            case [".format", ("table" | "json" | "csv") as form]:
                self._form = Format(form)
            case _:
                typer.echo(HELP)
        return False

    def complete(self, text: str, state: int) -> str | None:
        """Readline's completer: the `state`-th name of a collection, field or keyword that begins so."""
        if self._names is None:
            infos = self._database.infos()
            fields = {field for info in infos for field in info.schema.get("fields", {})}
            self._names = sorted({*(info.name for info in infos), *fields, *KEYWORDS, "id"})
        wanted = text.lower()
        found = [name for name in self._names if name.lower().startswith(wanted)]
        return found[state] if state < len(found) else None


def with_history(complete: Any) -> None:
    """Give `input` a history kept between sessions, and completion; without readline it has neither."""
    try:
        import readline
    except ImportError:  # Python for Windows has none
        return
    import atexit

    from lumaai.database import default_cache_directory

    path: Path = default_cache_directory() / "sql-history"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LINES)
    atexit.register(readline.write_history_file, path)
    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,()=<>;.")
    readline.parse_and_bind("tab: complete")
