"""What searches find of what is there, and how long they take: measured on live data, by parameter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.arrays import Vectors
from engine.errors import InvalidInputError
from engine.fields.filter import Filter
from engine.schema import IndexKind
from engine.segments.vectors import SegmentVectors
from engine.vector.parameters import DEFAULT, RECALLS, SearchParameters

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

QUERIES_MAX = 10_000
K_MAX = 1_000
EFS = (16, 32, 64, 128, 256)
NPROBES = (4, 8, 16, 32, 64)
OVERSAMPLES = (3.0, 6.0, 12.0)
EXACT = SearchParameters(exact=True)


@dataclass(frozen=True, slots=True)
class RecallLevel:
    """One set of parameters: the mean share of the true nearest documents that it finds, and its latency."""

    parameters: SearchParameters
    recall: float
    milliseconds_p50: float
    milliseconds_p99: float


@dataclass(frozen=True, slots=True)
class RecallReport:
    """What was measured, the default parameters first.

    Attributes:
        queries: how many stored vectors were asked for their neighbours, one at a time.
        k: neighbours.
        exact: the comparison with every vector, whose recall is 1.
        levels: the others.
    """

    queries: int
    k: int
    exact: RecallLevel
    levels: tuple[RecallLevel, ...]


def measure_recall(
    snapshot: Snapshot,
    field: str,
    queries: int,
    k: int,
    where: Filter | None,
    progress: Callable[[str, int, int], None] | None = None,
) -> RecallReport:
    """Compare searches with exact ones, with stored vectors as queries; none may find its own document.

    Args:
        snapshot: of the collection.
        field: of vectors.
        queries: how many stored vectors are asked for their neighbours; 1 to `QUERIES_MAX`.
        k: neighbours; 1 to `K_MAX`.
        where: only documents that satisfy it.
        progress: called before each search with a stage, the searches done and all of them; what it raises ends it.

    Raises:
        InvalidInputError: `queries` or `k` is out of range, or there are no vectors.
    """
    for name, value, most in (("queries", queries, QUERIES_MAX), ("k", k, K_MAX)):
        if not 1 <= value <= most:
            raise InvalidInputError(f"{name} must be from 1 to {most}: got={value!r:.40}")
    asked, own = _sample(snapshot, field, queries)
    if not len(asked):
        raise InvalidInputError(f"there are no vectors to measure with: field={field!r}")
    kinds = (EXACT, *_parameters(snapshot, field))
    runs: list[tuple[list[set[int]], list[float]]] = []
    for parameters in kinds:
        told = _told(progress, len(runs) * len(asked), len(kinds) * len(asked))
        runs.append(_run(snapshot, field, asked, own, k, where, parameters, told))
    truth, exact = runs[0]
    levels = []
    for parameters, (found, times) in zip(kinds[1:], runs[1:], strict=True):
        shares = [len(a & b) / len(b) for a, b in zip(found, truth, strict=True) if b]
        levels.append(_level(parameters, float(np.mean(shares)) if shares else 1.0, times))
    return RecallReport(len(asked), k, _level(EXACT, 1.0, exact), tuple(levels))


def _sample(snapshot: Snapshot, field: str, count: int) -> tuple[Vectors, list[int]]:
    """Vectors of live documents, drawn evenly from all parts, and the ordinals of their documents."""
    vectors, ordinals = [], []
    for i, part in enumerate(snapshot.parts):
        found = part.vector_part(field)
        if found is None:
            continue
        live = snapshot.allowed(i, None)
        documents = found.origins.documents
        rows = np.arange(len(documents)) if live is None else np.flatnonzero(live[documents])
        ordinals.append(part.ordinals[documents[rows]])
        vectors.append((found, rows))
    sizes = [len(each) for each in ordinals]
    total = sum(sizes)
    if not total:
        return np.empty((0, snapshot.schema.vectors[field].dim), dtype=np.float32), []
    chosen = np.sort(np.random.default_rng(total).choice(total, min(count, total), replace=False))
    taken, begin = [], 0
    for (found, rows), size in zip(vectors, sizes, strict=True):
        inside = [int(c) - begin for c in chosen if begin <= c < begin + size]
        taken.append(found.vectors[rows[inside]])
        begin += size
    return np.concatenate(taken), np.concatenate(ordinals)[chosen].tolist()


def _run(
    snapshot: Snapshot,
    field: str,
    queries: Vectors,
    own: list[int],
    k: int,
    where: Filter | None,
    how: SearchParameters,
    told: Callable[[int], None],
) -> tuple[list[set[int]], list[float]]:
    """For each query, the ordinals of the k nearest others; and the seconds that each took."""
    found, times = [], []
    for done, (query, ordinal) in enumerate(zip(queries, own, strict=True)):
        told(done)
        started = time.perf_counter()
        hits = snapshot.search(query, k + 1, vector_field=field, where=where, parameters=how)
        times.append(time.perf_counter() - started)
        found.append(set([each for each in hits.ordinals.tolist() if each != ordinal][:k]))
    return found, times


def _told(progress: Callable[[str, int, int], None] | None, before: int, total: int) -> Callable[[int], None]:
    """Tells of the searches of one kind, which has `before` others before it."""
    return lambda done: None if progress is None else progress("measuring", before + done, total)


def _level(parameters: SearchParameters, recall: float, seconds: list[float]) -> RecallLevel:
    p50, p99 = np.percentile(seconds, [50, 99])
    return RecallLevel(parameters, round(recall, 4), round(1000 * float(p50), 3), round(1000 * float(p99), 3))


def _parameters(snapshot: Snapshot, field: str) -> Iterator[SearchParameters]:
    """The default, the recalls that can be asked for, and what there is to choose for the kinds of index in use."""
    yield DEFAULT
    for recall in RECALLS:
        yield SearchParameters(recall=recall)
    parts = [part.vector_part(field) for part in snapshot.parts]
    kinds = {part.index.kind for part in parts if isinstance(part, SegmentVectors)}
    if IndexKind.HNSW in kinds:
        for ef_search in EFS:
            yield SearchParameters(ef_search=ef_search)
    for nprobe in NPROBES if kinds & {IndexKind.IVF_FLAT, IndexKind.IVF_PQ} else ():
        for oversample in OVERSAMPLES if IndexKind.IVF_PQ in kinds else (None,):
            yield SearchParameters(nprobe=nprobe, oversample=oversample)
