"""A JSON object read key by key; every complaint carries its JSON Pointer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from promptql.errors import PlanError, nearest_name
from promptql.expression_json import predicate_from_json
from promptql.expressions import Predicate

NAME_CHARACTERS_MAX = 256
LIST_MAX = 200
E = TypeVar("E", bound=StrEnum)


def is_text(value: object) -> bool:
    """Whether a string could be stored and sent: half a surrogate pair, which JSON can spell, could not."""
    return not isinstance(value, str) or not any("\ud800" <= character <= "\udfff" for character in value)


class Record:
    """An object of a plan's JSON.

    Raises:
        PlanError: it is none, or has a key that is not among `known`.
    """

    def __init__(self, data: object, pointer: str, known: tuple[str, ...]) -> None:
        if not isinstance(data, Mapping):
            raise PlanError(f"expected an object: got={type(data).__name__}", pointer=pointer)
        self.data = data
        self.pointer = pointer
        for key in data:
            if not is_text(key):
                raise PlanError("a key is no text: it has half a surrogate pair", pointer=pointer)
            if key not in known:
                raise PlanError(
                    f'unknown key "{key}"',
                    pointer=f"{pointer}/{key}",
                    hint=nearest_name(str(key), known),
                )

    def has(self, key: str) -> bool:
        """Whether the key is there, and not null."""
        return self.data.get(key) is not None

    def text(self, key: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
        """A string of 1 to `characters_max` characters."""
        value = self.data.get(key)
        if not isinstance(value, str) or not 1 <= len(value) <= characters_max or not is_text(value):
            raise PlanError(
                f'"{key}" must be a string of 1 to {characters_max} characters',
                pointer=f"{self.pointer}/{key}",
            )
        return value

    def optional_text(self, key: str, characters_max: int = NAME_CHARACTERS_MAX) -> str | None:
        """`text`, or None where the key is absent or null."""
        return self.text(key, characters_max) if self.has(key) else None

    def integer(self, key: str, default: int | None, largest: int, least: int = 1) -> int:
        """A whole number from `least` to `largest`."""
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= largest:
            raise PlanError(
                f'"{key}" must be a whole number from {least} to {largest}: got={value!r:.60}',
                pointer=f"{self.pointer}/{key}",
            )
        return value

    def optional_integer(self, key: str, largest: int, least: int = 1) -> int | None:
        """`integer`, or None where the key is absent or null."""
        return self.integer(key, None, largest, least) if self.has(key) else None

    def number(self, key: str, least: float, most: float) -> float:
        """A finite number from `least` to `most`."""
        value = self.data.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise PlanError(f'"{key}" must be a number: got={value!r:.60}', pointer=f"{self.pointer}/{key}")
        if not least <= value <= most:
            raise PlanError(
                f'"{key}" must be from {least:g} to {most:g}: got={value!r:.60}', pointer=f"{self.pointer}/{key}"
            )
        return float(value)

    def flag(self, key: str) -> bool:
        """A boolean; absent is false."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise PlanError(f'"{key}" must be true or false', pointer=f"{self.pointer}/{key}")
        return value

    def choice(self, key: str, kind: type[E], default: E | None = None) -> E:
        """A member of an enumeration."""
        value = self.data.get(key, default)
        if not isinstance(value, str) or value not in set(kind):
            raise PlanError(
                f'unknown {key} "{value!s:.60}"',
                pointer=f"{self.pointer}/{key}",
                hint=nearest_name(str(value), kind),
            )
        return kind(value)

    def where(self) -> Predicate | None:
        """The predicate under "where"; None where it is absent or null."""
        data = self.data.get("where")
        return None if data is None else predicate_from_json(data, f"{self.pointer}/where")

    def items(self, key: str, *, least: int = 1, most: int = LIST_MAX) -> list[Any]:
        """A list of `least` to `most` things."""
        value = self.data.get(key)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise PlanError(f'"{key}" must be a list of {least} to {most} items', pointer=f"{self.pointer}/{key}")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """A list of distinct field names; ``{"field": "name"}`` is read as well."""
        names: list[str] = []
        for index, item in enumerate(self.items(key)):
            name = item.get("field") if isinstance(item, Mapping) and set(item) == {"field"} else item
            if not isinstance(name, str) or not name or name in names or not is_text(name):
                raise PlanError(
                    f"not a field name, or one named twice: {name!r:.60}",
                    pointer=f"{self.pointer}/{key}/{index}",
                )
            names.append(name)
        return tuple(names)

    def optional_names(self, key: str) -> tuple[str, ...] | None:
        """`names`, or None where the key is absent or null."""
        return self.names(key) if self.has(key) else None
