"""The schema of a collection: typed fields, vector fields, and which of them are made by a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from engine.errors import SchemaError
from engine.meaning import FIELD_KEYS, KEYS, Meaning
from engine.text.languages import LANGUAGES

JSON = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]

ID = "id"
DIM_MAX = 65_536
NLIST_MAX = 65_536
FIELDS_MAX = 1_000
FIELD_NAME_BYTES_MAX = 256
TTL_SECONDS_MAX = 10_000_000_000  # about 317 years


class FieldType(StrEnum):
    """What the values of a field are; `json` is kept as it is, and filterable by path."""

    TEXT = "text"
    KEYWORD = "keyword"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    GEO = "geo"
    JSON = "json"


class Metric(StrEnum):
    """How near two vectors are."""

    COSINE = "cosine"
    DOT = "dot"
    L2 = "l2"


class IndexKind(StrEnum):
    """How the sealed vectors of a field are indexed; `auto` decides a segment at a time, and says why."""

    AUTO = "auto"
    FLAT = "flat"
    HNSW = "hnsw"
    IVF_FLAT = "ivf_flat"
    IVF_PQ = "ivf_pq"


class Quantization(StrEnum):
    """In how many bits an index keeps a component; `auto` is pq4 for ivf_pq, and none else."""

    AUTO = "auto"
    NONE = "none"
    FP16 = "fp16"
    SQ8 = "sq8"
    PQ4 = "pq4"
    RABITQ = "rabitq"


_UNQUANTIZED = (Quantization.AUTO, Quantization.NONE, Quantization.FP16, Quantization.SQ8)
QUANTIZATIONS: Mapping[IndexKind, tuple[Quantization, ...]] = {
    IndexKind.AUTO: tuple(Quantization),
    IndexKind.FLAT: _UNQUANTIZED,
    IndexKind.HNSW: _UNQUANTIZED,
    IndexKind.IVF_FLAT: _UNQUANTIZED,
    IndexKind.IVF_PQ: (Quantization.AUTO, Quantization.PQ4, Quantization.RABITQ),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A scalar field.

    Attributes:
        type: what its values are.
        many: values are lists of that type (a bare value counts as a list of one).
        declared: given by the user; a declared type never widens.
        language: of the text, for stems (`engine.text.languages`); None stems nothing.
    """

    type: FieldType
    many: bool = False
    declared: bool = False
    language: str | None = None


@dataclass(frozen=True, slots=True)
class VectorField:
    """A vector field.

    Attributes:
        dim: number of components.
        metric: cosine (default), dot or l2.
        index: auto, flat, hnsw, ivf_flat or ivf_pq.
        quantization: auto, none, fp16, sq8, pq4 or rabitq, as far as the index has it (`QUANTIZATIONS`).
        m: HNSW, edges per node and layer; 2 to 256.
        ef_construction: HNSW, candidates while building; 4 to 4,096.
        nlist: ivf, lists of a segment, as many as its rows allow (39 for each); 1 to 65,536. None: about their root.
    """

    dim: int
    metric: Metric = Metric.COSINE
    index: IndexKind = IndexKind.AUTO
    m: int = 16
    ef_construction: int = 100
    quantization: Quantization = Quantization.AUTO
    nlist: int | None = None

    def __post_init__(self) -> None:
        known = QUANTIZATIONS[self.index]
        if self.quantization not in known:
            message = f"index {self.index} takes quantization {', '.join(known)}: got={self.quantization}"
            raise SchemaError(message, pointer="/quantization")


@dataclass(frozen=True, slots=True)
class Embedding:
    """How a vector field is made. The engine only keeps this: making vectors is for those who know models.

    Attributes:
        fields: the fields whose text is embedded; None means every text field.
        model: the model's name.
        identity: what the model must still be when the database is opened again (revision, fingerprint, …).
        splitter: how long text is cut into passages.
    """

    fields: tuple[str, ...] | None
    model: str
    identity: Mapping[str, JSON] = field(default_factory=dict)
    splitter: str = "auto"


