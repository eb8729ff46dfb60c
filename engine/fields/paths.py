"""The leaves of objects in JSON fields: paths such as `venue.city`, and the type of what stands there.

Paths are those that filters know: `a.b` is the field `b` of the objects in `a`, also of those in a list, which makes a
list of their values. A leaf is a path whose values have one type in all documents; where an object stands in one
document and a scalar in another, or numbers and strings, the path has none and is left to its JSON field. Keys that a
path cannot spell (empty, or with a dot in them) are left out with all below them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from engine.document import is_unicode
from engine.fields.columns import decoded
from engine.schema import FIELD_NAME_BYTES_MAX, JSON, Field, FieldType
from engine.writes.inference import infer_field, is_point, is_untyped, some_contradict, widen

DEPTH_MAX = 8  # keys of a path
PATHS_MAX = 200  # of a collection that are fields: those that most documents have
SEEN_MAX = 2_000  # different paths that are looked at in a part: objects may have a key for each of a million things
CHUNK_ROWS = 8_192  # documents that are decoded at once


@dataclass(frozen=True, slots=True)
class Leaf:
    """What stands at a path.

    Attributes:
        values: the type of what is no object; None where there is nothing, `json` where it is of no one type.
        filled: documents that have such a value.
        objects: some have an object there.
    """

    values: Field | None = None
    filled: int = 0
    objects: bool = False

    @property
    def field(self) -> Field | None:
        """The type of the path: `json` where values and objects stand there; None where it is no leaf at all."""
        return Field(FieldType.JSON) if self.objects and self.values is not None else self.values

    def joined(self, other: Leaf) -> Leaf:
        """A leaf of the documents of both."""
        values = joint_type(self.values, other.values)
        return Leaf(values, self.filled + other.filled, self.objects or other.objects)


@dataclass(frozen=True, slots=True)
class Leaves:
    """The paths of a part or of a snapshot.

    Attributes:
        found: path → leaf, in the order in which they were met.
        cut: JSON fields of which something lies at no path.
        full: those of them that have more paths than were looked at.
    """

    found: Mapping[str, Leaf]
    cut: frozenset[str] = frozenset()
    full: frozenset[str] = frozenset()

    def joined(self, other: Leaves) -> Leaves:
        """The paths of both; a path that one of them did not look at is of no known type, and is left out."""
        found = {
            path: leaf
            for path, leaf in _together(self.found, other.found).items()
            if all(path in each.found or _root(path) not in each.full for each in (self, other))
        }
        return Leaves(found, self.cut | other.cut, self.full | other.full)


class LeafCache:
    """The leaves of parts, as long as the parts are. `_lock` guards the table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[Any, dict[tuple[str, Field], Leaves]] = WeakKeyDictionary()

    def leaves(self, part: Any, name: str, field: Field, column: Callable[[], Any]) -> Leaves:
        """The leaves of a JSON field in a part, of which `column` gives the values."""
        with self._lock:
            known = self._known.get(part, {}).get((name, field))
        if known is None:
            known = find_leaves(name, column())
            with self._lock:
                self._known.setdefault(part, {})[name, field] = known
        return known


def joint_type(left: Field | None, right: Field | None) -> Field | None:
    """The narrowest field that holds the values of both; None says nothing, untyped that there are lists."""
    if left is None or right is None:
        return right if left is None else left
    if is_untyped(left) or is_untyped(right):
        typed = right if is_untyped(left) else left
        return typed if typed.type is FieldType.JSON else replace(typed, many=True)
    type_ = widen(left.type, right.type) or FieldType.JSON
    return Field(type_, many=(left.many or right.many) and type_ is not FieldType.JSON)


def find_leaves(name: str, json_column: Any) -> Leaves:
    """The leaves of the objects in a JSON column, (n,), of the field `name`.

    At most `SEEN_MAX` of them, at most `DEPTH_MAX` keys deep, and none where the field's own name cannot begin a path.
    """
    if not _spells(name):
        return Leaves({}, frozenset({name}))
    found: dict[str, Leaf] = {}
    walk = _Walk(name)
    for begin in range(0, len(json_column), CHUNK_ROWS):
        for text in json_column.slice(begin, CHUNK_ROWS).to_pylist():
            if text is not None:
                walk.document(decoded(text))
        found = _together(found, walk.take())
    root = frozenset({name})
    return Leaves(found, root if walk.cut else frozenset(), root if walk.full else frozenset())


def _together(left: Mapping[str, Leaf], right: Mapping[str, Leaf]) -> dict[str, Leaf]:
    found = dict(left)
    for path, leaf in right.items():
        found[path] = found[path].joined(leaf) if path in found else leaf
    return found


def _root(path: str) -> str:
    return path.partition(".")[0]


