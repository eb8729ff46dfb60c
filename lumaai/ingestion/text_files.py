"""Readers of plain text and Markdown: one document a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lumaai.ingestion.record import Record
from lumaai.ingestion.source import read_text

# The largest document that a collection takes, less room for its other fields.
TEXT_BYTES_MAX = 15 * 1024 * 1024

_HEADING = re.compile(r"^ {0,3}#[ \t]+(.+?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def read_plain_text(path: Path) -> Iterator[Record]:
    """The file as one document: `id` its path as given, `title` its name without suffix, `text` all of it.

    Raises:
        InvalidRequestError: it is not UTF-8, or binary.
        TooLargeError: more than `TEXT_BYTES_MAX`.
    """
    yield _record(path, read_text(path, bytes_max=TEXT_BYTES_MAX), path.stem)


def read_markdown(path: Path) -> Iterator[Record]:
    """The file as one document, titled by its first heading of the first level."""
    text = read_text(path, bytes_max=TEXT_BYTES_MAX)
    # A "# comment" in a block of code is no heading.
    heading = _HEADING.search(_FENCED.sub("", text))
    yield _record(path, text, heading[1] if heading else path.stem)


def _record(path: Path, text: str, title: str) -> Record:
    size = len(text)
    if not text.strip():
        return Record(1, problem="file is empty", bytes=size)
    return Record(1, {"id": path.as_posix(), "title": title, "text": text}, bytes=size)
