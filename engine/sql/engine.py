"""SQL over the collections of a database.

A query is read by DuckDB's own parser, checked node by node (`guard`), and run by DuckDB over the Arrow columns of one
snapshot of the collections that it names (`tables`, `connections`). Other dialects are put into DuckDB's first
(`dialect`). Nothing is written, nothing outside is reached, and time and memory have bounds (`watchdog`).
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from engine.database import Database
from engine.directory.layout import SQL_TEMPORARY
from engine.directory.secondary import SecondaryDatabase
from engine.errors import (
    CollectionNotFoundError,
    DatabaseClosedError,
    EngineError,
    MemoryLimitError,
    QueryCancelledError,
    SqlError,
    TimeLimitError,
)
from engine.fields.joining import Coverage
from engine.fields.relation import Relation
from engine.memory import MEMORY_BYTES_DEFAULT, sql_bytes
from engine.schema import JSON
from engine.snapshot import Snapshot
from engine.sql.connections import Connection, Connections, Registered
from engine.sql.dialect import DUCKDB, translate
from engine.sql.exact import projection
from engine.sql.plan import explanation, planned, tables_read
from engine.sql.relation import SqlRelation
from engine.sql.result import SqlColumn, SqlResult, column_type
from engine.sql.statement import (
    SEARCH_LIMIT_MAX,
    Parameters,
    SearchCall,
    Statement,
    argument,
    read_statement,
)
from engine.sql.tables import named_fields
from engine.sql.text import check_text
from engine.sql.watchdog import Watch, Watchdog

ROWS_MAX = 1_000_000
LIMIT_DEFAULT = 10_000
TIMEOUT_SECONDS = 30.0
_STATEMENTS_MAX = 256
# Planning takes milliseconds: a query that took so long may be planned once more, for its log line.
PLANNED_SECONDS = 0.1
_BATCH_ROWS = 65_536
_SETTINGS = (  # advice that cannot be followed here
    re.compile(r",? or SET \w+ ?=.*$"),
    re.compile(r"[^.]*\bSET \w+ ?(?:=|TO\b).*$"),
)
_FAILURES = (  # Arrow's reader tells of what DuckDB met, or was stopped by, as an OSError
    duckdb.Error, OSError, OverflowError, TypeError, ValueError, NotImplementedError, RuntimeError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SqlSearchRequest:
    """A search within a query, for whoever can embed its text.

    Attributes:
        snapshot: of the collection, the one that the query sees.
        mode: "semantic", "keyword" or "hybrid"; None leaves it to who searches.
        filter: as in a search; None for none.
    """

    snapshot: Snapshot
    query: str
    limit: int
    mode: str | None
    filter: str | None


Search: TypeAlias = Callable[[SqlSearchRequest], Relation]
Visible: TypeAlias = Callable[[str], bool]


class SqlEngine:
    """Queries over one database. Safe for many threads; close it before the database.

    `_lock` guards the statements that were read lately.

    Args:
        database: what is asked.
        memory_bytes_max: the database's cap, see `memory.sql_bytes`.
        threads: of all queries together; by default one a processor.
        passed_over: names of collections that SHOW TABLES leaves out.
    """

    def __init__(
        self,
        database: Database,
        *,
        memory_bytes_max: int = MEMORY_BYTES_DEFAULT,
        threads: int | None = None,
        passed_over: Callable[[str], bool] | None = None,
    ) -> None:
        self._database = database
        self._passed_over = passed_over
        limit = sql_bytes(memory_bytes_max)
        self._temporary = _temporary_directory(database)
        self._connections = Connections(self._temporary, limit, threads or os.cpu_count() or 1)
        self._watchdog = Watchdog(limit, self._connections.tidy)
        self._lock = threading.Lock()
        self._statements: OrderedDict[Any, Statement] = OrderedDict()
        self._closed = False
        _open.add(self)

    def close(self) -> None:
        """Stop all queries, and forget what was read."""
        _open.discard(self)
        self._closed = True
        self._watchdog.close()
        self._connections.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def run(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        limit: int = LIMIT_DEFAULT,
        timeout_seconds: float = TIMEOUT_SECONDS,
        dialect: str = DUCKDB,
        search: Search | None = None,
        explain: bool = False,
        visible: Visible | None = None,
        aliases: Mapping[str, str] | None = None,
        cancelled: Callable[[], bool] | None = None,
        told: dict[str, JSON] | None = None,
    ) -> SqlResult:
        """Run one query.

        Args:
            sql: SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES, or EXPLAIN of one of these.
            parameters: for "?" and "$1" by place, for "$name" by name.
            limit: rows of the answer at most.
            timeout_seconds: how long it may take.
            dialect: what it is written in.
            search: does what `search(…)` in the query asks for.
            explain: say what ran.
            visible: whether who asks may know of a collection; the others are not there. None: of all.
            aliases: other names of collections, which are in no list.
            cancelled: asked fifty times a second whether to stop.
            told: takes in what runs, also of a query that fails or is stopped: tables, searches, milliseconds and, of
                one that took `PLANNED_SECONDS`, the operators with the rows expected of each. Unlike `explain` it runs
                nothing twice.

        Raises:
            SqlError: it is malformed, not allowed, or fails on what the documents hold.
            CollectionNotFoundError: it names one that is not there.
            TimeLimitError: it took too long, waiting for its turn included.
            MemoryLimitError: it needs more than the limit.
            QueryCancelledError: it was cancelled.
        """
        check_text(sql)
        if self._closed:
            raise DatabaseClosedError("database is closed")
        began = time.monotonic()
        if _words(sql)[:2] == ["show", "tables"] and len(_words(sql)) == 2:
            return _shown_tables(self._database, limit, self._passed_over, visible)
        if _words(sql)[:1] == ["explain"]:
            inner = sql.lstrip()[len("explain") :]
            described = self.run(
                inner, parameters, timeout_seconds=timeout_seconds, dialect=dialect, search=search, explain=True,
                visible=visible, aliases=aliases, cancelled=cancelled, told=told,
            )  # fmt: skip
            return _explained(described)
        names = _Names(self._database.collections(), visible, aliases or {})
        statement = self._statement(sql, dialect, names)
        statement.check_parameters(parameters)
        read = time.monotonic()
        until = began + timeout_seconds
        run = _Run(self, statement, parameters, limit, until, timeout_seconds, search, names, cancelled, told)
        (columns, table, truncated, kinds, sequence), facts = run.result(explain=explain)
        milliseconds = (time.monotonic() - began) * 1000
        explained = None
        if explain:
            explained = {"sql": statement.sql, "read_milliseconds": (read - began) * 1000, **facts}
        return SqlResult(columns, table, truncated, sequence, milliseconds, explained, kinds)

    def collect(
        self,
        relation: SqlRelation,
        *,
        rows_max: int = ROWS_MAX,
        timeout_seconds: float = TIMEOUT_SECONDS,
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[Relation, tuple[Coverage, ...]]:
        """Run what stands for a relation, as one query over the rows that it was made of.

        This is no entrance for text: all of it is of our own making, and values are bound.

        Args:
            relation: the query.
            rows_max: rows that it may give.
            timeout_seconds: how long it may take.
            cancelled: asked fifty times a second whether to stop.

        Returns:
            The rows, in order, and how much each of its joins put together.

        Raises:
            TimeLimitError: it took too long, waiting for its turn included.
            MemoryLimitError: it needs more memory than the limit, or gives more rows.
            QueryCancelledError: it was cancelled.
        """
        if self._closed:
            raise DatabaseClosedError("database is closed")
        until = time.monotonic() + timeout_seconds
        with (
            self._connections.lease(until, timeout_seconds) as connection,
            ExitStack() as after,  # outside the watch, which might interrupt it
            self._watchdog.watching(connection.native.interrupt, until, cancelled) as watch,
        ):
            try:
                for leaf in relation.leaves:
                    connection.add(leaf.table, leaf.arrow)
                    after.callback(connection.remove, leaf.table)
                table = _arrow(connection.native, relation, relation.query(rows_max))
                if table.num_rows > rows_max:
                    raise MemoryLimitError(f"query gives too many rows: limit={rows_max}")
                counts = [_arrow(connection.native, relation, relation.coverage_query(join)) for join in relation.joins]
            except _FAILURES as error:
                raise _failure(error, watch, timeout_seconds, closed=self._closed) from error
        coverages = (Coverage(*(int(column[0].as_py()) for column in count.columns)) for count in counts)
        return relation.collected(table), tuple(coverages)

    def tables(self) -> dict[str, list[tuple[str, str]]]:
        """Of each collection the columns that SQL sees, with their types."""
        return {name: _described(snapshot) for name, snapshot in self._database.snapshot().items()}

    def _statement(self, sql: str, dialect: str, names: _Names) -> Statement:
        key: Any = (sql, dialect)
        schemas = None
        if dialect != DUCKDB:
            snapshots = self._database.snapshot(names.collections)
            schemas = {name: snapshots[real].schema for name, real in names.known.items()}
            key = (sql, dialect, tuple((name, repr(named_fields(schema))) for name, schema in schemas.items()))
        with self._lock:
            known = self._statements.get(key)
            if known is not None:
                self._statements.move_to_end(key)
                return known
        text = sql if schemas is None else translate(sql, dialect, schemas)
        statement = read_statement(text, self._connections.serialize, self._connections.built_in)
        with self._lock:
            self._statements[key] = statement
            if len(self._statements) > _STATEMENTS_MAX:
                self._statements.popitem(last=False)
        return statement


def _arrow(native: Any, relation: SqlRelation, text: str) -> Any:
    return native.sql(text, params=relation.bound(text)).to_arrow_table()


_open: weakref.WeakSet[SqlEngine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what nobody closed: DuckDB's objects must not outlive its module."""
    for engine in list(_open):
        engine.close()


