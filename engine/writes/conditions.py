"""Conditions: what must hold of the stored documents for a write to happen at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyroaring import BitMap

from engine.arrays import Mask
from engine.document import Stored
from engine.errors import ConditionFailedError, DocumentError, DocumentExistsError, InvalidInputError
from engine.fields.filter import Filter
from engine.schema import Schema
from engine.segments.head import Head
from engine.snapshot import Reader, Snapshot

OUTSIDE = -1  # the index of a document that a condition names and the batch does not have


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold, of all documents that a write names, as of the moment before it.

    Attributes:
        if_version: id → the version that the document must have; 0: it must not be there. Also of documents that the
            write does not touch.
        if_absent: none of the documents of the write may be there.
        if_matches: the stored documents of the write must satisfy it; one that is not there does not.
    """

    if_version: Mapping[str, int] | None = None
    if_absent: bool = False
    if_matches: Filter | None = None

    def __post_init__(self) -> None:
        for id_, version in dict[Any, Any](self.if_version or {}).items():
            if not isinstance(id_, str):
                raise InvalidInputError(f"if_version must name ids: got={id_!r:.60}", pointer="/if_version")
            if not isinstance(version, int) or isinstance(version, bool) or version < 0:
                message = f"version must be an integer from 0: id={id_!r:.60} got={version!r:.40}"
                raise InvalidInputError(message, pointer="/if_version")
        if not isinstance(self.if_absent, bool):
            raise InvalidInputError(f"if_absent must be true or false: got={self.if_absent!r:.40}")
        if self.if_absent and self.if_matches is not None:
            raise InvalidInputError("if_absent and if_matches contradict each other: what is absent matches nothing")


def check_absent(ids: Sequence[str], stored: Mapping[str, Stored]) -> None:
    """Refuse to insert what is there, and an id that is given twice.

    Raises:
        DocumentExistsError: naming every such document.
    """
    first = {id_: place for place, id_ in reversed(list(enumerate(ids)))}
    errors = []
    for i, id_ in enumerate(ids):
        if id_ in stored or first[id_] != i:
            message = f"document is there already: id={id_!r}" if id_ in stored else f"id is given twice: {id_!r}"
            errors.append(DocumentError(i, id_, f"/{i}", DocumentExistsError.code, message))
    if errors:
        raise DocumentExistsError(tuple(errors))


def check_conditions(
    conditions: Conditions, ids: Sequence[str], stored: Mapping[str, Stored], schema: Schema, reader: Reader
) -> None:
    """Compare what is stored with what must hold.

    Args:
        conditions: all of them.
        ids: of the write, in its order.
        stored: the documents that are there, of `ids` and of those that `if_version` names.
        schema: of the collection.
        reader: of the collection.

    Raises:
        ConditionFailedError: naming every document that is not as it must be.
    """
    place = {id_: index for index, id_ in reversed(list(enumerate(ids)))}
    errors = {
        id_: _error(place.get(id_, OUTSIDE), id_, "version", version, _version(stored.get(id_)))
        for id_, version in (conditions.if_version or {}).items()
        if _version(stored.get(id_)) != version
    }
    if conditions.if_absent:
        for id_ in place.keys() & stored.keys() - errors.keys():
            errors[id_] = _error(place[id_], id_, "version", 0, stored[id_].version)
    if conditions.if_matches is not None:
        there = [id_ for id_ in place if id_ in stored]
        matching = _matching(conditions.if_matches, [stored[id_].body for id_ in there], schema, reader)
        good = {id_ for id_, matches in zip(there, matching, strict=True) if matches}
        for id_ in place.keys() - good - errors.keys():
            errors[id_] = _error(place[id_], id_, "if_matches", "a match", "no match" if id_ in stored else "absent")
    if errors:
        raise ConditionFailedError(tuple(sorted(errors.values(), key=lambda error: (error.index, error.id or ""))))


def _matching(where: Filter, bodies: Sequence[bytes], schema: Schema, reader: Reader) -> Mask:
    """Which of some documents satisfy a filter, (n,) bool: asked of a snapshot that holds just these."""
    if not bodies:
        return np.zeros(0, dtype=bool)
    head = Head()
    head.append(0, bodies)
    mask = Snapshot("", 0, schema, (head.view(),), BitMap(), reader).allowed(0, where)
    assert mask is not None
    return mask


def _version(stored: Stored | None) -> int:
    return 0 if stored is None else stored.version


def _error(index: int, id_: str, what: str, expected: str | int, got: str | int) -> DocumentError:
    message = f"document is not as demanded: id={id_!r} {what} expected={expected} got={got}"
    pointer = f"/{index}" if index != OUTSIDE else "/if_version"
    return DocumentError(index, id_, pointer, ConditionFailedError.code, message, expected, got)
