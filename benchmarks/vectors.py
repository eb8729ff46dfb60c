"""Vector search through the engine beside raw FAISS with the same parameters, on the same vectors."""

from __future__ import annotations

import tempfile

import faiss
import numpy as np

import engine
from benchmarks.data import Array, clustered, fashion_mnist
from benchmarks.report import Report
from benchmarks.timing import in_turn, percentiles, rss_bytes, seconds

M, EF_CONSTRUCTION, EF_SEARCH, K = 16, 100, 64, 10


def run(report: Report) -> None:
    found = fashion_mnist()
    if found is None:
        base, metric, name = clustered(60_000, 384), "cosine", "clustered 60,000 × 384"
        queries = clustered(1_000, 384, seed=1)
        truth = faiss.knn(queries, base, K, metric=faiss.METRIC_INNER_PRODUCT)[1]
    else:
        base, queries, truth = found[0], found[1][:1_000], found[2][:1_000, :K]
        metric, name = "l2", "fashion-mnist 60,000 × 784"
    with tempfile.TemporaryDirectory() as folder, engine.Database.open(folder) as database:
        field = {"type": "vector", "dim": base.shape[1], "metric": metric, "m": M, "ef_construction": EF_CONSTRUCTION}
        collection = database.create_collection("bench", engine.Schema.from_json({"fields": {"vector": field}}))
        elapsed = seconds(lambda: _ingest(collection, base))
        report.add(f"ingest of given vectors, {name}, durable and searchable at once", f"{len(base) / elapsed:,.0f}/s")
        p50, p99 = percentiles(lambda i: _search(collection, queries[i % len(queries)]), 300)
        report.add("one query, right after ingestion (segments not merged)", f"p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        report.add("optimize to one HNSW segment", f"{len(base) / seconds(collection.optimize):,.0f} rows/s")
        _beside_faiss(report, collection, base, queries, truth, metric)
        stats = collection.stats()
        report.add("size on disk beside the vectors", f"{stats['disk_bytes'] / base.nbytes:.2f} ×", "vectors, float32")
        report.add(
            "RSS of the process", f"{rss_bytes(_pid()) / 2**20:,.0f} MiB", f"vectors {base.nbytes / 2**20:,.0f} MiB"
        )


def _beside_faiss(
    report: Report, collection: engine.Collection, base: Array, queries: Array, truth: Array, metric: str
) -> None:
    raw = faiss.IndexHNSWFlat(base.shape[1], M, faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT)
    raw.hnsw.efConstruction = EF_CONSTRUCTION
    raw.add(base)
    raw.hnsw.efSearch = EF_SEARCH
    faiss.omp_set_num_threads(1)
    found = [_search(collection, query) for query in queries]
    recall = np.mean([len({int(i) for i in ids} & set(t.tolist())) / K for ids, t in zip(found, truth, strict=True)])
    _, rows = raw.search(queries, K)
    raw_recall = np.mean([len(set(r.tolist()) & set(t.tolist())) / K for r, t in zip(rows, truth, strict=True)])
    ours, theirs, ratio = in_turn(
        lambda: [_search(collection, query) for query in queries],
        lambda: [raw.search(query[np.newaxis], K) for query in queries],
    )
    count = len(queries)
    report.add(
        "one query at a time, ids and scores, ef 64",
        f"{count / ours:,.0f} QPS, recall@10 {recall:.3f}",
        f"raw FAISS {count / theirs:,.0f} QPS, {raw_recall:.3f}: {ratio:.2f} ×",
        "0.8 × (vector issue)",
    )


def _ingest(collection: engine.Collection, base: Array, size: int = 1_000) -> None:
    for begin in range(0, len(base), size):
        part = base[begin : begin + size]
        documents = [{"id": str(begin + i), "bucket": i % 100} for i in range(len(part))]
        collection.add(documents, {"vector": engine.VectorRows(part, np.arange(len(part)))})


def _search(collection: engine.Collection, query: Array) -> list[str]:
    hits = collection.snapshot().search(query, K, ef_search=EF_SEARCH)
    return hits.ids


def _pid() -> int:
    import os

    return os.getpid()
