"""One query on its way: what it reads, what it searches for, what came, and what its failures mean."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from engine.database import Database
from engine.errors import (
    DatabaseClosedError,
    EngineError,
    MemoryLimitError,
    QueryCancelledError,
    SqlError,
    TimeLimitError,
)
from engine.fields.relation import Relation
from engine.schema import JSON
from engine.snapshot import Snapshot
from engine.sql.connections import Connection, Connections, Registered
from engine.sql.exact import projection
from engine.sql.names import Names
from engine.sql.plan import explanation, planned, tables_read
from engine.sql.result import SqlColumn, column_type
from engine.sql.statement import (
    SEARCH_LIMIT_MAX,
    Parameters,
    SearchCall,
    Statement,
    argument,
)
from engine.sql.watchdog import Watch, Watchdog

# Planning takes milliseconds: a query that took so long may be planned once more, for its log line.
PLANNED_SECONDS = 0.1
_BATCH_ROWS = 65_536
_SETTINGS = (  # advice that cannot be followed here
    re.compile(r",? or SET \w+ ?=.*$"),
    re.compile(r"[^.]*\bSET \w+ ?(?:=|TO\b).*$"),
)
FAILURES = (  # Arrow's reader tells of what DuckDB met, or was stopped by, as an OSError
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


Fetched: TypeAlias = tuple[tuple[SqlColumn, ...], Any, bool, tuple[str, ...]]
Found: TypeAlias = tuple[tuple[SqlColumn, ...], Any, bool, tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class Means:
    """What queries are run with.

    Attributes:
        closed: set where that has ended.
    """

    database: Database
    connections: Connections
    watchdog: Watchdog
    closed: threading.Event


class Run:
    """One query on its way."""

    def __init__(
        self,
        means: Means,
        statement: Statement,
        parameters: Parameters | None,
        limit: int,
        until: float,
        seconds: float,
        search: Search | None,
        names: Names,
        cancelled: Callable[[], bool] | None,
        told: dict[str, JSON] | None,
    ) -> None:
        self._means = means
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
        means = self._means
        with (
            means.connections.lease(self._until, self._seconds) as connection,
            ExitStack() as after,  # outside the watch, which might interrupt it
            means.watchdog.watching(connection.native.interrupt, self._until, self._cancelled) as watch,
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
            except FAILURES as error:
                raise failure(error, watch, self._seconds, closed=means.closed.is_set()) from error
            return (*found, sequence), facts

    def _snapshots(self) -> Mapping[str, Snapshot]:
        """All collections that the query names, as of one moment, by the names it uses."""
        database = self._means.database
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


def failure(error: Exception, watch: Watch, seconds: float, *, closed: bool) -> EngineError:
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
