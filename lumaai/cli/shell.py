"""The interactive shell: SQL, questions and searches of one database, with history, completion and commands."""

from __future__ import annotations

import contextlib
import io
import secrets
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import examples
from lumaai.cli.rows import Format, FormatOption, LimitOption, TimeoutOption, print_result
from lumaai.cli.target import DirectoryOption, UrlOption, opened
from lumaai.errors import LumaError

if TYPE_CHECKING:
    from lumaai import Client, Database

HISTORY_LINES = 1_000
HITS = 10
LIMIT_DIGITS_MAX = 6  # below the million rows that a query may have
CONTINUED = "...> "
HELP = """SQL ends with ";" and may take several lines; a question or a search is one line.
  \\sql              queries in SQL; SHOW TABLES and DESCRIBE name as well
  \\ask              questions in English; each may go on from the one before, \\new begins anew
  \\search NAME      searches of a collection; \\mode semantic|keyword|hybrid, \\filter [FILTER]
  \\d [NAME]         the collections, or the fields of one
  \\ask QUESTION     and likewise \\search NAME WORDS: one of them, without changing over
  \\format table|json|csv   \\limit N   \\timing   \\history   \\help   \\q"""
KEYWORDS = (
    "select from where group by having order limit offset join left inner on using with as and or not in is null "
    "like ilike between distinct count sum avg min max case when then else end union all exists over partition "
    "rows asc desc cast describe summarize explain show tables search unnest"
).split()
SEARCH_MODES = ("semantic", "keyword", "hybrid")

shells = typer.Typer()


class Mode(StrEnum):
    """What a line without a command is."""

    SQL = "sql"
    ASK = "ask"
    SEARCH = "search"


