"""An order of documents as it is given: by some fields, each rising or falling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import InvalidInputError
from engine.schema import JSON

KEYS_MAX = 8
_DIRECTIONS = {"asc": False, "desc": True}


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to sort by."""

    field: str
    descending: bool = False


class OrderError(InvalidInputError):
    """An order is malformed, or by a field that has none; `pointer` is the place within it."""

    code = "order_invalid"


def parse_order(data: JSON) -> tuple[SortKey, ...]:
    """Read an order: `"year"`, `"year desc"`, `{"field": "year", "direction": "desc"}`, or a list of those.

    Raises:
        OrderError: with a JSON Pointer to the fault.
    """
    if isinstance(data, list | tuple):
        if not 1 <= len(data) <= KEYS_MAX:
            raise OrderError(f"order must have 1 to {KEYS_MAX} fields: got={len(data)}", pointer="")
        return tuple(_key(item, f"/{i}") for i, item in enumerate(data))
    return (_key(data, ""),)


def _key(item: JSON, pointer: str) -> SortKey:
    if isinstance(item, Mapping):
        for key in item:
            if key not in ("field", "direction"):
                raise OrderError(f"unknown key {key!r:.60}: expected field, direction", pointer=pointer)
        name, direction = item.get("field"), item.get("direction", "asc")
    elif isinstance(item, str):
        name, _, direction = item.rpartition(" ")
        if direction.lower() not in _DIRECTIONS or not name:
            name, direction = item, "asc"
        direction = direction.lower()
    else:
        raise OrderError(f"order must be by a field: got={type(item).__name__}", pointer=pointer)
    if not isinstance(name, str) or not name:
        raise OrderError(f"field must be a name: got={name!r:.60}", pointer=pointer)
    if not isinstance(direction, str) or direction not in _DIRECTIONS:
        raise OrderError(f"direction must be asc or desc: got={direction!r:.60}", pointer=pointer)
    return SortKey(name, _DIRECTIONS[direction])
