"""ann-benchmarks' protocol without its containers: the curves of recall and queries a second, on local data."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.ann_benchmarks.module import LumaDB
from benchmarks.data import SHARED_DATA, Array, read_npy
from benchmarks.plots import Curve, Point, plot_curves
from benchmarks.report import RESULTS, Report
from benchmarks.timing import load_average

K = 10
QUERIES = 1_000
RUNS = 3
EF_SEARCHES = (10, 20, 40, 80, 160, 400)
GRAPHS: tuple[dict[str, Any], ...] = tuple({"ef_search": ef} for ef in EF_SEARCHES)
AUTO: tuple[dict[str, Any], ...] = (
    {"recall": 0.95}, {}, {"recall": 0.99}, {"nprobe": 64, "oversample": 32}, {"nprobe": 256, "oversample": 64}
)  # fmt: skip
LISTS: tuple[dict[str, Any], ...] = tuple({"nprobe": nprobe} for nprobe in (1, 2, 4, 8, 16, 32, 64))
GROUPS: tuple[tuple[str, dict[str, Any], tuple[dict[str, Any], ...]], ...] = (
    ("auto", {"index": "auto"}, AUTO),
    ("hnsw", {"index": "hnsw", "m": 16, "ef_construction": 200}, GRAPHS),
    ("hnsw fp16", {"index": "hnsw", "quantization": "fp16", "m": 16, "ef_construction": 200}, GRAPHS),
    ("ivf_flat", {"index": "ivf_flat"}, LISTS),
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Vectors, queries, and the numbers of the nearest rows of each query."""

    name: str
    metric: str
    base: Array
    queries: Array
    neighbors: npt.NDArray[np.int32]


class RawGraph:
    """FAISS's HNSW by itself, as the reference: the same parameters as ours."""

    def __init__(self, metric: str) -> None:
        self._angular = metric == "angular"

    def fit(self, vectors: Array) -> None:
        number = faiss.METRIC_INNER_PRODUCT if self._angular else faiss.METRIC_L2
        self._index = faiss.IndexHNSWFlat(vectors.shape[1], 16, number)
        self._index.hnsw.efConstruction = 200
        self._index.add(self._prepared(vectors))

    def set_query_arguments(self, arguments: dict[str, Any]) -> None:
        faiss.omp_set_num_threads(1)
        self._index.hnsw.efSearch = arguments["ef_search"]

    def query(self, query: Array, n: int) -> Any:
        return self._index.search(self._prepared(query[np.newaxis]), n)[1][0]

    def batch_query(self, queries: Array, n: int) -> None:
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        self._found = self._index.search(self._prepared(queries), n)[1]

    def get_batch_results(self) -> Any:
        return self._found

    def done(self) -> None:
        """It has only memory."""

    def _prepared(self, vectors: Array) -> Array:
        if not self._angular:
            return vectors
        unit: Array = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return unit


def run(report: Report) -> None:
    """Each data set that is there; a table, and a picture each beside it."""
    found = list(datasets())
    if not found:
        report.add("ann-benchmarks", "not measured", f"no data in {SHARED_DATA}")
    there = importlib.util.find_spec("ann_benchmarks") is not None
    for dataset in found:
        how = "ann_benchmarks is installed, but" if there else "ann_benchmarks is in no package index:"
        base = f"{dataset.name} {len(dataset.base):,} × {dataset.base.shape[1]}"
        how += f" our driver follows its protocol; load {load_average()}"
        report.add(base, f"{QUERIES} queries, {K} nearest", how)
        curves = [_measured(report, dataset, "raw FAISS hnsw", RawGraph(dataset.metric), GRAPHS)]
        for name, parameters, arguments in GROUPS:
            curves.append(_measured(report, dataset, name, LumaDB(dataset.metric, parameters), arguments))
        kept = plot_curves(RESULTS / f"ann-{dataset.name}.png", f"{base}, {dataset.metric}, one thread", curves)
        report.add(f"{dataset.name}, recall and QPS", f"[picture]({kept.name})")


def datasets() -> Iterator[Dataset]:
    """Those that are beside the repository."""
    for name, folder, metric in (
        ("fashion-mnist-784-euclidean", "fashion-mnist", "euclidean"),
        ("glove-twitter-25-angular", "glove-twitter-25d-12k", "angular"),
    ):
        path = SHARED_DATA / folder
        if path.is_dir():
            base, queries = (read_npy(path / f"{part}.npy.xz").astype(np.float32) for part in ("train", "test"))
            yield Dataset(name, metric, base, queries[:QUERIES], read_npy(path / "neighbors.npy.xz")[:QUERIES, :K])


def _measured(
    report: Report, dataset: Dataset, name: str, algorithm: Any, arguments: tuple[dict[str, Any], ...]
) -> Curve:
    started = time.perf_counter()
    algorithm.fit(dataset.base)
    built = time.perf_counter() - started
    points = []
    try:
        for each in arguments:
            algorithm.set_query_arguments(each)
            seconds, recall = _one_at_a_time(dataset, algorithm)
            batch = _in_one_batch(dataset, algorithm)
            count = len(dataset.queries)
            points.append(Point(recall, count / seconds))
            asked = " ".join(f"{key} {value}" for key, value in each.items()) or "default"
            figures = f"recall@10 {recall:.4f}, {count / seconds:,.0f} QPS, in one batch {count / batch:,.0f} QPS"
            report.add(f"{dataset.name}, {name}, {asked}", figures, f"built in {built:.1f} s")
    finally:
        algorithm.done()
    return Curve(name, points)


def _one_at_a_time(dataset: Dataset, algorithm: Any) -> tuple[float, float]:
    """The best of `RUNS`, in seconds for all queries on one processor, and recall@10."""
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(affinity)[len(affinity) // 2]})
    try:
        best, recall = float("inf"), 0.0
        for _ in range(RUNS):
            spent, found = 0.0, []
            for query in dataset.queries:
                started = time.perf_counter()
                found.append(algorithm.query(query, K))
                spent += time.perf_counter() - started
            best, recall = min(best, spent), recall_of(found, dataset.neighbors)
    finally:
        os.sched_setaffinity(0, affinity)
    return best, recall


def _in_one_batch(dataset: Dataset, algorithm: Any) -> float:
    best = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter()
        algorithm.batch_query(dataset.queries, K)
        best = min(best, time.perf_counter() - started)
    assert recall_of(algorithm.get_batch_results(), dataset.neighbors) > 0
    return best


def recall_of(found: Any, neighbors: Any) -> float:
    """Mean share of the true nearest."""
    pairs = zip(found, neighbors, strict=True)
    return float(np.mean([len({*map(int, rows)} & {*map(int, near)}) / len(near) for rows, near in pairs]))
