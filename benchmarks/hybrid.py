"""Hybrid searches beside their two sides: the same collection, queries and filter, in turn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import engine
from benchmarks.report import Report
from engine import Fusion, FusionMethod, Nearest, SearchRequest, VectorRows, Words

DOCUMENTS = 100_000
DIM = 384
WORDS = 60
VOCABULARY = 30_000
QUERIES = 200
BATCH = 10_000


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as directory, engine.Database.open(Path(directory) / "db") as database:
        rng = np.random.default_rng(6)
        schema = engine.Schema(
            fields={"text": engine.Field(engine.FieldType.TEXT), "n": engine.Field(engine.FieldType.INTEGER)},
            vectors={"vector": engine.VectorField(DIM)},
        )
        collection = database.create_collection("c", schema)
        vectors, texts = _fill(collection, rng)
        collection.optimize(wait=True)
        snapshot = collection.snapshot()
        asked = [
            (vectors[i] + 0.3 * rng.standard_normal(DIM).astype(np.float32), " ".join(texts[i].split()[:3]))
            for i in rng.choice(DOCUMENTS, QUERIES, replace=False)
        ]
        for name, where in (("", None), (", filter of 10 %", engine.parse_filter({"n": {"$lt": DOCUMENTS // 10}}))):
            _compare(report, name, snapshot, asked, where)


def _fill(collection: engine.Collection, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Vectors in clusters of an intrinsic dimension of 32; words as frequent as in a language (Zipf)."""
    basis = rng.standard_normal((32, DIM)).astype(np.float32)
    centers = 3 * rng.standard_normal((200, 32)).astype(np.float32)
    points = centers[rng.integers(0, 200, DOCUMENTS)] + rng.standard_normal((DOCUMENTS, 32)).astype(np.float32)
    vectors = points @ basis
    ranks = np.minimum(rng.zipf(1.3, (DOCUMENTS, WORDS)), VOCABULARY)
    texts = [" ".join(f"w{rank}" for rank in row) for row in ranks.tolist()]
    for begin in range(0, DOCUMENTS, BATCH):
        documents = [
            {"id": str(begin + i), "text": t, "n": begin + i} for i, t in enumerate(texts[begin : begin + BATCH])
        ]
        collection.add(documents, {"vector": VectorRows(vectors[begin : begin + BATCH], np.arange(BATCH))})
    return vectors, texts


def _compare(
    report: Report,
    name: str,
    snapshot: engine.Snapshot,
    asked: list[tuple[np.ndarray, str]],
    where: engine.Filter | None,
) -> None:
    """Medians over the queries, each asked in every way before the next; ids are read, as a caller would."""
    ways: dict[str, Callable[[np.ndarray, str], SearchRequest]] = {
        "semantic": lambda vector, _: SearchRequest((Nearest(vector),), where=where),
        "keyword": lambda _, text: SearchRequest((Words(text),), where=where),
        "hybrid": lambda vector, text: SearchRequest(
            (Nearest(vector), Words(text)), where=where, fusion=Fusion(FusionMethod.DBSF)
        ),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for vector, text in (*asked[:20], *asked):  # the first ones twice: to warm up
        for way, request in ways.items():
            started = time.perf_counter()
            _ = snapshot.query(request(vector, text)).ids
            seconds[way].append(time.perf_counter() - started)
    medians = {way: 1000 * float(np.median(taken[20:])) for way, taken in seconds.items()}
    sides = medians["semantic"] + medians["keyword"]
    report.add(
        f"hybrid search, {DOCUMENTS:,} × {DIM}, limit 10{name}",
        f"{medians['hybrid']:.2f} ms",
        f"at most 1.3 × its sides: semantic {medians['semantic']:.2f} + keyword {medians['keyword']:.2f} ms, "
        f"{medians['hybrid'] / sides:.2f} ×",
    )
