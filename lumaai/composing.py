"""From a search as the HTTP API has it to one of the engine: texts are embedded, ids become vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import engine
from lumaai.embedding import embed_query
from lumaai.errors import ConflictError, ErrorDetail, InvalidRequestError, NotFoundError
from lumaai.reranking import RERANKED, reranked
from lumaai.search import effort_of, vector_field_of

if TYPE_CHECKING:
    from lumaai import wire
    from lumaai.opened import Opened

Vector = NDArray[np.float32]  # (dim,)

PREFETCH_DEPTH_MAX = 4
PREFETCHES_MAX = 32


class Composer:
    """Makes the engine's request of one search.

    Args:
        native: the collection.
        opened: models and rerankers.
    """

    def __init__(self, native: engine.Collection, opened: Opened) -> None:
        self._native = native
        self._opened = opened
        self._schema = native.schema
        self._embedded: dict[tuple[str, str], Vector] = {}

    def compose(self, body: wire.SearchRequest) -> tuple[engine.Snapshot, engine.SearchRequest]:
        """The snapshot to search, and what is asked of it.

        Texts are embedded before the snapshot is taken, so that the answer is as fresh as it can be.

        Raises:
            InvalidRequestError: a field that does not exist, prefetches nested too deep, a bad filter.
            NotFoundError: there is no document with an id that is named.
            ConflictError: `min_sequence` has not been reached.
        """
        _check_tree(body)
        while True:
            self._embed(body)
            snapshot = self._native.snapshot()
            if snapshot.schema.embed == self._schema.embed:
                break  # else it was embedded anew meanwhile, and the texts' vectors are of the model before
            self._schema = snapshot.schema
            self._embedded.clear()
        check_sequence(self._opened.native.sequence, body.min_sequence)
        request = self._sources(body, snapshot, "")
        group_by = body.group_by
        request = replace(
            request,
            offset=body.offset,
            diversity=body.diversity,
            group_by=None if group_by is None else engine.GroupBy(group_by.field, group_by.size),
        )
        return snapshot, replace(request, rerank=self._rerank(body, snapshot))

    def _embed(self, body: wire.Sources) -> None:
        """Embed all texts of the tree."""
        from lumaai import wire

        for place, inner in enumerate(body.prefetch or ()):
            with at(f"/prefetch/{place}"):
                self._embed(inner)
        texts = [each.text for each in _examples(body) if isinstance(each, wire.TextExample)]
        if body.mode != "keyword" and "query" in body.model_fields_set and not _has_target(body):
            texts.append(body.query)
        for text in texts:
            for name, _ in self._fields(body, embedded=True):
                if (name, text) not in self._embedded:
                    embedder = self._opened.embedders.of(self._schema.embed[name], self._native.name)
                    self._embedded[name, text] = embed_query(embedder, text)

    def _sources(self, body: wire.Sources, snapshot: engine.Snapshot, pointer: str) -> engine.SearchRequest:
        queries: list[engine.Nearest | engine.Examples | engine.Words] = []
        without: tuple[int, ...] = ()
        fields: list[tuple[str, float]] = []
        if body.mode != "keyword" and ("query" in body.model_fields_set or _has_target(body)):
            text = "query" in body.model_fields_set and not _has_target(body)
            fields = self._fields(body, embedded=text)
            queries += [self._semantic(body, snapshot, name) for name, _ in fields]
            without = _own_ordinals(body, snapshot)
        if body.mode != "semantic":
            boosts = body.text_fields
            queries.append(engine.Words(body.query, _boosts(boosts)))
        prefetch = []
        for place, each in enumerate(body.prefetch or ()):
            with at(f"/prefetch/{place}"):
                prefetch.append(self._sources(each, snapshot, f"{pointer}/prefetch/{place}"))
        return engine.SearchRequest(
            queries=tuple(queries),
            limit=body.limit,  # type: ignore[attr-defined]  # a prefetch and a request have one each
            where=_where(body.filter, snapshot, pointer),
            without=without,
            prefetch=tuple(prefetch),
            fusion=_fusion(body, [weight for _, weight in fields]),
            score_threshold=body.score_threshold,
        )

    def _semantic(self, body: wire.Sources, snapshot: engine.Snapshot, name: str) -> engine.Nearest | engine.Examples:
        """What ranks by vectors in one field."""
        from lumaai import wire

        effort = effort_of(body.params.model_dump(exclude_unset=True))
        if body.positive is not None or body.negative is not None:
            dim = self._schema.vectors[name].dim
            positive, negative = (
                _stacked([self._example(e, snapshot, name, f"/{key}/{n}") for n, e in enumerate(given or ())], dim, key)
                for key, given in (("positive", body.positive), ("negative", body.negative))
            )
            return engine.Examples(positive, negative, name, engine.Strategy(body.strategy), effort)
        if body.id:
            return engine.Nearest(vector_of_document(snapshot, body.id, name), name, effort)
        if body.vector:
            return engine.Nearest(_decoded(wire.vector_of, body.vector, "/vector"), name, effort)
        return engine.Nearest(self._embedded[name, body.query], name, effort)

    def _example(self, example: Any, snapshot: engine.Snapshot, name: str, pointer: str) -> Vector:
        from lumaai import wire

        match example:
            case wire.TextExample():
                return self._embedded[name, example.text]
            case wire.IdExample():
                return vector_of_document(snapshot, example.id, name, pointer)
            case wire.VectorExample():
                return _decoded(wire.vector_of, example.vector, pointer)
            case _:
                return _decoded(wire.vector_of, example, pointer)

    def _fields(self, body: wire.Sources, *, embedded: bool) -> list[tuple[str, float]]:
        """The vector fields to search, with their weights."""
        given = body.vector_field
        if isinstance(given, Mapping):
            weights = dict(given)
            if not any(weights.values()):
                raise _refused("/vector_field", "a weight must be above 0")
        elif isinstance(given, list):
            weights = dict.fromkeys(given, 1.0)
        else:
            return [(vector_field_of(self._schema, given, embedded=embedded), 1.0)]
        return [(vector_field_of(self._schema, name, embedded=embedded), weight) for name, weight in weights.items()]

    def _rerank(self, body: wire.SearchRequest, snapshot: engine.Snapshot) -> engine.Rerank | None:
        if body.rerank is None:
            return None
        if "query" not in body.model_fields_set:
            raise _refused("/rerank", "rerank needs a query: a text to compare the hits with")
        given = body.vector_field
        names = [given] if isinstance(given, str) else list(given or ())
        end = body.limit + body.offset
        top = max(RERANKED, end) if body.rerank.top is None else body.rerank.top
        return reranked(self._opened.rerankers, snapshot, body.query, top, model=body.rerank.model, vector_fields=names)


def vector_of_document(snapshot: engine.Snapshot, id_: str, name: str, pointer: str = "/id") -> Vector:
    """The vector of a stored document: the mean of its passages' where it has several.

    Raises:
        NotFoundError: it is not there.
        InvalidRequestError: it has no vector in that field.
    """
    vectors = snapshot.vectors_of(id_, name)
    if not len(vectors):
        if snapshot.get_raw([id_]) == [None]:
            message, code = f"document does not exist: {id_!r:.100}", "document_not_found"
            raise NotFoundError(message, code=code, errors=[ErrorDetail(pointer, code, message)])
        message, code = f"document {id_!r:.100} has no vector in {name!r}", "vector_missing"
        raise InvalidRequestError(message, code=code, errors=[ErrorDetail(pointer, code, message)])
    return np.ascontiguousarray(vectors.mean(axis=0), dtype=np.float32)


def check_sequence(reached: int, wanted: int | None) -> None:
    """Refuse to answer from a state before the write that the caller knows of.

    Raises:
        ConflictError: the database has not come to it; worth trying again where somebody else writes.
    """
    if wanted is not None and wanted > reached:
        message = f"min_sequence has not been reached: expected={wanted} got={reached}"
        detail = ErrorDetail("/min_sequence", "sequence_not_reached", message, wanted, reached)
        raise ConflictError(message, code="sequence_not_reached", errors=[detail], retryable=True)


@contextmanager
def at(prefix: str) -> Iterator[None]:
    """Within it, places of faults are inside `prefix`."""
    try:
        yield
    except (InvalidRequestError, NotFoundError) as error:
        error.errors = tuple(replace(each, pointer=f"{prefix}{each.pointer}") for each in error.errors)
        raise
    except engine.InvalidInputError as error:
        if error.pointer is not None and not isinstance(error, engine.FilterError):
            error.pointer = f"{prefix}{error.pointer}"
        raise


def _check_tree(body: wire.SearchRequest) -> None:
    """Refuse trees that are deeper or larger than the engine takes, before any text of them is embedded."""
    count = 0
    waiting: list[tuple[wire.Sources, str, int]] = [(body, "", 0)]
    while waiting:
        each, pointer, depth = waiting.pop()
        count += 1
        if depth > PREFETCH_DEPTH_MAX:
            raise _refused(pointer, f"prefetch is nested too deep: maximum={PREFETCH_DEPTH_MAX}")
        if count > PREFETCHES_MAX + 1:
            raise _refused(pointer, f"too many prefetches: maximum={PREFETCHES_MAX}")
        waiting += [(inner, f"{pointer}/prefetch/{n}", depth + 1) for n, inner in enumerate(each.prefetch or ())]


def _has_target(body: wire.Sources) -> bool:
    """Whether the semantic side is asked by something else than the query's text."""
    return bool(body.vector or body.id or body.positive is not None or body.negative is not None)