@shells.command(
    epilog=examples(
        "lumaai shell                                  SQL first; \\ask and \\search films change over",
        "lumaai shell --mode ask --url http://127.0.0.1:8000",
        "echo 'SELECT 1;' | lumaai shell               reads what it is given, and ends; with 1 if something failed",
    )
)
def shell(
    *,
    mode: Annotated[
        Mode, typer.Option("--mode", "-m", help="sql or ask; \\search NAME goes on to searching.")
    ] = Mode.SQL,
    form: FormatOption = Format.TABLE,
    limit: LimitOption = 1_000,
    timeout: TimeoutOption = 30.0,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Open a shell for SQL, questions and searches."""
    with opened(directory, url, reading=True) as database:
        opened_shell = Shell(database, form, limit, timeout, "duckdb")
        opened_shell.mode = Mode.ASK if mode is Mode.ASK else Mode.SQL
        opened_shell.run()


class Shell:
    """Reads lines from a terminal until the end of input; history and completion are readline's.

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
        self._limit, self._timeout, self._dialect = limit, timeout, dialect
        self._names: list[str] | None = None
        self.mode = Mode.SQL
        self._collection = ""
        self._search_mode, self._filter = "hybrid", ""
        self._conversation = secrets.token_hex(8)
        self._is_timing = False
        self._has_failed = False
        self._lines: list[str] = []

    @property
    def prompt(self) -> str:
        """What stands before the line that is typed."""
        if self._lines:
            return CONTINUED
        return f"search {self._collection}> " if self.mode is Mode.SEARCH else f"{self.mode.value}> "

    def run(self) -> None:
        """Until Ctrl-D or the command q; Ctrl-C gives up what has been typed, or what is running.

        Raises:
            typer.Exit: with 1, at the end of what was piped in, if something in it could not be done.
        """
        is_typed = sys.stdin.isatty()
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(
                errors="surrogateescape"
            )  # what is no text is refused where it is asked, as elsewhere
        self._read(is_typed=is_typed)
        if self._has_failed and not is_typed:
            raise typer.Exit(1)

    def _read(self, *, is_typed: bool) -> None:
        if is_typed:
            with_history(self.complete)
            typer.echo(HELP, err=True)
        while True:
            try:
                # What is piped in is answered without prompts, so that what comes out can be piped on.
                if self.take(input(self.prompt if is_typed else "")):
                    return
            except EOFError:
                if self._lines:  # a pipe need not end its last query
                    self._run("\n".join(self._lines))
                if is_typed:
                    typer.echo(err=True)
                return
            except KeyboardInterrupt:
                typer.echo(err=True)
                self._lines.clear()

    def take(self, line: str) -> bool:
        """One line: a command, a part of a query, a question, a search; whether it was the last."""
        words = line.split()
        if not self._lines:
            if not words:
                return False
            # A dot begins a command as in SQLite's shell; in a question it may begin a word, such as .NET.
            if words[0][0] == "\\" or (words[0][0] == "." and self.mode is Mode.SQL):
                return self.command(words)
            if self.mode is not Mode.SQL:
                self._run(line.strip())
                return False
        self._lines.append(line)
        if line.rstrip().endswith(";"):
            text = "\n".join(self._lines)
            self._lines.clear()
            self._run(text)
        return False

    def _run(self, text: str) -> None:
        """Do what the mode says with a text, and print what comes, or what is wrong with it."""
        started = time.perf_counter()
        match self.mode:
            case Mode.SQL:
                self.ask(text)
            case Mode.ASK:
                self.question(text)
            case Mode.SEARCH:
                self.search(self._collection, text)
        if self._is_timing:
            typer.echo(f"{1000 * (time.perf_counter() - started):.1f} ms in all", err=True)

    def ask(self, text: str) -> None:
        """Run one query and print its rows, or what is wrong with it."""
        try:
            result = self._database.sql(text, limit=self._limit, timeout=self._timeout, dialect=self._dialect)
            print_result(result, self._form)
        except LumaError as error:
            self._complain(error.message)

    def question(self, text: str) -> None:
        """Answer one question; it may go on from the one before."""
        try:
            answer = self._database.ask(text, conversation=self._conversation)
        except LumaError as error:
            self._complain(error.message)
            return
        match self._form:
            case Format.JSON:
                output.print_json(answer.to_json())
            case Format.CSV:
                output.print_csv(answer.to_csv())
            case _:
                output.print_answer(answer)

    def search(self, collection: str, text: str) -> None:
        """Search one collection."""
        limit = min(self._limit, HITS)
        try:
            found = self._database.collection(collection)
            hits = found.search(text, mode=self._search_mode, filter=self._filter or None, limit=limit)
        except LumaError as error:
            self._complain(error.message)
            return
        if self._form is Format.JSON:
            output.print_json(hits.to_json())
        else:
            output.print_hits(hits, with_loading=False)

    def command(self, words: list[str]) -> bool:
        """Do what a word with a backslash (or a dot) says; whether it was the last."""
        match [words[0].lstrip("\\."), *words[1:]]:
            case ["q" | "quit" | "exit"]:
                return True
            case ["sql"]:
                self.mode = Mode.SQL
            case ["ask"]:
                self.mode = Mode.ASK
            case ["ask", *rest]:
                self.question(" ".join(rest))
            case ["new"]:
                self._conversation = secrets.token_hex(8)
            case ["search", name]:
                self._enter(name)
            case ["search", name, *rest]:
                self.search(name, " ".join(rest))
            case ["d" | "tables" | "collections"]:
                self._list()
            case ["d" | "schema", name]:
                self.ask("DESCRIBE " + '"' + name.replace('"', '""') + '"')
            case other:
                self._set(other)
        return False

    def _set(self, words: list[str]) -> None:
        """Commands that change how things are shown or searched."""
        match words:
            case ["format", ("table" | "json" | "csv") as form]:
                self._form = Format(form)
            case ["limit", number] if number.isdecimal() and len(number) <= LIMIT_DIGITS_MAX and int(number):
                self._limit = int(number)
            case ["mode", mode] if mode in SEARCH_MODES:
                self._search_mode = mode
            case ["filter", *rest]:
                self._filter = " ".join(rest)
            case ["timing"]:
                self._is_timing = not self._is_timing
                typer.echo(f"timing is {'on' if self._is_timing else 'off'}", err=True)
            case ["history"]:
                typer.echo(str(history_path()))
            case ["help" | "h" | "?"]:
                typer.echo(HELP)
            case _:
                self._complain(f"no such command: {' '.join(words)}")
                typer.echo(HELP, err=True)

    def _enter(self, name: str) -> None:
        try:
            self._database.collection(name)
        except LumaError as error:
            self._complain(error.message)
            return
        self.mode, self._collection = Mode.SEARCH, name

    def _list(self) -> None:
        try:
            infos = self._database.infos()
        except LumaError as error:
            self._complain(error.message)
            return
        rows = [[info.name, f"{info.documents:,}", ", ".join(info.schema.get("fields", {}))[:80]] for info in infos]
        output.print_table([["collection", "documents", "fields"], ["──────────", "─────────", "──────"], *rows])

    def _complain(self, message: str) -> None:
        self._has_failed = True
        typer.echo(output.plain(f"lumaai: {message}"), err=True)

    def complete(self, text: str, state: int) -> str | None:
        """Readline's completer: the `state`-th name of a collection, field or keyword that begins so."""
        if self._names is None:
            infos = self._database.infos()
            fields = {field for info in infos for field in info.schema.get("fields", {})}
            self._names = sorted({*(info.name for info in infos), *fields, *KEYWORDS, "id"})
        wanted = text.lower()
        found = [name for name in self._names if name.lower().startswith(wanted)]
        return found[state] if state < len(found) else None


def history_path() -> Path:
    """Where lines are kept between sessions."""
    from lumaai.environment import default_cache_directory

    return default_cache_directory() / "shell-history"


def with_history(complete: Any) -> None:
    """Give `input` a history kept between sessions, and completion; without readline it has neither."""
    try:
        import readline
    except ImportError:  # Python for Windows has none
        return
    import atexit

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,()=<>;.")
    readline.parse_and_bind("tab: complete")
    path = history_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            readline.read_history_file(path)
    except OSError as error:
        typer.echo(f"lumaai: no history is kept: {error}", err=True)
        return
    readline.set_history_length(HISTORY_LINES)
    atexit.register(_keep_history, path)


def _keep_history(path: Path) -> None:
    import readline

    with contextlib.suppress(OSError):  # a full disk must not end a session with a traceback
        readline.write_history_file(path)
