"""What can go wrong in the engine, by what the caller should do about it.

EngineError
├── InvalidInputError            change the call
│   ├── SchemaError              change the schema, or the data that contradicts it
│   ├── FilterError              change the filter at `.pointer`
│   ├── QueryError               change the statement (likewise)
│   ├── SqlError                 change the query (`details["offset"]`: at that character)
│   ├── DimensionMismatchError   send a vector of `.expected` numbers
│   ├── LimitExceededError       send less: at most `.limit`
│   ├── IdempotencyConflictError take another key, or send the same request again
│   ├── ArchiveError             take another archive, or another target
│   └── InvalidDocumentsError    mend the documents that `.errors` lists
│       ├── DocumentExistsError      `add` what is to be replaced
│       ├── DocumentsNotFoundError   `add` what is to be there
│       └── ConditionFailedError     read the documents again, and decide anew
├── ChangesGoneError             start over from `.oldest`, with all documents
├── TimeLimitError               ask for less, or for more time
├── MemoryLimitError             ask for less
├── QueryCancelledError          nothing: you stopped it
├── EmbeddingChangedError        make the vectors again, as the schema says now
├── ReadOnlyError                open the database as its one writer
├── CollectionNotFoundError      create it, or correct the name
├── CollectionExistsError        use it, or choose another name
├── DatabaseLockedError          stop the owner, or connect to it
├── DatabaseClosedError          open it again
├── StorageError                 see to the disk, then open the database again
│   └── StorageFullError         free some disk
├── CorruptionError              restore from a snapshot
└── FormatError                  open with the version that the message names
    ├── DatabaseNotFoundError    correct the path, or open it for writing first
    └── ForeignDirectoryError    take another directory
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose.

    Attributes:
        code: short stable name, for programs.
        details: the facts of the message, for programs.
    """

    code = "engine_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = details


class InvalidInputError(EngineError):
    """A value from the caller cannot be used; `pointer` (RFC 6901) says where it stands."""

    code = "invalid_value"

    def __init__(self, message: str, *, pointer: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.pointer = pointer


class SchemaError(InvalidInputError):
    """A schema is malformed, or contradicts the one that the collection has."""

    code = "schema_invalid"


class FilterError(InvalidInputError):
    """A filter is malformed; `pointer` is the place within the filter."""

    code = "filter_invalid"


class SqlError(InvalidInputError):
    """A query is malformed, asks for what is not there, or is not allowed (code "sql_not_allowed")."""

    code = "sql_invalid"

    def __init__(self, message: str, *, code: str | None = None, pointer: str | None = None, **details: Any) -> None:
        super().__init__(message, pointer=pointer, **details)
        self.code = code or self.code


class QueryError(InvalidInputError):
    """A statement of a query language is malformed, or asks for what cannot be."""

    code = "query_invalid"


class DimensionMismatchError(InvalidInputError):
    """A vector has another number of components than its field."""

    code = "dimension_mismatch"

    def __init__(self, expected: int, got: int, *, pointer: str | None = None) -> None:
        super().__init__(
            f"vector has wrong size: expected={expected} got={got}",
            pointer=pointer,
            expected=expected,
            got=got,
        )
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True)
class DocumentError:
    """Why one document of a batch cannot be stored.

    Attributes:
        index: place in the batch, from 0.
        id: the document's id, if it has a usable one.
        pointer: JSON Pointer into the batch, for example "/3/year".
        code: short stable name.
        message: a sentence with the facts.
        expected: what would have been right, where that is one word or number.
        got: what was found.
    """

    index: int
    id: str | None
    pointer: str
    code: str
    message: str
    expected: str | int | None = None
    got: str | int | None = None