Fetched: TypeAlias = tuple[tuple[SqlColumn, ...], Any, bool, tuple[str, ...]]
Found: TypeAlias = tuple[tuple[SqlColumn, ...], Any, bool, tuple[str, ...], int]


class _Names:
    """The names that a query may use.

    Attributes:
        collections: that whoever asks may know of.
        visible: likewise; None: all.
        known: the collection of each name, aliases included.
    """

    def __init__(self, have: Sequence[str], visible: Visible | None, aliases: Mapping[str, str]) -> None:
        self.visible = visible
        self.collections = [name for name in have if visible is None or visible(name)]
        there = set(self.collections) if aliases else ()
        others = {alias: name for alias, name in aliases.items() if name in there}
        self.known = {**others, **dict(zip(self.collections, self.collections, strict=True))}

    def registered(self, name: str) -> str:
        """The name of a collection or alias that a name in a query means.

        Raises:
            CollectionNotFoundError: there is none.
            SqlError: there are several that differ by case.
        """
        return _resolved(name, self.known)

    def real(self, name: str) -> str:
        """The collection that a name in a query means; raises what `registered` does."""
        return self.known[self.registered(name)]


class _Run:
    """One query on its way."""

    def __init__(
        self,
        engine: SqlEngine,
        statement: Statement,
        parameters: Parameters | None,
        limit: int,
        until: float,
        seconds: float,
        search: Search | None,
        names: _Names,
        cancelled: Callable[[], bool] | None,
        told: dict[str, JSON] | None,
    ) -> None:
        self._engine = engine
        self._statement = statement
        self._parameters = parameters
        self._limit = limit
        self._until = until
        self._seconds = seconds
        self._search = search
        self._names = names
        self._cancelled = cancelled
        self._told = told
        self._searched: list[dict[str, JSON]] = []

    def result(self, *, explain: bool) -> tuple[Found, dict[str, JSON]]:
        """The answer, and what is to be explained."""
        snapshots = self._snapshots()
        calls = [(call, snapshots[str(name)]) for call, name in self._searches()]
        tables = [(call.table, self._found(call, snapshot)) for call, snapshot in calls]
        sequence = max((snapshot.sequence for snapshot in snapshots.values()), default=0)
        engine = self._engine
        with (
            engine._connections.lease(self._until, self._seconds) as connection,  # noqa: SLF001
            ExitStack() as after,  # outside the watch, which might interrupt it
            engine._watchdog.watching(  # noqa: SLF001
                connection.native.interrupt, self._until, self._cancelled
            ) as watch,
        ):
            if self._names.visible is not None:
                # Others' tables stay known to a connection: one that the query shadows in one place would be found in
                # another.
                connection.forget_all_but(self._names.visible)
            try:
                for name, table in tables:
                    connection.add(name, table)
                    after.callback(connection.remove, name)
                found, facts = self._executed(connection, snapshots, watch, explain=explain)
            except _FAILURES as error:
                raise _failure(error, watch, self._seconds, closed=engine._closed) from error  # noqa: SLF001
            return (*found, sequence), facts

    def _snapshots(self) -> Mapping[str, Snapshot]:
        """All collections that the query names, as of one moment, by the names it uses."""
        database = self._engine._database  # noqa: SLF001
        wanted = [*self._statement.tables, *(name for _, name in self._searches())]
        names = {name: self._names.real(name) for name in wanted}
        snapshots = database.snapshot(sorted(set(names.values()))) if names else {}
        return {name: snapshots[real] for name, real in names.items()}

    def _searches(self) -> list[tuple[SearchCall, str]]:
        calls = []
        for call in self._statement.searches:
            name = argument(call.collection, self._parameters)
            if not isinstance(name, str):
                raise SqlError(f"search needs a collection's name: got={type(name).__name__}")
            calls.append((call, name))
        return calls

    def _found(self, call: SearchCall, snapshot: Snapshot) -> Any:
        """The documents that a search finds, as a table with their scores."""
        query, limit, mode, where = (
            argument(value, self._parameters) for value in (call.query, call.limit, call.mode, call.filter)
        )
        if not isinstance(query, str):
            raise SqlError(f"search needs words to look for: got={type(query).__name__}")
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= SEARCH_LIMIT_MAX:
            raise SqlError(f"limit of search must be from 1 to {SEARCH_LIMIT_MAX}: got={limit!r:.40}")
        for name, value in (("mode", mode), ("filter", where)):
            if value is not None and not isinstance(value, str):
                raise SqlError(f"{name} of search must be a string: got={type(value).__name__}")
        if self._search is None:
            raise SqlError("search is not available here", code="sql_not_allowed")
        began = time.monotonic()
        relation = self._search(SqlSearchRequest(snapshot, query, limit, mode, where))
        if time.monotonic() > self._until:
            raise TimeLimitError(self._seconds)
        self._searched.append(
            {"collection": snapshot.name, "rows": len(relation), "milliseconds": (time.monotonic() - began) * 1000}
        )
        return pa.Table.from_arrays([relation.arrow(name) for name in relation.fields], names=list(relation.fields))

    def _executed(
        self, connection: Connection, snapshots: Mapping[str, Snapshot], watch: Watch, *, explain: bool
    ) -> tuple[Fetched, dict[str, JSON]]:
        wanted = self._statement.columns
        shown = self._shown(connection, snapshots, wanted)
        began = time.monotonic()
        try:
            found = self._fetched(connection.native)
        except duckdb.BinderException:
            if wanted is None or watch.reason is not None:
                raise
            self._shown(connection, snapshots, None)  # for what the query means with all columns, or a better message
            found = self._fetched(connection.native)
        finally:
            self._tell(connection, snapshots, shown, began)
        facts: dict[str, JSON] = {}
        if explain:
            facts = {"searches": [*self._searched], "milliseconds": (time.monotonic() - began) * 1000}
            facts |= explanation(connection.native, self._statement.sql, self._bound(), shown, snapshots)
        return found, facts

    def _tell(
        self, connection: Connection, snapshots: Mapping[str, Snapshot], shown: Mapping[str, Registered], began: float
    ) -> None:
        """Say what ran, to whoever wants to know."""
        if self._told is None:
            return
        seconds = time.monotonic() - began
        self._told |= {"searches": [*self._searched], "milliseconds": seconds * 1000}
        self._told["tables"] = tables_read(shown, snapshots)
        if seconds >= PLANNED_SECONDS:
            with suppress(duckdb.Error):  # one that was stopped may be stopped once more
                self._told["operators"] = planned(connection.native, self._statement.sql, self._bound())

    def _shown(
        self, connection: Connection, snapshots: Mapping[str, Snapshot], wanted: frozenset[str] | None
    ) -> dict[str, Registered]:
        names = {self._names.registered(name): snapshots[name] for name in self._statement.tables}
        return {name: connection.show(name, snapshot, wanted) for name, snapshot in names.items()}

    def _bound(self) -> Any:
        return self._statement.bound(self._parameters) or None

    def _fetched(self, native: Any) -> Fetched:
        """Columns, rows up to the limit, whether there are more, and DuckDB's types."""
        relation = native.sql(self._statement.sql, params=self._bound())
        names, asked = list(relation.columns), [str(kind) for kind in relation.types]
        casts = projection(relation.types)
        relation = relation if casts is None else relation.project(casts)
        cast = map(str, relation.types)
        kinds = tuple(kind if kind == "UHUGEINT" else held for kind, held in zip(asked, cast, strict=True))
        batches, count = [], 0
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        try:
            for batch in reader:
                batches.append(batch)
                count += batch.num_rows
                if count > self._limit:
                    break
            schema = reader.schema
        finally:
            reader.close()
            relation.close()
        table = pa.Table.from_batches(batches, schema=schema).slice(0, self._limit)
        table = table.rename_columns(names)  # of duplicates, too: a projection numbers them
        columns = tuple(SqlColumn(name, column_type(kind)) for name, kind in zip(names, asked, strict=True))
        return columns, table, count > self._limit, kinds


