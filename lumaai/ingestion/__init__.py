"""From files to a collection: JSON Lines, JSON, CSV, Parquet, plain text and Markdown.

`read(path)` gives a file's records one by one, bad ones with the reason; `ingest(collection, paths)` adds them to
an embedded collection or to one of a running service, in batches, and says what became of each.
"""

from __future__ import annotations

from lumaai.ingestion.directory import DirectorySummary
from lumaai.ingestion.ingest import (
    TEXT_REFUSED_CODES,
    TEXTS_REFUSED_MAX,
    Failure,
    IngestSummary,
    Progress,
    ingest,
)
from lumaai.ingestion.read import SUFFIXES, read
from lumaai.ingestion.record import Record

__all__ = [
    "SUFFIXES",
    "TEXTS_REFUSED_MAX",
    "TEXT_REFUSED_CODES",
    "DirectorySummary",
    "Failure",
    "IngestSummary",
    "Progress",
    "Record",
    "ingest",
    "read",
]