def _examples(body: wire.Sources) -> Sequence[Any]:
    return [*(body.positive or ()), *(body.negative or ())]


def _own_ordinals(body: wire.Sources, snapshot: engine.Snapshot) -> tuple[int, ...]:
    """Documents that are asked by, which are not to be found themselves."""
    from lumaai import wire

    ids = [each.id for each in _examples(body) if isinstance(each, wire.IdExample)]
    if body.id:
        ids.append(body.id)
    return tuple(ordinal for ordinal in snapshot.ordinals_of(ids) if ordinal is not None) if ids else ()


def _stacked(vectors: list[Vector], dim: int, key: str) -> NDArray[np.float32]:
    for place, vector in enumerate(vectors):
        if len(vector) != dim:
            raise engine.DimensionMismatchError(dim, len(vector), pointer=f"/{key}/{place}")
    return np.stack(vectors) if vectors else np.empty((0, dim), dtype=np.float32)


def _decoded(read: Any, given: Any, pointer: str) -> Vector:
    try:
        vector: Vector = read(given)
    except ValueError as error:
        raise _refused(pointer, str(error)) from error
    return vector


def _boosts(given: Any) -> Any:
    return given if given is None or isinstance(given, Mapping) else tuple(given)


def _fusion(body: wire.Sources, field_weights: list[float]) -> engine.Fusion:
    """How the rankings of the body's queries become one: in the order of its vector fields, then words."""
    spec, default = body.fusion, HYBRID if body.mode == "hybrid" else engine.Fusion()
    method = default.method if spec is None or spec.method is None else engine.FusionMethod(spec.method)
    fusion = replace(default, method=method)
    given: Any = None
    if spec is not None:
        fusion = replace(fusion, rank_constant=spec.k, window=spec.window)
        given = spec.weights
        if method is not default.method:
            fusion = replace(fusion, weights=None)
    if isinstance(given, list):
        return replace(fusion, weights=tuple(given))
    if given is None and fusion.weights is None and len(set(field_weights)) < 2:
        return fusion
    semantic, keyword = (given.semantic, given.keyword) if given is not None else fusion.weights or (1.0, 1.0)
    if not field_weights:
        if given is not None:
            raise _refused("/fusion/weights", "weights of sides are for hybrid searches: give a list")
        return replace(fusion, weights=None)
    total = sum(field_weights)
    weights = [semantic * (weight / total if total else 0.0) for weight in field_weights]
    return replace(fusion, weights=tuple([*weights, keyword] if body.mode == "hybrid" else weights))


# The default of hybrid searches, chosen on the training queries of SciFact (nDCG@10 with a window of 100: dbsf 0.715,
# weighted 0.714, rrf 0.696 with k = 60 and 0.708 with k = 10, the better side alone 0.660; all with equal weights).
HYBRID = engine.Fusion(engine.FusionMethod.DBSF)


def _where(filter: Any, snapshot: engine.Snapshot, pointer: str) -> Any:  # noqa: A002
    if filter is None:
        return None
    try:
        return engine.parse_filter(filter, snapshot.schema)
    except engine.FilterError as error:
        if not pointer:
            raise
        nested = engine.InvalidInputError(str(error), pointer=f"/filter{error.pointer or ''}", **error.details)
        nested.code = error.code
        raise nested from error


def _refused(pointer: str, message: str) -> InvalidRequestError:
    detail = ErrorDetail(pointer, "invalid_value", message)
    return InvalidRequestError(message, code="invalid_value", errors=[detail])
