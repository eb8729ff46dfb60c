"""Writing a batch: a replay, what is refused, what has to be embedded, and the engine's one write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
import numpy as np

import engine
from lumaai.arrays import with_arrays
from lumaai.batch import Batch
from lumaai.documents import Write
from lumaai.embedders import Embedders
from lumaai.embedding import UNBOUNDED, EmbedBounds
from lumaai.errors import ErrorDetail, InvalidRequestError, OverloadedError
from lumaai.options import WriteOptions, fingerprint
from lumaai.preparing import Ready, ready_to_add, ready_to_patch
from lumaai.results import DocumentResult, WriteResult
from lumaai.search import vector_field_of
from lumaai.translation import translate

# Leaving documents out changes what the rest implies about fields, so that others may be refused in turn. Beyond
# so many rounds the batch contradicts itself and is refused as a whole.
ROUNDS_MAX = 8
# How often a write is made ready again because others have changed its documents meanwhile.
CONFLICTS_MAX = 8
# The engine makes a field of this name for the first vectors of a collection that declares none.
IMPLIED_FIELD = "vector"


def write(
    collection: engine.Collection,
    request: Write,
    embedders: Embedders,
    *,
    durability: str,
    bounds: EmbedBounds = UNBOUNDED,
) -> WriteResult:
    """Write a batch to a collection, its text embedded; a replay costs no embedding.

    Args:
        collection: to write to.
        request: the documents, and how to write them.
        embedders: the models.
        durability: where the request asks for none.
        bounds: how far embedding may go.

    Raises:
        TooLargeError: there is more text to embed than `bounds` allows.
        InvalidDocumentsError: documents are refused (atomic).
        ModelMismatchError: the collection was embedded with another model.
        OverloadedError: others change the same documents all the time; nothing was written.
    """
    fields = collection.schema.vectors
    if fields:
        request = replace(request, batch=replace(request.batch, documents=with_arrays(request.batch.documents, fields)))
    key = key_of(request.mode, request.batch.documents, request.batch.vectors, request.options)
    if key is not None:
        done = collection.replayed(key)
        if done is not None:
            return _answer(done, request, _read_context(done.context))
    conditions = conditions_of(request.options, collection.schema)
    return _Writing(collection, request, embedders, conditions, durability, bounds, key).run()


def key_of(
    route: str, content: object, vectors: Mapping[str, object], options: WriteOptions
) -> engine.IdempotencyKey | None:
    """The key of a request, with what tells it from others; None where it has none."""
    if options.idempotency_key is None:
        return None
    body = {"content": content, "vectors": dict(vectors), "options": options.to_body()}
    return engine.IdempotencyKey(options.idempotency_key, fingerprint(route, body))


def conditions_of(options: WriteOptions, schema: engine.Schema) -> engine.Conditions | None:
    """The engine's form of what must hold.

    Raises:
        InvalidRequestError: `if_matches` is no filter of these fields.
    """
    if not options.has_conditions:
        return None
    try:
        where = None if options.if_matches is None else engine.parse_filter(options.if_matches, schema)
    except engine.FilterError as error:
        offset = error.details.get("offset")
        detail = ErrorDetail(f"/if_matches{error.pointer or ''}", error.code, str(error), offset=offset)
        raise InvalidRequestError(str(error), code=error.code, errors=[detail]) from error
    return engine.Conditions(options.if_version, options.if_absent, where)


@dataclass(slots=True)
class _Writing:
    """One batch on its way into a collection."""

    collection: engine.Collection
    request: Write
    embedders: Embedders
    conditions: engine.Conditions | None
    durability: str
    bounds: EmbedBounds
    key: engine.IdempotencyKey | None

    def run(self) -> WriteResult:
        """Write it; not atomic, without the documents that are refused."""
        kept = list(range(len(self.request.batch.documents)))
        refused: dict[int, ErrorDetail] = {}
        for remaining in reversed(range(ROUNDS_MAX)):
            try:
                done = self._attempts(_part(self.request.batch, kept), self._conditions_on(refused), refused)
                return _answer(done, self.request, _read_context(done.context) if done.replayed else refused)
            except engine.InvalidDocumentsError as error:
                outside = any(fault.index < 0 for fault in error.errors)
                if self.request.options.atomic or outside or not remaining:
                    raise
                refused |= _at_places(error, kept)
                kept = [index for index in kept if index not in refused]
            if not kept:
                break
        nothing = self._nothing(refused)
        return _answer(nothing, self.request, _read_context(nothing.context) if nothing.replayed else refused)

    def _nothing(self, refused: Mapping[int, ErrorDetail]) -> engine.WriteResult:
        """The result where every document was refused; a replay must say so as well."""
        if self.key is None:
            return engine.WriteResult(self.collection.snapshot().sequence, self._durability)
        return self.collection.remember(replace(self.key, context=_context(refused)), durability=self._durability)

    @property
    def _durability(self) -> engine.Durability:
        return engine.Durability(self.request.options.durability or self.durability)

    def _conditions_on(self, refused: Mapping[int, ErrorDetail]) -> engine.Conditions | None:
        """The conditions without those of documents that are left out."""
        if self.conditions is None or not refused or not self.conditions.if_version:
            return self.conditions
        gone = {detail.id for detail in refused.values()}
        versions = {id_: version for id_, version in self.conditions.if_version.items() if id_ not in gone}
        return replace(self.conditions, if_version=versions)

    def _attempts(
        self, batch: Batch, conditions: engine.Conditions | None, refused: Mapping[int, ErrorDetail]
    ) -> engine.WriteResult:
        """Make the batch ready and write it; again, where what it was made ready for has changed meanwhile."""
        for remaining in reversed(range(CONFLICTS_MAX)):
            ready = self._ready(batch, may_assume=remaining > 0)
            try:
                return self._commit(ready, conditions, refused)
            except engine.EmbeddingChangedError:  # it was embedded anew meanwhile: make the vectors again
                continue
            except engine.ConditionFailedError as error:
                theirs = (conditions.if_version if conditions else None) or {}
                if not {fault.id for fault in error.errors} & (ready.versions.keys() - theirs.keys()):
                    raise
        raise OverloadedError("others are changing these documents: nothing was written", code="write_conflict")

    def _ready(self, batch: Batch, *, may_assume: bool) -> Ready:
        schema = self.collection.schema
        given = _named(schema, batch)
        embedded = {name: spec for name, spec in schema.embed.items() if name not in given}
        if not embedded or not batch.documents:
            return Ready(batch.documents, _rows(given))
        if self.request.mode == "patch":
            ready = ready_to_patch(self.collection, batch.documents, self.embedders, self.bounds)
            return replace(ready, made_for=schema.embed)
        unchanged_may_stay = may_assume and not given
        ready = ready_to_add(
            self.collection, batch.documents, embedded, self.embedders, self.bounds,
            insert=self.request.mode == "insert", may_assume=unchanged_may_stay, durability=self._durability,
        )  # fmt: skip
        return replace(ready, vectors={**_rows(given), **ready.vectors}, made_for=schema.embed)

    def _commit(
        self, ready: Ready, conditions: engine.Conditions | None, refused: Mapping[int, ErrorDetail]
    ) -> engine.WriteResult:
        if ready.is_stored and conditions is None and self.key is None:
            return _skipped(ready, self.collection.snapshot().sequence, self._durability)
        key = None if self.key is None else replace(self.key, context=_context(refused))
        if ready.versions:
            # What was read to make the batch ready must still be so, or there would be text without its vectors.
            given = conditions or engine.Conditions()
            conditions = replace(given, if_version={**ready.versions, **(given.if_version or {})})
        if self.request.mode == "patch":
            return self.collection.patch(
                ready.documents, ready.vectors, conditions=conditions, durability=self._durability, key=key,
                made_for=ready.made_for,
            )  # fmt: skip
        return self.collection.add(
            ready.documents, ready.vectors, insert=self.request.mode == "insert",
            conditions=conditions, durability=self._durability, key=key, made_for=ready.made_for,
        )  # fmt: skip


def _skipped(ready: Ready, sequence: int, durability: engine.Durability) -> engine.WriteResult:
    """The engine's result of documents that are all stored already."""
    ids = ready.documents.ids
    last = {id_: index for index, id_ in enumerate(ids)}
    statuses = tuple("skipped" if last[id_] == index else "replaced" for index, id_ in enumerate(ids))
    skipped, replaced = statuses.count("skipped"), statuses.count("replaced")
    return engine.WriteResult(
        sequence, durability, skipped=skipped, replaced=replaced, ids=tuple(ids), statuses=statuses
    )


