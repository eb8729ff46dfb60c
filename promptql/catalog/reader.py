"""Reading the catalog from snapshots: each snapshot's once."""

from __future__ import annotations

import operator
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from engine import Aggregate, Embedding, Field, FieldType, Meaning, Schema, Snapshot, parse_filter
from promptql.catalog.collections import Catalog, CollectionInfo
from promptql.catalog.fields import CATEGORY_VALUES_MAX, ID, LABEL_NAMES, ORDERED_TYPES, STRING_TYPES, FieldInfo
from promptql.catalog.relationships import Relationship, RelationshipReader, Side
from promptql.catalog.semantics import expanded_names, semantics_of
from promptql.expressions import Scalar
from promptql.rules.tables import TableReader
from promptql.rules.words import name_words, normalize

VALUES_MAX = 5_000  # distinct values read of one field, most frequent first
CATEGORY_ROWS_EACH = 3.0  # a field whose values stand in so many documents each is a category, however many there are
SAMPLE_DOCUMENTS = 40  # whose values stand for all of a field's
SAMPLES_MAX = 20
FIELDS_TOGETHER = 16  # whose columns are held while they are looked at
SAMPLE_CHARACTERS_MAX = 200
LABEL_VALUES_SHARE_MIN = 0.75  # of the different values of the name that tells documents apart best
LABEL_ROWS_EACH_MAX = 3  # on average; what more documents are called alike is no name of one
LABEL_WORDS_MAX = 3.0  # on average; labels of more words are told by their names, such as "title"
LABEL_CHARACTERS_MAX = 60
PROSE = frozenset(
    "text body content description summary abstract note notes comment comments remark remarks review message".split()
)
Range: TypeAlias = tuple[int | None, Scalar, Scalar]


