"""Keyword search beside bare tantivy-py on the same index and queries, under filters, and right after writes."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tantivy

import engine
from benchmarks.report import Report
from benchmarks.timing import in_turn, seconds
from engine.text.view import ORDINAL

DOCUMENTS, WORDS, VOCABULARY = 200_000, 60, 50_000
QUERIES, K = 200, 10
SCHEMA = {"fields": {"text": "text", "n": "integer"}}


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder, engine.Database.open(folder) as database:
        collection = database.create_collection("bench", engine.Schema.from_json(SCHEMA))
        texts, queries = _texts(DOCUMENTS), _queries()
        rate = DOCUMENTS / seconds(lambda: _add(collection, texts))
        report.add(f"insert of {WORDS} words, text to be searched, nobody searching", f"{rate:,.0f}/s")
        rate = DOCUMENTS / seconds(lambda: collection.snapshot().keyword("w1", K))
        report.add("documents a second that the first search takes into the index", f"{rate:,.0f}/s")
        collection.optimize()
        _beside_tantivy(report, collection, queries)
        _filtered(report, collection, queries)
        _fresh(report, collection)


def _add(collection: engine.Collection, texts: Sequence[str]) -> None:
    for first in range(0, len(texts), 1000):
        batch = [{"id": str(i), "text": texts[i], "n": i % 1000} for i in range(first, first + 1000)]
        collection.add(batch)


def _beside_tantivy(report: Report, collection: engine.Collection, queries: Sequence[str]) -> None:
    """The same Tantivy index and the same terms; on their side nothing but the search and the fetching of ordinals."""
    snapshot = collection.snapshot()
    text = collection.state.text
    assert text is not None
    table = next(Path(text.directory).rglob("fields.json"))
    index = tantivy.Index.open(str(table.parent))
    searcher = index.searcher()

    def bare(query: str) -> list[Any]:
        terms = [tantivy.Query.term_query(index.schema, "text_0", word) for word in query.split()]
        asked = tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])
        hits = searcher.search(asked, K, count=False).hits
        return list(searcher.fast_field_values(ORDINAL, [address for _, address in hits]))

    for query in queries[:20]:
        ours = snapshot.keyword(query, K)
        assert len(ours) == len(bare(query)) == K
    mine, theirs, ratio = in_turn(
        lambda: [snapshot.keyword(query, K).ids for query in queries], lambda: [bare(query) for query in queries], 9
    )
    report.add(
        f"keyword search, {DOCUMENTS:,} documents, QPS beside bare tantivy-py (ids; they: ordinals)",
        f"{ratio:.2f} ×",
        f"{QUERIES / mine:,.0f} and {QUERIES / theirs:,.0f} a second",
        "0.7 ×",
    )


def _filtered(report: Report, collection: engine.Collection, queries: Sequence[str]) -> None:
    snapshot = collection.snapshot()
    for share, below in (("50 %", 500), ("10 %", 100), ("1 %", 10), ("0.1 %", 1)):
        where = engine.parse_filter({"n": {"$lt": below}})
        slower, _, ratio = in_turn(
            lambda where=where: [snapshot.keyword(query, K, where=where) for query in queries],  # type: ignore[misc]
            lambda: [snapshot.keyword(query, K) for query in queries],
        )
        report.add(
            f"keyword search under a {share} filter, time beside the unfiltered one",
            f"{1 / ratio:.2f} ×",
            f"{1000 * slower / QUERIES:.2f} ms",
            "at most 3 ×" if below == 100 else "",
        )


def _fresh(report: Report, collection: engine.Collection) -> None:
    """A write, and the search that finds it."""
    times = []
    for i in range(30):
        collection.add([{"id": f"new{i}", "text": f"fresh{i} w1 w2"}])
        times.append(seconds(lambda i=i: collection.snapshot().keyword(f"fresh{i}", K)))  # type: ignore[misc]
    report.add("search right after a write", f"{1000 * statistics.median(times):.1f} ms", "the index commits")


def _texts(count: int) -> list[str]:
    """Words of a Zipfian vocabulary; half as many to one and a half times as many as `WORDS`."""
    random = np.random.default_rng(1)
    drawn = random.zipf(1.2, (count, 3 * WORDS // 2)) % VOCABULARY
    lengths = random.integers(WORDS // 2, 3 * WORDS // 2 + 1, count).tolist()
    return [" ".join(f"w{each}" for each in row[:length]) for row, length in zip(drawn.tolist(), lengths, strict=True)]


def _queries() -> list[str]:
    """Two to four words each, neither the commonest nor the rarest."""
    chooser = random.Random(2)
    return [" ".join(f"w{chooser.randint(20, 2000)}" for _ in range(chooser.randint(2, 4))) for _ in range(QUERIES)]
