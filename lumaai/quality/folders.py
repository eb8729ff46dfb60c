"""Reads BEIR's layout: `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`, plain or compressed with gzip."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.json_files import decode


@dataclass(frozen=True, slots=True)
class JudgedFolder:
    """A set: documents, the queries that are judged, and the judgements.

    Attributes:
        name: the folder's.
        documents: with `id` and the fields that are indexed.
        queries: texts by id, those without a judgement left out.
        judgements: grades by document id, by query id; 0 is not relevant.
    """

    name: str
    documents: Sequence[Mapping[str, Any]]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]


def read_folder(path: Path, *, fields: Sequence[str] = ("title", "text"), split: str = "test") -> JudgedFolder:
    """The set in a folder.

    Args:
        path: the folder.
        fields: of the corpus that are indexed.
        split: which judgements: the name of a file in `qrels`.

    Raises:
        InvalidRequestError: a file is missing or malformed, or a judged query is not there (code "folder_invalid").
    """
    judgements = _judgements(path, split)
    texts = {str(row["_id"]): str(row["text"]) for row in _rows(path, "queries.jsonl", ("_id", "text"))}
    missing = next((query for query in judgements if query not in texts), None)
    if missing is not None:
        raise _invalid(path, f"qrels/{split}.tsv judges a query that is not in queries.jsonl: {missing!r:.60}")
    documents = [
        {"id": str(row["_id"]), **{name: text for name in fields if (text := str(row.get(name) or "")).strip()}}
        for row in _rows(path, "corpus.jsonl", ("_id",))
    ]
    if not any(len(document) > 1 for document in documents):
        raise _invalid(path, f"no document has text in {' or '.join(fields)}")
    return JudgedFolder(path.resolve().name, documents, {query: texts[query] for query in judgements}, judgements)


def _judgements(path: Path, split: str) -> dict[str, dict[str, int]]:
    """Of lines with query, document and grade; a first line whose grade is no number is a heading."""
    file = path / "qrels" / f"{split}.tsv"
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_lines(path, file), start=1):
        cells = line.split("\t")
        if len(cells) == 3 and cells[2].strip().lstrip("-").isdigit():
            found.setdefault(cells[0], {})[cells[1]] = int(cells[2])
        elif number > 1 and line.strip():
            raise _invalid(path, f"{file.name} line {number} is not query, document and grade between tabs")
    if not found:
        raise _invalid(path, f"{file.name} has no judgements")
    return found


def _rows(path: Path, name: str, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(_lines(path, path / name), start=1):
        if not line.strip():
            continue
        try:
            row = decode(line)
        except ValueError as error:
            raise _invalid(path, f"{name} line {number} is not JSON: {error}") from error
        if not isinstance(row, dict) or any(key not in row for key in keys):
            raise _invalid(path, f"{name} line {number} is no object with {' and '.join(keys)}")
        yield row


def _lines(path: Path, file: Path) -> Iterator[str]:
    packed = file.with_name(f"{file.name}.gz")
    try:
        if packed.exists():
            with gzip.open(packed, "rt", encoding="utf-8") as lines:
                yield from (line.rstrip("\n") for line in lines)
        else:
            with file.open(encoding="utf-8") as lines:
                yield from (line.rstrip("\n") for line in lines)
    except FileNotFoundError as error:
        raise _invalid(path, f"there is no {file.relative_to(path)}, nor the same with .gz") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _invalid(path, f"{file.relative_to(path)} cannot be read: {error}") from error


def _invalid(path: Path, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path} is no folder of judged queries: {why}", code="folder_invalid")
