"""How collections lead to each other: from what is declared, from names, and from values that are the other's keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from engine import FieldType, Snapshot, parse_filter
from promptql.catalog.fields import ID, STRING_TYPES, FieldInfo
from promptql.expressions import Scalar
from promptql.rules.words import name_words, normalize, singular

if TYPE_CHECKING:
    from promptql.catalog.collections import CollectionInfo

CONFIDENCE_MIN = 0.4
UNIQUE_MIN = 0.95  # of the values of a key are different ones
SAMPLE_MAX = 100  # distinct values of a field that are looked up among a key's
VALUES_READ_MAX = 1_000  # distinct values read of a field that the catalog has none of
ALIKE_MIN = 5  # so many of a field's values, all of them keys there, make a relationship without a word of it
FIELDS_MAX = 64  # of a collection that are compared
COLLECTIONS_MAX = 200  # compared with each other; of more only what is declared counts

# How far names alone speak for a relationship.
NAMED_KEY, SAME_NAME, NAMED_COLLECTION, UNNAMED = 1.0, 0.9, 0.8, 0.3
_GENERIC = frozenset({"id", "name", "title", "type", "kind", "key", "code", "number", "label", "value", "text"})
_NUMBERED = frozenset({"id", "code", "key", "number", "no", "nr"})  # last words of whole numbers that are keys


@dataclass(frozen=True, slots=True)
class Relationship:
    """Values of `left_field` are those of `right_field`, which is (nearly) a key of its collection.

    Attributes:
        confidence: 0 to 1; 1 where it is declared.
        declared: somebody said so.
    """

    left_collection: str
    left_field: str
    right_collection: str
    right_field: str
    confidence: float
    declared: bool = False


class Side:
    """A collection as it is compared: what the catalog says of it, and where to look its values up.

    What is compared with every other collection is worked out once. Nothing is guarded: two threads may do it twice.
    """

    def __init__(self, info: CollectionInfo, snapshot: Snapshot) -> None:
        self.info = info
        self.snapshot = snapshot
        self._keys: dict[str, bool] = {}
        self._samples: dict[str, list[Scalar]] = {}

    @cached_property
    def fields(self) -> list[tuple[FieldInfo, tuple[str, ...]]]:
        """The fields that could hold keys, with the words of their names."""
        kinds = STRING_TYPES | {FieldType.INTEGER}
        fields = [field for field in self.info.fields.values() if field.type in kinds]
        return [(field, name_words(field.name)) for field in fields[:FIELDS_MAX]]

    @cached_property
    def keys(self) -> list[tuple[str, FieldInfo | None, tuple[str, ...]]]:
        """What documents could be told apart by: single values, and the id."""
        keys = [(field.name, field, words) for field, words in self.fields if not field.many]
        return [*keys, (ID, None, (ID,))] if ID not in self.info.fields else [*keys]

    @cached_property
    def called(self) -> frozenset[tuple[str, ...]]:
        """The collection's name and synonyms, in the singular, by their words."""
        return frozenset(tuple(map(singular, name_words(name))) for name in (self.info.name, *self.info.synonyms))

    @cached_property
    def last_words(self) -> frozenset[tuple[str, ...]]:
        """The last word of each."""
        return frozenset(name[-1:] for name in self.called)

    def is_key(self, field: FieldInfo) -> bool:
        """Whether the field's values tell documents apart."""
        if field.name not in self._keys:
            self._keys[field.name] = self._tells_apart(field)
        return self._keys[field.name]

    def _tells_apart(self, field: FieldInfo) -> bool:
        if field.values and field.complete:
            held = sum(count for _, count in field.values)
            return len(field.values) >= UNIQUE_MIN * held and held >= UNIQUE_MIN * self.info.rows
        read = self._distinct(field)
        again = sum(count - 1 for _, count in read)  # by the most frequent values, of which each comes again most often
        enough = len(read) >= UNIQUE_MIN * min(self.info.rows, VALUES_READ_MAX)
        return enough and again <= (1 - UNIQUE_MIN) * self.info.rows

    def sample(self, field: FieldInfo) -> list[Scalar]:
        """Some different values of a field, the most frequent first."""
        if field.name not in self._samples:
            self._samples[field.name] = [value for value, _ in self._distinct(field)[:SAMPLE_MAX]]
        return self._samples[field.name]

    def _distinct(self, field: FieldInfo) -> Sequence[tuple[Scalar, int]]:
        """Different values with how many documents have each, the most frequent first."""
        return field.values or self.snapshot.field_values(field.name, VALUES_READ_MAX)

    def holding(self, key: FieldInfo | None, values: Sequence[Scalar]) -> int:
        """How many of these values the key (None: the id) has."""
        if key is None:
            texts = [value for value in values if isinstance(value, str)]
            return sum(found is not None for found in self.snapshot.ordinals_of(texts))
        if key.values and key.complete:
            return len(set(values).intersection(value for value, _ in key.values))
        where = parse_filter({key.name: {"$in": list(values)}}, self.snapshot.schema)
        return len(set(self.snapshot.relation([key.name], where).column(key.name)).intersection(values))


