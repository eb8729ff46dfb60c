"""Which reader a file takes: chosen by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.csv_files import read_csv
from lumaai.ingestion.docx_files import read_docx
from lumaai.ingestion.html_files import read_html
from lumaai.ingestion.json_files import read_json, read_json_lines
from lumaai.ingestion.pdf_files import read_pdf
from lumaai.ingestion.record import Record
from lumaai.ingestion.text_files import read_code, read_markdown, read_plain_text
from models import CODE_SUFFIXES

SUFFIXES = (
    ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".text", ".rst", ".md", ".markdown",
    ".mdx", ".html", ".htm", ".xhtml", ".pdf", ".docx",
)  # fmt: skip

# One row of Arrow.
ROW_BYTES_MAX = 64 << 20
# What these hold is text, and its types are guessed.
GUESSING_SUFFIXES = frozenset({".csv", ".tsv"})

# What a record's number counts, by suffix; elsewhere there is one record a file.
_NUMBERED = {".json": "item", ".parquet": "row", ".arrow": "row", ".pdf": "page"}


def is_readable(path: Path) -> bool:
    """Whether there is a reader for files of that name."""
    return path.suffix.lower() in SUFFIXES or path.suffix.lower() in CODE_SUFFIXES


def place(path: str | Path, position: int) -> str:
    """Where in a file a record is: "line 4"; "item 4" of a JSON array, "row 4" of a Parquet file, "page 4"."""
    return f"{_NUMBERED.get(Path(path).suffix.lower(), 'line')} {position:,}"


def read(
    path: str | Path,
    *,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    on_note: Callable[[str], None] | None = None,
    name: str | None = None,
) -> Iterator[Record]:
    """The records of a file, in order; a record that is no document says why, and the others go on.

    Args:
        path: its suffix, in either case, says how it is read: one of `SUFFIXES`, or one of source code.
        fields: how the collection has its fields, by name: what the cells of CSV files, which are text, become.
        on_note: told what is worth knowing of a file that is no fault of one record.
        name: what a document that is made from a whole file is called; by default the path as given.

    Raises:
        InvalidRequestError: when iterated: unsupported suffix (code "suffix_unsupported"), unreadable
            ("file_unreadable"), not text ("file_not_text"), or malformed as a whole ("file_malformed").
        TooLargeError: a file that has to be read whole is too large for that.
        NotSupportedError: the library that reads such files is not installed; says how to get it.
    """
    path = Path(path)
    called = path.as_posix() if name is None else name
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            yield from read_json_lines(path)
        case ".json":
            yield from read_json(path)
        case ".csv" | ".tsv":
            yield from read_csv(path, fields, on_note)
        case ".parquet" | ".arrow":
            yield from _read_table(path)
        case ".txt" | ".text" | ".rst":
            yield from read_plain_text(path, called)
        case ".md" | ".markdown" | ".mdx":
            yield from read_markdown(path, called)
        case ".html" | ".htm" | ".xhtml":
            yield from read_html(path, called)
        case ".pdf":
            yield from read_pdf(path, called)
        case ".docx":
            yield from read_docx(path, called)
        case suffix if suffix in CODE_SUFFIXES:
            yield from read_code(path, called)
        case _ if not path.exists():
            raise InvalidRequestError(f"cannot read {path}: no such file", code="file_unreadable")
        case suffix:
            known = f"{' '.join(SUFFIXES)} or of source code"
            raise InvalidRequestError(
                f"cannot read {path}: suffix {suffix or 'missing'!r} is not one of {known}", code="suffix_unsupported"
            )


def _read_table(path: Path) -> Iterator[Record]:
    """The rows of a Parquet or Arrow file, by a library that few need."""
    if path.suffix.lower() == ".parquet":
        from lumaai.ingestion.parquet_files import read_parquet

        return read_parquet(path)
    from lumaai.ingestion.uploads import read_upload

    return read_upload(path, fields={}, row_bytes_max=ROW_BYTES_MAX)
