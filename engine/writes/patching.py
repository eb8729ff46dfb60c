"""Patches: JSON Merge Patch (RFC 7396) of stored documents, whose vectors go over to the new version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.document import DEPTH_MAX, Fault, Stored, decode, find_id_fault, own_id
from engine.errors import (
    DocumentError,
    DocumentsNotFoundError,
    InvalidDocumentsError,
    InvalidInputError,
    LimitExceededError,
)
from engine.schema import ID, JSON
from engine.segments.sources import read_vectors
from engine.snapshot import Snapshot
from engine.store.rocks import Store
from engine.writes.batch import BATCH_DOCUMENTS_MAX, VectorRows


def merge_patch(target: JSON, patch: JSON) -> JSON:
    """What `patch` makes of `target` (RFC 7396, section 2): objects are merged, null removes, all else replaces.

    Neither argument is changed. `patch` must not be nested deeper than a document may be.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


@dataclass(slots=True)
class Patched:
    """What several patches, some perhaps of the same document, make of the stored documents.

    Attributes:
        ids: of the documents, each once, in the order of their first patches.
        documents: as they become; a vector that a patch gives stands under its field's name.
        removed: for each document, the fields that were null in a patch and in none that came after it.
        place: for each patch, the place of its document.
        patches: as given.
    """

    ids: list[str]
    documents: list[dict[str, JSON]]
    removed: list[set[str]]
    place: list[int]
    patches: Sequence[Mapping[str, JSON]] = field(default_factory=list)

    def rows(self, given: Mapping[str, VectorRows]) -> dict[str, VectorRows]:
        """Vectors that came beside the patches, as those of the documents: of one document's, those given last."""
        return {name: self._rows_of(name, each) for name, each in given.items()}

    def _rows_of(self, name: str, given: VectorRows) -> VectorRows:
        patches = np.asarray(given.documents)
        if patches.dtype.kind not in "iu" or patches.ndim != 1 or len(patches) != len(given.vectors):
            raise InvalidInputError(f"vectors of {name!r} need one document each")
        if len(patches) and not 0 <= patches.min() <= patches.max() < len(self.place):
            raise InvalidInputError(f"vectors of {name!r} are of no document: documents={len(self.place)}")
        if given.passages is not None and len(given.passages) != len(patches):
            raise InvalidInputError(f"vectors of {name!r} need one passage each")
        owners = np.asarray(self.place, dtype=np.int64)[patches]
        last = np.full(len(self.ids), -1, dtype=np.int64)
        np.maximum.at(last, owners, patches)
        chosen = np.flatnonzero(last[owners] == patches)
        chosen = chosen[np.argsort(owners[chosen], kind="stable")]
        for owner in np.unique(owners):
            self.removed[int(owner)].discard(name)
        passages = None if given.passages is None else [given.passages[int(i)] for i in chosen]
        return VectorRows(np.asarray(given.vectors)[chosen], owners[chosen], passages)

    def errors(self, found: Sequence[DocumentError]) -> tuple[DocumentError, ...]:
        """Faults of the documents as those of the patches that brought them in."""
        moved = []
        for error in found:
            name = [*error.pointer.split("/"), "", ""][2]
            key = name.replace("~1", "/").replace("~0", "~")
            own = [i for i, place in enumerate(self.place) if place == error.index]
            index = next((i for i in reversed(own) if key in self.patches[i]), own[-1])
            tail = error.pointer.removeprefix(f"/{error.index}")
            moved.append(replace(error, index=index, pointer=f"/{index}{tail}"))
        return tuple(sorted(moved, key=lambda error: error.index))


def check_patches(patches: Sequence[Any]) -> list[str]:
    """Ids of the documents to patch, one a patch.

    Raises:
        InvalidInputError: there are none, or no list.
        LimitExceededError: there are too many.
        InvalidDocumentsError: one is no object, has no usable id, or is nested too deep.
    """
    if isinstance(patches, str | bytes | Mapping) or not isinstance(patches, Sequence):
        raise InvalidInputError(f"patches must be a list of objects: got={type(patches).__name__}")
    if not patches:
        raise InvalidInputError("batch is empty: expected at least one patch")
    if len(patches) > BATCH_DOCUMENTS_MAX:
        raise LimitExceededError("batch has too many documents", BATCH_DOCUMENTS_MAX, len(patches), "documents")
    faults = {i: fault for i, patch in enumerate(patches) if (fault := _patch_fault(patch)) is not None}
    if faults:
        raise InvalidDocumentsError(tuple(_error(i, patches[i], fault) for i, fault in faults.items()))
    return [patch[ID] for patch in patches]