@dataclass(frozen=True, slots=True)
class Ttl:
    """When documents expire: by a field of theirs, or some time after they were last written. Exactly one is set.

    Attributes:
        field: holds the moment (ISO 8601); a document without it never expires.
        seconds: after the last write, which renews it.
    """

    field: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.field is None) == (self.seconds is None):
            raise SchemaError("ttl takes a field or seconds: got both or neither", pointer="/ttl")
        if self.field is not None:
            check_field_name(self.field, "/ttl/field")
        numbers = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if self.seconds is not None and not (numbers and 0 < self.seconds <= TTL_SECONDS_MAX):
            message = f"ttl seconds must be above 0 and at most {TTL_SECONDS_MAX}: got={self.seconds!r:.40}"
            raise SchemaError(message, pointer="/ttl/seconds")


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a collection. Immutable: growing gives a new one.

    Attributes:
        meaning: what the collection is about; `meanings`: its fields and leaves of objects, as far as somebody said.
    """

    fields: Mapping[str, Field] = field(default_factory=dict)
    vectors: Mapping[str, VectorField] = field(default_factory=dict)
    embed: Mapping[str, Embedding] = field(default_factory=dict)
    strict: bool = False
    ttl: Ttl | None = None
    meaning: Meaning = field(default_factory=Meaning)
    meanings: Mapping[str, Meaning] = field(default_factory=dict)

    def with_fields(self, fields: Mapping[str, Field]) -> Schema:
        """This schema with `fields` added or changed."""
        return replace(self, fields={**self.fields, **fields})

    def with_vector(self, name: str, vector: VectorField) -> Schema:
        """This schema with one more vector field."""
        return replace(self, vectors={**self.vectors, name: vector})

    def described(self, data: JSON) -> Schema:
        """This schema with other words about it: `{"description", "synonyms", "fields": {name: {…, "references"}}}`.

        Raises:
            SchemaError: naming the place by JSON Pointer; or a field that there is not.
        """
        body = _mapping(data, "")
        _known_keys(body, {*KEYS, "fields"}, "")
        meanings = dict(self.meanings)
        for name, given in _mapping(body.get("fields") or {}, "/fields").items():
            pointer = f"/fields/{_escape(str(name))}"
            if name not in self.fields and not self.may_have_path(str(name)):
                raise SchemaError(f"unknown field {name!r:.80}", pointer=pointer)
            check_field_name(name, pointer)
            spec = _mapping(given, pointer)
            _known_keys(spec, set(FIELD_KEYS), pointer)
            meanings[name] = meanings.get(name, Meaning()).changed(spec, pointer)
        kept = {name: meaning for name, meaning in meanings.items() if meaning}
        if len(kept) > FIELDS_MAX:
            raise SchemaError(f"too many fields: maximum={FIELDS_MAX} got={len(kept)}", pointer="/fields")
        return replace(self, meaning=self.meaning.changed(body, ""), meanings=kept)

    def may_have_path(self, name: str) -> bool:
        """Whether objects of one of the JSON fields could have a leaf of that name, such as `venue.city`."""
        root, _, rest = name.partition(".")
        field = self.fields.get(root)
        return bool(rest) and field is not None and field.type is FieldType.JSON

    @classmethod
    def from_json(cls, data: JSON) -> Schema:
        """Read the body of `PUT /v1/collections/{c}`.

        Raises:
            SchemaError: naming the place by JSON Pointer.
        """
        body = _mapping(data, "")
        _known_keys(body, {"fields", "embed", "strict", "ttl", *KEYS}, "")
        fields: dict[str, Field] = {}
        meanings: dict[str, Meaning] = {}
        vectors: dict[str, VectorField] = {}
        declared = _mapping(body.get("fields") or {}, "/fields")
        if len(declared) > FIELDS_MAX:
            raise SchemaError(f"too many fields: maximum={FIELDS_MAX} got={len(declared)}", pointer="/fields")
        for name, given in declared.items():
            pointer = f"/fields/{_escape(name)}"
            check_field_name(name, pointer)
            spec = _mapping({"type": given} if isinstance(given, str) else given, pointer)
            if spec.get("type") == "vector":
                vectors[name] = _vector_field(spec, pointer)
            else:
                fields[name] = _field(spec, pointer)
                if meaning := Meaning().changed(spec, pointer):
                    meanings[name] = meaning
                meanings |= _leaf_meanings(name, fields[name], spec, pointer)
        embed = {
            name: _embedding(spec, f"/embed/{_escape(name)}")
            for name, spec in _mapping(body.get("embed") or {}, "/embed").items()
        }
        for name in embed:
            if name not in vectors:
                raise SchemaError(f"embed names no vector field: {name!r}", pointer=f"/embed/{_escape(name)}")
        strict = body.get("strict", False)
        if not isinstance(strict, bool):
            raise SchemaError(f"strict must be true or false: got={strict!r:.40}", pointer="/strict")
        ttl = None if body.get("ttl") is None else _ttl(body["ttl"], fields, vectors)
        return cls(fields, vectors, embed, strict, ttl, Meaning().changed(body, ""), meanings)

    def to_json(self) -> dict[str, JSON]:
        """The inverse of `from_json`, every default spelled out."""
        fields: dict[str, JSON] = {
            name: {"type": f.type.value, "many": f.many, "declared": f.declared}
            | ({} if f.language is None else {"language": f.language})
            | (self.meanings[name].to_json() if name in self.meanings else {})
            | self._leaves_to_json(name)
            for name, f in self.fields.items()
        }
        for name, v in self.vectors.items():
            fields[name] = {
                "type": "vector",
                "dim": v.dim,
                "metric": v.metric.value,
                "index": v.index.value,
                "quantization": v.quantization.value,
                "m": v.m,
                "ef_construction": v.ef_construction,
                **({} if v.nlist is None else {"nlist": v.nlist}),
            }
        embed = {
            name: {
                "from": None if e.fields is None else list(e.fields),
                "model": e.model,
                "identity": dict(e.identity),
                "splitter": e.splitter,
            }
            for name, e in self.embed.items()
        }
        body: dict[str, JSON] = {"fields": fields, "embed": embed, "strict": self.strict, **self.meaning.to_json()}
        if self.ttl is not None:
            body["ttl"] = {"field": self.ttl.field} if self.ttl.field is not None else {"seconds": self.ttl.seconds}
        return body

    def _leaves_to_json(self, name: str) -> dict[str, JSON]:
        begin = f"{name}."
        leaves = {
            path.removeprefix(begin): meaning.to_json()
            for path, meaning in self.meanings.items()
            if path.startswith(begin) and path not in self.fields
        }
        return {"leaves": leaves} if leaves and self.fields[name].type is FieldType.JSON else {}


def _leaf_meanings(name: str, field: Field, spec: Mapping[str, JSON], pointer: str) -> dict[str, Meaning]:
    """What is said of the leaves of a JSON field's objects, by their paths."""
    leaves = _mapping(spec.get("leaves") or {}, f"{pointer}/leaves")
    if len(leaves) > FIELDS_MAX:
        raise SchemaError(f"too many leaves: maximum={FIELDS_MAX} got={len(leaves)}", pointer=f"{pointer}/leaves")
    if leaves and field.type is not FieldType.JSON:
        raise SchemaError(f"only json has leaves: got={field.type}", pointer=f"{pointer}/leaves")
    found: dict[str, Meaning] = {}
    for path, given in leaves.items():
        place = f"{pointer}/leaves/{_escape(str(path))}"
        check_field_name(f"{name}.{path}", place)
        said = _mapping(given, place)
        _known_keys(said, set(FIELD_KEYS), place)
        if meaning := Meaning().changed(said, place):
            found[f"{name}.{path}"] = meaning
    return found