class CatalogReader:
    """Reads catalogs, each snapshot's once: a snapshot never changes, and is shared until the next write.

    `_lock` guards `_known`, which forgets a snapshot when nobody else holds it, and the last relationships. `tables`
    reads columns.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[Snapshot, CollectionInfo] = WeakKeyDictionary()
        self._relationships = RelationshipReader()
        self._last: tuple[tuple[CollectionInfo, ...], tuple[Relationship, ...]] | None = None
        self.tables = TableReader()

    def read(self, snapshots: Mapping[str, Snapshot]) -> Catalog:
        """The catalog of snapshots of one point in time; relationships are read when they are first asked for."""
        infos = {name: self._collection(snapshot) for name, snapshot in snapshots.items()}
        return Catalog(infos, lambda: self._related(infos, snapshots))

    def _related(
        self, infos: Mapping[str, CollectionInfo], snapshots: Mapping[str, Snapshot]
    ) -> tuple[Relationship, ...]:
        """The relationships; those of the last time where nothing was written since: all pairs take 10 ms of 100."""
        read = tuple(infos.values())
        with self._lock:
            known = self._last
        if known is not None and len(known[0]) == len(read) and all(map(operator.is_, known[0], read)):
            return known[1]
        found = self._relationships.read({name: Side(info, snapshots[name]) for name, info in infos.items()})
        with self._lock:
            self._last = read, found
        return found

    def _collection(self, snapshot: Snapshot) -> CollectionInfo:
        with self._lock:
            known = self._known.get(snapshot)
        if known is None:
            known = _collection(snapshot)
            with self._lock:
                self._known[snapshot] = known
        return known


def read_catalog(snapshots: Mapping[str, Snapshot]) -> Catalog:
    """Read the catalog from snapshots of one point in time."""
    return CatalogReader().read(snapshots)


def with_phrases(catalog: Catalog, snapshots: Mapping[str, Snapshot], phrases: Sequence[str]) -> Catalog:
    """The catalog with those phrases that are values of fields too large to be read whole."""
    collections = {
        name: replace(
            info,
            fields={key: _with_phrases(field, snapshots[name], phrases) for key, field in info.fields.items()}
            | _ids(info, snapshots[name], phrases),
        )
        for name, info in catalog.collections.items()
    }
    return Catalog(collections, catalog.detect)


def _ids(info: CollectionInfo, snapshot: Snapshot, phrases: Sequence[str]) -> dict[str, FieldInfo]:
    """The field `id` with those phrases that are ids, where there are any."""
    marked = [phrase for phrase in phrases if any(mark in phrase for mark in "._:/")]
    found = tuple((phrase, 1) for phrase, raw in zip(marked, snapshot.get_raw(marked), strict=True) if raw is not None)
    if not found or ID in info.fields:
        return {}
    return {ID: FieldInfo(ID, FieldType.KEYWORD, values=found, complete=False, identifier=True, index=_index(found))}


def _with_phrases(field: FieldInfo, snapshot: Snapshot, phrases: Sequence[str]) -> FieldInfo:
    if field.complete or not field.values or not phrases:
        return field
    known = {value for value, _ in field.values}
    rare = [phrase for phrase in phrases if phrase not in known]
    where = parse_filter({field.name: {"$in": rare}}, snapshot.schema)
    counts = Counter(
        value
        for row in snapshot.relation([field.name], where).column(field.name)
        for value in (row if isinstance(row, list) else [row])
        if value in rare
    )
    found = tuple(counts.items())
    return replace(field, values=(*field.values, *found), index={**_index(found), **field.index})


def _collection(snapshot: Snapshot) -> CollectionInfo:
    schema = snapshot.schema
    rows = snapshot.count()
    ranges = _ranges(snapshot)
    unknown: Range = (None, None, None)
    sample = _sample(snapshot)
    fields: dict[str, FieldInfo] = {}
    every = list(snapshot.fields)
    for begin in range(0, len(every), FIELDS_TOGETHER):
        names = every[begin : begin + FIELDS_TOGETHER]
        snapshot.relation([name for name in names if name not in schema.fields])  # their objects are read once
        for name in names:
            samples = _samples(snapshot, name, sample)
            field = _field(snapshot, name, snapshot.fields[name], rows, ranges.get(name, unknown), samples)
            fields[name] = _with_meaning(field, schema.meanings.get(name, Meaning()), samples)
    fields |= {name: replace(fields[name], unfolded=True) for name in snapshot.unfolded}
    fields |= _called_by_keys(fields)
    fields |= _naming_objects(fields)
    return CollectionInfo(
        name=snapshot.name,
        rows=rows,
        sequence=snapshot.sequence,
        fields=fields,
        searchable=rows > 0 and any(_has_text(schema, item) for item in schema.embed.values()),
        label=_label(fields),
        description=schema.meaning.description,
        synonyms=schema.meaning.synonyms,
    )


def _has_text(schema: Schema, embedding: Embedding) -> bool:
    """Whether there is anything to embed: a collection that embeds all of its text may have none."""
    return embedding.fields is not None or any(field.type is FieldType.TEXT for field in schema.fields.values())


def _sample(snapshot: Snapshot) -> npt.NDArray[np.uint32]:
    """Ordinals of some documents from all over the collection, (n,)."""
    ordinals = snapshot.ordinals()
    if not len(ordinals):
        return ordinals
    return ordinals[np.unique(np.linspace(0, len(ordinals) - 1, SAMPLE_DOCUMENTS).astype(np.int64))]


def _samples(snapshot: Snapshot, name: str, ordinals: npt.NDArray[np.uint32]) -> tuple[Scalar, ...]:
    """Values of the field in these documents, long texts cut."""
    rows = snapshot.values_of(name, ordinals)
    items = [item for row in rows for item in (row if isinstance(row, list) else [row])][:SAMPLE_DOCUMENTS]
    return tuple(
        item[:SAMPLE_CHARACTERS_MAX] if isinstance(item, str) else item
        for item in items
        if isinstance(item, (bool, int, float, str))
    )


def _with_meaning(field: FieldInfo, meaning: Meaning, samples: tuple[Scalar, ...]) -> FieldInfo:
    semantics = semantics_of(field.name, field.type, samples, identifier=field.identifier, small=field.small)
    return replace(
        field,
        semantic=semantics.type,
        unit=semantics.unit,
        samples=tuple(dict.fromkeys(samples))[:SAMPLES_MAX],
        description=meaning.description,
        synonyms=(*meaning.synonyms, *expanded_names(field.name)),
    )


def _ranges(snapshot: Snapshot) -> dict[str, Range]:
    """Number of values, least and greatest of each ordered field, in one pass."""
    names = [name for name, spec in snapshot.fields.items() if spec.type in ORDERED_TYPES and not spec.many]
    if not names:
        return {}
    aggregates = [Aggregate(fn, name, f"{fn} {name}") for name in names for fn in ("count", "min", "max")]
    row = snapshot.relation(names).group([], aggregates).rows()[0]
    return {name: (row[f"count {name}"], row[f"min {name}"], row[f"max {name}"]) for name in names}


def _field(
    snapshot: Snapshot, name: str, spec: Field, rows: int, span: Range, samples: tuple[Scalar, ...]
) -> FieldInfo:
    keys = () if name in snapshot.schema.fields else tuple(name.split("."))
    own_name = keys[-1] if keys else name
    listed = spec.type in {FieldType.KEYWORD, FieldType.BOOLEAN} or (
        spec.type is FieldType.TEXT and (own_name.casefold() in LABEL_NAMES or _holds_labels(own_name, samples))
    )
    pairs = snapshot.field_values(name, VALUES_MAX) if listed else []
    values = tuple((value, count) for value, count in pairs if isinstance(value, (str, bool)))
    return FieldInfo(
        name=name,
        type=spec.type,
        many=spec.many,
        values=values,
        complete=listed and len(pairs) < VALUES_MAX,
        filled=span[0] if span[0] is not None else _filled(snapshot, name, spec, values),
        least=span[1],
        greatest=span[2],
        identifier=not spec.many and _is_identifier(spec.type, name, values, rows),
        index=_index(values),
        keys=keys,
    )


def _called_by_keys(fields: Mapping[str, FieldInfo]) -> dict[str, FieldInfo]:
    """The leaves that also go by their last keys, where no other field does: "company" is `site.owner.company`."""
    endings = {path: _endings(field) for path, field in fields.items()}
    shared = Counter(words for each in endings.values() for words in each)
    found: dict[str, FieldInfo] = {}
    for path, field in fields.items():
        called = [" ".join(words) for words in endings[path][:-1] if shared[words] == 1]
        if called and field.own_name.casefold() not in LABEL_NAMES:
            found[path] = replace(field, synonyms=(*field.synonyms, *called))
    return found


def _endings(field: FieldInfo) -> list[tuple[str, ...]]:
    """The words of its last key, of its last two keys, …, of all of them."""
    keys = field.keys or (field.name,)
    return list(dict.fromkeys(name_words(".".join(keys[at:])) for at in reversed(range(len(keys)))))


def _naming_objects(fields: Mapping[str, FieldInfo]) -> dict[str, FieldInfo]:
    """The leaves that name the objects they are in, which go by the objects' names as well."""
    found: dict[str, FieldInfo] = {}
    for name in LABEL_NAMES:
        for path, field in fields.items():
            parent = ".".join(field.keys[:-1])
            known = any(each.names == parent for each in found.values())
            if (
                parent
                and field.own_name.casefold() == name
                and field.type in STRING_TYPES
                and not (field.many or known)
            ):
                found[path] = replace(field, names=parent, synonyms=(*field.synonyms, " ".join(name_words(parent))))
    return found


