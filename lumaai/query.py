"""Statements of the query languages: read by the engine, their writes made by the collections themselves."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import engine
from lumaai.access import Caller, Verb
from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.sql import Parameters, SqlColumn, SqlResult, check_query
from lumaai.translation import translated

if TYPE_CHECKING:
    from lumaai.database import Database
    from lumaai.opened import Opened

# Where in a statement stands what a write was made of: patterns of pointers → what begins them instead.
_JQL_PLACES: Mapping[str, Mapping[str, str]] = {
    "Insert": {r"/documents": "/query/documents"},
    "Update": {r"/documents/\d+": "/query/set"},
    "Delete": {r"/filter": "/query/filter"},
    "CreateCollection": {r"/fields": "/query/fields"},
}


class Statements:
    """Runs statements over one database; `engine.languages.executor.Target` for them.

    Args:
        database: what is written.
        opened: what is read.
        caller: who asks; they need the verb of each thing that is done.
        note_act: told what is made or dropped.
    """

    def __init__(
        self, database: Database, opened: Opened, caller: Caller, note_act: Callable[[str, str], None] | None
    ) -> None:
        self._database = database
        self._opened = opened
        self._caller = caller
        self._note_act = note_act

    def run(
        self,
        language: str,
        query: str | Mapping[str, Any],
        parameters: Parameters | None,
        *,
        limit: int,
        timeout_seconds: float,
        cancelled: threading.Event | None = None,
    ) -> SqlResult:
        """One statement; see `Database.query`. `cancelled` ends it, as the end of its time does."""
        check_query(parameters, limit, timeout_seconds)
        until = time.monotonic() + timeout_seconds

        def check() -> None:
            if cancelled is not None and cancelled.is_set():
                raise engine.QueryCancelledError("query was cancelled")
            if time.monotonic() >= until:
                raise engine.TimeLimitError(timeout_seconds)

        statement = _read(language, query, parameters)
        try:
            found = engine.run_query(statement, self, limit, check=check)
        except InvalidRequestError as error:  # of a write: its places are those of the batch that was made
            within = _JQL_PLACES.get(type(statement).__name__, {}) if language == "jql" else {}
            error.errors = tuple(replace(detail, pointer=_in_query(detail.pointer, within)) for detail in error.errors)
            raise
        columns = tuple(SqlColumn(name, kind) for name, kind in found.columns)
        sequence = self._database.sequence if found.sequence is None else found.sequence
        return SqlResult(columns, found.truncated, sequence, found.milliseconds, found.explain, _rows=found.rows)

    def snapshot(self, collection: str) -> engine.Snapshot:
        """See `Target.snapshot`."""
        name = self._database.resolve(collection)
        self._caller.check(Verb.READ, name, collection)
        return self._opened.native.collection(name).snapshot()

    def insert(self, collection: str, documents: Sequence[Mapping[str, Any]]) -> int:
        """See `Target.insert`."""
        self._caller.check(Verb.WRITE, self._database.resolve(collection), collection)
        return self._database.collection(collection).insert([dict(document) for document in documents]).added

    def patch(self, collection: str, patches: Sequence[Mapping[str, Any]]) -> int:
        """See `Target.patch`."""
        name = self._database.resolve(collection)
        self._caller.check(Verb.WRITE, name, collection)
        if len(patches) > 1:
            self._check_alike(name, patches[0])
        return self._database.collection(collection).patch([dict(patch) for patch in patches]).replaced

    def delete(self, collection: str, where: Mapping[str, Any] | str) -> int:
        """See `Target.delete`."""
        self._caller.check(Verb.WRITE, self._database.resolve(collection), collection)
        return self._database.collection(collection).delete(filter=where).deleted

    def create(self, collection: str, fields: Mapping[str, Any]) -> None:
        """See `Target.create`."""
        self._administer("create_collection", collection)
        self._database.create_collection(collection, fields or None)

    def drop(self, collection: str) -> None:
        """See `Target.drop`."""
        self._administer("drop_collection", collection)
        self._database.drop(collection)

    @translated
    def _check_alike(self, collection: str, patch: Mapping[str, Any]) -> None:
        """Refuse what every patch of a statement sets and none could store, before thousands are made ready.

        Objects are left to the write: they may be right only with what is stored.

        Raises:
            InvalidRequestError: a value does not fit its field.
        """
        plain = {key: value for key, value in patch.items() if isinstance(value, str | int | float)}
        errors = self._opened.native.collection(collection).prepare([plain]).errors
        if errors:
            raise engine.InvalidDocumentsError(tuple(errors))

    def _administer(self, act: str, collection: str) -> None:
        if self._note_act is not None:
            self._note_act(act, collection)
        self._caller.check(Verb.ADMIN, collection)


def _read(language: str, query: str | Mapping[str, Any], parameters: Parameters | None) -> Any:
    """Parse a statement; what is wrong with its parameters or language stands beside it, not in it."""
    if isinstance(parameters, Mapping):
        raise _refused("/params", "parameters of a statement go by place: give a list")
    if parameters and language != "lql":
        raise _refused("/params", "only LQL takes parameters")
    try:
        return engine.read_query(language, query, list(parameters or ()))
    except engine.QueryError as error:
        if error.pointer in ("/params", "/language"):
            raise _refused(error.pointer, str(error)) from error
        raise


def _refused(pointer: str, message: str) -> InvalidRequestError:
    code = "query_invalid"
    return InvalidRequestError(message, code=code, errors=[ErrorDetail(pointer, code, message)])


def _in_query(pointer: str, places: Mapping[str, str]) -> str:
    """A place of a write as a place of the statement: as near as it is known."""
    if pointer.startswith("/query"):
        return pointer
    for pattern, place in places.items():
        match = re.match(pattern, pointer)
        if match is not None:
            return place + pointer[match.end() :]
    return "/query"
