"""Inverted lists: rows by their nearest of some hundred centroids; a search looks through the lists nearest to it.

`ivf_flat` keeps vectors in the lists, `ivf_pq` short codes, whose scan costs a few nanoseconds a row: even all of them
can be looked through where a filter leaves the lists nearby empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import faiss
import numpy as np

from engine.arrays import Rows, Vectors
from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.device.training import device_centroids
from engine.vector.flat import add_in_pieces
from engine.vector.index import BuildStoppedError, CannotTrainError, use_threads
from engine.vector.parameters import Effort
from engine.vector.progress import report
from engine.vector.quantization import check_fits, scalar_type, sub_quantizers
from engine.vector.reduction import principal_components

ROWS_MIN = 1_000  # pq4 learns 16 centroids a sub-vector, FAISS wants 39 rows for each; and fewer rows need no lists
LISTS_MAX = 4_096
ROWS_A_CENTROID = 48  # of the sample that centroids are learnt from; FAISS wants 39 at least
ROWS_A_LIST_MIN = 39  # FAISS's own bound, below which it warns
ROUNDS = 8  # of k-means
PQ_ROWS = 2_048  # of the sample that sub-quantizers are learnt from
ADD_ROWS = 8_192
REUSE_ROWS_MAX = 4  # an index of at most so many times the rows takes another's centroids over
NPROBES = (4, 8, 16, 32, 64, 128, 256)  # 2 were enough for rows of the index itself, and .84 for other queries
OVERSAMPLES = (3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0)


class InvertedLists:
    """IVF over vectors as they are, in fewer bits, or as codes of pq4 or rabitq."""

    def __init__(self, index: Any, kind: IndexKind, quantization: Quantization) -> None:
        self.index = index
        self.kind = kind
        self.quantization = quantization
        self.lossy = quantization is not Quantization.NONE
        self.ivf = faiss.extract_index_ivf(index)
        self.rotated = self.ivf is not index and isinstance(index, faiss.IndexPreTransform)

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        spec: VectorField,
        kind: IndexKind,
        quantization: Quantization,
        *,
        threads: int,
        stop: Callable[[], bool],
        like: InvertedLists | None = None,
        reduced: bool = True,
    ) -> InvertedLists:
        """Index (n, dim) prepared vectors.

        Args:
            vectors: of unit length under cosine, where nearest by l2 is nearest by angle, and pq4 finds more by l2
                (100,000 × 384, 8 × 10 candidates: recall@10 0.98 against 0.94 by inner product).
            spec: of the field.
            kind: ivf_flat or ivf_pq.
            quantization: of the lists.
            threads: processors to use.
            stop: see Raises.
            like: an index of the same field whose centroids will do, if it is of like size.
            reduced: pq4 may code principal components, where few are enough.

        Raises:
            BuildStoppedError: `stop` said so.
            CannotTrainError: too few rows, or the quantization cannot hold them.
        """
        if len(vectors) < ROWS_MIN:
            raise CannotTrainError(f"{kind} needs at least {ROWS_MIN} rows: got={len(vectors)}")
        use_threads(threads)
        same_lists = spec.nlist is None or (like is not None and like.lists == list_count(len(vectors), spec.nlist))
        reused = like is not None and same_lists and like.serves(len(vectors), kind, quantization)
        if like is not None and reused:
            built = like.emptied()
        else:
            built = cls(_train(vectors, spec, quantization, stop, reduced=reduced), kind, quantization)
        built.add(vectors, stop)
        return built

    def emptied(self) -> InvertedLists:
        """The same centroids without any rows."""
        empty = self.copied()
        if isinstance(faiss.downcast_InvertedLists(empty.ivf.invlists), faiss.ArrayInvertedLists):
            fresh = faiss.ArrayInvertedLists(
                empty.ivf.nlist, empty.ivf.code_size
            )  # those of a mapped file cannot grow:
            fresh.this.disown()  # FAISS would end the process
            empty.ivf.replace_invlists(fresh, True)
            empty.ivf.ntotal = empty.index.ntotal = 0
        else:
            empty.index.reset()
        return empty

    def copied(self) -> InvertedLists:
        """The same, to be added to; 98 bytes a row of 784 dimensions are copied in 4 ms for 70,000."""
        return InvertedLists(faiss.clone_index(self.index), self.kind, self.quantization)

    def add(self, vectors: Vectors, stop: Callable[[], bool]) -> None:
        """Append (n, dim) prepared vectors; only while nobody else knows of this.

        Raises:
            BuildStoppedError: `stop` said so.
        """
        add_in_pieces(self.index, vectors, ADD_ROWS, stop)

    def serves(self, rows: int, kind: IndexKind, quantization: Quantization) -> bool:
        """Whether what this index has learnt will do for another of so many rows."""
        same = (self.kind, self.quantization) == (kind, quantization)
        return same and rows <= REUSE_ROWS_MAX * self.index.ntotal

    @property
    def reduced(self) -> bool:
        """Whether it codes principal components."""
        return self.rotated and self.ivf.d < self.index.d

    @property
    def centroids(self) -> Vectors:
        """(lists, dim) of the lists, among the vectors as they were given."""
        centroids: Vectors = self.ivf.quantizer.reconstruct_n(0, self.lists)
        return self.index.chain.at(0).reverse_transform(centroids) if self.rotated else centroids

    @property
    def lists(self) -> int:
        """How many there are."""
        count: int = self.ivf.nlist
        return count

    @cached_property
    def list_of(self) -> Rows:
        """(n,) in which list each row is."""
        found = np.zeros(self.index.ntotal, dtype=np.int32)
        inverted = self.ivf.invlists
        for number in range(self.lists):
            size = inverted.list_size(number)
            if size:
                found[faiss.rev_swig_ptr(inverted.get_ids(number), size)] = number
        return found

    @cached_property
    def sizes(self) -> Rows:
        """(lists,) rows in each."""
        return np.bincount(self.list_of, minlength=self.lists)

    def nearest_lists(self, queries: Vectors) -> Rows:
        """(q, lists) all lists of each query, nearest first."""
        transformed = self.index.chain.at(0).apply(queries) if self.rotated else queries
        numbers = np.empty((len(queries), self.lists), dtype=np.int64)
        distances, pointer = np.empty(numbers.shape, dtype=np.float32), faiss.swig_ptr
        # What the wrapper of `search` does, without its checks.
        self.ivf.quantizer.search_c(
            len(queries), pointer(transformed), self.lists, pointer(distances), pointer(numbers)
        )
        return numbers

    def parameters(self, effort: Effort, k: int, selector: Any | None) -> Any:  # noqa: ARG002  (lists do not mind k)
        """See `VectorIndex.parameters`."""
        options: dict[str, Any] = {"nprobe": min(effort.nprobe, self.lists)}
        if selector is not None:
            options["sel"] = selector
        if self.quantization is Quantization.RABITQ:
            inner = faiss.IVFRaBitQSearchParameters(**options)
        else:
            inner = faiss.SearchParametersIVF(**options)
        return faiss.SearchParametersPreTransform(index_params=inner) if self.rotated else inner

    def efforts(self) -> Iterator[Effort]:
        """See `VectorIndex.efforts`. For each number of lists, more and more candidates."""
        nprobes = sorted({min(nprobe, self.lists) for nprobe in NPROBES})
        for nprobe in nprobes:
            for oversample in OVERSAMPLES if self.lossy else (1.0,):
                yield Effort(nprobe=nprobe, oversample=oversample)

    def memory_bytes(self) -> int:
        """See `VectorIndex.memory_bytes`. Codes, their row numbers, and centroids."""
        return int(self.index.ntotal * (self.ivf.code_size + 8) + self.lists * self.ivf.d * 4)


def list_count(rows: int, wanted: int | None = None) -> int:
    """As many lists as are wanted and the rows allow; else about the root of the rows."""
    if wanted is not None:
        return max(1, min(wanted, rows // ROWS_A_LIST_MIN))
    return max(16, min(LISTS_MAX, 1 << round(math.log2(rows) / 2)))


def _train(
    vectors: Vectors, spec: VectorField, quantization: Quantization, stop: Callable[[], bool], *, reduced: bool
) -> Any:
    dim, lists = spec.dim, list_count(len(vectors), spec.nlist)
    metric = faiss.METRIC_INNER_PRODUCT if spec.metric is Metric.DOT else faiss.METRIC_L2
    random = np.random.default_rng(len(vectors))
    sample = vectors[np.sort(random.choice(len(vectors), min(len(vectors), ROWS_A_CENTROID * lists), replace=False))]
    sample = np.ascontiguousarray(sample)
    rotation = None
    if quantization is Quantization.RABITQ:
        rotation = faiss.RandomRotationMatrix(dim, dim)
        rotation.init(1)
    elif quantization is Quantization.PQ4 and reduced:
        rotation = principal_components(sample, spec.metric)
    codes = sub_quantizers(dim)
    if rotation is not None:
        sample, dim = rotation.apply(sample), rotation.d_out
        codes = dim
    quantizer = faiss.IndexFlat(dim, metric)
    quantizer.add(_centroids(sample, lists, stop))
    index: Any
    if quantization is Quantization.PQ4:
        index = faiss.IndexIVFPQFastScan(quantizer, dim, lists, codes, 4, metric)
        index.pq.cp.niter = ROUNDS
        index.pq.cp.max_points_per_centroid = PQ_ROWS // 16
    elif quantization is Quantization.RABITQ:
        index = faiss.IndexIVFRaBitQ(quantizer, dim, lists, metric)
    elif quantization is Quantization.NONE:
        index = faiss.IndexIVFFlat(quantizer, dim, lists, metric)
    else:
        check_fits(vectors, quantization)
        index = faiss.IndexIVFScalarQuantizer(quantizer, dim, lists, scalar_type(quantization), metric)
    index.train(sample)
    return index if rotation is None else faiss.IndexPreTransform(rotation, index)


def _centroids(sample: Vectors, count: int, stop: Callable[[], bool]) -> Vectors:
    """k-means by this thread's device, or one round at a time, so that it can be stopped."""
    learnt = device_centroids(sample, count, ROUNDS)
    if learnt is not None:
        return learnt
    centroids: Vectors | None = None
    for done in range(ROUNDS):
        if stop():
            raise BuildStoppedError
        report("centroids", done / ROUNDS)
        clustering = faiss.Kmeans(sample.shape[1], count, niter=1, min_points_per_centroid=1, seed=1)
        clustering.train(sample, init_centroids=centroids)
        centroids = clustering.centroids
    assert centroids is not None
    return centroids