def _holds_labels(name: str, samples: tuple[Scalar, ...]) -> bool:
    """Whether a text field has labels, which questions name and group by: it is text so that they can be searched."""
    texts = [value for value in samples if isinstance(value, str)]
    if not texts or PROSE & set(name_words(name)):
        return False
    words = sum(len(text.split()) for text in texts) / len(texts)
    return words <= LABEL_WORDS_MAX and max(map(len, texts)) <= LABEL_CHARACTERS_MAX


def _filled(snapshot: Snapshot, name: str, spec: Field, values: Sequence[tuple[Scalar, int]]) -> int | None:
    """Documents with a value; an empty list is none."""
    if not values or spec.type not in STRING_TYPES:
        return None
    if spec.many:
        return snapshot.count(parse_filter({name: {"$starts_with": ""}}, snapshot.schema))
    return snapshot.count(parse_filter({name: {"$is_null": False}}, snapshot.schema))


def _index(values: Sequence[tuple[Scalar, int]]) -> dict[str, tuple[Scalar, int]]:
    index: dict[str, tuple[Scalar, int]] = {}
    for value, count in values:
        key = normalize(value) if isinstance(value, str) else ""
        if key:
            index.setdefault(key, (value, count))
    return index


def _is_identifier(kind: FieldType, name: str, values: tuple[tuple[Scalar, int], ...], rows: int) -> bool:
    if kind is FieldType.BOOLEAN or not values:
        return False
    held = sum(count for _, count in values)
    if name.casefold() in LABEL_NAMES:
        return held <= LABEL_ROWS_EACH_MAX * len(values)  # the titles of employees are what they work as
    many_values = len(values) > CATEGORY_VALUES_MAX
    return many_values and held / len(values) < min(CATEGORY_ROWS_EACH, max(1.0, rows / 2))


def _label(fields: Mapping[str, FieldInfo]) -> str:
    """What documents are called: by a name that tells them apart, else by one that does not."""
    folded = {name.casefold(): name for name in fields}
    named = [folded[name] for name in LABEL_NAMES if name in folded and fields[folded[name]].type in STRING_TYPES]
    telling = [name for name in named if fields[name].identifier]
    apart = max((_values_known(fields[name]) for name in telling), default=0)  # players have names as well as titles
    telling = [name for name in telling if _values_known(fields[name]) >= LABEL_VALUES_SHARE_MIN * apart]
    identifiers = [info.name for info in fields.values() if info.identifier and not info.many and not info.keys]
    return next(iter([*telling, *named, *identifiers]), ID)


def _values_known(field: FieldInfo) -> int:
    """How many different values it has, so far as they were read."""
    return len(field.values)
