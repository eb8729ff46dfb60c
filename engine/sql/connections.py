"""DuckDB, shut off from everything but the tables that are given to it, and a few connections to it."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from engine.errors import TimeLimitError
from engine.snapshot import Snapshot
from engine.sql.tables import LIVE, Columns, columns_of

CONNECTIONS_MAX = 4
TEMPORARY_BYTES_MAX = 8 << 30
CLOSING_SECONDS = 5.0
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "allow_community_extensions": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # else a name may mean a variable of whoever calls
}


@dataclass(slots=True)
class Registered:
    """A collection that a connection knows.

    Attributes:
        name: the collection's.
        snapshot: dead once nobody can read it any more.
        wanted: which columns, in lower case; None for all.
    """

    name: str
    snapshot: weakref.ref[Snapshot]
    wanted: frozenset[str] | None
    columns: Columns
    names: tuple[str, ...]

    def serves(self, snapshot: Snapshot, wanted: frozenset[str] | None) -> bool:
        """Whether it is this snapshot with at least these columns."""
        if self.snapshot() is not snapshot:
            return False
        if self.wanted is not None:
            return wanted is not None and wanted <= self.wanted
        paths = {name for name in wanted or () if "." in name}  # which are not among all
        return not paths or paths <= {name.lower() for name in self.columns.names}


@dataclass(slots=True, eq=False)
class Connection:
    """One connection, used by one thread at a time."""

    native: Any
    tables: dict[str, Registered] = field(default_factory=dict)

    def show(self, name: str, snapshot: Snapshot, wanted: frozenset[str] | None) -> Registered:
        """Make a collection known under a name, its own or an alias, as of a snapshot."""
        key = name.lower()
        known = self.tables.get(key)
        if known is not None and known.serves(snapshot, wanted):
            return known
        if known is not None:
            if wanted is not None and known.wanted is not None and known.snapshot() is snapshot:
                wanted |= known.wanted  # queries take turns: each would else undo the other's
            self._forget(key)
        columns = columns_of(snapshot, wanted)
        names = self._register(name, columns)
        self.tables[key] = Registered(snapshot.name, weakref.ref(snapshot), wanted, columns, names)
        return self.tables[key]

    def add(self, name: str, table: Any) -> None:
        """Make an Arrow table known."""
        self.native.register(name, table)

    def remove(self, name: str) -> None:
        """Forget an Arrow table."""
        self.native.unregister(name)

    def forget(self, *, all_: bool = False) -> None:
        """Forget collections of snapshots that are dead, or all: what is mapped is let go with them."""
        for key in [key for key, known in self.tables.items() if all_ or known.snapshot() is None]:
            self._forget(key)

    def forget_all_but(self, visible: Callable[[str], bool]) -> None:
        """Forget the collections that whoever asks next may not know of."""
        for key in [key for key, known in self.tables.items() if not visible(known.name)]:
            self._forget(key)

    def _register(self, name: str, columns: Columns) -> tuple[str, ...]:
        if columns.masked is None:
            self.native.register(name, columns.whole)
            return (name,)
        names, selects = [], []
        for kind, table in (("whole", columns.whole), ("masked", columns.masked)):
            if table is not None:
                names.append(f"{name} {kind}")
                self.native.register(names[-1], table)
                rest = f"* EXCLUDE ({LIVE})" if kind == "masked" else "*"
                where = f" WHERE {LIVE} = 1" if kind == "masked" else ""
                selects.append(f"SELECT {rest} FROM {quoted(names[-1])}{where}")  # noqa: S608  (names are quoted)
        self.native.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {' UNION ALL '.join(selects)}").fetchall()
        return (*names, name)

    def _forget(self, key: str) -> None:
        known = self.tables.pop(key)
        *parts, view = known.names
        if parts:
            self.native.execute(f"DROP VIEW IF EXISTS {quoted(view)}").fetchall()
            for name in parts:
                self.native.unregister(name)
        else:
            self.native.unregister(view)


class Connections:
    """An instance of DuckDB in memory, and at most `CONNECTIONS_MAX` connections to it. Safe for many threads.

    `_lock` guards the number of connections, those that are leased, and the one that parses.

    Args:
        temporary: directory for what does not fit into memory; made when it is needed.
        memory_bytes: the limit of all queries together.
        threads: of all queries together.
    """

    def __init__(self, temporary: Path, memory_bytes: int, threads: int) -> None:
        self._root = duckdb.connect(":memory:", config={**_CONFIG, "threads": threads})
        for setting in (
            f"memory_limit='{memory_bytes // 1024}KiB'",
            f"temp_directory={literal(str(temporary))}",
            f"max_temp_directory_size='{TEMPORARY_BYTES_MAX // 1024}KiB'",
            "TimeZone='UTC'",
            "enable_external_access=false",
            "lock_configuration=true",  # from here on nothing of this can be changed
        ):
            self._root.execute(f"SET {setting}").fetchall()
        views = self._root.execute("SELECT DISTINCT lower(view_name) FROM duckdb_views() WHERE internal").fetchall()
        self.built_in = frozenset(name for (name,) in views)
        self._parser = self._root.cursor()
        self._lock = threading.Lock()
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._leased: list[Connection] = []
        self._made = 0

    def serialize(self, sql: str) -> str:
        """What DuckDB's parser makes of a query, as JSON."""
        with self._lock:
            rows = self._parser.execute("SELECT json_serialize_sql($1)", [sql]).fetchall()
        return str(rows[0][0])

    @contextmanager
    def lease(self, until: float, seconds: float) -> Iterator[Connection]:
        """A connection for one query.

        Args:
            until: how long to wait for one, by the monotonic clock.
            seconds: the query's time, for the message.

        Raises:
            TimeLimitError: none came free.
        """
        connection = self._take(until, seconds)
        with self._lock:
            self._leased.append(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._leased.remove(connection)
            self._idle.put(connection)

    def tidy(self) -> bool:
        """Let idle connections forget what is dead; whether there is more to forget later."""
        seen: list[Connection] = []
        try:
            while True:
                seen.append(self._idle.get_nowait())
                seen[-1].forget()
        except queue.Empty:
            pass
        for connection in reversed(seen):
            self._idle.put(connection)
        return self._made > len(seen) or any(connection.tables for connection in seen)

    def close(self) -> None:
        """Close all; queries that run are interrupted, and waited for a few seconds."""
        until = time.monotonic() + CLOSING_SECONDS
        while time.monotonic() < until and self._interrupt():
            time.sleep(0.01)  # again and again: an interrupt that comes between two steps is lost
        self._parser.close()
        while not self._idle.empty():
            connection = self._idle.get_nowait()
            connection.forget(all_=True)
            connection.native.close()
        with suppress(duckdb.Error):  # one is still busy
            self._root.close()

    def _interrupt(self) -> bool:
        """Interrupt what runs; whether anything does."""
        with self._lock:
            leased = list(self._leased)
        for connection in leased:
            connection.native.interrupt()
        return bool(leased)

    def _take(self, until: float, seconds: float) -> Connection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            if self._made < CONNECTIONS_MAX:
                self._made += 1
                return Connection(self._root.cursor())
        try:
            return self._idle.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeLimitError(seconds) from None


def quoted(name: str) -> str:
    """A name as DuckDB reads it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as DuckDB reads it."""
    return "'" + text.replace("'", "''") + "'"
