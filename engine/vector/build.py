"""Building and opening the vectors of a segment: which kind, and what to do when it cannot be had."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from engine.arrays import Rows, Scores, Vectors
from engine.schema import IndexKind, Quantization, VectorField
from engine.vector.calibration import QUERIES, RECALL_DEFAULT, Calibration, K, beside, calibrate, sample_rows
from engine.vector.device.training import Card, device_card
from engine.vector.flat import ExactVectors, QuantizedScan
from engine.vector.hnsw import Graph
from engine.vector.index import CannotTrainError, VectorIndex, load_index, save_index, use_threads
from engine.vector.ivf import ROWS_MIN, InvertedLists
from engine.vector.parameters import Effort
from engine.vector.room import (
    CARD_SHARE,
    GRAPH_SHARE,
    graph_bytes,
    has_room_for_graph,
    has_room_on,
    machine_bytes,
)
from engine.vector.sealed import IndexInfo, SealedVectors

FLAT_BYTES_MAX = 4 * 1024 * 1024  # of vectors that are scanned in about 0.1 ms: no index is quicker by much
RECALL_AUTO_MIN = 0.97  # that codes must reach; a graph is built where they do not
GRAPH_LEVELS_ROWS = 1_000  # with fewer, a graph is as good as exact, and there is nothing to calibrate
ALL_LISTS_QUERIES = 10
GRAPH_NEIGHBOURS = Effort(ef_search=64, oversample=4.0)  # for the neighbours of the rows that a graph is tried with
Stop = Callable[[], bool]


def build_vectors(
    vectors: Vectors, spec: VectorField, threads: int, stop: Stop, like: SealedVectors | None = None
) -> SealedVectors:
    """Index (n, dim) vectors that `prepare_vectors` has prepared.

    Args:
        vectors: of one segment.
        spec: their field; its kind is honoured as far as that can be.
        threads: processors to use.
        stop: see Raises.
        like: an older segment of the same field, whose centroids may serve again.

    Raises:
        BuildStoppedError: `stop` said so; it is asked every fraction of a second.
    """
    card = device_card() if spec.index is IndexKind.AUTO else None
    wanted, reason = choose_kind(len(vectors), spec, card)
    try:
        built = _build(vectors, wanted, reason, threads, stop, like)
    except CannotTrainError as error:
        kind, quantization = IndexKind.FLAT, Quantization.NONE
        flat = replace(wanted, index=kind, quantization=quantization)
        return _build(vectors, flat, f"flat instead of {wanted.index}: {error}", threads, stop, None)
    if like is not None and built.info.calibration.levels and built.info.calibration.best().recall < RECALL_AUTO_MIN:
        built = _build(vectors, wanted, reason, threads, stop, None)  # the older segment's centroids do not fit
    if spec.index is IndexKind.AUTO and spec.quantization is Quantization.AUTO and built.kind is IndexKind.IVF_PQ:
        best = built.info.calibration.best()
        if best.recall < RECALL_AUTO_MIN:
            exact = replace(wanted, index=IndexKind.HNSW, quantization=Quantization.NONE)
            reason = f"{reason}, but codes find only {best.recall:.3f} of the nearest"
            if card is not None and has_room_on(card, len(vectors), spec.dim):
                return _build(vectors, replace(exact, index=IndexKind.IVF_FLAT), reason, threads, stop, None)
            if has_room_for_graph(len(vectors), exact):
                return _build(vectors, exact, reason, threads, stop, None)
            info = msgspec.structs.replace(built.info, reason=f"{reason}, and {_no_room(len(vectors), exact)}")
            return SealedVectors(built.exact, built.approximate, info, spec.metric)
    return built


def choose_kind(rows: int, spec: VectorField, card: Card | None = None) -> tuple[VectorField, str]:
    """The field with its kind and quantization decided, and why.

    A `card` that holds the vectors searches them itself, and what is built serves the processor where it cannot: then
    no graph is worth its building.
    """
    quantization = spec.quantization
    if spec.index is not IndexKind.AUTO:
        if quantization is Quantization.AUTO:
            quantization = Quantization.PQ4 if spec.index is IndexKind.IVF_PQ else Quantization.NONE
        return replace(spec, quantization=quantization), "declared"
    coded = quantization in (Quantization.AUTO, Quantization.PQ4, Quantization.RABITQ)
    size = 4 * rows * spec.dim
    if size <= FLAT_BYTES_MAX or (coded and rows < ROWS_MIN):
        kept = Quantization.NONE if coded else quantization
        reason = f"auto: {size / 2**20:.1f} MiB are compared with quickly enough"
        return replace(spec, index=IndexKind.FLAT, quantization=kept), reason
    if coded:
        codes = Quantization.RABITQ if quantization is Quantization.RABITQ else Quantization.PQ4
        reason = f"auto: {size / 2**20:.0f} MiB are too many to compare with; codes are built and searched quickest"
        return replace(spec, index=IndexKind.IVF_PQ, quantization=codes), f"{reason}{_on_card(rows, spec, card)}"
    if card is not None and rows >= ROWS_MIN and has_room_on(card, rows, spec.dim):
        reason = f"auto: {size / 2**20:.0f} MiB are too many to compare with; lists go with {quantization}"
        return replace(spec, index=IndexKind.IVF_FLAT), f"{reason}{_on_card(rows, spec, card)}"
    reason = f"auto: {size / 2**20:.0f} MiB are too many to compare with; a graph goes with {quantization}"
    if rows >= ROWS_MIN and not has_room_for_graph(rows, spec):
        return replace(spec, index=IndexKind.IVF_FLAT), f"{reason}, but {_no_room(rows, spec)}"
    return replace(spec, index=IndexKind.HNSW, quantization=quantization), reason


def _on_card(rows: int, spec: VectorField, card: Card | None) -> str:
    """What a card, if there is one, has to do with the choice."""
    if card is None:
        return ""
    if has_room_on(card, rows, spec.dim):
        return f", where {card.name} cannot answer, which holds the vectors"
    there = f"{card.bytes / 2**30:.1f} GiB, of which one segment may have {CARD_SHARE:.0%}"
    return f"; {card.name} does not hold the vectors: it has {there}"


def _no_room(rows: int, spec: VectorField) -> str:
    needed, there = graph_bytes(rows, spec) / 2**20, machine_bytes() / 2**20
    return f"a graph needs {needed:.0f} MiB in memory: there are {there:.0f}, of which it may have {GRAPH_SHARE:.0%}"


def save_vectors(built: SealedVectors, path: Path, exact_path: Path) -> None:
    """Write the index to `path`, and the exact vectors to `exact_path` where they are not part of it.

    Raises:
        OSError: the disk refused it.
    """
    assert isinstance(built.exact, ExactVectors)
    save_index(built.exact.index if built.approximate is None else built.approximate.index, path)
    if built.separate:
        save_index(built.exact.index, exact_path)


def load_vectors(path: Path, exact_path: Path, info: IndexInfo, spec: VectorField) -> SealedVectors:
    """Open what `save_vectors` wrote, memory-mapped.

    Raises:
        RuntimeError: a file is missing or damaged, or the two do not fit.
    """
    index = load_index(path, spec.dim)
    approximate: VectorIndex | None = None
    match info.kind:
        case IndexKind.HNSW:
            approximate = Graph(index)
        case IndexKind.IVF_FLAT | IndexKind.IVF_PQ:
            approximate = InvertedLists(index, info.kind, info.quantization)
        case _:
            approximate = QuantizedScan(index) if info.quantization is Quantization.SQ8 else None
    if approximate is None:
        exact = ExactVectors(index, spec.metric)
    elif isinstance(approximate, Graph) and not approximate.lossy:
        exact = ExactVectors(approximate.storage, spec.metric)
    else:
        exact = ExactVectors(load_index(exact_path, spec.dim), spec.metric)
    if len(exact) != index.ntotal:
        raise RuntimeError(f"index and vectors differ: path={path} index={index.ntotal} vectors={len(exact)}")
    return SealedVectors(exact, approximate, info, spec.metric)


def _build(
    vectors: Vectors,
    spec: VectorField,
    reason: str,
    threads: int,
    stop: Stop,
    like: SealedVectors | None,
    *,
    reduced: bool = True,
) -> SealedVectors:
    approximate: VectorIndex | None = None
    vectors = np.ascontiguousarray(vectors)
    match spec.index:
        case IndexKind.HNSW:
            approximate = Graph.build(vectors, spec, threads, stop)
        case IndexKind.IVF_FLAT | IndexKind.IVF_PQ:
            model = like.approximate if like is not None and isinstance(like.approximate, InvertedLists) else None
            approximate = InvertedLists.build(
                vectors, spec, spec.index, spec.quantization, threads=threads, stop=stop, like=model, reduced=reduced
            )
        case _ if spec.quantization is Quantization.SQ8:
            approximate = QuantizedScan.build(vectors, spec, stop)
    if isinstance(approximate, Graph) and not approximate.lossy:
        exact = ExactVectors(approximate.storage, spec.metric)
    else:
        kept = spec if approximate is None else replace(spec, index=IndexKind.FLAT, quantization=Quantization.NONE)
        exact = ExactVectors.build(vectors, kept, stop)
    info = IndexInfo(spec.index, spec.quantization, reason)
    built = SealedVectors(exact, approximate, info, spec.metric)
    if approximate is None or len(vectors) < GRAPH_LEVELS_ROWS:
        return built
    calibration = calibrated(built, approximate, vectors, threads, stop)
    missed = calibration.effort(RECALL_DEFAULT) is None
    if (
        missed and isinstance(approximate, InvertedLists) and approximate.reduced
    ):  # near rows differ in what was left out
        return _build(vectors, spec, reason, threads, stop, None, reduced=False)
    info = msgspec.structs.replace(info, calibration=calibration)
    return SealedVectors(exact, approximate, info, spec.metric)


def calibrated(
    built: SealedVectors,
    approximate: VectorIndex,
    vectors: Vectors,
    threads: int,
    stop: Stop,
    count: int = QUERIES,
) -> Calibration:
    """What an index finds at several efforts and what that costs, with `count` of its own rows as queries.

    Of a graph, places beside them.

    Raises:
        BuildStoppedError: `stop` said so.
    """

    def search_exact(queries: Vectors, k: int) -> tuple[Scores, Rows]:
        return built.exact.search(queries, k, allowed=None, threads=threads)

    def search(queries: Vectors, k: int, effort: Effort) -> tuple[Scores, Rows]:
        use_threads(1)
        return built.candidates(queries, k, effort)

    queries, own = sample_rows(vectors, count), not isinstance(approximate, Graph)
    if not own:
        _, neighbours = search(queries, K + 1, GRAPH_NEIGHBOURS)
        queries = beside(queries, vectors, neighbours, built.metric)
    found = calibrate(approximate, search, search_exact, queries, len(vectors), stop, own=own)
    if not isinstance(approximate, InvertedLists):
        return found
    usual = found.effort(RECALL_DEFAULT) or found.best().effort
    queries = np.ascontiguousarray(vectors[:: max(1, len(vectors) // ALL_LISTS_QUERIES)])
    started = time.thread_time()
    search(queries, K, replace(usual, nprobe=approximate.lists))
    microseconds = round(1e6 * (time.thread_time() - started) / len(queries), 1)
    return msgspec.structs.replace(found, all_lists_microseconds=microseconds)
