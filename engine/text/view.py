"""The text index at one commit: the best documents for a query, exactly, under any filter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tantivy
from pyroaring import BitMap

from engine.arrays import Mask, Ordinals, Scores
from engine.errors import InvalidInputError
from engine.schema import JSON
from engine.text.analyzer import Analyzer
from engine.text.compile import Compiler, Matching
from engine.text.dictionary import Dictionary
from engine.text.errors import tantivy_errors
from engine.text.fields import TextField
from engine.text.query import TextQuery

ORDINAL = "ordinal"  # Tantivy field
# What things cost, in microseconds, measured on 200,000 documents of 60 words (2 cores, tantivy 0.27).
HIT_MICROSECONDS = 0.25  # one more document fetched and looked up
SET_MICROSECONDS = 20.0  # one ordinal of a term set
TERM_SET_MAX = 256
TIES = 16  # hits fetched beyond those wanted, to put equal scores at the end in order
TIES_FIRST = 4  # the same at first, without a filter: each costs a microsecond, and few queries need more


@dataclass(frozen=True, slots=True)
class Allowed:
    """The documents that a search may find.

    Attributes:
        count: how many they are.
        contains: (n,) ordinals → (n,) flags.
        ordinals: all of them; asked for when they are few.
    """

    count: int
    contains: Callable[[Ordinals], Mask]
    ordinals: Callable[[], Ordinals]

    @classmethod
    def of(cls, bitmap: BitMap) -> Allowed:
        """Those in a bitmap, which nobody writes to."""

        def contains(ordinals: Ordinals) -> Mask:
            return np.fromiter((each in bitmap for each in ordinals.tolist()), dtype=bool, count=len(ordinals))

        return cls(len(bitmap), contains, lambda: np.array(bitmap, dtype=np.uint32))


class TextHits(NamedTuple):
    """The best documents, best first, equal scores by ordinal.

    Attributes:
        ordinals: (n,) uint32.
        scores: (n,) float32, BM25.
        matching: what was looked for; for highlights.
        explain: what ran.
    """

    ordinals: Ordinals
    scores: Scores
    matching: Matching
    explain: dict[str, JSON]


class TextView:
    """Immutable but for what it remembers; safe for many threads; may be kept as long as wanted.

    Attributes:
        fields: names of those that can be searched.
        analyzers: field → its analysis.
        documents: how many are in the index.
        next_ordinal: one more than the highest of them; 0 where there are none.
        segments: of Tantivy's, each of which costs a search some microseconds.
        dead: whether documents that were deleted are still in its statistics.
        successor: the same documents and scores in fewer segments, once they are merged.
    """

    def __init__(
        self,
        index: Any,
        fields: Mapping[str, TextField],
        analyzers: Mapping[str, Analyzer],
        dictionary: Dictionary,
        *,
        dead: bool = False,
    ) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        self.segments: int = self._searcher.num_segments
        self.dead = dead
        self.successor: TextView | None = None
        self.fields = tuple(fields)
        self.analyzers = dict(analyzers)
        self._compiler = Compiler(self._schema, self._searcher, fields, analyzers, dictionary)
        self.documents: int = self._searcher.num_docs
        last = self._searcher.search(tantivy.Query.all_query(), 1, count=False, order_by_field=ORDINAL).hits
        self.next_ordinal: int = int(last[0][0]) + 1 if last else 0

    def ordinals(self) -> BitMap:
        """Those of all documents in the index."""
        if not self.documents:
            return BitMap()
        with tantivy_errors("read"):
            every = tantivy.Query.all_query()
            hits = self._searcher.search(every, self.documents, count=False, order_by_field=ORDINAL).hits
        return BitMap([int(ordinal) for ordinal, _ in hits])

    def matching_ordinals(self, query: TextQuery) -> BitMap:
        """Those of all documents that match, without scores.

        Raises:
            InvalidInputError: `query.fields` names a field that is no text field.
            TextIndexDamagedError: the index's files are damaged.
        """
        with tantivy_errors("searched"):
            matching = self.matching(query)
            limit = min(self.documents, matching.documents_max)
            if matching.query is None or not limit:
                return BitMap()
            hits = self._searcher.search(matching.query, limit, count=False, order_by_field=ORDINAL).hits
        return BitMap([int(ordinal) for ordinal, _ in hits])

    def matching(self, query: TextQuery) -> Matching:
        """What a query looks for.

        Raises:
            InvalidInputError: `query.fields` names a field that is no text field.
        """
        return self._compiler.compile(query)

    def search(self, query: TextQuery, k: int, allowed: Allowed | None = None) -> TextHits:
        """The `k` documents with the highest BM25 scores among those allowed (None: all in the index).

        Raises:
            InvalidInputError: `k` is less than 1, or `query.fields` names a field that is no text field.
            TextIndexDamagedError: the index's files are damaged.
        """
        if k < 1:
            raise InvalidInputError(f"k must be at least 1: got={k}")
        started = time.perf_counter()
        with tantivy_errors("searched"):
            matching = self.matching(query)
            ordinals, scores, how, fetched = self._best(matching, k, allowed)
        elapsed = round(1000 * (time.perf_counter() - started), 3)
        explain: dict[str, JSON] = {
            "how": how,
            "documents": self.documents,
            "allowed": self.documents if allowed is None else allowed.count,
            "fetched": fetched,
            "expanded": {word: list(others) for word, others in matching.expanded.items()},
            "milliseconds": elapsed,
        }
        return TextHits(ordinals, scores, matching, explain)

    def _best(self, matching: Matching, k: int, allowed: Allowed | None) -> tuple[Ordinals, Scores, str, int]:
        """Ordinals, scores, what was done, and how many documents were fetched for it."""
        if matching.query is None or not self.documents or (allowed is not None and not allowed.count):
            return np.empty(0, np.uint32), np.empty(0, np.float32), "nothing to find", 0
        if allowed is None and (found := self._best_of_all(matching.query, k)):
            return found
        limit = self._first_limit(k, allowed)
        query, how = matching.query, "best of all" if allowed is None else "fetched until enough are allowed"
        if allowed is not None and _prefers_set(allowed, limit, matching):
            query, how = self._only(query, allowed), "best of a set"
            limit = allowed.count
        fetched = 0
        while True:
            ordinals, scores = self._fetch(query, limit)
            fetched += len(ordinals)
            exhausted = len(ordinals) < limit or limit >= self.documents
            lowest = scores[-1:]
            if allowed is not None:
                kept = allowed.contains(ordinals)
                ordinals, scores = ordinals[kept], scores[kept]
            if exhausted or (len(scores) >= k and lowest < scores[k - 1]):  # else some that are equal are yet to come
                if (scores[1:] == scores[:-1]).any():
                    order = np.lexsort((ordinals, -scores))
                    ordinals, scores = ordinals[order], scores[order]
                return ordinals[:k], scores[:k], how, fetched
            limit = min(4 * limit, self.documents)

    def _best_of_all(self, query: Any, k: int) -> tuple[Ordinals, Scores, str, int] | None:
        """As `_best`, without a filter; None where more are equal at the end. In lists: arrays cost more for a few."""
        limit = min(k + TIES_FIRST, self.documents)
        hits = self._searcher.search(query, limit, count=False).hits
        if len(hits) > k:
            worst = hits[k - 1][0]
            if len(hits) == limit < self.documents and hits[-1][0] == worst:
                return None
            end = k
            while end < len(hits) and hits[end][0] == worst:
                end += 1
            hits = hits[:end]
        if not hits:
            return np.empty(0, np.uint32), np.empty(0, np.float32), "best of all", 0
        scores = [score for score, _ in hits]
        ordinals = self._searcher.fast_field_values(ORDINAL, [address for _, address in hits])
        if len(set(scores)) < len(scores):
            ranked = sorted(zip([-score for score in scores], ordinals, strict=True))[:k]
            ordinals, scores = [ordinal for _, ordinal in ranked], [-score for score, _ in ranked]
        return np.array(ordinals, dtype=np.uint32), np.array(scores, dtype=np.float32), "best of all", len(hits)

    def _first_limit(self, k: int, allowed: Allowed | None) -> int:
        """So many that `k` of them are allowed nine times in ten, were they spread evenly."""
        wanted: float = k
        if allowed is not None:
            wanted = (k + 2 * math.sqrt(k) + 2) * max(1.0, self.documents / allowed.count)
        return max(1, min(math.ceil(wanted) + TIES, self.documents))

    def _fetch(self, query: Any, limit: int) -> tuple[Ordinals, Scores]:
        hits = self._searcher.search(query, limit, count=False).hits
        if not hits:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        scores, addresses = zip(*hits, strict=True)
        ordinals = self._searcher.fast_field_values(ORDINAL, list(addresses))
        return np.array(ordinals, dtype=np.uint32), np.array(scores, dtype=np.float32)

    def _only(self, query: Any, allowed: Allowed) -> Any:
        among = tantivy.Query.term_set_query(self._schema, ORDINAL, allowed.ordinals().tolist())
        unscored = tantivy.Query.const_score_query(among, 0.0)
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, unscored)])


def _prefers_set(allowed: Allowed, limit: int, matching: Matching) -> bool:
    """Whether to ask for the allowed documents by name is cheaper than to fetch matching ones until enough are."""
    fetching = HIT_MICROSECONDS * min(limit, matching.documents_max)
    return allowed.count <= TERM_SET_MAX and SET_MICROSECONDS * allowed.count < fetching
