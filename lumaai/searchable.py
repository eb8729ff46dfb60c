"""The searching half of a collection: what its calls take, the same for a directory and for a service."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lumaai.batch import vector_array
from lumaai.errors import ErrorDetail, InvalidRequestError, TooLargeError
from lumaai.results import Hits, RecallReport
from lumaai.search import check_mode, check_rows, check_strings, effort_of, whole_number
from lumaai.translation import translated

Filter = Mapping[str, Any] | str
VectorFields = str | Sequence[str] | Mapping[str, float]

SEARCHES_MAX = 100  # in one batch
# Keys under which a body, or a search within it, has vectors and searches.
_EXAMPLES = ("positive", "negative")


@dataclass(frozen=True, slots=True)
class Search:
    """One search on its way in.

    Attributes:
        more: what only some searches ask for, as the HTTP API has it.
    """

    query: str | None
    vector: ArrayLike | None
    id: str | None
    vector_field: str | None
    limit: int
    offset: int
    filter: Filter | None
    select: Sequence[str] | None
    params: Mapping[str, Any] | None
    explain: bool
    more: Mapping[str, Any]

    def check(self) -> None:
        """Refuse what no search can be told.

        Raises:
            InvalidRequestError: a value of the wrong type or size, or not exactly one thing to look for.
        """
        check_rows(self.limit, self.offset)
        effort_of(self.params)
        if self.select is not None:
            check_strings("select", self.select)
        if self.more:
            check_mode(self.more.get("mode", "semantic"))
        elif sum(given is not None for given in (self.query, self.vector, self.id)) != 1:
            raise InvalidRequestError("give exactly one of query, vector and id", code="exactly_one")

    def body(self) -> dict[str, Any]:
        """The search in the shape of the HTTP API."""
        plain = {
            "query": self.query, "vector": self.vector, "id": self.id, "vector_field": self.vector_field,
            "limit": self.limit, "offset": self.offset or None, "filter": self.filter,
            "select": None if self.select is None else list(self.select), "params": self.params,
            "explain": self.explain or None,
        }  # fmt: skip
        return sendable_search({**plain, **self.more})


class SearchableCollection(ABC):
    """Searches, and what all of them take."""

    @abstractmethod
    def _search(self, search: Search) -> Hits:
        """Do it."""

    @abstractmethod
    def _search_many(self, bodies: list[dict[str, Any]]) -> list[Hits]:
        """Do them, each in the shape of the HTTP API."""

    @abstractmethod
    def _recall(self, body: dict[str, Any]) -> RecallReport:
        """Do it."""

    @translated
    def search(
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
        return self._search(search)

    @translated
    def search_many(self, searches: Any) -> list[Hits]:
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
        return self._search_many(bodies) if bodies else []

    @translated
    def recall(
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
        return self._recall({key: value for key, value in body.items() if value is not None})


def sendable_search(search: Mapping[str, Any]) -> dict[str, Any]:
    """A search in the shape of the HTTP API, its vectors as base64; what is None is left out.

    Raises:
        InvalidRequestError: a vector is none.
    """
    body = {key: value for key, value in search.items() if value is not None}
    if "vector" in body:
        body["vector"] = _sendable_vector(body["vector"])
    for key in _EXAMPLES:
        if isinstance(body.get(key), list | tuple | np.ndarray):
            body[key] = [_sendable_example(each) for each in body[key]]
    if isinstance(body.get("prefetch"), list | tuple):
        body["prefetch"] = [sendable_search(e) if isinstance(e, Mapping) else e for e in body["prefetch"]]
    for key in ("vector_field", "text_fields", "select", "facets"):
        if isinstance(body.get(key), tuple):
            body[key] = list(body[key])
    return body


def _sendable_example(example: Any) -> Any:
    if isinstance(example, Mapping):
        if set(example) == {"vector"}:
            return {"vector": _sendable_vector(example["vector"])}
        return dict(example)
    return example if isinstance(example, str) else {"vector": _sendable_vector(example)}


def _sendable_vector(given: Any) -> Any:
    """A vector as base64 float32; what is base64 already, or holds nothing, is left for the service to judge."""
    if isinstance(given, str):
        return given
    vector = vector_array(given, dimensions=1)
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode() if len(vector) else []
