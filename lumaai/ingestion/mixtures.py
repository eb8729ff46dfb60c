"""Fields that a file's first documents fill with values of several kinds: a collection can have them as `json` only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lumaai.ingestion.columns import SHOWN_CHARACTERS_MAX
from lumaai.ingestion.read import place

_KINDS = {bool: "booleans", int: "numbers", float: "numbers", str: "strings", dict: "objects", list: "lists of lists"}


@dataclass(slots=True)
class _Seen:
    """The kinds of a field's values, and the first value of each with its place."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[str, int, Any]] = field(default_factory=dict)


class Mixtures:
    """What is seen of fields in the first batch that has them: it is then that a collection decides on their types."""

    def __init__(self) -> None:
        self._fields: dict[str, _Seen] = {}
        self._decided: set[str] = set()

    def see(self, path: str, position: int, document: Mapping[str, Any]) -> None:
        """Take note of a document of the batch."""
        if document.keys() <= self._decided:
            return
        for name, value in document.items():
            if name in self._decided:
                continue
            seen = self._fields.setdefault(name, _Seen())
            for item in value if isinstance(value, list) else (value,):
                kind = _KINDS.get(type(item))
                if kind is not None:
                    seen.counts[kind] += 1
                    seen.first.setdefault(kind, (path, position, item))

    def end_batch(self) -> None:
        """The types of the fields seen so far are decided; what is not mixed need not be kept."""
        self._decided |= self._fields.keys()
        self._fields = {name: seen for name, seen in self._fields.items() if len(seen.counts) > 1}

    def __bool__(self) -> bool:
        """Whether some field may be mixed."""
        return bool(self._fields)

    def notes(self, fields: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """What to tell of the mixed fields that a collection with these fields has as `json`."""
        for name, seen in self._fields.items():
            if fields.get(name, {}).get("type") == "json":
                kinds = [kind for kind, _ in seen.counts.most_common()]
                path, position, value = seen.first[kinds[-1]]
                shown = f"{value!r:.{SHOWN_CHARACTERS_MAX}}"
                yield (
                    f"{path}: field {name} holds {', '.join(kinds[:-1])} and {kinds[-1]} "
                    f"({shown}, {place(path, position)}): kept as json"
                )
