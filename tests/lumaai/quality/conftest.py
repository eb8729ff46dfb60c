from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

CORPUS: list[dict[str, Any]] = [
    {"_id": "d1", "title": "Ships", "text": "Ships cross the ocean under sail."},
    {"_id": "d2", "title": "Bread", "text": "Bread is baked from flour in an oven."},
    {"_id": "d3", "title": "Harbours", "text": "Ships wait in harbours."},
    {"_id": "d4", "title": "", "text": ""},
    {"_id": "d5", "title": "Stars", "text": "Astronomers watch the stars by night.", "year": 1999},
]
QUERIES: list[dict[str, Any]] = [
    {"_id": "q1", "text": "ships"},
    {"_id": "q2", "text": "flour oven"},
    {"_id": "q3", "text": "not judged"},
]
QRELS = {"q1": {"d1": 2, "d3": 1, "d5": 0}, "q2": {"d2": 1}}


def write_set(folder: Path, *, packed: bool = False, files: Mapping[str, str] | None = None) -> Path:
    """A set in BEIR's layout; `files` replaces some of them by other text."""

    def lines(rows: list[dict[str, Any]]) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    rows = [f"{query}\t{id_}\t{grade}\n" for query, grades in QRELS.items() for id_, grade in grades.items()]
    content = {
        "corpus.jsonl": lines(CORPUS),
        "queries.jsonl": lines(QUERIES),
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\n" + "".join(rows),
        **(files or {}),
    }
    (folder / "qrels").mkdir(parents=True)
    for name, text in content.items():
        if packed and name.endswith(".jsonl"):
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / name).write_text(text)
    return folder


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    return write_set(tmp_path / "ships")
