"""Documents, indexes and queries. Synchronous, thread-safe, knows nothing of HTTP, models or questions.

Names are imported when they are first used, so that the light ones (errors, schema) cost nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.collection import Collection as Collection
    from engine.database import COLLECTION_NAME as COLLECTION_NAME
    from engine.database import Database as Database
    from engine.directory.archive import ArchiveInfo as ArchiveInfo
    from engine.directory.archive import ArchiveList as ArchiveList
    from engine.directory.lock import check_unlocked as check_unlocked
    from engine.directory.reading import read_archive as read_archive
    from engine.directory.reading import verify_archive as verify_archive
    from engine.directory.restoring import restore_archive as restore_archive
    from engine.directory.scrub import CheckReport as CheckReport
    from engine.directory.scrub import Problem as Problem
    from engine.document import Passage as Passage
    from engine.errors import ArchiveError as ArchiveError
    from engine.errors import ChangesGoneError as ChangesGoneError
    from engine.errors import CollectionExistsError as CollectionExistsError
    from engine.errors import CollectionNotFoundError as CollectionNotFoundError
    from engine.errors import ConditionFailedError as ConditionFailedError
    from engine.errors import CorruptionError as CorruptionError
    from engine.errors import DatabaseClosedError as DatabaseClosedError
    from engine.errors import DatabaseLockedError as DatabaseLockedError
    from engine.errors import DatabaseNotFoundError as DatabaseNotFoundError
    from engine.errors import DimensionMismatchError as DimensionMismatchError
    from engine.errors import DocumentError as DocumentError
    from engine.errors import DocumentExistsError as DocumentExistsError
    from engine.errors import DocumentsNotFoundError as DocumentsNotFoundError
    from engine.errors import EmbeddingChangedError as EmbeddingChangedError
    from engine.errors import EngineError as EngineError
    from engine.errors import FilterError as FilterError
    from engine.errors import ForeignDirectoryError as ForeignDirectoryError
    from engine.errors import FormatError as FormatError
    from engine.errors import IdempotencyConflictError as IdempotencyConflictError
    from engine.errors import InvalidDocumentsError as InvalidDocumentsError
    from engine.errors import InvalidInputError as InvalidInputError
    from engine.errors import LimitExceededError as LimitExceededError
    from engine.errors import MemoryLimitError as MemoryLimitError
    from engine.errors import QueryCancelledError as QueryCancelledError
    from engine.errors import QueryError as QueryError
    from engine.errors import ReadOnlyError as ReadOnlyError
    from engine.errors import SchemaError as SchemaError
    from engine.errors import SqlError as SqlError
    from engine.errors import StorageError as StorageError
    from engine.errors import StorageFullError as StorageFullError
    from engine.errors import TimeLimitError as TimeLimitError
    from engine.errors import check_wanted as check_wanted
    from engine.facets.counting import count_facets as count_facets
    from engine.facets.specification import FacetError as FacetError
    from engine.facets.specification import parse_facets as parse_facets
    from engine.fields.aggregates import Aggregate as Aggregate
    from engine.fields.columns import value_at as value_at
    from engine.fields.filter import And as And
    from engine.fields.filter import Comparison as Comparison
    from engine.fields.filter import Filter as Filter
    from engine.fields.filter import Not as Not
    from engine.fields.filter import Or as Or
    from engine.fields.filter import parse_filter as parse_filter
    from engine.fields.joining import Coverage as Coverage
    from engine.fields.order import OrderError as OrderError
    from engine.fields.order import SortKey as SortKey
    from engine.fields.order import parse_order as parse_order
    from engine.fields.origin import Provenance as Provenance
    from engine.fields.plain import PLAIN as PLAIN
    from engine.fields.plain import plain_scalar as plain_scalar
    from engine.fields.relation import Relation as Relation
    from engine.fields.windows import WindowCall as WindowCall
    from engine.filtering import explain_filter as explain_filter
    from engine.hits import Hits as Hits
    from engine.languages.executor import QueryResult as QueryResult
    from engine.languages.executor import read_query as read_query
    from engine.languages.executor import run_query as run_query
    from engine.meaning import Meaning as Meaning
    from engine.meaning import Reference as Reference
    from engine.memory import MEMORY_BYTES_DEFAULT as MEMORY_BYTES_DEFAULT
    from engine.memory import MemoryLimits as MemoryLimits
    from engine.ordering import ordered as ordered
    from engine.records import Records as Records
    from engine.schema import Embedding as Embedding
    from engine.schema import Field as Field
    from engine.schema import FieldType as FieldType
    from engine.schema import IndexKind as IndexKind
    from engine.schema import Metric as Metric
    from engine.schema import Quantization as Quantization
    from engine.schema import Schema as Schema
    from engine.schema import Ttl as Ttl
    from engine.schema import VectorField as VectorField
    from engine.search.grouping import Group as Group
    from engine.search.keyword import Highlight as Highlight
    from engine.search.request import Examples as Examples
    from engine.search.request import Fusion as Fusion
    from engine.search.request import FusionMethod as FusionMethod
    from engine.search.request import GroupBy as GroupBy
    from engine.search.request import Nearest as Nearest
    from engine.search.request import Rerank as Rerank
    from engine.search.request import SearchRequest as SearchRequest
    from engine.search.request import Strategy as Strategy
    from engine.search.request import Words as Words
    from engine.search.scope import Among as Among
    from engine.search.scope import Condition as Condition
    from engine.snapshot import Snapshot as Snapshot
    from engine.sql.engine import SqlEngine as SqlEngine
    from engine.sql.expressions import NotInSqlError as NotInSqlError
    from engine.sql.relation import SqlRelation as SqlRelation
    from engine.sql.result import SqlColumn as SqlColumn
    from engine.sql.result import SqlResult as SqlResult
    from engine.sql.result import arrow_of as arrow_of
    from engine.sql.run import SqlSearchRequest as SqlSearchRequest
    from engine.statistics import FieldStatistics as FieldStatistics
    from engine.store.options import StoreOptions as StoreOptions
    from engine.text.query import Expansion as Expansion
    from engine.text.query import TextQuery as TextQuery
    from engine.vector.parameters import SearchParameters as SearchParameters
    from engine.waiting import WouldWaitError as WouldWaitError
    from engine.waiting import without_waiting as without_waiting
    from engine.writes.batch import BATCH_BYTES_MAX as BATCH_BYTES_MAX
    from engine.writes.batch import BATCH_DOCUMENTS_MAX as BATCH_DOCUMENTS_MAX
    from engine.writes.batch import VectorRows as VectorRows
    from engine.writes.changes import ChangeRecord as ChangeRecord
    from engine.writes.changes import Changes as Changes
    from engine.writes.commit import Durability as Durability
    from engine.writes.conditions import Conditions as Conditions
    from engine.writes.copying import HIDDEN_PREFIX as HIDDEN_PREFIX
    from engine.writes.copying import Copied as Copied
    from engine.writes.idempotency import IdempotencyKey as IdempotencyKey
    from engine.writes.patching import merge_patch as merge_patch
    from engine.writes.plan import WriteResult as WriteResult

_MODULES = {
    "directory.archive": ["ArchiveInfo", "ArchiveList"],
    "writes.batch": ["BATCH_BYTES_MAX", "BATCH_DOCUMENTS_MAX", "VectorRows"],
    "writes.changes": ["ChangeRecord", "Changes"],
    "meaning": ["Meaning", "Reference"],
    "memory": ["MEMORY_BYTES_DEFAULT", "MemoryLimits"],
    "collection": ["Collection"],
    "writes.commit": ["Durability"],
    "writes.conditions": ["Conditions"],
    "database": ["COLLECTION_NAME", "Database"],
    "document": ["Passage"],
    "errors": [
        "ArchiveError",
        "ChangesGoneError",
        "CollectionExistsError",
        "CollectionNotFoundError",
        "ConditionFailedError",
        "CorruptionError",
        "DatabaseClosedError",
        "DatabaseLockedError",
        "DimensionMismatchError",
        "DocumentError",
        "DocumentExistsError",
        "DocumentsNotFoundError",
        "EmbeddingChangedError",
        "EngineError",
        "FilterError",
        "DatabaseNotFoundError",
        "ForeignDirectoryError",
        "FormatError",
        "IdempotencyConflictError",
        "InvalidDocumentsError",
        "InvalidInputError",
        "LimitExceededError",
        "QueryError",
        "ReadOnlyError",
        "SchemaError",
        "MemoryLimitError",
        "QueryCancelledError",
        "SqlError",
        "StorageError",
        "StorageFullError",
        "TimeLimitError",
        "check_wanted",
    ],
    "fields.columns": ["value_at"],
    "fields.filter": ["And", "Comparison", "Filter", "Not", "Or", "parse_filter"],
    "facets.counting": ["count_facets"],
    "fields.plain": ["PLAIN", "plain_scalar"],
    "facets.specification": ["FacetError", "parse_facets"],
    "filtering": ["explain_filter"],
    "ordering": ["ordered"],
    "fields.order": ["OrderError", "SortKey", "parse_order"],
    "statistics": ["FieldStatistics"],
    "fields.aggregates": ["Aggregate"],
    "fields.joining": ["Coverage"],
    "fields.origin": ["Provenance"],
    "fields.relation": ["Relation"],
    "fields.windows": ["WindowCall"],
    "hits": ["Hits"],
    "writes.copying": ["Copied", "HIDDEN_PREFIX"],
    "writes.idempotency": ["IdempotencyKey"],
    "languages.executor": ["QueryResult", "read_query", "run_query"],
    "writes.patching": ["merge_patch"],
    "directory.lock": ["check_unlocked"],
    "directory.reading": ["read_archive", "verify_archive"],
    "directory.restoring": ["restore_archive"],
    "writes.plan": ["WriteResult"],
    "records": ["Records"],
    "schema": [
        "Embedding",
        "Field",
        "FieldType",
        "IndexKind",
        "Metric",
        "Quantization",
        "Schema",
        "Ttl",
        "VectorField",
    ],
    "directory.scrub": ["CheckReport", "Problem"],
    "search.grouping": ["Group"],
    "search.scope": ["Among", "Condition"],
    "search.request": [
        "Examples",
        "Fusion",
        "FusionMethod",
        "GroupBy",
        "Nearest",
        "Rerank",
        "SearchRequest",
        "Strategy",
        "Words",
    ],
    "search.keyword": ["Highlight"],
    "snapshot": ["Snapshot"],
    "text.query": ["Expansion", "TextQuery"],
    "sql.expressions": ["NotInSqlError"],
    "sql.relation": ["SqlRelation"],
    "sql.engine": ["SqlEngine"],
    "sql.result": ["SqlColumn", "SqlResult", "arrow_of"],
    "sql.run": ["SqlSearchRequest"],
    "waiting": ["WouldWaitError", "without_waiting"],
    "vector.parameters": ["SearchParameters"],
    "store.options": ["StoreOptions"],
}
_EXPORTS = {name: f"engine.{module}" for module, names in _MODULES.items() for name in names}
__all__ = sorted(_EXPORTS)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
