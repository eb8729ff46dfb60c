from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.metrics import mean_over_queries, ndcg
from models import Embedder, load_embedder
from tests.models.scifact import SciFact, load_scifact

PUBLISHED_NDCG_AT_10 = 0.6451  # MTEB, all-MiniLM-L6-v2 on SciFact's test queries


def measured_ndcg(embedder: Embedder, data: SciFact) -> float:
    """nDCG@10 of exact search over whole documents, truncated by the model itself; queries come one by one."""
    ids = list(data.documents)
    documents = embedder.embed_documents(list(data.documents.values()))
    queries = np.concatenate([embedder.embed_queries([query]) for query in data.queries.values()])
    best = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10]
    rankings = {query: [ids[row] for row in rows] for query, rows in zip(data.queries, best, strict=True)}
    return mean_over_queries(ndcg, rankings, data.judgements)


@pytest.mark.slow
def test_scifact_ndcg_is_the_published_one(embedder: Embedder) -> None:
    """Within 0.005 of what is published."""
    measured = measured_ndcg(embedder, load_scifact())
    print(f"SciFact nDCG@10: {measured:.4f}")
    assert measured == pytest.approx(PUBLISHED_NDCG_AT_10, abs=0.005)


@pytest.mark.slow
def test_scifact_ndcg_of_int8_is_that_of_float32(graph_cache: Path) -> None:
    """Within 0.01 of what is published for float32, which the test above holds to 0.005."""
    int8 = load_embedder(cache_directory=graph_cache, threads=2, precision="int8")
    measured = measured_ndcg(int8, load_scifact())
    print(f"SciFact nDCG@10, int8: {measured:.4f}")
    assert measured == pytest.approx(PUBLISHED_NDCG_AT_10, abs=0.01)
