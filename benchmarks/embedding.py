"""Embedding of documents and queries beside bare ONNX Runtime, the caches, and sentence-transformers on torch."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

import models
from benchmarks.data import SHARED_DATA, read_jsonl
from benchmarks.report import Report
from benchmarks.timing import in_turn, percentiles, seconds
from lumaai.environment import default_cache_directory

DOCUMENTS, QUERIES, THREADS = 200, 200, 2
TORCH = Path(__file__).parent.parent / ".venv-torch" / "bin" / "python"
WEIGHTS = models.model_information(models.DEFAULT_MODEL, checksum=False).directory

# Runs in .venv-torch: texts in on stdin, then one line of seconds for each round that is asked for.
TORCH_PROGRAM = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import torch
from sentence_transformers import SentenceTransformer
torch.set_num_threads({threads})
model = SentenceTransformer({weights!r}, device="cpu", local_files_only=True)
texts = json.loads(sys.stdin.readline())
model.encode(texts[:32], batch_size=32, show_progress_bar=False)
for line in sys.stdin:
    started = time.perf_counter()
    model.encode(texts, batch_size=32, show_progress_bar=False)
    print(time.perf_counter() - started, flush=True)
"""


def run(report: Report) -> None:
    documents, queries = corpus_texts()
    cache = default_cache_directory()
    int8 = models.load_embedder(cache_directory=cache, threads=THREADS, precision="int8")
    float32 = models.load_embedder(cache_directory=cache, threads=THREADS, precision="float32")
    assert isinstance(int8, models.OnnxEmbedder)
    _quality(report, int8)
    _documents(report, int8, float32, documents)
    _queries(report, int8, queries)
    _cached(report, int8, queries)
    _beside_torch(report, {"int8": int8, "float32": float32}, documents)
    _static(report, float32, documents)