class RelationshipReader:
    """Finds relationships, those of two snapshots once. `_lock` guards `_known`, which holds no snapshot alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[Snapshot, WeakKeyDictionary[Snapshot, tuple[Relationship, ...]]] = (
            WeakKeyDictionary()
        )

    def read(self, sides: Mapping[str, Side]) -> tuple[Relationship, ...]:
        """All relationships between these collections: declared ones first, then the surest."""
        found = [item for side in sides.values() for item in _declared(side, sides)]
        said = {frozenset({(i.left_collection, i.left_field), (i.right_collection, i.right_field)}) for i in found}
        if len(sides) <= COLLECTIONS_MAX:
            for left in sides.values():
                for right in sides.values():
                    if left is not right:
                        found += self._between(left, right)
        return tuple(_best(found, said))

    def _between(self, left: Side, right: Side) -> tuple[Relationship, ...]:
        with self._lock:
            known = self._known.setdefault(left.snapshot, WeakKeyDictionary()).get(right.snapshot)
        if known is None:
            known = tuple(_detected(left, right))
            with self._lock:
                self._known.setdefault(left.snapshot, WeakKeyDictionary())[right.snapshot] = known
        return known


def _declared(side: Side, sides: Mapping[str, Side]) -> Iterator[Relationship]:
    for name, meaning in side.snapshot.schema.meanings.items():
        target = meaning.references
        other = None if target is None else sides.get(target.collection)
        if target is not None and other is not None and (target.field == ID or target.field in other.info.fields):
            yield Relationship(side.info.name, name, target.collection, target.field, 1.0, declared=True)


def _best(found: Sequence[Relationship], said: set[frozenset[tuple[str, str]]]) -> list[Relationship]:
    """Of the two directions of one relationship the surer; what is declared as it is declared."""
    kept: dict[frozenset[tuple[str, str]], Relationship] = {}
    for item in sorted(found, key=lambda item: (not item.declared, -item.confidence, item.left_collection)):
        pair = frozenset({(item.left_collection, item.left_field), (item.right_collection, item.right_field)})
        if pair not in kept and (item.declared or pair not in said):
            kept[pair] = item
    return list(kept.values())


def _detected(left: Side, right: Side) -> Iterator[Relationship]:
    """Fields of `left` whose values are keys of `right`."""
    if not left.info.rows or not right.info.rows:
        return
    for field, words in left.fields:
        strings = field.type in STRING_TYPES
        for name, key, key_words in right.keys:
            if strings != (key is None or key.type in STRING_TYPES):
                continue
            named = _named(field, words, key_words, right)
            if named > UNNAMED or _speaks_for_itself(field, key):
                confidence = _confidence(left, field, right, key, named)
                if confidence >= CONFIDENCE_MIN:
                    yield Relationship(left.info.name, field.name, right.info.name, name, confidence)


def _speaks_for_itself(field: FieldInfo, key: FieldInfo | None) -> bool:
    """Whether equal values would say something where names say nothing: texts do, numbers are equal by accident."""
    if key is None or not (key.identifier and key.complete) or len(field.values) < ALIKE_MIN:
        return False
    first = field.values[0][0]
    return isinstance(first, str) and normalize(first) in key.index


def _named(field: FieldInfo, words: tuple[str, ...], key_words: tuple[str, ...], right: Side) -> float:
    """How far the names speak for it: "director_id", "stadium_id" twice, "director" for directors."""
    if not words or not key_words:
        return UNNAMED
    same = words == key_words
    if words[-len(key_words) :] == key_words and len(words) > 1:
        stem = tuple(map(singular, words[:-1] if same else words[: -len(key_words)]))
        if stem in right.called or stem[-1:] in right.last_words:
            return NAMED_KEY
    counted = field.type is FieldType.INTEGER and words[-1] not in _NUMBERED
    if same and not counted and not (len(words) == 1 and words[0] in _GENERIC):
        return SAME_NAME
    whole = tuple(map(singular, words))
    if whole in right.called or (len(whole) == 1 and whole in right.last_words):
        return NAMED_COLLECTION
    return UNNAMED


def _confidence(left: Side, field: FieldInfo, right: Side, key: FieldInfo | None, named: float) -> float:
    """From the names, and from how many of the field's values the key has; 0 where the key is none."""
    if key is not None and not right.is_key(key):
        return 0.0
    sample = left.sample(field)
    if not sample:
        return 0.0
    contained = right.holding(key, sample) / len(sample)
    if named == UNNAMED and contained < 1.0:
        return 0.0
    return round((named + 1.0) / 2 * contained, 3)
