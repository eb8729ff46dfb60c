"""Ingestion from files to the index beside embedding alone, searches while it runs, and a GPU where there is one."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import lumaai
import models
from benchmarks.embedding import THREADS, WEIGHTS, corpus_texts
from benchmarks.report import Report
from benchmarks.timing import load_average, percentiles, seconds
from lumaai.embedding import embed_documents
from lumaai.environment import default_cache_directory

ROUNDS = 3
SEARCHES = 200
GPU_TEXTS = 20_000
GPU_BATCHES = (32, 256, 1_024)


def run(report: Report) -> None:
    documents, queries = corpus_texts()
    options = lumaai.ModelOptions(precision="int8", threads=THREADS, cache="none")
    _end_to_end(report, documents, options)
    _searches_beside_ingestion(report, documents, queries, options)
    _gpu(report, documents)


def _end_to_end(report: Report, texts: Sequence[str], options: lumaai.ModelOptions) -> None:
    """Read, split, embed, store and index a JSONL file, and embed the same passages alone, in turn."""
    embedder = models.load_embedder(cache_directory=default_cache_directory(), threads=THREADS, precision="int8")
    documents = [{"id": str(place), "text": text} for place, text in enumerate(texts)]
    alone, whole, passages = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.jsonl"
        path.write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
        pieces = embed_documents(documents, range(len(documents)), ["text"], embedder)  # also to warm up
        passages = len(pieces.vectors)
        cut = [
            texts[int(owner)][p.start : p.end]
            for owner, p in zip(pieces.documents, pieces.passages or (), strict=True)
            if p
        ]
        for place in range(ROUNDS):
            with lumaai.Database(Path(folder) / f"data{place}", model_options=options) as database:
                films = database.create_collection("films")
                alone.append(seconds(lambda: embedder.embed_documents(cut)))
                whole.append(seconds(lambda films=films: lumaai.ingest(films, [path])))  # type: ignore[misc]
    share = float(np.median(np.array(alone) / np.array(whole)))
    report.add(
        "ingestion end to end: read, split, embed, store, index",
        f"{len(texts) / float(np.median(whole)):,.1f} documents/s",
        f"embedding the same {passages} passages alone: {share:.2f} of its speed; load {load_average()}",
        "0.85 ×",
    )


def _searches_beside_ingestion(
    report: Report, texts: Sequence[str], queries: Sequence[str], options: lumaai.ModelOptions
) -> None:
    """p99 of searches by text, idle and while another thread adds documents without a pause."""
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as folder, lumaai.Database(folder, model_options=options) as database:
        films = database.create_collection("films")
        films.add([{"id": str(place), "text": text} for place, text in enumerate(texts[:100])])
        films.search(queries[0])
        asked = [f"{queries[i % len(queries)]} {i}" for i in range(2 * SEARCHES)]  # none is in a cache
        _, idle = percentiles(lambda i: films.search(asked[i]), SEARCHES)

        def ingest() -> None:
            place = 0
            while not stop.is_set():
                films.add([{"id": f"n{place}-{i}", "text": f"{place} {text}"} for i, text in enumerate(texts[:64])])
                place += 1

        thread = threading.Thread(target=ingest)
        thread.start()
        time.sleep(1.0)
        _, busy = percentiles(lambda i: films.search(asked[SEARCHES + i]), SEARCHES)
        stop.set()
        thread.join()
    report.add(
        "search by text while documents are added without a pause, p99",
        f"{busy:.1f} ms",
        f"idle {idle:.1f} ms: {busy / idle:.1f} ×; load {load_average()}",
        "at most 3 ×",
    )


def _gpu(report: Report, texts: Sequence[str]) -> None:
    """Texts a second on CUDA, beside plain sentence-transformers at several batch sizes; with the extra torch."""
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError:
        report.add("document embedding on a GPU", "not measured: the extra torch is not installed")
        return
    if not torch.cuda.is_available():
        report.add("document embedding on a GPU", "not measured: no CUDA device")
        return
    many = [texts[i % len(texts)] for i in range(GPU_TEXTS)]
    ours = models.load_embedder(f"torch:{WEIGHTS}", cache_directory=default_cache_directory())
    ours.embed_documents(many[:2_000])
    taken = seconds(lambda: ours.embed_documents(many))
    plain = SentenceTransformer(str(WEIGHTS), device="cuda", model_kwargs={"torch_dtype": torch.bfloat16})
    for size in GPU_BATCHES:
        plain.encode(many[:2_000], batch_size=size, show_progress_bar=False)
        theirs = seconds(lambda size=size: plain.encode(many, batch_size=size, show_progress_bar=False))  # type: ignore[misc]
        report.add(
            f"document embedding on {torch.cuda.get_device_name()}, bfloat16",
            f"{len(many) / taken:,.0f}/s",
            f"sentence-transformers, batches of {size}: {len(many) / theirs:,.0f}/s, {theirs / taken:.2f} ×",
            "1.5 ×",
        )
