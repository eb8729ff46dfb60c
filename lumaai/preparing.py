"""Making a batch ready to be written to a collection that embeds text: which documents need vectors, and those.

What is decided here rests on what is stored now. The versions that it rests on go with the batch as conditions: where
another writer was quicker the batch is made ready again, so that no text is ever stored beside another text's vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import engine
from lumaai.embedders import Embedders
from lumaai.embedding import EmbedBounds, embed_documents
from lumaai.passages import texts_of
from models import Embedder

Documents = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch as the engine takes it.

    Attributes:
        vectors: by field, for some of the documents.
        versions: what the stored documents must still be, by id, for the vectors to be right; 0: not there.
        made_for: how the collection embedded text when the vectors were made; None where it does not.
        is_stored: every document is stored already, exactly the same; `documents` is what the engine prepared.
    """

    documents: Any
    vectors: Mapping[str, engine.VectorRows] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    is_stored: bool = False
    made_for: Mapping[str, engine.Embedding] | None = None


def ready_to_add(
    collection: engine.Collection,
    documents: Documents,
    embedded: Mapping[str, engine.Embedding],
    embedders: Embedders,
    bounds: EmbedBounds,
    *,
    insert: bool,
    may_assume: bool,
    durability: engine.Durability,
) -> Ready:
    """Documents to add, with the vectors of those that are new or have changed.

    Args:
        collection: to be written to.
        documents: as the caller gave them.
        embedded: the vector fields to fill.
        embedders: the models.
        bounds: how far embedding may go.
        insert: documents that are there will be refused, and need no vectors for that.
        may_assume: what is stored already is left as it is; otherwise all is embedded.
        durability: of what is stored already and left as it is.

    Raises:
        InvalidDocumentsError: naming every document that cannot be stored.
        ModelMismatchError: the collection was embedded with another model.
    """
    prepared = collection.prepare(documents)
    if prepared.errors:
        raise engine.InvalidDocumentsError(tuple(prepared.errors))
    new, versions = _latest(documents), {}
    if may_assume:
        found = collection.snapshot().versions(prepared.ids)
        stay = [True] * len(documents) if insert else collection.unchanged(prepared, durability)
        versions = {prepared.ids[i]: version for i in new if stay[i] and (version := found[i])}
        new = [index for index in new if prepared.ids[index] not in versions]
    chosen = [documents[index] for index in new]
    rows = {}
    for name, spec in embedded.items():
        fields = spec.fields if spec.fields is not None else collection.text_fields(chosen)
        embedder = embedders.of(spec, collection.name)
        rows[name] = _vectors_of(documents, new, name, fields, embedder, bounds, spec.splitter)
    if any(name in document for document in documents for name in embedded):
        return Ready([_without(document, embedded) for document in documents], rows, versions)
    return Ready(prepared, rows, versions, is_stored=not new and not insert)


def ready_to_patch(
    collection: engine.Collection, patches: Sequence[Any], embedders: Embedders, bounds: EmbedBounds
) -> Ready:
    """Patches, with new vectors for the documents whose embedded text they change.

    Patches that are malformed, or whose documents are missing, are left for the engine to refuse.
    """
    snapshot = collection.snapshot()
    ids = [str(patch.get("id")) if isinstance(patch, Mapping) else "" for patch in patches]
    stored = dict(zip(ids, zip(snapshot.get(ids), snapshot.versions(ids), strict=True), strict=True))
    merged, last = _merged(patches, ids, {id_: document for id_, (document, _) in stored.items() if document})
    places = [index for index, id_ in enumerate(ids) if last.get(id_) == index]
    named = _keys_by_id(patches, ids)
    rows: dict[str, engine.VectorRows] = {}
    versions: dict[str, int] = {}
    bare: dict[int, list[str]] = {}
    for name, spec in snapshot.schema.embed.items():
        fields = spec.fields if spec.fields is not None else collection.text_fields([merged[i] for i in places])
        touched = [i for i in places if name not in named[ids[i]] and not named[ids[i]].isdisjoint(fields)]
        versions |= {ids[i]: stored[ids[i]][1] or 0 for i in touched}
        changed = [i for i in touched if texts_of(merged[i], fields) != texts_of(stored[ids[i]][0] or {}, fields)]
        if changed:
            embedder = embedders.of(spec, collection.name)
            rows[name] = embed_documents(merged, changed, fields, embedder, bounds, splitter=spec.splitter)
            for index in set(changed) - set(rows[name].documents.tolist()):
                bare.setdefault(index, []).append(name)
    return Ready([_with_nulls(patch, bare.get(i, ())) for i, patch in enumerate(patches)], rows, versions)


def _merged(
    patches: Sequence[Any], ids: Sequence[str], stored: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], dict[str, int]]:
    """The documents as they will be after each patch, and the place of the last patch of each."""
    now, last = dict(stored), {}
    merged: list[Mapping[str, Any]] = []
    for index, (patch, id_) in enumerate(zip(patches, ids, strict=True)):
        if id_ in now:
            now[id_] = engine.merge_patch(now[id_], patch)
            last[id_] = index
        merged.append(now.get(id_, {}))
    return merged, last


def _keys_by_id(patches: Sequence[Any], ids: Sequence[str]) -> dict[str, set[str]]:
    """The keys that the patches of each document name."""
    named: dict[str, set[str]] = {}
    for patch, id_ in zip(patches, ids, strict=True):
        named.setdefault(id_, set()).update(patch if isinstance(patch, Mapping) else ())
    return named


def _with_nulls(patch: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """The patch, which also removes vectors: there is no text left that they would stand for."""
    return {**patch, **dict.fromkeys(names)} if names else patch


def _vectors_of(
    documents: Documents, chosen: Sequence[int], name: str, fields: Sequence[str], embedder: Embedder,
    bounds: EmbedBounds, splitter: str,
) -> engine.VectorRows:  # fmt: skip
    """The vectors of some documents: those that they carry under the field's name, and of the others' text."""
    carried = [index for index in chosen if documents[index].get(name) is not None]
    silent = [index for index in chosen if documents[index].get(name) is None]
    made = embed_documents(documents, silent, fields, embedder, bounds, splitter=splitter)
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


def _latest(documents: Documents) -> list[int]:
    """Positions of the documents that count: of equal ids the last."""
    last = {document["id"]: index for index, document in enumerate(documents) if document.get("id") is not None}
    return [index for index, document in enumerate(documents) if last.get(document.get("id"), index) == index]
