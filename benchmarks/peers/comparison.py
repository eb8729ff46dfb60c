"""Ours and a peer's, on fashion-mnist: queries one at a time at equal recall, filters, and ingest; both in turn."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

import engine
from benchmarks.data import clustered, fashion_mnist
from benchmarks.environments import EnvironmentFailedError, environment_python
from benchmarks.peers.process import REQUIREMENTS, Peer, PeerError
from benchmarks.report import Report
from benchmarks.timing import load_average

K = 10
QUERIES = 300
BUCKETS = 1_000  # below 100, 10 and 1: a tenth, a hundredth and a thousandth
RECALL = 0.98  # without a filter
RECALL_FILTERED = 0.95
BATCH = 1_000
PEERS = os.environ.get("LUMAAI_BENCH_PEERS", "chroma pgvector lancedb").split()
ROUNDS = int(os.environ.get("LUMAAI_BENCH_ROUNDS", "5"))
INGEST_ROUNDS = int(os.environ.get("LUMAAI_BENCH_INGEST_ROUNDS", "3"))
AT_LEAST = {"chroma": 3, "pgvector": 3, "lancedb": 8}
AT_LEAST_FILTERED = {"chroma": 10, "pgvector": 4, "lancedb": 10}
Found = Sequence[Sequence[int]]
Buckets = npt.NDArray[np.int32]


class Material:
    """Vectors, a bucket each, queries, and what is nearest under each filter; as files for the peers too."""

    def __init__(self, folder: Path) -> None:
        found = fashion_mnist()
        if found is None:
            everything = clustered(60_000 + QUERIES, 384)
            self.name, self.base, self.queries = "clustered 60,000 × 384", everything[:60_000], everything[60_000:]
        else:
            self.name, self.base, self.queries = "fashion-mnist 60,000 × 784", found[0], found[1][:QUERIES]
        self.buckets: Buckets = np.random.default_rng(0).permutation(len(self.base)).astype(np.int32) % BUCKETS
        self.files = {name: str(folder / f"{name}.npy") for name in ("vectors", "buckets", "queries")}
        for name, array in (("vectors", self.base), ("buckets", self.buckets), ("queries", self.queries)):
            np.save(self.files[name], array)
        self._truth: dict[int | None, Any] = {}

    def recall(self, found: Found, below: int | None) -> float:
        """Recall@10."""
        if below not in self._truth:
            rows = np.arange(len(self.base)) if below is None else np.flatnonzero(self.buckets < below)
            self._truth[below] = rows[faiss.knn(self.queries, self.base[rows], K)[1]]
        near = zip(found, self._truth[below].tolist(), strict=False)
        return float(np.mean([len(set(ids) & set(truth)) / K for ids, truth in near]))


class Ours:
    """The engine, embedded, as any program would use it."""

    def __init__(self, material: Material, folder: Path) -> None:
        self._material = material
        self._folder = folder
        self._database: engine.Database | None = None
        self._count = 0

    def ingest(self) -> dict[str, float]:
        """Seconds until all is durable and searchable, and until it is one finished index, in a new database."""
        self.close()
        self._count += 1
        self._database = engine.Database.open(self._folder / f"ours-{self._count}")
        vector = {"type": "vector", "dim": self._material.base.shape[1], "metric": "l2"}
        schema = engine.Schema.from_json({"fields": {"vector": vector, "bucket": {"type": "integer"}}})
        self._collection = self._database.create_collection("bench", schema)
        started = time.perf_counter()
        for begin in range(0, len(self._material.base), BATCH):
            vectors = self._material.base[begin : begin + BATCH]
            buckets = self._material.buckets[begin : begin + BATCH].tolist()
            documents = [{"id": str(begin + i), "bucket": bucket} for i, bucket in enumerate(buckets)]
            self._collection.add(documents, {"vector": engine.VectorRows(vectors, np.arange(len(vectors)))})
        stored = time.perf_counter()
        self._collection.optimize()
        return {"stored": stored - started, "finished": time.perf_counter() - started}

    def search(self, below: int | None, recall: float | None) -> tuple[float, Found]:
        """Seconds for all queries one at a time, and what was found: ids, scores and a field."""
        where = None if below is None else engine.parse_filter({"bucket": {"$lt": below}})
        parameters = engine.SearchParameters(recall=recall)
        found = []
        started = time.perf_counter()
        for query in self._material.queries:
            hits = self._collection.snapshot().search(query, K, where=where, parameters=parameters)
            assert len(hits.values("bucket")) == len(hits.scores)
            found.append(hits.ids)
        return time.perf_counter() - started, [[int(i) for i in ids] for ids in found]

    def close(self) -> None:
        if self._database is not None:
            self._database.close()


def run(report: Report) -> None:
    """Every peer that can be had."""
    with ExitStack() as always:
        folder = Path(always.enter_context(tempfile.TemporaryDirectory()))
        material = Material(folder)
        try:
            python = environment_python("peers", REQUIREMENTS)
        except EnvironmentFailedError as error:
            report.add("other databases", "not measured", str(error))
            return
        ours = Ours(material, folder)
        always.callback(ours.close)
        for name in PEERS:
            try:
                with Peer(python, name, folder) as peer:
                    _beside(report, material, ours, peer)
            except PeerError as error:
                report.add(f"beside {name}", "not measured", str(error))


def _beside(report: Report, material: Material, ours: Ours, peer: Peer) -> None:
    rounds = INGEST_ROUNDS if peer.name in ("chroma", "lancedb") else 1
    both = [(ours.ingest(), _ingested(peer, material)) for _ in range(rounds)]
    _report_ingest(report, material, peer, both)
    _one_at_a_time(report, material, ours, peer, None)
    for below in (BUCKETS // 10, BUCKETS // 100, BUCKETS // 1_000):
        _one_at_a_time(report, material, ours, peer, below)


def _ingested(peer: Peer, material: Material) -> dict[str, float]:
    peer.ask("open")
    spent: dict[str, float] = peer.ask("ingest", vectors=material.files["vectors"], buckets=material.files["buckets"])
    return spent


def _report_ingest(
    report: Report, material: Material, peer: Peer, both: Sequence[tuple[dict[str, float], dict[str, float]]]
) -> None:
    def ratio(ours: str, theirs: str) -> tuple[str, str]:
        rates = [len(material.base) / statistics.median(side[what] for side in sides) for sides, what in (
            ([mine for mine, _ in both], ours), ([other for _, other in both], theirs),
        )]  # fmt: skip
        times = statistics.median(other[theirs] / mine[ours] for mine, other in both)
        return f"{rates[0]:,.0f}/s, {times:.1f} ×", f"{peer.version}: {rates[1]:,.0f}/s; load {load_average()}"

    target = {"chroma": "5 ×", "lancedb": "1.5 ×"}.get(peer.name, "")
    what = f"ingest of {material.name}, durable and searchable, beside"
    report.add(f"{what} {peer.name} up to its finished index", *ratio("stored", "finished"), target)
    report.add(f"{what} {peer.name}, both up to one finished index", *ratio("finished", "finished"))


def _one_at_a_time(report: Report, material: Material, ours: Ours, peer: Peer, below: int | None) -> None:
    """The median of the ratios, with the cheapest settings of each that reach the recall."""
    wanted = RECALL if below is None else RECALL_FILTERED
    mine = _cheapest_of_ours(material, ours, below, wanted)
    effort, reached = _cheapest(material, peer, below, wanted)
    pairs: list[tuple[float, float]] = []
    found: Found = []
    for _ in range(ROUNDS):
        spent, found = ours.search(below, mine)
        pairs.append((spent, _asked(peer, material, effort, below)["seconds"]))
    ratio = statistics.median(theirs / spent for spent, theirs in pairs)
    first, second = (len(material.queries) / statistics.median(side) for side in zip(*pairs, strict=True))
    what = "no filter" if below is None else f"filter {100 * below / BUCKETS:g} %"
    figures = f"{first:,.0f} QPS, recall@10 {material.recall(found, below):.3f} ({mine or 'default'}), {ratio:.1f} ×"
    beside = f"{peer.version} {_words(effort)}: {second:,.0f} QPS, recall@10 {reached:.3f}; load {load_average()}"
    least = (AT_LEAST if below is None else AT_LEAST_FILTERED).get(peer.name)
    report.add(
        f"one query at a time, {material.name}, {what}, beside {peer.name}",
        figures,
        beside,
        f"{least} ×" if least else "",
    )


def _cheapest_of_ours(material: Material, ours: Ours, below: int | None, wanted: float) -> float | None:
    """Our target of recall: 0.95 where that reaches what is wanted, else the default, else 0.99."""
    for target in (0.95, None):
        if material.recall(ours.search(below, target)[1], below) >= wanted:
            return target
    return 0.99


def _cheapest(material: Material, peer: Peer, below: int | None, wanted: float) -> tuple[dict[str, Any], float]:
    """The peer's first effort that reaches a recall, or its best."""
    best: tuple[dict[str, Any], float] = peer.efforts[-1], -1.0
    for effort in peer.efforts:
        reached = material.recall(_asked(peer, material, effort, below)["found"], below)
        if reached >= wanted:
            return effort, reached
        best = max(best, (effort, reached), key=lambda each: each[1])
    return best


def _asked(peer: Peer, material: Material, effort: dict[str, Any], below: int | None) -> Any:
    queries = {"queries": material.files["queries"], "count": len(material.queries)}
    return peer.ask("search", **queries, effort=effort, below=below)


def _words(effort: dict[str, Any]) -> str:
    return " ".join(f"{name} {value}" for name, value in effort.items())