def listed(leaves: Leaves, taken: Iterable[str]) -> dict[str, Field]:
    """The paths that are fields: those of one type, without what is below points; most filled first to stay.

    Args:
        leaves: of all JSON fields.
        taken: names that are others' already.
    """
    names = set(taken)
    typed = {
        path: leaf
        for path, leaf in leaves.found.items()
        if leaf.field is not None and leaf.field.type is not FieldType.JSON and path not in names
    }
    points = {path for path, leaf in typed.items() if leaf.field is not None and leaf.field.type is FieldType.GEO}
    typed = {path: leaf for path, leaf in typed.items() if path.rpartition(".")[0] not in points}
    if len(typed) > PATHS_MAX:
        kept = sorted(typed, key=lambda path: -typed[path].filled)[:PATHS_MAX]
        typed = {path: leaf for path, leaf in typed.items() if path in set(kept)}
    return {path: leaf.field for path, leaf in typed.items() if leaf.field is not None}


def wholly_listed(name: str, leaves: Leaves, fields: Mapping[str, Field]) -> bool:
    """Whether a JSON field holds nothing but objects, all of whose leaves are fields of one value each."""
    if name in leaves.cut or name in leaves.found:
        return False
    below = [path for path in leaves.found if path.startswith(f"{name}.")]
    return bool(below) and all(_is_told(path, leaves, fields) for path in below)


def _is_told(path: str, leaves: Leaves, fields: Mapping[str, Field]) -> bool:
    if path in fields:
        return not fields[path].many
    parent = fields.get(path.rpartition(".")[0])
    return leaves.found[path].field is None or (parent is not None and parent.type is FieldType.GEO)


class _Walk:
    """The values of documents by path, handed on chunk by chunk.

    Attributes:
        cut: something was left out.
        full: there were more paths than `SEEN_MAX`.
    """

    def __init__(self, name: str) -> None:
        self.cut = False
        self.full = False
        self._name = name
        self._seen: set[str] = set()
        self._values: dict[str, list[JSON]] = {}
        self._objects: set[str] = set()
        self._opaque: set[str] = set()

    def document(self, value: JSON) -> None:
        """Take the value of the field in one document."""
        if isinstance(value, dict):
            self._object(value, self._name, 1, in_list=False)
        elif value is not None:
            self._opaque.add(self._name)
            self._items(value, self._name, 1)

    def take(self) -> dict[str, Leaf]:
        """What the documents since the last time have."""
        found: dict[str, Leaf] = {}
        for path, values in self._values.items():
            type_ = Field(FieldType.JSON) if path in self._opaque else _type_of(path, values)
            found[path] = Leaf(type_, sum(value is not None for value in values), path in self._objects)
        if self._name in self._opaque:
            found[self._name] = Leaf(Field(FieldType.JSON))
        self._values, self._objects, self._opaque = {}, set(), set()
        return found

    def _object(self, value: Mapping[str, JSON], prefix: str, depth: int, *, in_list: bool) -> None:
        if depth > DEPTH_MAX:
            self.cut = True
            return
        for key, item in value.items():
            path = f"{prefix}.{key}"
            values = self._values.get(path)
            if values is None:
                values = self._begin(path, key)
            if values is not None:
                self._take(item, path, values, depth, in_list=in_list)

    def _begin(self, path: str, key: str) -> list[JSON] | None:
        """Where the values of a path go that is new here; None for one that is left out."""
        if not _spells(key) or len(path.encode()) > FIELD_NAME_BYTES_MAX:
            self.cut = True
            return None
        if path not in self._seen:
            if len(self._seen) >= SEEN_MAX:
                self.cut = self.full = True
                return None
            self._seen.add(path)
        values: list[JSON] = []
        self._values[path] = values
        return values

    def _take(self, item: JSON, path: str, values: list[JSON], depth: int, *, in_list: bool) -> None:
        if isinstance(item, dict):
            if is_point(item):
                values.append([item] if in_list else item)
            else:
                self._objects.add(path)
            self._object(item, path, depth + 1, in_list=in_list)
        elif isinstance(item, list):
            if any(isinstance(each, dict | list) for each in item):
                self._opaque.add(path)
                self._items(item, path, depth + 1)
            else:
                values.append(item)
        else:
            values.append([item] if in_list else item)

    def _items(self, items: JSON, path: str, depth: int) -> None:
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                self._object(item, path, depth, in_list=True)


def _spells(key: str) -> bool:
    """Whether a key can be part of a path."""
    return bool(key) and "." not in key and "\0" not in key and is_unicode(key)


def _type_of(path: str, values: Sequence[JSON]) -> Field | None:
    field = infer_field(path.rpartition(".")[2], values)
    if field is None or is_untyped(field):
        return field
    return Field(FieldType.JSON) if some_contradict(field, values) else field
