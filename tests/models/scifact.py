"""The SciFact set beside the repository: BEIR layout, title and text joined by a space."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).parents[2].parent / "shared" / "data" / "scifact"


@dataclass(frozen=True)
class SciFact:
    documents: dict[str, str]
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]


def load_scifact() -> SciFact:
    """The corpus, and the test queries with their judgements; skips the test where the data is absent."""
    if not DIRECTORY.is_dir():
        pytest.skip("needs ../shared/data/scifact beside the repository")
    documents = {row["_id"]: f"{row['title']} {row['text']}" for row in _rows("corpus.jsonl.gz")}
    judgements: dict[str, dict[str, int]] = {}
    with (DIRECTORY / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            judgements.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    queries = {row["_id"]: row["text"] for row in _rows("queries.jsonl.gz") if row["_id"] in judgements}
    return SciFact(documents, queries, judgements)


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(DIRECTORY / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
