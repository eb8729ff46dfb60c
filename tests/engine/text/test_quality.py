"""Retrieval quality of BM25 on SciFact against the published figure."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.metrics import mean_over_queries, ndcg
from tests.engine.text.conftest import MakeIndex
from tests.engine.text.support import add, search

DATA = Path(__file__).parents[4] / "shared" / "data" / "scifact"
PUBLISHED = 0.679  # BM25 (flat), Thakur et al., BEIR, https://arxiv.org/abs/2104.08663 and its reproductions


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data at {DATA}")
def test_scifact_is_as_published(make_index: MakeIndex) -> None:
    """nDCG@10 over title and text, English stems: within 0.02."""
    documents = lines("corpus.jsonl.gz")
    index = make_index({"title": "en", "text": "en"})
    add(index, documents)
    judgements: dict[str, dict[str, int]] = {}
    for row in (DATA / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = row.split("\t")
        judgements.setdefault(query, {})[document] = int(grade)
    view = index.view()
    rankings = {
        query["_id"]: [documents[ordinal]["_id"] for ordinal in search(view, query["text"]).ordinals]
        for query in lines("queries.jsonl.gz")
        if query["_id"] in judgements
    }
    assert len(rankings) == 300
    assert mean_over_queries(ndcg, rankings, judgements, 10) == pytest.approx(PUBLISHED, abs=0.02)
