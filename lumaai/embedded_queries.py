"""Queries of an embedded database: SQL, and the three smaller languages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from lumaai.access import ANYBODY, Caller, Verb
from lumaai.aliases import Aliases
from lumaai.opened import Opened
from lumaai.query import Statements
from lumaai.sql import ROWS_DEFAULT, SECONDS_DEFAULT, Parameters, Queries, SqlResult
from lumaai.translation import translated

if TYPE_CHECKING:
    from lumaai.database import Database


class EmbeddedQueries:
    """The part of a `Database` that runs queries; there is none without the rest of it."""

    _opened: Opened
    _queries: Queries
    _aliases: Aliases
    _caller: Caller = ANYBODY
    _note_act: Callable[[str, str], None] | None = None

    @translated
    def sql(
        self,
        query: str,
        params: Parameters | None = None,
        *,
        limit: int = ROWS_DEFAULT,
        timeout: float = SECONDS_DEFAULT,
        dialect: str = "duckdb",
        explain: bool = False,
    ) -> SqlResult:
        """Run a query in SQL (DuckDB's) over the collections, as they are at this moment. Nothing can be written.

        `search('films', 'space opera', 10)` stands for a table: the documents found, with their `_score`.

        Args:
            query: SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES, or EXPLAIN of one of these.
            params: values of the parameters: a list for `?` and `$1`, a mapping for `$name`.
            limit: rows at most.
            timeout: seconds that it may take.
            dialect: what it is written in, such as "duckdb", "sqlite", "postgres" or "mysql".
            explain: say in the answer what ran.

        Raises:
            InvalidRequestError: the query is malformed (the message says where), not allowed (code
                "sql_not_allowed"), or fails on what the documents hold.
            NotFoundError: it names a collection that is not there.
            TimeLimitError: it took too long.
            MemoryLimitError: it needs more memory than it may take.
        """
        return self.sql_while(
            None, query, params, limit=limit, timeout_seconds=timeout, dialect=dialect, explain=explain
        )

    @translated
    def sql_while(
        self,
        cancelled: threading.Event | None,
        query: str,
        params: Parameters | None,
        *,
        limit: int,
        timeout_seconds: float,
        dialect: str,
        explain: bool,
        told: dict[str, Any] | None = None,
    ) -> SqlResult:
        """As `sql`; `cancelled` ends it when it is set, and `told` takes in what runs."""
        caller = self._caller
        visible = None if caller.everything else lambda name: caller.may(Verb.READ, name)
        return self._queries.run(
            query, params, limit=limit, timeout_seconds=timeout_seconds, dialect=dialect, explain=explain,
            visible=visible, aliases=self._aliases.table, cancelled=cancelled, told=told,
        )  # fmt: skip

    @translated
    def query(
        self,
        language: str,
        query: str | Mapping[str, Any],
        params: Parameters | None = None,
        *,
        limit: int = ROWS_DEFAULT,
        timeout: float = SECONDS_DEFAULT,
    ) -> SqlResult:
        """Run a statement in one of the query languages. They read one collection, and write.

        Args:
            language: "lql" (like SQL), "jql" (JSON) or "nql" (English); see `engine.languages`.
            query: the statement; of JQL the object or its text.
            params: of LQL, for each `?` in turn.
            limit: rows of the answer at most.
            timeout: seconds that it may take; looked at between its stages and before it writes.

        Returns:
            The rows found; after a write one row with the number of documents.

        Raises:
            InvalidRequestError: the statement is malformed; the message says where.
            NotFoundError: it names a collection that is not there.
            TimeLimitError: it took too long; nothing was written.
            LumaError: what a write may raise.
        """
        return self.query_while(None, language, query, params, limit=limit, timeout_seconds=timeout)

    @translated
    def query_while(
        self,
        cancelled: threading.Event | None,
        language: str,
        query: str | Mapping[str, Any],
        params: Parameters | None,
        *,
        limit: int,
        timeout_seconds: float,
    ) -> SqlResult:
        """As `query`; `cancelled` ends it when it is set, unless it writes already."""
        statements = Statements(cast("Database", self), self._opened, self._caller, self._note_act)
        return statements.run(
            language, query, params, limit=limit, timeout_seconds=timeout_seconds, cancelled=cancelled
        )