class InvalidDocumentsError(InvalidInputError):
    """Some documents of a batch cannot be stored; nothing was written."""

    code = "documents_invalid"

    def __init__(self, errors: tuple[DocumentError, ...]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        place = f"document {first.index}: " if first.index >= 0 else ""  # a condition may name one outside the batch
        super().__init__(f"{place}{first.message}{more}", pointer=first.pointer)
        self.errors = errors


class DocumentExistsError(InvalidDocumentsError):
    """Documents to insert are there already; nothing was written."""

    code = "document_exists"


class DocumentsNotFoundError(InvalidDocumentsError):
    """Documents to patch are not there; nothing was written."""

    code = "document_not_found"


class ConditionFailedError(InvalidDocumentsError):
    """Documents are not as the write demanded; nothing was written."""

    code = "precondition_failed"


class LimitExceededError(InvalidInputError):
    """A request is larger than the published limit.

    Attributes:
        limit: what is allowed.
        got: what was sent.
    """

    code = "batch_too_large"

    def __init__(self, what: str, limit: int, got: int, unit: str) -> None:
        super().__init__(f"{what}: maximum={limit} got={got} {unit}", limit=limit, got=got, unit=unit)
        self.limit = limit
        self.got = got


class IdempotencyConflictError(InvalidInputError):
    """An idempotency key was used before, for another request."""

    code = "idempotency_key_reused"


class ArchiveError(InvalidInputError):
    """An archive is damaged, foreign or unsafe, or its target is taken; nothing was changed."""

    code = "archive_invalid"


class ChangesGoneError(EngineError):
    """The log no longer holds the changes asked for, or never came to them: then it is of another past, or restored.

    Attributes:
        oldest: the smallest sequence after which the log still holds every change.
    """

    code = "changes_gone"

    def __init__(self, after: int, oldest: int, latest: int) -> None:
        facts = f"after={after} oldest={oldest} latest={latest}"
        what = "after is ahead of the log" if after > latest else "changes are gone from the log"
        super().__init__(f"{what}: {facts}", after=after, oldest=oldest, latest=latest)
        self.oldest = oldest


class TimeLimitError(EngineError):
    """A query took longer than it may."""

    code = "time_limit_exceeded"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"query took too long: maximum={seconds:g} seconds", limit=seconds)


class QueryCancelledError(EngineError):
    """Whoever asked for a query has stopped it."""

    code = "query_cancelled"


def check_wanted(cancelled: Callable[[], bool] | None) -> None:
    """Go on only while whoever asked still wants the answer; None: always.

    Raises:
        QueryCancelledError: they do not.
    """
    if cancelled is not None and cancelled():
        raise QueryCancelledError("query was cancelled")


class MemoryLimitError(EngineError):
    """A query needs more memory, or more room on disk beside it, than it may take."""

    code = "memory_limit_exceeded"


class EmbeddingChangedError(EngineError):
    """The vectors of a write were made by a model that the collection no longer has."""

    code = "embedding_changed"


class ReadOnlyError(EngineError):
    """The database is open for reading only."""

    code = "read_only"


class CollectionNotFoundError(EngineError):
    """There is no collection of that name, or no longer: it was dropped while it was being used."""

    code = "collection_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"collection does not exist: {name!r}", name=name)
        self.name = name


class CollectionExistsError(EngineError):
    """There is a collection of that name already."""

    code = "collection_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"collection exists already: {name!r}", name=name)
        self.name = name


class DatabaseLockedError(EngineError):
    """Another process (or another `Database` in this one) has the directory open."""

    code = "database_locked"

    def __init__(self, path: str, pid: int | None, host: str | None) -> None:
        super().__init__(f"database is in use: path={path} pid={pid} host={host}", path=path, pid=pid, host=host)
        self.pid = pid
        self.host = host


class DatabaseClosedError(EngineError):
    """The database was closed while it was being used."""

    code = "database_closed"


class StorageError(EngineError):
    """The disk refused a read or a write; nothing of the write in hand was acknowledged."""

    code = "storage_failed"


class StorageFullError(StorageError):
    """The disk, or a quota on it, is full."""

    code = "storage_full"


class CorruptionError(EngineError):
    """A file of the database is damaged; the message names it."""

    code = "corruption"


class FormatError(EngineError):
    """The directory is not a LumaDB database, or one of a newer format."""

    code = "format_unsupported"


class DatabaseNotFoundError(FormatError):
    """There is no database at a path that was to be read only."""

    code = "database_not_found"


class ForeignDirectoryError(FormatError):
    """The directory holds something else: other files, or an archive."""

    code = "not_a_database"
