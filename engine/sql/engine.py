"""SQL over the collections of a database.

A query is read by DuckDB's own parser, checked node by node (`guard`), and run by DuckDB over the Arrow columns of one
snapshot of the collections that it names (`tables`, `connections`). Other dialects are put into DuckDB's first
(`dialect`). Nothing is written, nothing outside is reached, and time and memory have bounds (`watchdog`).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.database import Database
from engine.directory.layout import SQL_TEMPORARY
from engine.directory.secondary import SecondaryDatabase
from engine.errors import (
    DatabaseClosedError,
    MemoryLimitError,
)
from engine.fields.joining import Coverage
from engine.fields.relation import Relation
from engine.memory import MEMORY_BYTES_DEFAULT, sql_bytes
from engine.schema import JSON
from engine.snapshot import Snapshot
from engine.sql.connections import Connections
from engine.sql.dialect import DUCKDB, translate
from engine.sql.names import Names, Visible
from engine.sql.relation import SqlRelation
from engine.sql.result import SqlColumn, SqlResult
from engine.sql.run import FAILURES, Means, Run, Search, failure
from engine.sql.statement import (
    Parameters,
    Statement,
    read_statement,
)
from engine.sql.tables import named_fields
from engine.sql.text import check_text
from engine.sql.watchdog import Watchdog

ROWS_MAX = 1_000_000
LIMIT_DEFAULT = 10_000
TIMEOUT_SECONDS = 30.0
_STATEMENTS_MAX = 256


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
        self._closed = threading.Event()
        self._means = Means(database, self._connections, self._watchdog, self._closed)
        _open.add(self)

    def close(self) -> None:
        """Stop all queries, and forget what was read."""
        _open.discard(self)
        self._closed.set()
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
        if self._closed.is_set():
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
        names = Names(self._database.collections(), visible, aliases or {})
        statement = self._statement(sql, dialect, names)
        statement.check_parameters(parameters)
        read = time.monotonic()
        until = began + timeout_seconds
        run = Run(self._means, statement, parameters, limit, until, timeout_seconds, search, names, cancelled, told)
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
        if self._closed.is_set():
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
            except FAILURES as error:
                raise failure(error, watch, timeout_seconds, closed=self._closed.is_set()) from error
        coverages = (Coverage(*(int(column[0].as_py()) for column in count.columns)) for count in counts)
        return relation.collected(table), tuple(coverages)

    def tables(self) -> dict[str, list[tuple[str, str]]]:
        """Of each collection the columns that SQL sees, with their types."""
        return {name: _described(snapshot) for name, snapshot in self._database.snapshot().items()}

    def _statement(self, sql: str, dialect: str, names: Names) -> Statement:
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