def check_field_name(name: JSON, pointer: str) -> None:
    """Refuse a field name that could not be filtered, stored or told apart from the engine's own.

    Raises:
        SchemaError: empty, too long, not UTF-8, "id", or beginning with "$" or "_engine_".
    """
    if not isinstance(name, str) or not name:
        raise SchemaError("field name must be a non-empty string", pointer=pointer)
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise SchemaError("field name is not valid Unicode", pointer=pointer) from error
    if size > FIELD_NAME_BYTES_MAX:
        raise SchemaError(f"field name is too long: maximum={FIELD_NAME_BYTES_MAX} got={size} bytes", pointer=pointer)
    if name == ID or name.startswith(("$", "_engine_")) or "\x00" in name:
        raise SchemaError(f"field name is reserved: {name!r}", pointer=pointer)


def _field(spec: dict[str, JSON], pointer: str) -> Field:
    _known_keys(spec, {"type", "many", "declared", "language", "leaves", *FIELD_KEYS}, pointer)
    kind = spec.get("type")
    try:
        type_ = FieldType(str(kind))
    except ValueError as error:
        known = ", ".join([*FieldType, "vector"])
        raise SchemaError(f"unknown field type: expected one of {known}; got={kind!r:.40}", pointer=pointer) from error
    language = spec.get("language")
    if language is not None:
        if type_ is not FieldType.TEXT:
            raise SchemaError(f"only text has a language: got={type_}", pointer=f"{pointer}/language")
        language = _choice(spec, "language", "", sorted(LANGUAGES), pointer)
    return Field(type_, _flag(spec, "many", False, pointer), _flag(spec, "declared", True, pointer), language)


