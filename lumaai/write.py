"""Adding a batch: what is refused, what is unchanged, what has to be embedded, and the engine's one write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import engine
from lumaai.batch import Batch
from lumaai.embedding import UNBOUNDED, EmbedBounds, Embedders, embed_documents
from lumaai.errors import ErrorDetail, InvalidRequestError, translate
from lumaai.results import WriteResult
from lumaai.search import vector_field_of
from models import Embedder

# Leaving documents out changes what the rest implies about fields, so that others may be refused in turn. Beyond
# so many rounds the batch contradicts itself and is refused as a whole.
ROUNDS_MAX = 8
# The engine makes a field of this name for the first vectors of a collection that declares none.
IMPLIED_FIELD = "vector"


def write(
    collection: engine.Collection,
    batch: Batch,
    embedders: Embedders,
    *,
    atomic: bool,
    bounds: EmbedBounds = UNBOUNDED,
) -> WriteResult:
    """Add a batch to a collection, its text embedded.

    Raises:
        TooLargeError: there is more text to embed than `bounds` allows.
        InvalidDocumentsError: documents are refused (atomic).
        ModelMismatchError: the collection was embedded with another model.
    """
    kept = list(range(len(batch.documents)))
    refused: list[ErrorDetail] = []
    for remaining in reversed(range(ROUNDS_MAX)):
        try:
            return _with_errors(_write(collection, _part(batch, kept), embedders, bounds), refused)
        except engine.InvalidDocumentsError as error:
            if atomic or not remaining:
                raise
            faults = _at_places(error, kept)
            refused += faults
            bad = {fault.index for fault in faults}
            kept = [index for index in kept if index not in bad]
        if not kept:
            break
    return _with_errors(_nothing_written(collection), refused)


def _write(collection: engine.Collection, batch: Batch, embedders: Embedders, bounds: EmbedBounds) -> WriteResult:
    given = _named(collection.schema, batch)
    wanted = {name: spec for name, spec in collection.schema.embed.items() if name not in given}
    if not wanted:
        return _result(collection.add(batch.documents, _rows(given)))
    prepared = collection.prepare(batch.documents)
    if prepared.errors:
        raise engine.InvalidDocumentsError(tuple(prepared.errors))
    # What is stored already is left out of the write, not only of embedding: were it in, and changed by another
    # writer meanwhile, it would come to be stored without vectors.
    latest = _latest(batch.documents)
    unchanged = collection.unchanged(prepared)
    new = [index for index in latest if not unchanged[index]]
    rest = _Rest(len(batch.documents) - len(latest), len(latest) - len(new))
    if not new:
        return rest.added_to(_nothing_written(collection), batch.documents, new)
    part = _part(Batch(batch.documents, given), new)
    rows = _rows(part.vectors)
    for name, spec in wanted.items():
        embedder = embedders.of(spec, collection.name)
        fields = spec.fields if spec.fields is not None else collection.text_fields(part.documents)
        rows[name] = _vectors_of(part.documents, name, fields, embedder, bounds)
    documents = [_without(document, wanted) for document in part.documents]
    return rest.added_to(_result(collection.add(documents, rows)), batch.documents, new)


def _vectors_of(
    documents: Sequence[Mapping[str, Any]],
    name: str,
    fields: Sequence[str],
    embedder: Embedder,
    bounds: EmbedBounds,
) -> engine.VectorRows:
    """The vectors of a batch: those that documents carry under the field's name, and of the others' text."""
    carried = [index for index, document in enumerate(documents) if document.get(name) is not None]
    silent = [index for index, document in enumerate(documents) if document.get(name) is None]
    made = embed_documents(documents, silent, fields, embedder, bounds)
    if not carried:
        return made
    own = np.asarray([documents[index][name] for index in carried], dtype=np.float32)
    owners = np.concatenate([made.documents, np.asarray(carried, dtype=np.int64)])
    passages = [*(made.passages or ()), *([None] * len(carried))]
    order = np.argsort(owners, kind="stable")
    return engine.VectorRows(
        np.concatenate([made.vectors, own])[order], owners[order], [passages[place] for place in order]
    )


def _without(document: Mapping[str, Any], names: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document without the vectors that now go beside it."""
    if names.keys().isdisjoint(document):
        return document
    return {key: value for key, value in document.items() if key not in names}


@dataclass(frozen=True, slots=True)
class _Rest:
    """The documents of a batch that are not written.

    Attributes:
        superseded: those behind which another with the same id comes; they count as replaced.
        unchanged: those that are stored as they are.
    """

    superseded: int
    unchanged: int

    def added_to(
        self, result: WriteResult, documents: Sequence[Mapping[str, Any]], written: Sequence[int]
    ) -> WriteResult:
        """The result of writing some of the documents, as one of all."""
        # Those without an id are all written, and the result has the ids that were made for them.
        ids = [document.get("id") or "" for document in documents]
        for index, id_ in zip(written, result.ids, strict=True):
            ids[index] = id_
        return replace(
            result,
            replaced=result.replaced + self.superseded,
            skipped=result.skipped + self.unchanged,
            ids=tuple(ids),
        )


def _latest(documents: Sequence[Mapping[str, Any]]) -> list[int]:
    """Positions of the documents that count: of equal ids the last."""
    last = {document["id"]: index for index, document in enumerate(documents) if document.get("id") is not None}
    return [index for index, document in enumerate(documents) if last.get(document.get("id"), index) == index]


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


def _result(result: engine.WriteResult) -> WriteResult:
    return WriteResult(
        result.sequence, result.durability, result.added, result.replaced, result.skipped, (), tuple(result.ids)
    )


def _nothing_written(collection: engine.Collection) -> WriteResult:
    return WriteResult(collection.snapshot().sequence, "sync", 0, 0, 0)


def _with_errors(result: WriteResult, errors: Sequence[ErrorDetail]) -> WriteResult:
    return replace(result, errors=tuple(sorted(errors, key=lambda error: error.index or 0)))


def _at_places(error: engine.InvalidDocumentsError, kept: Sequence[int]) -> list[ErrorDetail]:
    """The faults with the positions that the documents have in the whole batch."""
    translation = translate(error)
    assert translation is not None
    moved = []
    for detail in translation.errors:
        assert detail.index is not None
        index = kept[detail.index]
        tail = detail.pointer.removeprefix(f"/documents/{detail.index}")
        moved.append(replace(detail, index=index, pointer=f"/documents/{index}{tail}"))
    return moved