def _failure(error: Exception, watch: Watch, seconds: float, *, closed: bool) -> EngineError:
    """What a failure of DuckDB's means to the caller."""
    if closed:
        return DatabaseClosedError("database is closed")
    text = str(error)
    if watch.reason == "cancelled":
        return QueryCancelledError("query was cancelled")
    if watch.reason == "time":
        return TimeLimitError(seconds)
    if watch.reason == "memory" or isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        return MemoryLimitError("query needs more memory than it may take: ask for less, or raise the memory cap")
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return EngineError(f"query failed: {_first_line(text)}")
    return SqlError(_first_line(text))


def _first_line(text: str) -> str:
    """A message of DuckDB's without its picture of the query; what it suggests is kept where it can be followed."""
    lines = [line.strip() for line in text.split("\n\n", maxsplit=1)[0].splitlines()]
    message = " ".join(line for line in lines if line)
    for setting in _SETTINGS:
        message = setting.sub("", message).rstrip()
    return (message[:1].lower() + message[1:]) if message else "query failed"


def _resolved(name: str, have: Collection[str]) -> str:
    """The name that a name in a query means: exactly, else the only one that differs by case.

    Raises:
        CollectionNotFoundError: there is none.
        SqlError: there are several.
    """
    if name in have:
        return name
    alike = [other for other in have if other.lower() == name.lower()]
    if len(alike) > 1:
        raise SqlError(f"collection {name!r} is ambiguous: {', '.join(alike)}")
    if not alike:
        raise CollectionNotFoundError(name)
    return alike[0]


