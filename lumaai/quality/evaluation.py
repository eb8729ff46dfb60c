"""Runs every way to search over a judged set and measures what it finds, and how long it takes."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import InvalidRequestError
from lumaai.quality.folders import JudgedFolder
from lumaai.quality.metrics import mean_over_queries, ndcg, recall, reciprocal_rank

NDCG_AT = 10
RECALL_AT = 100
MRR_AT = 10
RERANK_TOP = 50
# The set of queries that is drawn where not all are asked is the same each time.
_SEED = 13
_ADDED_AT_ONCE = 500
_EVERY = 20

# What each way to search is asked, beside the query.
SYSTEMS: Mapping[str, Mapping[str, Any]] = {
    "keyword": {"mode": "keyword"},
    "semantic": {"mode": "semantic"},
    "hybrid": {"mode": "hybrid"},
    "reranked": {"mode": "hybrid", "rerank": {"top": RERANK_TOP}},
    # The model by itself: each document as one vector, of as much of it as the model reads. This is what is published.
    "truncated": {"mode": "semantic"},
}
DEFAULT_SYSTEMS = ("keyword", "semantic", "hybrid", "reranked")

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class SystemQuality:
    """How good one way to search is: means over all judged queries, and the median time of a search."""

    system: str
    ndcg_at_10: float
    recall_at_100: float
    mrr_at_10: float
    milliseconds_p50: float


@dataclass(frozen=True, slots=True)
class FolderQuality:
    """What was measured on one set; of `judged` queries, `queries` were asked."""

    name: str
    documents: int
    judged: int
    queries: int
    model: str | None
    reranker: str | None
    systems: tuple[SystemQuality, ...]


def evaluate(
    folder: JudgedFolder,
    *,
    systems: Sequence[str] = DEFAULT_SYSTEMS,
    model: str | None = None,
    reranker: str | None = None,
    language: str | None = "en",
    queries_max: int | None = None,
    progress: Progress | None = None,
    open_database: Callable[[str], Database] = Database,
) -> FolderQuality:
    """Index a set in a database of its own, ask its queries, and measure the answers.

    Args:
        folder: the set.
        systems: of `SYSTEMS`.
        model: of the vectors; None for the default one.
        reranker: None for the default one.
        language: of the text, for the stems of keyword search; None stems nothing.
        queries_max: at most so many, drawn at random, always the same.
        progress: called with a stage and a fraction 0..1.
        open_database: makes the database in a directory that is empty and goes when all is measured.

    Raises:
        InvalidRequestError: an unknown system, or a model or language that there is not.
    """
    unknown = next((name for name in systems if name not in SYSTEMS), None)
    if unknown is not None or not systems:
        raise InvalidRequestError(
            f"unknown system {unknown!r:.40}: expected some of {', '.join(SYSTEMS)}", code="system_unknown"
        )
    tell = progress or (lambda _stage, _fraction: None)
    asked = _drawn(folder.queries, queries_max)
    with tempfile.TemporaryDirectory(prefix="lumaai-quality-") as directory, open_database(directory) as database:
        made: dict[str, Collection] = {}
        measured = []
        embeds = set(systems) != {"keyword"}
        for name in systems:
            splitter = "none" if name == "truncated" else "auto"
            if splitter not in made:
                made[splitter] = _indexed(database, folder, splitter, model, language, tell, embeds=embeds)
            measured.append(_measured(name, made[splitter], folder, asked, reranker, tell))
        embedding = next(iter(made.values())).info().schema["embed"]
    reranked = reranker or "late-interaction" if "reranked" in systems else None
    return FolderQuality(
        folder.name,
        len(folder.documents),
        len(folder.queries),
        len(asked),
        embedding["vector"]["model"] if embedding else None,
        reranked,
        tuple(measured),
    )


def _drawn(queries: Mapping[str, str], most: int | None) -> dict[str, str]:
    if most is None or most >= len(queries):
        return dict(queries)
    return {query: queries[query] for query in sorted(random.Random(_SEED).sample(sorted(queries), most))}  # noqa: S311


def _indexed(
    database: Database,
    folder: JudgedFolder,
    splitter: str,
    model: str | None,
    language: str | None,
    tell: Progress,
    *,
    embeds: bool,
) -> Collection:
    names = dict.fromkeys(name for document in folder.documents for name in document if name != "id")
    text = {"type": "text"} if language is None else {"type": "text", "language": language}
    spec = {"from": list(names), "splitter": splitter} | ({} if model is None else {"model": model})
    embed = {"vector": spec} if embeds else {}
    collection = database.create_collection(f"set-{splitter}", dict.fromkeys(names, text), embed=embed)
    total = len(folder.documents)
    for start in range(0, total, _ADDED_AT_ONCE):
        tell(f"{folder.name}: indexing", start / total)
        collection.add(folder.documents[start : start + _ADDED_AT_ONCE], durability="none")
    collection.optimize()
    return collection


def _measured(
    system: str,
    collection: Collection,
    folder: JudgedFolder,
    queries: Mapping[str, str],
    reranker: str | None,
    tell: Progress,
) -> SystemQuality:
    options = dict(SYSTEMS[system])
    if reranker is not None and "rerank" in options:
        options["rerank"] = {**options["rerank"], "model": reranker}
    limit = RERANK_TOP if "rerank" in options else RECALL_AT
    rankings: dict[str, list[str]] = {}
    seconds = []
    for number, (query, text) in enumerate(queries.items()):
        if number % _EVERY == 0:
            tell(f"{folder.name}: {system}", number / len(queries))
        started = time.perf_counter()
        found = list(collection.search(text, limit=limit, select=[], **options).ids)
        seconds.append(time.perf_counter() - started)
        if limit < RECALL_AT:  # what was not read anew follows in the order that it had
            known = set(found)
            rest = collection.search(text, limit=RECALL_AT, select=[], **SYSTEMS["hybrid"]).ids
            found += [id_ for id_ in rest if id_ not in known][: RECALL_AT - len(found)]
        rankings[query] = found
    judged = {query: folder.judgements[query] for query in queries}
    return SystemQuality(
        system,
        mean_over_queries(ndcg, rankings, judged, NDCG_AT),
        mean_over_queries(recall, rankings, judged, RECALL_AT),
        mean_over_queries(reciprocal_rank, rankings, judged, MRR_AT),
        statistics.median(seconds) * 1000,
    )