def corpus_texts() -> tuple[list[str], list[str]]:
    """Abstracts of about 200 words, and claims of about 12; from SciFact, or made of the same words again and again."""
    folder = SHARED_DATA / "scifact"
    if folder.is_dir():
        corpus = [f"{row['title']} {row['text']}" for row in read_jsonl(folder / "corpus.jsonl.gz")]
        queries = [row["text"] for row in read_jsonl(folder / "queries.jsonl.gz")]
        return corpus[:: len(corpus) // DOCUMENTS][:DOCUMENTS], queries[:QUERIES]
    words = "cells of the immune system respond to proteins that the virus makes in infected tissue".split()
    chooser = np.random.default_rng(0)
    return (
        [" ".join(chooser.choice(words, 200)) for _ in range(DOCUMENTS)],
        [" ".join(chooser.choice(words, 12)) for _ in range(QUERIES)],
    )


def _quality(report: Report, int8: models.OnnxEmbedder) -> None:
    loss = int8.loss
    assert loss is not None
    report.add(
        "int8 beside float32 on the probe texts: cosine at least, on average",
        f"{loss.cosine_min:.3f}, {loss.cosine_mean:.4f}",
        f"similarities change by at most {loss.similarity_error_max:.3f}; 'auto' takes int8: {loss.is_acceptable}",
    )


def _documents(report: Report, int8: models.OnnxEmbedder, float32: models.Embedder, documents: Sequence[str]) -> None:
    bare = _BareLoop(int8, documents)
    ours, theirs, ratio = in_turn(lambda: int8.embed_documents(documents), bare.run)
    report.add(
        f"documents of about 200 words, int8, {THREADS} threads",
        f"{len(documents) / ours:,.1f}/s",
        f"bare ONNX Runtime over sorted padded int8 batches, tokenized before: {len(documents) / theirs:,.1f}/s, "
        f"{ratio:.2f} ×",
        "0.95 ×",
    )
    ours, theirs, ratio = in_turn(
        lambda: int8.embed_documents(documents), lambda: float32.embed_documents(documents), rounds=3
    )
    report.add("the same beside our float32", f"{ratio:.2f} ×", f"float32 {len(documents) / theirs:,.1f}/s")
    with models.BatchingEmbedder(int8) as batching:
        _, joined, ratio = in_turn(
            lambda: int8.embed_documents(documents), lambda: batching.embed_documents(documents), rounds=3
        )
    report.add(
        "through the batcher of the service", f"{len(documents) / joined:,.1f}/s", f"{1 / ratio:.2f} of the time"
    )


def _queries(report: Report, int8: models.OnnxEmbedder, queries: Sequence[str]) -> None:
    """Each query by our call and by the session's run of the same tokens, one after the other."""
    bare = _BareLoop(int8, queries)
    ours, theirs = [], []
    for index, query in enumerate(queries):
        theirs.append(seconds(lambda index=index: bare.run_one(index)))  # type: ignore[misc]
        ours.append(seconds(lambda query=query: int8.embed_queries([query])))  # type: ignore[misc]
    p50, bare_p50 = 1000 * float(np.median(ours)), 1000 * float(np.median(theirs))
    report.add(
        "one query, warm, int8, p50",
        f"{p50:.2f} ms",
        f"bare session's run, tokenized before: {bare_p50:.2f} ms, {p50 / bare_p50:.2f} ×",
        "at most 1.2 ×, 6 ms",
    )


def _cached(report: Report, int8: models.OnnxEmbedder, queries: Sequence[str]) -> None:
    uncached, _ = percentiles(lambda i: int8.embed_queries([queries[i]]), len(queries))
    with tempfile.TemporaryDirectory() as folder:
        file = models.SqliteCache(Path(folder) / "vectors.sqlite3")
        places: dict[str, list[models.EmbeddingCache]] = {
            "in this process": [models.MemoryCache(), file],
            "in the database directory only": [file],
        }
        for name, caches in places.items():
            embedder = models.CachingEmbedder(int8, caches)
            embedder.embed_queries(list(queries))
            cached, _ = percentiles(lambda i: embedder.embed_queries([queries[i]]), len(queries))  # noqa: B023
            report.add(
                f"one query, cached {name}, p50",
                f"{1000 * cached:.0f} µs",
                f"uncached {uncached:.2f} ms: {uncached / cached:,.0f} ×",
                "50 ×, 0.1 ms",
            )
        file.close()


def _beside_torch(report: Report, ours: dict[str, models.Embedder], documents: Sequence[str]) -> None:
    if not TORCH.exists() or WEIGHTS is None:
        report.add("document embedding beside sentence-transformers", "not measured: make slow builds .venv-torch")
        return
    program = TORCH_PROGRAM.format(threads=THREADS, weights=WEIGHTS)
    command = [str(TORCH), "-c", program]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        print(json.dumps(list(documents)), file=stdin, flush=True)

        def theirs() -> float:
            print("again", file=stdin, flush=True)
            return float(stdout.readline())

        theirs()
        for name, embedder in ours.items():
            pairs = [(seconds(lambda e=embedder: e.embed_documents(documents)), theirs()) for _ in range(3)]  # type: ignore[misc]
            ratio = float(np.median([b / a for a, b in pairs]))
            rate = len(documents) / float(np.median([b for _, b in pairs]))
            target = "2 ×, aim at 3 ×" if name == "int8" else ""
            report.add(
                f"document embedding, {name}, beside sentence-transformers on torch CPU",
                f"{ratio:.2f} ×",
                f"sentence-transformers, {THREADS} threads, batches of 32: {rate:,.1f}/s",
                target,
            )


def _static(report: Report, teacher: models.Embedder, documents: Sequence[str]) -> None:
    assert isinstance(teacher, models.OnnxEmbedder)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        result = models.distill(teacher, Path(folder) / "static", sample=documents)
        elapsed = time.perf_counter() - started
        student = models.load_embedder(str(result.directory), cache_directory=Path(folder))
        _, _, ratio = in_turn(
            lambda: student.embed_documents(documents), lambda: teacher.embed_documents(documents), rounds=2
        )
        rate = len(documents) / seconds(lambda: student.embed_documents(documents))
    report.add(
        f"documents through a static model of {result.dim} numbers",
        f"{rate:,.0f}/s",
        f"{ratio:.0f} × its float32 teacher; distilled in {elapsed:.0f} s; similarities correlate by "
        f"{result.similarity_correlation:.2f}",
    )


class _BareLoop:
    """What anyone would write: sort by length, pad, run; tokenized beforehand, so that only the runs are timed."""

    def __init__(self, embedder: models.OnnxEmbedder, texts: Sequence[str], tokens: int = 1024) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(embedder.graph), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(embedder.directory / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(256)
        self._rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        self._batches: list[list[int]] = [[]]
        for row in sorted(range(len(self._rows)), key=lambda row: len(self._rows[row])):
            if self._batches[-1] and (len(self._batches[-1]) + 1) * len(self._rows[row]) > tokens:
                self._batches.append([])
            self._batches[-1].append(row)

    def run(self) -> None:
        for batch in self._batches:
            self._run(batch)

    def run_one(self, row: int) -> None:
        self._run([row])

    def _run(self, batch: list[int]) -> None:
        longest = max(len(self._rows[row]) for row in batch)
        input_ids = np.zeros((len(batch), longest), dtype=np.int32)
        attention_mask = np.zeros_like(input_ids)
        for place, row in enumerate(batch):
            input_ids[place, : len(self._rows[row])] = self._rows[row]
            attention_mask[place, : len(self._rows[row])] = 1
        self._session.run(["vectors"], {"input_ids": input_ids, "attention_mask": attention_mask})