def _words(sql: str) -> list[str]:
    return sql.strip(" \t\r\n;").lower().split(maxsplit=2)


def _shown_tables(
    database: Database, limit: int, passed_over: Callable[[str], bool] | None, visible: Visible | None
) -> SqlResult:
    names = [name for name in database.collections() if passed_over is None or not passed_over(name)]
    names = names if visible is None else list(filter(visible, names))
    table = pa.table({"name": pa.array(names[:limit], type=pa.string())})
    columns = (SqlColumn("name", "text"),)
    return SqlResult(columns, table, len(names) > limit, database.sequence, 0.0, None, ("VARCHAR",))


def _explained(result: SqlResult) -> SqlResult:
    lines = str((result.explain or {}).get("text", "")).splitlines()
    table = pa.table({"plan": pa.array(lines, type=pa.string())})
    columns = (SqlColumn("plan", "text"),)
    return SqlResult(columns, table, False, result.sequence, result.milliseconds, result.explain, ("VARCHAR",))


def _described(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [
        (name, f"list of {spec.type}" if spec.many else spec.type.value)
        for name, _, spec in named_fields(snapshot.schema)
    ]


def _temporary_directory(database: Database) -> Path:
    """Where queries may put what does not fit into memory: in the database's own directory, if that is ours."""
    if isinstance(database, SecondaryDatabase):
        return Path(tempfile.mkdtemp(prefix="lumaai-sql-"))
    place = database.path / SQL_TEMPORARY
    shutil.rmtree(place, ignore_errors=True)
    return place
