"""What readers give: one record of a file, or why it is none."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

# Namespace of the ids made from content; any fixed UUID will do, as long as it never changes.
_NAMESPACE = uuid.UUID("7f6a1c52-6d0c-5b5e-9a53-3f0b5f6e2d11")


@dataclass(frozen=True, slots=True)
class Record:
    """One line, row or item of a file.

    Attributes:
        position: line number (JSON Lines, CSV), row number (Parquet) or item number (JSON), from 1.
        document: None where there is a problem.
        problem: why the record is no document.
        bytes: about how much of the file it takes.
    """

    position: int
    document: dict[str, Any] | None = None
    problem: str | None = None
    bytes: int = 0


def record_of(position: int, value: object, size: int) -> Record:
    """A record of a decoded value.

    Ids: the key `id`, else `_id`, is the document's id; whole numbers become strings. A record without either gets
    an id made from its content (UUIDv5 of its canonical JSON), so that the same record read again is the same
    document, and equal records are one.
    """
    if not isinstance(value, dict):
        return Record(position, problem=f"expected an object: got={_kind(value)}", bytes=size)
    key = "id" if value.get("id") is not None else "_id"
    given = value.get(key)
    rest = {name: item for name, item in value.items() if name not in (key, "id")}
    if given is None:
        return _with_made_id(position, rest, size)
    if isinstance(given, bool) or not isinstance(given, str | int):
        return Record(position, problem=f"{key} must be a string or a whole number: got={_kind(given)}", bytes=size)
    return Record(position, {"id": str(given), **rest}, bytes=size)


def _with_made_id(position: int, rest: dict[str, Any], size: int) -> Record:
    if not rest:
        return Record(position, problem="record is empty", bytes=size)
    try:
        canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    except RecursionError:
        return Record(position, problem="record is nested too deep", bytes=size)
    return Record(position, {"id": str(uuid.uuid5(_NAMESPACE, canonical)), **rest}, bytes=size)


def _kind(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number" if isinstance(value, int | float) else type(value).__name__)