def _vector_field(spec: dict[str, JSON], pointer: str) -> VectorField:
    _known_keys(spec, {"type", "dim", "metric", "index", "quantization", "m", "ef_construction", "nlist"}, pointer)
    if "dim" not in spec:
        raise SchemaError("a vector field needs its dim", pointer=pointer)
    index = IndexKind(_choice(spec, "index", IndexKind.AUTO, list(IndexKind), pointer))
    quantization = _choice(spec, "quantization", Quantization.AUTO, list(Quantization), pointer)
    if quantization not in QUANTIZATIONS[index]:
        known = ", ".join(QUANTIZATIONS[index])
        message = f"index {index} takes quantization {known}: got={quantization}"
        raise SchemaError(message, pointer=f"{pointer}/quantization")
    return VectorField(
        dim=_integer(spec, "dim", 1, 1, DIM_MAX, pointer),
        metric=Metric(_choice(spec, "metric", Metric.COSINE, list(Metric), pointer)),
        index=index,
        quantization=Quantization(quantization),
        m=_integer(spec, "m", 16, 2, 256, pointer),
        ef_construction=_integer(spec, "ef_construction", 100, 4, 4096, pointer),
        nlist=None if spec.get("nlist") is None else _integer(spec, "nlist", 1, 1, NLIST_MAX, pointer),
    )


def _embedding(given: JSON, pointer: str) -> Embedding:
    spec = _mapping(given, pointer)
    _known_keys(spec, {"from", "model", "identity", "splitter"}, pointer)
    source = spec.get("from")
    if source is not None and (
        not isinstance(source, list) or not source or not all(isinstance(name, str) for name in source)
    ):
        raise SchemaError("from must be a list of field names", pointer=f"{pointer}/from")
    model = spec.get("model")
    if not isinstance(model, str) or not model:
        raise SchemaError("model must be a name", pointer=f"{pointer}/model")
    identity = _mapping(spec.get("identity") or {}, f"{pointer}/identity")
    splitter = spec.get("splitter", "auto")
    if not isinstance(splitter, str) or not splitter:
        raise SchemaError("splitter must be a name", pointer=f"{pointer}/splitter")
    return Embedding(None if source is None else tuple(source), model, identity, splitter)


def _ttl(given: JSON, fields: dict[str, Field], vectors: Mapping[str, VectorField]) -> Ttl:
    """The rule of expiry; the field that it names becomes one of `fields`."""
    spec = _mapping(given, "/ttl")
    _known_keys(spec, {"field", "seconds"}, "/ttl")
    ttl = Ttl(spec.get("field"), spec.get("seconds"))
    if ttl.field is not None:
        known = fields.setdefault(ttl.field, Field(FieldType.DATETIME, declared=True))
        if known.type is not FieldType.DATETIME or known.many or ttl.field in vectors:
            raise SchemaError(f"ttl field must be a datetime: {ttl.field!r}", pointer="/ttl/field")
    return ttl


def _mapping(value: JSON, pointer: str) -> dict[str, JSON]:
    if not isinstance(value, Mapping):
        raise SchemaError(f"expected an object: got={type(value).__name__}", pointer=pointer)
    return dict(value)


def _known_keys(spec: Mapping[str, JSON], known: set[str], pointer: str) -> None:
    for key in spec:
        if key not in known:
            raise SchemaError(
                f"unknown key {key!r:.60}: expected one of {', '.join(sorted(known))}",
                pointer=f"{pointer}/{_escape(str(key))}",
            )


def _flag(spec: Mapping[str, JSON], key: str, default: bool, pointer: str) -> bool:  # noqa: FBT001
    value = spec.get(key, default)
    if not isinstance(value, bool):
        raise SchemaError(f"{key} must be true or false: got={value!r:.40}", pointer=f"{pointer}/{key}")
    return value


def _integer(spec: Mapping[str, JSON], key: str, default: int, least: int, most: int, pointer: str) -> int:
    value = spec.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise SchemaError(f"{key} must be from {least} to {most}: got={value!r:.40}", pointer=f"{pointer}/{key}")
    return value


def _choice(spec: Mapping[str, JSON], key: str, default: str, choices: list[Any], pointer: str) -> str:
    value = spec.get(key, default)
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(choices)
        raise SchemaError(f"{key} must be one of {names}: got={value!r:.40}", pointer=f"{pointer}/{key}")
    return value


def _escape(token: str) -> str:
    """One token of a JSON Pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")
