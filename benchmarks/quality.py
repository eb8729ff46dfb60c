"""Retrieval quality of the default embedder on public sets, beside the published figure."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import lumaai
import models
from benchmarks.data import SHARED_DATA, read_jsonl
from benchmarks.metrics import ndcg
from benchmarks.report import Report
from lumaai.environment import default_cache_directory

PUBLISHED = {"scifact": "published .645 for the same model"}


def run(report: Report) -> None:
    embedder = models.load_embedder(cache_directory=default_cache_directory())
    for name in ("scifact", "cranfield"):
        folder = SHARED_DATA / name
        if not folder.is_dir():
            report.add(f"nDCG@10 on {name}", "not measured: the set is not beside the repository")
            continue
        corpus, queries, qrels = load(folder)
        documents = {doc["_id"]: f"{doc.get('title', '')} {doc.get('text', '')}".strip() or " " for doc in corpus}
        ids = list(documents)
        vectors = embedder.embed_documents(list(documents.values()))
        asked = [query for query in queries if query["_id"] in qrels]
        scores = embedder.embed_queries([query["text"] for query in asked]) @ vectors.T
        ranked = {q["_id"]: [ids[i] for i in np.argsort(-row)[:10]] for q, row in zip(asked, scores, strict=True)}
        report.add(
            f"nDCG@10 on {name}, embedder alone, cut at 256 tokens", _mean(ranked, qrels), PUBLISHED.get(name, "")
        )
        report.add(f"nDCG@10 on {name}, documents split into passages", _with_passages(corpus, asked, qrels))


def _with_passages(
    corpus: list[dict[str, str]], queries: list[dict[str, str]], qrels: dict[str, dict[str, int]]
) -> str:
    with tempfile.TemporaryDirectory() as folder, lumaai.connect(folder) as database:
        collection = database.create_collection("bench")
        kept = [{"id": d["_id"], "title": d.get("title", ""), "text": d.get("text", "")} for d in corpus]
        for begin in range(0, len(kept), 500):
            collection.add(kept[begin : begin + 500])
        ranked = {query["_id"]: collection.search(query["text"], limit=10).ids for query in queries}
    return _mean(ranked, qrels)


def _mean(ranked: dict[str, list[str]], qrels: dict[str, dict[str, int]]) -> str:
    return f"{np.mean([ndcg(ids, qrels[query]) for query, ids in ranked.items()]):.4f}"


def load(folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]], dict[str, dict[str, int]]]:
    """Corpus, queries, and query → document → grade."""
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            qrels.setdefault(query, {})[document] = int(grade)
    return read_jsonl(folder / "corpus.jsonl.gz"), read_jsonl(folder / "queries.jsonl.gz"), qrels
