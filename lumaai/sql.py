"""Queries over a database that is open in this process, and what they answer, wherever the database is."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.translation import translated

if TYPE_CHECKING:
    import engine
    from lumaai.opened import Opened

ROWS_MAX = 1_000_000
ROWS_DEFAULT = 10_000
SECONDS_MAX = 600.0
SECONDS_DEFAULT = 30.0
PARAMETERS_MAX = 1_000

Parameters = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """A column of an answer; `type` is what its values are in JSON terms (see the README)."""

    name: str
    type: str


@dataclass(frozen=True)
class SqlResult:
    """The answer to a query: rows of JSON values.

    Attributes:
        columns: their names, which may repeat, and types.
        truncated: there were more rows than `limit`.
        sequence: of the last write that the query saw.
        explain: what ran, where that was asked for.
    """

    columns: tuple[SqlColumn, ...]
    truncated: bool
    sequence: int
    milliseconds: float
    explain: Mapping[str, Any] | None = None
    _native: Any = field(default=None, repr=False, compare=False)
    _rows: list[list[Any]] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self._native) if self._rows is None else len(self._rows)

    @cached_property
    def rows(self) -> list[list[Any]]:
        """One list a row: datetimes are in ISO 8601 ("infinity" where they are), decimals are numbers."""
        rows: list[list[Any]] = self._native.rows() if self._rows is None else self._rows
        return rows

    def to_pylist(self) -> list[dict[str, Any]]:
        """One dict a row; of columns that share a name the last one counts."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`; from a service, lists, objects and JSON are text in it."""
        if self._rows is None:
            return self._native.table
        from engine import SqlColumn as EngineColumn
        from engine import arrow_of

        return arrow_of([EngineColumn(column.name, column.type) for column in self.columns], self._rows)

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`; dates beyond the years 1 to 9999 are text in it.

        Raises:
            InvalidRequestError: pandas is not installed.
        """
        try:
            return self.to_arrow().to_pandas()
        except ModuleNotFoundError as error:
            raise InvalidRequestError("pandas is not installed: use to_pylist or to_arrow", code="missing") from error
        except (OverflowError, ValueError):
            return replace(self, _rows=self.rows).to_arrow().to_pandas()

    def json_rows(self) -> list[list[Any]]:
        """The rows for JSON, which has no number for what is not finite: "NaN", "Infinity" or "-Infinity" instead."""
        places = [place for place, column in enumerate(self.columns) if column.type in ("number", "list", "object")]
        if not places:
            return self.rows
        rows = [list(row) for row in self.rows]
        for row in rows:
            for place in places:
                row[place] = _for_json(row[place])
        return rows

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        data = {
            "columns": [{"name": column.name, "type": column.type} for column in self.columns],
            "rows": self.json_rows(),
            "truncated": self.truncated,
            "sequence": self.sequence,
            "milliseconds": self.milliseconds,
        }
        return data if self.explain is None else {**data, "explain": dict(self.explain)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SqlResult:
        """Read the HTTP API's shape."""
        columns = tuple(SqlColumn(str(column["name"]), str(column["type"])) for column in data["columns"])
        rows = list(data["rows"])
        for place in (place for place, column in enumerate(columns) if column.type == "number"):
            for row in rows:
                if isinstance(row[place], str):
                    row[place] = float(row[place])
        return cls(
            columns, bool(data["truncated"]), int(data["sequence"]), float(data["milliseconds"]), data.get("explain"),
            _rows=rows,
        )  # fmt: skip

    @classmethod
    def of(cls, native: engine.SqlResult) -> SqlResult:
        """The engine's answer."""
        columns = tuple(SqlColumn(column.name, column.type) for column in native.columns)
        return cls(columns, native.truncated, native.sequence, native.milliseconds, native.explain, native)


class Queries:
    """SQL over what is open; DuckDB starts with the first query, and anew after a restore.

    The lock guards which database is asked.

    Args:
        opened: the database.
        memory_bytes_max: the cap that it was opened with.
    """

    def __init__(self, opened: Opened, memory_bytes_max: int | None) -> None:
        self._opened = opened
        self._options: dict[str, Any] = {} if memory_bytes_max is None else {"memory_bytes_max": memory_bytes_max}
        self._lock = threading.Lock()
        self._asked: engine.Database | None = None
        self._engine: engine.SqlEngine | None = None

    @property
    def running(self) -> engine.SqlEngine:
        """Of the database that is open now."""
        from engine import SqlEngine
        from lumaai.ingestion.manifest import is_manifest

        native = self._opened.native
        with self._lock:
            if self._engine is None or self._asked is not native:
                if self._engine is not None:
                    self._engine.close()
                native.collections()  # of a closed one there is nothing to ask
                self._engine, self._asked = SqlEngine(native, passed_over=is_manifest, **self._options), native
            return self._engine

    def close(self) -> None:
        """Stop all queries."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()
            self._engine = self._asked = None

    def run(
        self,
        sql: str,
        parameters: Parameters | None,
        *,
        limit: int,
        timeout_seconds: float,
        dialect: str,
        explain: bool,
        visible: Callable[[str], bool] | None = None,
        aliases: Mapping[str, str] | None = None,
        cancelled: threading.Event | None = None,
        told: dict[str, Any] | None = None,
    ) -> SqlResult:
        """One query; see `Database.sql`. Collections that are not `visible` are not there; `cancelled` stops it.

        `told` takes in what runs.
        """
        check_query(parameters, limit, timeout_seconds)
        found = self.running.run(
            sql, parameters, limit=limit, timeout_seconds=timeout_seconds, dialect=dialect, search=self._search,
            explain=explain, visible=visible, aliases=aliases,
            cancelled=None if cancelled is None else cancelled.is_set, told=told,
        )  # fmt: skip
        return SqlResult.of(found)

    def _search(self, request: engine.SqlSearchRequest) -> engine.Relation:
        """What `search(…)` in a query finds, in the snapshot that the query sees."""
        try:
            return self._searched(request)
        except InvalidRequestError as error:  # its places are those of a search, which here is a part of a text
            details = [ErrorDetail("/sql", error.code, error.message)]
            raise InvalidRequestError(error.message, code=error.code, errors=details) from error

    @translated
    def _searched(self, request: engine.SqlSearchRequest) -> engine.Relation:
        from lumaai import wire
        from lumaai.composing import Composer

        snapshot = request.snapshot
        mode = request.mode or ("semantic" if snapshot.schema.embed else "keyword")
        if mode not in ("semantic", "keyword", "hybrid"):
            raise InvalidRequestError(f"mode of search must be semantic, keyword or hybrid: got={mode!r:.40}")
        asked: dict[str, Any] = {"query": request.query, "limit": request.limit, "mode": mode}
        if request.filter is not None:
            asked["filter"] = request.filter
        composer = Composer(self._opened.native.collection(snapshot.name), self._opened)
        _, composed = composer.compose(wire.SearchRequest(**asked))
        return snapshot.relation_of(snapshot.query(composed))


def _for_json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _for_json(item) for key, item in value.items()}
    return value


def check_query(parameters: Any, limit: Any, timeout_seconds: Any) -> None:
    """Refuse what could not be bound, and limits that are none.

    Raises:
        InvalidRequestError: naming the place.
    """
    if parameters is not None and (isinstance(parameters, str) or not isinstance(parameters, Sequence | Mapping)):
        raise _refused("/params", f"params must be a list or an object: got={type(parameters).__name__}")
    if parameters is not None and len(parameters) > PARAMETERS_MAX:
        raise _refused("/params", f"too many params: maximum={PARAMETERS_MAX} got={len(parameters)}")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= ROWS_MAX:
        raise _refused("/limit", f"limit must be from 1 to {ROWS_MAX}: got={limit!r:.40}")
    seconds = isinstance(timeout_seconds, int | float) and not isinstance(timeout_seconds, bool)
    if not seconds or not 0 < timeout_seconds <= SECONDS_MAX:
        raise _refused(
            "/timeout", f"timeout must be above 0 and at most {SECONDS_MAX:g} seconds: got={timeout_seconds!r:.40}"
        )


def _refused(pointer: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])
