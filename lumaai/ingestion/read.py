"""Which reader a file takes: chosen by its suffix."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.csv_files import read_csv
from lumaai.ingestion.json_files import read_json, read_json_lines
from lumaai.ingestion.record import Record
from lumaai.ingestion.text_files import read_markdown, read_plain_text

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md", ".markdown")

# What these hold is text, and its types are guessed.
GUESSING_SUFFIXES = frozenset({".csv", ".tsv"})


def read(path: str | Path, *, keep_text: Collection[str] = ()) -> Iterator[Record]:
    """The records of a file, in order; a record that is no document says why, and the others go on.

    Args:
        path: its suffix, in either case, says how it is read: one of `SUFFIXES`.
        keep_text: CSV columns to be kept as strings whatever they look like.

    Raises:
        InvalidRequestError: when iterated: unsupported suffix (code "suffix_unsupported"), unreadable
            ("file_unreadable"), not text ("file_not_text"), or malformed as a whole ("file_malformed").
        TooLargeError: a file that has to be read whole is too large for that.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            yield from read_json_lines(path)
        case ".json":
            yield from read_json(path)
        case ".csv" | ".tsv":
            yield from read_csv(path, keep_text)
        case ".parquet":
            from lumaai.ingestion.parquet_files import read_parquet

            yield from read_parquet(path)
        case ".txt":
            yield from read_plain_text(path)
        case ".md" | ".markdown":
            yield from read_markdown(path)
        case suffix:
            known = " ".join(SUFFIXES)
            raise InvalidRequestError(
                f"cannot read {path}: suffix {suffix or 'missing'!r} is not one of {known}", code="suffix_unsupported"
            )
