"""What a search asks: queries, how their rankings become one, and what is done with that.

Order of events: each query ranks the documents that satisfy `where` (with `prefetch`: only those that it found) →
`fusion` makes one ranking of several → `rerank` orders its top anew → `score_threshold` cuts it → `diversity` spreads
it → `group_by` gathers it → `offset` and `limit` take a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.arrays import Numbers, Ordinals
from engine.document import Passage
from engine.errors import InvalidInputError
from engine.fields.filter import Filter
from engine.vector.parameters import DEFAULT, SearchParameters

PREFETCH_DEPTH_MAX = 4
PREFETCHES_MAX = 32  # in the whole tree
EXAMPLES_MAX = 1_000
WEIGHT_MAX = 1_000_000.0
# Documents of each ranking that is fused. On the training queries of SciFact nDCG@10 is 0.711 with 30 and 0.715 with
# 100, at 0.98 and 1.75 times the cost of both sides alone (30,000 × 384, benchmarks/hybrid.py).
WINDOW = 30
RANK_CONSTANT = 60  # Cormack, Clarke and Büttcher, SIGIR 2009


@dataclass(frozen=True, slots=True)
class Nearest:
    """Documents nearest to `vector`, (dim,), by their best passage; `field` None means the only vector field."""

    vector: Numbers
    field: str | None = None
    parameters: SearchParameters = DEFAULT


class Strategy(StrEnum):
    """How examples become a score; the names and formulas are Qdrant's.

    AVERAGE_VECTOR searches near 2 × mean(positive) − mean(negative), by index. BEST_SCORE compares every document with
    every example: it counts for a document how like the most similar positive one it is, or, where a negative one is
    more similar, against it how like that is; slower, and better where the examples are of several kinds.
    """

    AVERAGE_VECTOR = "average_vector"
    BEST_SCORE = "best_score"


@dataclass(frozen=True, slots=True)
class Examples:
    """Documents like `positive`, (p, dim), and unlike `negative`, (n, dim)."""

    positive: Numbers
    negative: Numbers
    field: str | None = None
    strategy: Strategy = Strategy.AVERAGE_VECTOR
    parameters: SearchParameters = DEFAULT


@dataclass(frozen=True, slots=True)
class Words:
    """Documents with the words of `query`, by BM25; `fields` with boosts, None for every text field."""

    query: str
    fields: Mapping[str, float] | None = None


Query: TypeAlias = Nearest | Examples | Words


class FusionMethod(StrEnum):
    """How several rankings become one; see `engine.search.fusion`."""

    RRF = "rrf"
    WEIGHTED = "weighted"
    DBSF = "dbsf"


@dataclass(frozen=True, slots=True)
class Fusion:
    """How several rankings become one.

    Attributes:
        method: by ranks, or by scores brought to one scale.
        rank_constant: RRF's; the larger, the less the first ranks stand out.
        weights: of the rankings, in order; None: alike. A ranking of weight 0 is not even made.
        window: documents taken of each ranking, at first; the page's depth does not change what is above it.
    """

    method: FusionMethod = FusionMethod.RRF
    rank_constant: int = RANK_CONSTANT
    weights: tuple[float, ...] | None = None
    window: int = WINDOW


@dataclass(frozen=True, slots=True)
class GroupBy:
    """Documents gathered by the values of a field: `limit` counts groups, each of `size` documents at most.

    A document with several values is in several groups, one without a value in none.
    """

    field: str
    size: int = 1


@dataclass(frozen=True, slots=True)
class Rerank:
    """The first `top` ordered anew by `score`: (ordinals, passages) → (n,) scores, larger is better."""

    top: int
    score: Callable[[Ordinals, Sequence[Passage | None]], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search; see the module for the order in which its parts apply.

    Attributes:
        queries: one, or several to be fused; none where `prefetch` is all there is: then that is fused.
        limit: documents (groups, with `group_by`) at most.
        offset: passed over before them.
        where: only documents that satisfy it, in `prefetch` too.
        without: ordinals of documents that are not wanted: examples, mostly.
        prefetch: searches whose documents are the only ones that `queries` rank.
        score_threshold: only documents that score at least so much, on the scale of the answer.
        diversity: 0 orders by score alone, 1 by how unlike documents are to those before them (see `diversity.py`).
        diversity_field: the vector field by which documents are alike; None: the one that is searched.
    """

    queries: tuple[Query, ...] = ()
    limit: int = 10
    offset: int = 0
    where: Filter | None = None
    without: tuple[int, ...] = ()
    prefetch: tuple[SearchRequest, ...] = ()
    fusion: Fusion = Fusion()
    rerank: Rerank | None = None
    score_threshold: float | None = None
    diversity: float | None = None
    diversity_field: str | None = None
    group_by: GroupBy | None = None

    def __post_init__(self) -> None:
        _check_least("limit", self.limit, 1)
        _check_least("offset", self.offset, 0)
        if not self.queries and not self.prefetch:
            raise InvalidInputError("a search needs a query or a prefetch", pointer="/query")
        _check_tree(self)
        _check_fusion(self.fusion, len(self.queries) or len(self.prefetch))
        if self.diversity is not None and not 0 <= self.diversity <= 1:
            raise InvalidInputError(f"diversity must be from 0 to 1: got={self.diversity!r:.40}", pointer="/diversity")
        if self.score_threshold is not None and not np.isfinite(self.score_threshold):
            message = f"score_threshold must be a number: got={self.score_threshold}"
            raise InvalidInputError(message, pointer="/score_threshold")
        if self.group_by is not None:
            _check_least("group_by/size", self.group_by.size, 1)
        if self.rerank is not None and self.rerank.top < self.offset + self.limit:
            message = f"rerank.top must reach limit + offset: minimum={self.offset + self.limit} got={self.rerank.top}"
            raise InvalidInputError(message, pointer="/rerank/top")