def _named(schema: engine.Schema, batch: Batch) -> dict[str, np.ndarray[Any, Any]]:
    """The vectors beside the documents, by the names of their fields."""
    named = dict(batch.vectors)
    if "" in named:
        implied = not schema.vectors
        named[IMPLIED_FIELD if implied else vector_field_of(schema, None, embedded=False)] = named.pop("")
    for name in named:
        if schema.vectors and name not in schema.vectors:
            have = ", ".join(schema.vectors)
            raise InvalidRequestError(f"no vector field {name!r}: expected one of {have}", code="vector_field_unknown")
    return named


def _rows(vectors: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, engine.VectorRows]:
    return {name: engine.VectorRows(array, np.arange(len(array))) for name, array in vectors.items()}


def _part(batch: Batch, kept: Sequence[int]) -> Batch:
    if len(kept) == len(batch.documents):
        return batch
    vectors = {name: array[np.asarray(kept, dtype=np.int64)] for name, array in batch.vectors.items()}
    return Batch([batch.documents[index] for index in kept], vectors)


def _answer(done: engine.WriteResult, request: Write, refused: Mapping[int, ErrorDetail]) -> WriteResult:
    """The engine's result of the documents that were not refused, as one of all."""
    written = zip(done.ids, done.statuses, strict=True)
    results: tuple[DocumentResult, ...] = ()
    if not request.options.atomic:
        results = tuple(
            DocumentResult(refused[index].id, "error", refused[index])
            if index in refused
            else DocumentResult(*next(written))
            for index in range(len(request.batch.documents))
        )
    errors = tuple(refused[index] for index in sorted(refused))
    return WriteResult(
        done.sequence, str(done.durability), done.added, done.replaced, done.skipped, errors, tuple(done.ids),
        results, done.replayed,
    )  # fmt: skip


def _context(refused: Mapping[int, ErrorDetail]) -> bytes:
    """What a replay's answer needs beside the engine's result: the documents that were refused."""
    return msgspec.json.encode([detail.to_json() for detail in refused.values()]) if refused else b""


def _read_context(context: bytes) -> dict[int, ErrorDetail]:
    items = msgspec.json.decode(context) if context else []
    return {cast("int", item["index"]): ErrorDetail.from_json(item) for item in items}


def _at_places(error: engine.InvalidDocumentsError, kept: Sequence[int]) -> dict[int, ErrorDetail]:
    """The faults by the positions that their documents have in the whole batch."""
    translation = translate(error)
    assert translation is not None
    moved = {}
    for detail in translation.errors:
        assert detail.index is not None
        index = kept[detail.index]
        tail = detail.pointer.removeprefix(f"/documents/{detail.index}")
        moved[index] = replace(detail, index=index, pointer=f"/documents/{index}{tail}")
    return moved
