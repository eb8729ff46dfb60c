from __future__ import annotations

import numpy as np
import pytest

from benchmarks.metrics import mean_over_queries, ndcg
from models import Embedder
from tests.models.scifact import load_scifact

PUBLISHED_NDCG_AT_10 = 0.6451  # MTEB, all-MiniLM-L6-v2 on SciFact's test queries


@pytest.mark.slow
def test_scifact_ndcg_is_the_published_one(embedder: Embedder) -> None:
    """Exact search over whole documents, truncated by the model itself, is within 0.005 of what is published."""
    data = load_scifact()
    ids = list(data.documents)
    documents = embedder.embed_documents(list(data.documents.values()))
    queries = embedder.embed_queries(list(data.queries.values()))
    best = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10]
    rankings = {query: [ids[row] for row in rows] for query, rows in zip(data.queries, best, strict=True)}
    measured = mean_over_queries(ndcg, rankings, data.judgements)
    print(f"SciFact nDCG@10: {measured:.4f}")
    assert measured == pytest.approx(PUBLISHED_NDCG_AT_10, abs=0.005)
