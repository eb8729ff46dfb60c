"""Vector search through the engine beside raw FAISS, on the same vectors; what it costs in time, memory and growth."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence

import faiss
import numpy as np
import numpy.typing as npt

import engine
from benchmarks.data import Array, clustered, fashion_mnist
from benchmarks.report import Report
from benchmarks.timing import in_turn, percentiles, rss_bytes, seconds

M, EF_CONSTRUCTION, EF_SEARCH, K = 16, 100, 64, 10
BATCH = 100
QUERIES = 500
GROWTH = (10_000, 100_000, 1_000_000)
Truth = npt.NDArray[np.int64]


def run(report: Report) -> None:
    base, queries, truth, metric, name = _data()
    graph = _raw_graph(base, metric)
    _engine_beside_faiss(report, base, queries, truth, metric, name, graph)
    _declared_graph(report, base, queries, truth, metric, name, graph)
    _codes_in_batches(report)


def run_growth(report: Report) -> None:
    """Ten thousand to a million rows; takes minutes and 6 GB of disk."""
    everything = clustered(GROWTH[-1] + 200, 384)
    base, queries = everything[: GROWTH[-1]], everything[GROWTH[-1] :]
    costs = []
    for rows in GROWTH:
        with tempfile.TemporaryDirectory() as folder:
            with engine.Database.open(folder) as database:
                collection = _collection(database, 384, "cosine")
                elapsed = seconds(lambda rows=rows, into=collection: _ingest(into, base[:rows], 5_000))  # type: ignore[misc]
                merged = seconds(collection.optimize)
            opened = time.perf_counter()
            with engine.Database.open(folder) as database:
                collection = database.collection("bench")
                _ids(collection, queries[0])
                opened = time.perf_counter() - opened
                costs.append(_cpu_microseconds(collection, queries))
                truth = faiss.knn(queries, base[:rows], K, metric=faiss.METRIC_INNER_PRODUCT)[1]
                recall = _recall([_ids(collection, query) for query in queries], truth)
            figures = f"{costs[-1]:.0f} µs of CPU a query, recall@10 {recall:.3f}, first answer after {opened:.2f} s"
            built = f"ingested in {elapsed:.0f} s, optimized in {merged:.0f} s"
            report.add(f"{rows:,} × 384, cosine, reopened", figures, built, "< 2 s to the first answer")
    report.add("growth of CPU a query, 10 k to 1 M rows", f"{costs[-1] / costs[0]:.2f} ×", "", "at most 3 ×")


def _data() -> tuple[Array, Array, Truth, str, str]:
    found = fashion_mnist()
    if found is not None:
        base, queries, near = found
        return base, queries[:QUERIES], near[:QUERIES, :K].astype(np.int64), "l2", "fashion-mnist 60,000 × 784"
    everything = clustered(60_000 + QUERIES, 384)
    base, queries = everything[:60_000], everything[60_000:]
    truth = faiss.knn(queries, base, K, metric=faiss.METRIC_INNER_PRODUCT)[1]
    return base, queries, truth, "cosine", "clustered 60,000 × 384"


def _engine_beside_faiss(
    report: Report, base: Array, queries: Array, truth: Truth, metric: str, name: str, graph: faiss.IndexHNSWFlat
) -> None:
    with tempfile.TemporaryDirectory() as folder, engine.Database.open(folder) as database:
        collection = _collection(database, base.shape[1], metric)
        elapsed = seconds(lambda: _ingest(collection, base))
        report.add(f"ingest of given vectors, {name}, durable and searchable at once", f"{len(base) / elapsed:,.0f}/s")
        few, near = queries[:100], truth[:100]
        _one_at_a_time(report, "right after ingestion", collection, few, near, graph, "0.4 ×", rounds=3)
        quiet = seconds(lambda: _wait_until_quiet(collection))
        _one_at_a_time(report, f"{quiet:.1f} s later, not optimized", collection, queries, truth, graph, "0.4 ×")
        report.add("optimize", f"{len(base) / seconds(collection.optimize):,.0f} rows/s")
        _one_at_a_time(report, "after optimize", collection, queries, truth, graph, "0.8 ×")
        _in_batches(report, "after optimize", collection, queries, truth, graph)
        stats = collection.stats()
        report.add("size on disk beside the vectors", f"{stats['disk_bytes'] / base.nbytes:.2f} ×", "vectors, float32")
        rss = f"vectors {base.nbytes / 2**20:,.0f} MiB"
        report.add("RSS of the process", f"{rss_bytes(os.getpid()) / 2**20:,.0f} MiB", rss)


def _declared_graph(
    report: Report, base: Array, queries: Array, truth: Truth, metric: str, name: str, graph: faiss.IndexHNSWFlat
) -> None:
    for quantization, size in (("none", 4), ("fp16", 2)):
        with tempfile.TemporaryDirectory() as folder, engine.Database.open(folder, seal_rows=len(base) + 1) as database:
            collection = _collection(database, base.shape[1], metric, index="hnsw", quantization=quantization)
            _ingest(collection, base)
            collection.optimize()
            what = f"hnsw {quantization}, optimized"
            _one_at_a_time(report, what, collection, queries, truth, graph, "0.8 ×", ef_search=EF_SEARCH)
            _in_batches(report, what, collection, queries, truth, graph, ef_search=EF_SEARCH)
            hnsw = graph.hnsw
            needed = size * base.size + 4 * hnsw.neighbors.size() + 8 * hnsw.offsets.size()
            ratio = collection.stats()["memory_bytes"] / needed
            report.add(f"memory, {name}, {what}", f"{ratio:.2f} ×", "vectors and graph in bytes", "at most 1.3 ×")


def _codes_in_batches(report: Report) -> None:
    everything = clustered(100_000 + 1_000, 384)
    base, queries = everything[:100_000], everything[100_000:]
    truth = faiss.knn(queries, base, K, metric=faiss.METRIC_INNER_PRODUCT)[1]
    with tempfile.TemporaryDirectory() as folder, engine.Database.open(folder) as database:
        collection = _collection(database, 384, "cosine", index="ivf_pq")
        _ingest(collection, base, 5_000)
        collection.optimize()
        snapshot = collection.snapshot()
        found: list[Sequence[str]] = []
        elapsed = min(seconds(lambda: found.extend(_batched(snapshot, queries))) for _ in range(5))
        recall = _recall(found[: len(queries)], truth)
        how = snapshot.search(queries[0], K).explain["parts"][0]["how"]
        figures = f"{len(queries) / elapsed:,.0f} QPS, recall@10 {recall:.3f}"
        report.add("ivf_pq pq4 with rescoring, batches of 100, clustered 100,000 × 384", figures, how, "10,000 at 0.98")


def _one_at_a_time(
    report: Report,
    when: str,
    collection: engine.Collection,
    queries: Array,
    truth: Truth,
    graph: faiss.IndexHNSWFlat,
    target: str,
    ef_search: int | None = None,
    rounds: int = 5,
) -> None:
    faiss.omp_set_num_threads(1)
    found = [_ids(collection, query, ef_search) for query in queries]
    _, rows = graph.search(queries, K)
    ours, theirs, ratio = in_turn(
        lambda: [_ids(collection, query, ef_search) for query in queries],
        lambda: [graph.search(query[np.newaxis], K) for query in queries],
        rounds,
    )
    p50, p99 = percentiles(lambda i: _ids(collection, queries[i % len(queries)], ef_search), 200)
    parts = collection.snapshot().search(queries[0], K).explain["parts"]
    recall, raw_recall, count = _recall(found, truth), _recall(_strings(rows), truth), len(queries)
    figures = f"{count / ours:,.0f} QPS, recall@10 {recall:.3f}, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    beside = f"raw FAISS HNSW ef 64 {count / theirs:,.0f} QPS, {raw_recall:.3f}: {ratio:.2f} ×"
    what = f"one query at a time, ids, scores and a field, {when} ({len(parts)} parts; {parts[0]['how']})"
    report.add(what, figures, beside, target)


def _in_batches(
    report: Report,
    when: str,
    collection: engine.Collection,
    queries: Array,
    truth: Truth,
    graph: faiss.IndexHNSWFlat,
    ef_search: int | None = None,
) -> None:
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    snapshot = collection.snapshot()
    found = _batched(snapshot, queries, ef_search)
    ours, theirs, ratio = in_turn(
        lambda: _batched(snapshot, queries, ef_search),
        lambda: [graph.search(queries[begin : begin + BATCH], K) for begin in range(0, len(queries), BATCH)],
    )
    figures = f"{len(queries) / ours:,.0f} QPS, recall@10 {_recall(found, truth):.3f}"
    beside = f"raw FAISS HNSW ef 64 {len(queries) / theirs:,.0f} QPS: {ratio:.2f} ×"
    report.add(f"batches of {BATCH}, {when}", figures, beside, "0.9 ×")


def _raw_graph(base: Array, metric: str) -> faiss.IndexHNSWFlat:
    number = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    graph = faiss.IndexHNSWFlat(base.shape[1], M, number)
    graph.hnsw.efConstruction = EF_CONSTRUCTION
    graph.add(base)
    graph.hnsw.efSearch = EF_SEARCH
    return graph


def _collection(
    database: engine.Database, dim: int, metric: str, index: str = "auto", quantization: str = "auto"
) -> engine.Collection:
    vector = {"type": "vector", "dim": dim, "metric": metric, "index": index, "quantization": quantization}
    fields = {"vector": {**vector, "m": M, "ef_construction": EF_CONSTRUCTION}, "bucket": {"type": "integer"}}
    return database.create_collection("bench", engine.Schema.from_json({"fields": fields}))


def _ingest(collection: engine.Collection, base: Array, size: int = 1_000) -> None:
    for begin in range(0, len(base), size):
        part = base[begin : begin + size]
        documents = [{"id": str(begin + i), "bucket": i % 100} for i in range(len(part))]
        collection.add(documents, {"vector": engine.VectorRows(part, np.arange(len(part)))})


def _wait_until_quiet(collection: engine.Collection) -> None:
    """Until the background has sealed and merged all that it means to."""
    before: object = None
    while before != (before := [segment["documents"] for segment in collection.stats()["segments"]]):
        time.sleep(2)


def _ids(collection: engine.Collection, query: Array, ef_search: int | None = None) -> Sequence[str]:
    hits = collection.snapshot().search(query, K, ef_search=ef_search)
    assert len(hits.values("bucket")) == len(hits.scores)
    return hits.ids


def _batched(snapshot: engine.Snapshot, queries: Array, ef_search: int | None = None) -> list[Sequence[str]]:
    found: list[Sequence[str]] = []
    for begin in range(0, len(queries), BATCH):
        found += [hits.ids for hits in snapshot.search_batch(queries[begin : begin + BATCH], K, ef_search=ef_search)]
    return found


def _cpu_microseconds(collection: engine.Collection, queries: Array, rounds: int = 5) -> float:
    def spent(work: Callable[[], object]) -> float:
        before = resource.getrusage(resource.RUSAGE_THREAD)
        work()
        after = resource.getrusage(resource.RUSAGE_THREAD)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    times = [spent(lambda: [_ids(collection, query) for query in queries]) for _ in range(rounds)]
    return 1e6 * float(np.median(times)) / len(queries)


def _strings(rows: npt.NDArray[np.int64]) -> list[list[str]]:
    return [[str(row) for row in each] for each in rows.tolist()]


def _recall(found: Sequence[Sequence[str]], truth: Truth) -> float:
    shares = [len({int(i) for i in ids} & set(t.tolist())) / K for ids, t in zip(found, truth, strict=True)]
    return float(np.mean(shares))
