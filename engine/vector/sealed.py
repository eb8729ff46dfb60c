"""The vectors of one segment: the exact ones, an approximate index where it pays, and how a search uses them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import faiss
import msgspec
import numpy as np

from engine.arrays import Rows, Scores, Vectors
from engine.schema import IndexKind, Metric, Quantization
from engine.vector.allowed import Allowed
from engine.vector.calibration import RECALL_DEFAULT, Calibration
from engine.vector.choice import (
    EF_A_FETCH,
    Costs,
    Way,
    choose_for_graph,
    choose_for_lists,
    cost_a_candidate,
    rows_to_fetch,
)
from engine.vector.costs import distance_nanoseconds
from engine.vector.flat import ExactVectors
from engine.vector.hnsw import Graph
from engine.vector.index import VectorIndex, faiss_metric, to_scores, use_threads
from engine.vector.ivf import InvertedLists
from engine.vector.parameters import EF_SEARCH_DEFAULT, OVERSAMPLE_MAX, Effort, SearchParameters

K_MIN = 10  # fewer results take as many candidates as ten: the calibration is of ten
FETCH_GROWTH = 4  # times as many rows are asked for where too few were allowed
LOOKED_AT_EXPONENT = 0.5  # of the allowed share: how fewer allowed rows need be looked at than of all rows
THIN_SHARE = 0.97  # of the allowed share overall: with less near a query, beyond chance, nearest rows are not so near
THIN_NPROBES = 4  # times as many lists are searched then
AVOIDED_SHARE = 0.5  # of the allowed share overall: with less near a query, all lists are searched
TWICE_OVERSAMPLES = (2, 8)  # times the usual: two searches whose answers must agree
TWICE_COST = 4.0  # of both, in searches of as many lists
WANTED_SHARE_MAX = 0.5  # of all rows: to get so many candidates costs more than comparing with all
PARAMETERS_MAX = 64
EFFORT_UNKNOWN = Effort(nprobe=16, oversample=8.0)  # of an index too small to be calibrated


class IndexInfo(msgspec.Struct, frozen=True):
    """What was built for a segment, and why; kept with it."""

    kind: IndexKind
    quantization: Quantization
    reason: str
    calibration: Calibration = Calibration()


class Exact(Protocol):
    """Vectors as they are compared in the end; see `ExactVectors`."""

    @property
    def vectors(self) -> Vectors:
        """(n, dim) float32. Do not write."""

    @property
    def dim(self) -> int:
        """Components of a vector."""

    @property
    def bytes(self) -> int:
        """Of the vectors."""

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int, *, allowed: Allowed | None, threads: int) -> tuple[Scores, Rows]:
        """The k nearest rows of each query among the allowed ones; k at most their number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Scores (q, k) and rows (q, k), best first, -1 where there are no more; and how they were found."""

    scores: Scores
    rows: Rows
    how: str


class SealedVectors:
    """Search over the rows 0..n-1 of a segment. Immutable but for caches, so safe for many threads."""

    def __init__(self, exact: Exact, approximate: VectorIndex | None, info: IndexInfo, metric: Metric) -> None:
        self.exact = exact
        self.approximate = approximate
        self.info = info
        self.kind = info.kind
        self._metric = metric
        self._usual: dict[tuple[SearchParameters, int], tuple[Any, str]] = {}
        self._efforts: dict[float, Effort | None] = {}
        self._costs: Costs | None = None
        quantized = "" if info.quantization is Quantization.NONE else f" {info.quantization.value}"
        self._name = f"{info.kind.value}{quantized}"
        if approximate is not None:
            self._target, self._refined = self._joined()

    def __len__(self) -> int:
        return len(self.exact)

    @property
    def metric(self) -> Metric:
        """Of the field."""
        return self._metric

    @property
    def vectors(self) -> Vectors:
        """(n, dim) float32, prepared as they were given. Do not write."""
        return self.exact.vectors

    @property
    def separate(self) -> bool:
        """Whether the exact vectors lie beside the index, in a file of their own."""
        return self.approximate is not None and (self.approximate.lossy or self.kind is not IndexKind.HNSW)

    def stats(self) -> dict[str, Any]:
        """What was built, why, and what it takes."""
        return {
            "kind": self.kind.value,
            "quantization": self.info.quantization.value,
            "reason": self.info.reason,
            "rows": len(self),
            **({"components": self.approximate.ivf.d} if isinstance(self.approximate, InvertedLists) else {}),
            "memory_bytes": self.memory_bytes(),
            "mapped_bytes": self.mapped_bytes(),
        }

    def memory_bytes(self) -> int:
        """Bytes that searches go through: codes, graph or lists, and the vectors where they are part of them."""
        if self.approximate is None:
            return self.exact.bytes
        return self.approximate.memory_bytes()

    def mapped_bytes(self) -> int:
        """Bytes of vectors that are only mapped, and of which a search reads some rows."""
        return self.exact.bytes if self.separate else 0

    def search(
        self, queries: Vectors, k: int, *, allowed: Allowed | None, parameters: SearchParameters, threads: int
    ) -> Answer:
        """The k nearest rows of each query, best first; k at most the number of allowed rows.

        Args:
            queries: (q, dim) float32, prepared.
            k: rows.
            allowed: which rows may be returned; None for all.
            parameters: how hard to search.
            threads: processors to use.
        """
        use_threads(threads)
        usual = self._usual.get((parameters, k)) if allowed is None else None
        if usual is not None:
            scores, rows = self._run(queries, k, usual[0])
            answer = Answer(scores, rows, usual[1])
            return self._completed(answer, queries, k, None, threads)
        effort = self.effort(parameters)
        if effort is None or self.approximate is None:
            return self._exactly(queries, k, allowed, threads, "exact")
        if self._wanted(effort, k) > len(self) * WANTED_SHARE_MAX:
            return self._exactly(queries, k, allowed, threads, "exact: so many are wanted")
        if allowed is None:
            self._remember(parameters, effort, k)
            scores, rows = self.candidates(queries, k, effort)
            answer = Answer(scores, rows, self._how(effort, "no filter"))
        elif isinstance(self.approximate, InvertedLists):
            answer = self._in_lists(self.approximate, queries, k, allowed, effort, threads)
        else:
            answer = self._nearest_first(queries, k, allowed, effort, threads)
        return self._completed(answer, queries, k, allowed, threads)

    def _joined(self) -> tuple[Any, bool]:
        """What FAISS searches: the index, or the index and then the exact vectors; and whether it is the latter."""
        assert self.approximate is not None
        assert isinstance(self.exact, ExactVectors)
        index, flat, number = self.approximate.index, self.exact.index, faiss_metric(self._metric)
        if not self.approximate.lossy and index.metric_type == number:
            return index, False
        flat.metric_type = index.metric_type  # FAISS wants both equal when it joins them, and then need not have
        refined = faiss.IndexRefine(index, flat)
        flat.metric_type = refined.metric_type = number
        return refined, True

    def effort(self, parameters: SearchParameters) -> Effort | None:
        """What to do for `parameters`; None for comparing with every row."""
        if parameters.exact or self.approximate is None:
            return None
        calibration = self.info.calibration
        if parameters.recall is not None:
            return self._effort_for(parameters.recall)
        usual = self._effort_for(RECALL_DEFAULT)
        if usual is None:
            usual = calibration.best().effort if calibration.levels else EFFORT_UNKNOWN
        return Effort(
            parameters.ef_search or max(EF_SEARCH_DEFAULT, usual.ef_search),
            parameters.nprobe or usual.nprobe,
            parameters.oversample or usual.oversample,
        )

    def _effort_for(self, recall: float) -> Effort | None:
        """What the calibration says, which is the same each time."""
        if recall not in self._efforts:
            if len(self._efforts) >= PARAMETERS_MAX:
                self._efforts.clear()
            self._efforts[recall] = self.info.calibration.effort(recall)
        return self._efforts.get(recall)

    def candidates(self, queries: Vectors, k: int, effort: Effort, selector: Any | None = None) -> tuple[Scores, Rows]:
        """The k nearest rows by the approximate index, compared again with the exact vectors where it is lossy."""
        return self._run(queries, k, self._faiss_parameters(effort, k, selector))

    def _run(self, queries: Vectors, k: int, options: Any) -> tuple[Scores, Rows]:
        """What `search` of FAISS's wrapper does, without its checks."""
        distances = np.empty((len(queries), k), dtype=np.float32)
        rows = np.empty((len(queries), k), dtype=np.int64)
        pointer = faiss.swig_ptr
        self._target.search_c(len(queries), pointer(queries), k, pointer(distances), pointer(rows), options)
        return to_scores(distances, self._metric), rows

    def _remember(self, parameters: SearchParameters, effort: Effort, k: int) -> None:
        """Keep what a search without a filter passes to FAISS, and how it is called."""
        if len(self._usual) >= PARAMETERS_MAX:
            self._usual.clear()
        self._usual[parameters, k] = self._faiss_parameters(effort, k, None), self._how(effort, "no filter")

    def _wanted(self, effort: Effort, k: int) -> int:
        """How many candidates there are to be."""
        return min(len(self), max(k, int(effort.oversample * max(k, K_MIN)))) if self._refined else k

    def _faiss_parameters(self, effort: Effort, k: int, selector: Any | None) -> Any:
        assert self.approximate is not None
        wanted = self._wanted(effort, k)
        found = self.approximate.parameters(effort, wanted, selector)
        if self._refined:
            factor = (wanted + 0.5) / k  # FAISS takes the whole part of k × factor
            found = faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=found)
        return found

    def _exactly(self, queries: Vectors, k: int, allowed: Allowed | None, threads: int, how: str) -> Answer:
        scores, rows = self.exact.search(queries, k, allowed=allowed, threads=threads)
        return Answer(scores, rows, f"{self._name}, {how}")

    def _completed(self, answer: Answer, queries: Vectors, k: int, allowed: Allowed | None, threads: int) -> Answer:
        """`answer`, in which the queries that found too few rows are answered exactly."""
        if len(queries) == 1 and answer.rows[0, -1] >= 0:
            return answer
        short = answer.rows[:, -1] < 0
        if not short.any():
            return answer
        scores, rows = answer.scores.copy(), answer.rows.copy()
        again = np.ascontiguousarray(queries[short])
        scores[short], rows[short] = self.exact.search(again, k, allowed=allowed, threads=threads)
        return Answer(scores, rows, f"{answer.how}, then exact")

    def _nearest_first(self, queries: Vectors, k: int, allowed: Allowed, effort: Effort, threads: int) -> Answer:
        """Walk the graph for more rows than wanted, and keep those that are allowed; exactly where that is cheaper."""
        costs = self.costs()
        if choose_for_graph(k, allowed.count, len(self), effort.ef_search, costs) is Way.EXACT:
            return self._exactly(queries, k, allowed, threads, "exact: cheapest under this filter")
        scores = np.zeros((len(queries), k), dtype=np.float32)
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        pending = np.arange(len(queries))
        fetch = min(len(self), rows_to_fetch(k, allowed.share))
        while len(pending):
            wider = Effort(max(effort.ef_search, int(EF_A_FETCH * fetch)), effort.nprobe, effort.oversample)
            if costs.graph(wider.ef_search) >= costs.exact(allowed.count):
                break  # what is left is answered exactly
            found, places = self.candidates(np.ascontiguousarray(queries[pending]), fetch, wider)
            kept = allowed.mask[places] & (places >= 0)
            full = kept.sum(axis=1) >= k
            for i in np.flatnonzero(full):
                first = np.flatnonzero(kept[i])[:k]
                scores[pending[i]], rows[pending[i]] = found[i, first], places[i, first]
            pending = pending[~full]
            if fetch == len(self):
                break  # the graph does not reach what is missing
            fetch = min(len(self), FETCH_GROWTH * fetch)
        return Answer(scores, rows, self._how(effort, Way.NEAREST.value))

    def _in_lists(
        self, lists: InvertedLists, queries: Vectors, k: int, allowed: Allowed, effort: Effort, threads: int
    ) -> Answer:
        """Look through so many lists that enough allowed rows are seen; exactly where that is cheaper."""
        if choose_for_lists(allowed.count, self.costs()) is Way.EXACT:
            return self._exactly(queries, k, allowed, threads, "exact: cheapest under this filter")
        nprobe, thin, avoided = self._lists_needed(lists, queries, k, allowed, effort)
        wider = replace(effort, nprobe=nprobe)
        if not np.any(thin):
            scores, rows = self._run(queries, k, self._allowing(allowed, wider, k))
            return Answer(scores, rows, self._how(wider, Way.LISTS.value))
        scores = np.zeros((len(queries), k), dtype=np.float32)
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        doubtful = replace(effort, nprobe=min(lists.lists, THIN_NPROBES * nprobe))
        everywhere = replace(effort, nprobe=lists.lists)
        for group, each in ((~thin, wider), (thin & ~avoided, doubtful), (avoided, everywhere)):
            if group.any():
                chosen, search = np.ascontiguousarray(queries[group]), self._twice if each is not wider else self._once
                scores[group], rows[group] = search(chosen, k, allowed, each, lists)
        return Answer(scores, rows, self._how(wider, f"{Way.LISTS.value}, which avoids the query"))

    def _allowing(self, allowed: Allowed, effort: Effort, k: int) -> Any:
        """What a search of those rows alone passes to FAISS."""
        options = allowed.options.get((effort, k))
        if options is None:
            if len(allowed.options) >= PARAMETERS_MAX:
                allowed.options.clear()
            options = allowed.options[effort, k] = self._faiss_parameters(effort, k, allowed.by_bits)
        return options

    def _once(
        self,
        queries: Vectors,
        k: int,
        allowed: Allowed,
        effort: Effort,
        lists: InvertedLists,  # noqa: ARG002  (as of `_twice`)
    ) -> tuple[Scores, Rows]:
        return self.candidates(queries, k, effort, allowed.by_bits)

    def _twice(
        self, queries: Vectors, k: int, allowed: Allowed, effort: Effort, lists: InvertedLists
    ) -> tuple[Scores, Rows]:
        """What is nearest among rows that are not near, where distances differ less than codes are wrong.

        The lists are looked through once with more and once with still more candidates. Where the answers differ, there
        are better rows that neither has seen, and -1 asks for exact comparison.
        """
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.zeros((len(queries), k), dtype=np.float32)
        costs = self.costs()
        share = effort.nprobe / lists.lists
        if not lists.lossy or TWICE_COST * share * costs.all_lists > costs.exact(allowed.count):
            return scores, rows
        found = []
        for factor in TWICE_OVERSAMPLES:
            wider = replace(effort, oversample=min(factor * effort.oversample, float(OVERSAMPLE_MAX)))
            found.append(self.candidates(queries, k, wider, allowed.by_bits))
        agreed = (found[0][1] == found[1][1]).all(axis=1)
        scores[agreed], rows[agreed] = found[1][0][agreed], found[1][1][agreed]
        return scores, rows

    def _lists_needed(
        self, lists: InvertedLists, queries: Vectors, k: int, allowed: Allowed, effort: Effort
    ) -> tuple[int, Any, Any]:
        """How many lists to search, for all queries.

        Returns:
            That number; (q,) near which queries fewer rows are allowed than elsewhere, by more than chance; and (q,)
            near which there are so few that no list is better than another.
        """
        order = lists.nearest_lists(queries)
        if len(queries) == 1:
            return self._lists_needed_of_one(lists, order[0], k, allowed, effort)
        seen = np.cumsum(allowed.in_lists(lists.list_of, lists.lists)[order], axis=1)
        sizes = np.cumsum(lists.sizes[order], axis=1)
        usual = min(effort.nprobe, lists.lists)
        near, share = np.maximum(1, sizes[:, usual - 1]), allowed.share
        local = seen[:, usual - 1] / near
        avoided = local < AVOIDED_SHARE * share
        thin = avoided | (local < THIN_SHARE * share - 2 * np.sqrt(share * (1 - share) / near))
        looked_at = max(near.mean() * share**LOOKED_AT_EXPONENT, 4.0 * k)
        needed = (seen < looked_at).sum(axis=1)[~avoided].max(initial=0) + 1
        return int(min(lists.lists, max(usual, needed))), thin, avoided

    @staticmethod
    def _lists_needed_of_one(
        lists: InvertedLists, order: Rows, k: int, allowed: Allowed, effort: Effort
    ) -> tuple[int, Any, Any]:
        """As `_lists_needed`, for one query: with numbers, of which arrays of one would take three times as long."""
        usual, share = min(effort.nprobe, lists.lists), allowed.share
        seen = np.cumsum(allowed.in_lists(lists.list_of, lists.lists)[order])
        near = max(1, int(lists.sizes[order[:usual]].sum()))
        local = float(seen[usual - 1]) / near
        if local < AVOIDED_SHARE * share:
            return usual, np.array([True]), np.array([True])
        thin = local < THIN_SHARE * share - 2 * math.sqrt(share * (1 - share) / near)
        looked_at = max(near * share**LOOKED_AT_EXPONENT, 4.0 * k)
        needed = int(np.searchsorted(seen, looked_at)) + 1  # of lists that hold fewer together, and one more
        return min(lists.lists, max(usual, needed)), np.array([thin]), np.array([False])

    def costs(self) -> Costs:
        """What each way costs."""
        if self._costs is None:
            calibration = self.info.calibration
            self._costs = Costs(
                comparison=distance_nanoseconds(self.exact.dim) / 1000,
                candidate=cost_a_candidate(calibration.levels),
                all_lists=calibration.all_lists_microseconds,
            )
        return self._costs

    def _how(self, effort: Effort, reason: str) -> str:
        assert self.approximate is not None
        asked = f"nprobe {effort.nprobe}" if isinstance(self.approximate, InvertedLists) else ""
        if isinstance(self.approximate, Graph):
            asked = f"ef_search {effort.ef_search}"
        if self._refined:
            asked += f"{' ' if asked else ''}oversample {effort.oversample:g}"
        return f"{self._name}, {asked}, {reason}"
