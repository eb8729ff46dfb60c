"""Documents per second into the database, with and without embedding, and what they take on disk."""

from __future__ import annotations

import os
import random
import string
import tempfile
from pathlib import Path

import lumaai
from benchmarks.report import Report
from benchmarks.timing import rss_bytes, seconds
from lumaai.demo import corpus

DOCUMENTS = 20_000
TEXTS = 1_500


def run(report: Report) -> None:
    documents = [_document(i) for i in range(DOCUMENTS)]
    with tempfile.TemporaryDirectory() as folder, lumaai.connect(folder) as database:
        plain = database.create_collection("plain", embed={})

        def ingest() -> None:
            for begin in range(0, DOCUMENTS, 1_000):
                plain.add(documents[begin : begin + 1_000])

        rate = DOCUMENTS / seconds(ingest)
        report.add("ingest of 1 KB documents, six fields, no embedding, batches of 1,000", f"{rate:,.0f}/s")
        report.add("the same again, unchanged", f"{DOCUMENTS / seconds(ingest):,.0f}/s")
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        raw = sum(len(str(document)) for document in documents)
        report.add("disk beside the JSON text", f"{size / raw:.2f} ×", f"{raw / 2**20:.0f} MiB of text")
        texts = corpus.read()[:TEXTS]
        embedded = database.create_collection("embedded")
        rate = len(texts) / seconds(lambda: embedded.add(texts))
        report.add(f"ingest with embedding, {len(texts)} documents of the Python library", f"{rate:,.0f}/s")
        rate = len(texts) / seconds(lambda: embedded.add(texts))
        report.add("the same again, unchanged: embeds nothing", f"{rate:,.0f}/s")
        report.add("RSS after ingestion, embedder included", f"{rss_bytes(os.getpid()) / 2**20:,.0f} MiB")


def _document(i: int) -> dict[str, object]:
    chooser = random.Random(i)
    words = " ".join("".join(chooser.choices(string.ascii_lowercase, k=7)) for _ in range(110))
    return {
        "id": f"doc-{i}",
        "category": f"c{i % 20}",
        "year": 1950 + i % 75,
        "rating": i % 100 / 10,
        "active": i % 3 == 0,
        "created": f"2024-01-{1 + i % 28:02d}",
        "text": words,
    }