def _check_least(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        message = f"{name} must be a whole number of at least {least}: got={value!r:.40}"
        raise InvalidInputError(message, pointer=f"/{name}")


def _check_tree(request: SearchRequest) -> None:
    for count, (depth, pointer) in enumerate(_prefetches(request, "", 0), start=1):
        if depth > PREFETCH_DEPTH_MAX:
            message = f"prefetch is nested too deep: maximum={PREFETCH_DEPTH_MAX}"
            raise InvalidInputError(message, pointer=pointer)
        if count > PREFETCHES_MAX:
            raise InvalidInputError(f"too many prefetches: maximum={PREFETCHES_MAX}", pointer=pointer)


def _prefetches(request: SearchRequest, pointer: str, depth: int) -> Iterator[tuple[int, str]]:
    for place, each in enumerate(request.prefetch):
        yield depth + 1, f"{pointer}/prefetch/{place}"
        yield from _prefetches(each, f"{pointer}/prefetch/{place}", depth + 1)


def _check_fusion(fusion: Fusion, rankings: int) -> None:
    _check_least("fusion/k", fusion.rank_constant, 1)
    _check_least("fusion/window", fusion.window, 1)
    if fusion.weights is None:
        return
    if len(fusion.weights) != rankings:
        message = f"fusion needs a weight for each ranking: expected={rankings} got={len(fusion.weights)}"
        raise InvalidInputError(message, pointer="/fusion/weights")
    for place, weight in enumerate(fusion.weights):
        if not 0 <= weight <= WEIGHT_MAX:  # refuses NaN, too
            message = f"a weight must be from 0 to {WEIGHT_MAX:g}: got={weight!r:.40}"
            raise InvalidInputError(message, pointer=f"/fusion/weights/{place}")
    if not any(fusion.weights):
        raise InvalidInputError("a weight must be above 0", pointer="/fusion/weights")
