"""Readers of plain text, source code and Markdown: one document a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lumaai.ingestion.encodings import decoded
from lumaai.ingestion.metadata import file_document
from lumaai.ingestion.record import Record
from lumaai.ingestion.source import read_bytes
from models import heading_titles

# The largest document that a collection takes, less room for its other fields.
TEXT_BYTES_MAX = 15 * 1024 * 1024


def read_plain_text(path: Path, name: str) -> Iterator[Record]:
    """The file as one document: `id` and `path` are its name, `title` the file's, `text` all of it.

    Raises:
        InvalidRequestError: it is binary, or in an encoding that is not recognised.
        TooLargeError: more than `TEXT_BYTES_MAX`.
        NotSupportedError: it is not UTF-8, and charset-normalizer is not installed.
    """
    yield _record(path, name, path.stem, _text(path))


def read_code(path: Path, name: str) -> Iterator[Record]:
    """The file as one document, titled by its name with the suffix; otherwise as `read_plain_text`."""
    yield _record(path, name, path.name, _text(path))


def read_markdown(path: Path, name: str) -> Iterator[Record]:
    """The file as one document, titled by its first heading of the first level."""
    text = _text(path)
    yield _record(path, name, next(iter(heading_titles(text)), path.stem), text)


def _text(path: Path) -> str:
    return decoded(path, read_bytes(path, bytes_max=TEXT_BYTES_MAX))


def _record(path: Path, name: str, title: str, text: str) -> Record:
    size = len(text)
    if not text.strip():
        return Record(1, problem="file is empty", bytes=size)
    return Record(1, file_document(path, name, title, text), bytes=size)
