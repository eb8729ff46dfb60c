"""Made from `lumaai/searchable.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from lumaai.errors import ErrorDetail, InvalidRequestError, TooLargeError
from lumaai.results import Hits, RecallReport
from lumaai.search import whole_number
from lumaai.searchable import (
    SEARCHES_MAX,
    Filter,
    Search,
    VectorFields,
    sendable_search,
)
from lumaai.translation import translated


class AsyncSearchable(ABC):
    """Searches, and what all of them take."""

    @abstractmethod
    async def _search(self, search: Search) -> Hits:
        """Do it."""

    @abstractmethod
    async def _search_many(self, bodies: list[dict[str, Any]]) -> list[Hits]:
        """Do them, each in the shape of the HTTP API."""

    @abstractmethod
    async def _recall(self, body: dict[str, Any]) -> RecallReport:
        """Do it."""

    @translated
    async def search(
        self,
        query: str | None = None,
        *,
        vector: ArrayLike | None = None,
        id: str | None = None,  # noqa: A002
        positive: Sequence[Any] | None = None,
        negative: Sequence[Any] | None = None,
        strategy: str | None = None,
        mode: str = "semantic",
        vector_field: VectorFields | None = None,
        text_fields: Sequence[str] | Mapping[str, float] | None = None,
        filter: Filter | None = None,  # noqa: A002
        limit: int = 10,
        offset: int = 0,
        select: Sequence[str] | None = None,
        fusion: str | Mapping[str, Any] | None = None,
        prefetch: Sequence[Mapping[str, Any]] | None = None,
        rerank: str | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        diversity: float | None = None,
        group_by: str | Mapping[str, Any] | None = None,
        facets: Sequence[str] | Mapping[str, Any] | None = None,
        highlight: bool = False,
        params: Mapping[str, Any] | None = None,
        min_sequence: int | None = None,
        explain: bool = False,
        cursor: str | None = None,
    ) -> Hits:
        """The documents that fit best to a text, a vector, another document or examples; one hit a document.

        Args:
            query: a text: embedded with the collection's model, looked for word by word, or both, as `mode` says.
            vector: (dim,) numbers.
            id: of a document; it is not among its own hits.
            positive: documents like these: ids, vectors, or `{"text": …}`, `{"id": …}`, `{"vector": …}`.
            negative: and unlike these.
            strategy: of examples: "average_vector" (default) looks near 2 × mean(positive) − mean(negative),
                "best_score" compares every document with every example.
            mode: "semantic", "keyword" (BM25) or "hybrid" (both, fused; the semantic side may be given its own
                `vector`, `id` or examples).
            vector_field: needed where there are several; several of them, with weights if given, are fused.
            text_fields: where to look for words, with boosts: `["title^3", "plot"]`; all text fields by default.
            filter: only documents that match, such as `{"year": {"$gte": 1990}}` or `"year >= 1990"`.
            limit: hits at most; groups with `group_by`.
            offset: hits (groups) passed over; `limit + offset` at most 10,000. Equal scores are in order of writing,
                so pages neither overlap nor leave anything out.
            select: fields that the documents come with, beside their id.
            fusion: "rrf", "weighted" or "dbsf" (the default of hybrid searches; of others it is "rrf"), or
                `{"method": …, "k": 60, "weights": …, "window": 30}` with weights as a list, or as
                `{"semantic": 1, "keyword": 0.5}`.
            prefetch: searches whose hits are the only documents that this one ranks; alone, they are fused.
            rerank: a model that reads the best hits and orders them anew: its name or `{"model": …, "top": 50}`.
            score_threshold: only hits that score at least so much.
            diversity: 0 (by score alone) to 1 (each hit as unlike those before it as can be).
            group_by: a field, or `{"field": …, "size": 3}`; `Hits.groups` says whose hits are whose.
            facets: what is to be counted of all documents that match the filter: fields, or as `facets` takes it.
            highlight: say in each `Hit.highlights` where the words of the query are.
            params: `ef_search`, `nprobe`, `oversample`, `exact`, or `recall` (0.95 or 0.99).
            min_sequence: refuse if the writes up to this one are not seen yet.
            explain: say in `Hits.explain` what ran.
            cursor: "" to page through all hits (up to 10,000) in the state of now: `Hits.next_cursor` is the `cursor`
                of the page that follows, which takes nothing else but `limit` and `select`.

        Raises:
            GoneError: the cursor has not been used for five minutes, is older than an hour, or its service was
                restarted.
            InvalidRequestError: not exactly one thing to look for; a vector of the wrong size; a bad filter.
            NotFoundError: there is no document with that id.
            ConflictError: `min_sequence` has not been reached.
            ModelMismatchError: the collection was embedded with another model than is installed.
        """
        more: dict[str, Any] = {
            "positive": positive, "negative": negative, "strategy": strategy,
            "mode": None if mode == "semantic" else mode, "text_fields": text_fields, "fusion": fusion,
            "prefetch": prefetch, "rerank": rerank, "score_threshold": score_threshold, "diversity": diversity,
            "group_by": group_by, "facets": facets, "highlight": highlight or None, "min_sequence": min_sequence,
            "cursor": cursor,
        }  # fmt: skip
        given = {key: value for key, value in more.items() if value is not None}
        single = vector_field if vector_field is None or isinstance(vector_field, str) else None
        if single is not vector_field:
            given["vector_field"] = vector_field
        search = Search(query, vector, id, single, limit, offset, filter, select, params, explain, given)
        search.check()
        return await self._search(search)

    @translated
    async def search_many(self, searches: Any) -> list[Hits]:
        """Several searches of any kind at once; the answers are in their order.

        Args:
            searches: each with the arguments of `search`, as a dict; 100 at most.
        """
        if isinstance(searches, Mapping | str) or not isinstance(searches, Sequence):
            raise InvalidRequestError("searches must be a list of dicts", code="type_mismatch")
        bodies = []
        for place, search in enumerate(searches):
            if not isinstance(search, Mapping):
                message = f"a search must be a dict: got={type(search).__name__}"
                detail = ErrorDetail(f"/searches/{place}", "type_mismatch", message)
                raise InvalidRequestError(message, code="type_mismatch", errors=[detail])
            bodies.append(sendable_search(search))
        if len(bodies) > SEARCHES_MAX:
            raise TooLargeError(f"too many searches in one batch: maximum={SEARCHES_MAX} got={len(bodies)}")
        return await self._search_many(bodies) if bodies else []

    @translated
    async def recall(
        self,
        queries: int = 100,
        limit: int = 10,
        *,
        vector_field: str | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> RecallReport:
        """What searches find of what is there, and how long they take, by parameter: what to choose them by.

        Args:
            queries: stored vectors that are asked for their neighbours, one at a time; 1 to 10,000.
            limit: neighbours of each; 1 to 1,000.
            vector_field: needed where there are several.
            filter: only documents that match.

        Raises:
            InvalidRequestError: out of range, or there are no vectors.
        """
        whole_number("queries", queries, least=1)
        whole_number("limit", limit, least=1)
        body = {"queries": queries, "limit": limit, "vector_field": vector_field, "filter": filter}
        return await self._recall({key: value for key, value in body.items() if value is not None})
