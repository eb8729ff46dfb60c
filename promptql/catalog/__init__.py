"""What there is to ask about: collections, what their fields hold and mean, and how they lead to each other."""

from __future__ import annotations

from promptql.catalog.collections import Catalog, CollectionInfo
from promptql.catalog.fields import (
    CATEGORY_VALUES_MAX,
    ID,
    LABEL_NAMES,
    NUMBER_TYPES,
    ORDERED_TYPES,
    STRING_TYPES,
    FieldInfo,
)
from promptql.catalog.reader import VALUES_MAX, CatalogReader, read_catalog, with_phrases
from promptql.catalog.relationships import Relationship
from promptql.catalog.semantics import SemanticType

__all__ = [
    "CATEGORY_VALUES_MAX",
    "ID",
    "LABEL_NAMES",
    "NUMBER_TYPES",
    "ORDERED_TYPES",
    "STRING_TYPES",
    "VALUES_MAX",
    "Catalog",
    "CatalogReader",
    "CollectionInfo",
    "FieldInfo",
    "Relationship",
    "SemanticType",
    "read_catalog",
    "with_phrases",
]
