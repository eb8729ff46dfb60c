"""Documents, indexes and queries. Synchronous, thread-safe, knows nothing of HTTP, models or questions.

Names are imported when they are first used, so that the light ones (errors, schema) cost nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.batch import VectorRows as VectorRows
    from engine.collection import Collection as Collection
    from engine.collection import WriteResult as WriteResult
    from engine.database import Database as Database
    from engine.document import Passage as Passage
    from engine.errors import CollectionExistsError as CollectionExistsError
    from engine.errors import CollectionNotFoundError as CollectionNotFoundError
    from engine.errors import CorruptionError as CorruptionError
    from engine.errors import DatabaseClosedError as DatabaseClosedError
    from engine.errors import DatabaseLockedError as DatabaseLockedError
    from engine.errors import DimensionMismatchError as DimensionMismatchError
    from engine.errors import DocumentError as DocumentError
    from engine.errors import EngineError as EngineError
    from engine.errors import FilterError as FilterError
    from engine.errors import FormatError as FormatError
    from engine.errors import InvalidDocumentsError as InvalidDocumentsError
    from engine.errors import InvalidInputError as InvalidInputError
    from engine.errors import SchemaError as SchemaError
    from engine.errors import StorageError as StorageError
    from engine.errors import StorageFullError as StorageFullError
    from engine.fields.filter import And as And
    from engine.fields.filter import Comparison as Comparison
    from engine.fields.filter import Filter as Filter
    from engine.fields.filter import Not as Not
    from engine.fields.filter import Or as Or
    from engine.fields.filter import parse_filter as parse_filter
    from engine.fields.relation import Aggregate as Aggregate
    from engine.fields.relation import Relation as Relation
    from engine.fields.relation import SortKey as SortKey
    from engine.hits import Hits as Hits
    from engine.schema import Embedding as Embedding
    from engine.schema import Field as Field
    from engine.schema import FieldType as FieldType
    from engine.schema import IndexKind as IndexKind
    from engine.schema import Metric as Metric
    from engine.schema import Schema as Schema
    from engine.schema import VectorField as VectorField
    from engine.snapshot import Snapshot as Snapshot

_MODULES = {
    "batch": ["VectorRows"],
    "collection": ["Collection", "WriteResult"],
    "database": ["Database"],
    "document": ["Passage"],
    "errors": [
        "CollectionExistsError",
        "CollectionNotFoundError",
        "CorruptionError",
        "DatabaseClosedError",
        "DatabaseLockedError",
        "DimensionMismatchError",
        "DocumentError",
        "EngineError",
        "FilterError",
        "FormatError",
        "InvalidDocumentsError",
        "InvalidInputError",
        "SchemaError",
        "StorageError",
        "StorageFullError",
    ],
    "fields.filter": ["And", "Comparison", "Filter", "Not", "Or", "parse_filter"],
    "fields.relation": ["Aggregate", "Relation", "SortKey"],
    "hits": ["Hits"],
    "schema": ["Embedding", "Field", "FieldType", "IndexKind", "Metric", "Schema", "VectorField"],
    "snapshot": ["Snapshot"],
}
_EXPORTS = {name: f"engine.{module}" for module, names in _MODULES.items() for name in names}
__all__ = sorted(_EXPORTS)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