def apply_patches(patches: Sequence[Mapping[str, JSON]], stored: Mapping[str, Stored]) -> Patched:
    """Apply patches to the documents that are stored, in their order.

    Raises:
        DocumentsNotFoundError: naming every patch of a document that is not there.
    """
    missing = [
        DocumentError(i, patch[ID], f"/{i}", DocumentsNotFoundError.code, f"document is not there: id={patch[ID]!r}")
        for i, patch in enumerate(patches)
        if patch[ID] not in stored
    ]
    if missing:
        raise DocumentsNotFoundError(tuple(missing))
    ids = list(dict.fromkeys(patch[ID] for patch in patches))
    place_of = {id_: place for place, id_ in enumerate(ids)}
    patched = Patched(ids, [decode(stored[id_].body) for id_ in ids], [set() for _ in ids], [], patches)
    for patch in patches:
        place = place_of[patch[ID]]
        patched.place.append(place)
        patched.documents[place] = merge_patch(patched.documents[place], patch)
        for name, value in patch.items():
            (patched.removed[place].add if value is None else patched.removed[place].discard)(name)
    return patched


@dataclass(frozen=True, slots=True)
class Carried:
    """Vectors that go over to the new versions.

    Attributes:
        rows: by vector field, those given and those that were stored, in the order of the documents.
        dropped: documents that lose vectors, and so are changed though their body may not be.
    """

    rows: dict[str, VectorRows]
    dropped: set[int]


def carry_vectors(
    patched: Patched,
    given: Mapping[str, VectorRows],
    changed: set[int],
    stored: Mapping[str, Stored],
    snapshot: Snapshot,
    store: Store,
    collection: int,
) -> Carried:
    """The rows of patched documents: those given, and of the fields that no patch speaks of, those that are stored.

    Args:
        patched: the documents.
        given: the rows that patches give, checked.
        changed: places of the documents that become others.
        stored: the documents before.
        snapshot: that shows them.
        store: that holds their vectors.
        collection: its number.
    """
    ordinals = np.array([stored[id_].ordinal for id_ in patched.ids], dtype=np.uint32)
    changed = changed | {int(i) for each in given.values() for i in each.documents}
    rows: dict[str, VectorRows] = dict(given)
    dropped: set[int] = set()
    found = {name: snapshot.rows_of(ordinals, name) for name in snapshot.schema.vectors}
    for name, (_, owners) in found.items():
        dropped |= {int(i) for i in np.unique(owners) if name in patched.removed[int(i)]}
    written = changed | dropped
    for name, (numbers, owners) in found.items():
        own = given.get(name)
        replaced = set() if own is None else set(own.documents.tolist())
        kept = [
            i
            for i, owner in enumerate(owners.tolist())
            if owner in written and owner not in replaced and name not in patched.removed[owner]
        ]
        if kept:
            vectors, _, passages = read_vectors(store, collection, snapshot.schema, name, numbers[kept].tolist())
            rows[name] = _joined(own, VectorRows(vectors, owners[kept], passages))
    return Carried(rows, dropped)


def _joined(given: VectorRows | None, carried: VectorRows) -> VectorRows:
    if given is None:
        return carried
    owners = np.concatenate([given.documents, carried.documents])
    order = np.argsort(owners, kind="stable")
    passages = [*(given.passages or [None] * len(given.documents)), *(carried.passages or ())]
    vectors = np.concatenate([given.vectors, carried.vectors])[order]
    return VectorRows(vectors, owners[order], [passages[int(i)] for i in order])


def _patch_fault(patch: Any) -> Fault | None:
    if not isinstance(patch, Mapping):
        return Fault("", "type_mismatch", f"patch must be an object: got={type(patch).__name__}", "object")
    if fault := find_id_fault(patch.get(ID)):
        return fault
    if _too_deep(patch):
        return Fault("", "too_deep", f"patch is nested too deep: maximum={DEPTH_MAX}", DEPTH_MAX)
    return None


def _too_deep(patch: Mapping[str, JSON]) -> bool:
    """Whether objects are nested beyond what a document may be, found without recursion."""
    level: list[Any] = [patch]
    for _ in range(DEPTH_MAX):
        level = [value for each in level for value in each.values() if isinstance(value, Mapping)]
        if not level:
            return False
    return True


def _error(index: int, patch: Any, fault: Fault) -> DocumentError:
    id_ = own_id(patch) if isinstance(patch, Mapping) else None
    return DocumentError(index, id_, f"/{index}{fault.pointer}", fault.code, fault.message, fault.expected, fault.got)
