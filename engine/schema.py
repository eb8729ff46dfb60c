"""The schema of a collection: typed fields, vector fields, and which of them are made by a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from engine.errors import SchemaError

JSON = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]

ID = "id"
DIM_MAX = 65_536
FIELDS_MAX = 1_000
FIELD_NAME_BYTES_MAX = 256


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
    """How the sealed vectors of a field are indexed; `auto` decides by the number of rows."""

    AUTO = "auto"
    FLAT = "flat"
    HNSW = "hnsw"


@dataclass(frozen=True, slots=True)
class Field:
    """A scalar field.

    Attributes:
        type: what its values are.
        many: values are lists of that type (a bare value counts as a list of one).
        declared: given by the user; a declared type never widens.
    """

    type: FieldType
    many: bool = False
    declared: bool = False


@dataclass(frozen=True, slots=True)
class VectorField:
    """A vector field.

    Attributes:
        dim: number of components.
        metric: cosine (default), dot or l2.
        index: auto, flat or hnsw.
        m: HNSW, edges per node and layer; 2 to 256.
        ef_construction: HNSW, candidates while building; 4 to 4,096.
    """

    dim: int
    metric: Metric = Metric.COSINE
    index: IndexKind = IndexKind.AUTO
    m: int = 16
    ef_construction: int = 100


@dataclass(frozen=True, slots=True)
class Embedding:
    """How a vector field is made. The engine only keeps this: making vectors is for those who know models.

    Attributes:
        fields: the fields whose text is embedded; None means every text field.
        model: the model's name.
        identity: what the model must still be when the database is opened again (revision, fingerprint, …).
    """

    fields: tuple[str, ...] | None
    model: str
    identity: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a collection. Immutable: growing gives a new one."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    vectors: Mapping[str, VectorField] = field(default_factory=dict)
    embed: Mapping[str, Embedding] = field(default_factory=dict)
    strict: bool = False

    def with_fields(self, fields: Mapping[str, Field]) -> Schema:
        """This schema with `fields` added or changed."""
        return replace(self, fields={**self.fields, **fields})

    def with_vector(self, name: str, vector: VectorField) -> Schema:
        """This schema with one more vector field."""
        return replace(self, vectors={**self.vectors, name: vector})

    @classmethod
    def from_json(cls, data: JSON) -> Schema:
        """Read the body of `PUT /v1/collections/{c}`.

        Raises:
            SchemaError: naming the place by JSON Pointer.
        """
        body = _mapping(data, "")
        _known_keys(body, {"fields", "embed", "strict"}, "")
        fields: dict[str, Field] = {}
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
        return cls(fields, vectors, embed, strict)

    def to_json(self) -> dict[str, JSON]:
        """The inverse of `from_json`, every default spelled out."""
        fields: dict[str, JSON] = {
            name: {"type": f.type.value, "many": f.many, "declared": f.declared} for name, f in self.fields.items()
        }
        for name, v in self.vectors.items():
            fields[name] = {
                "type": "vector",
                "dim": v.dim,
                "metric": v.metric.value,
                "index": v.index.value,
                "m": v.m,
                "ef_construction": v.ef_construction,
            }
        embed = {
            name: {
                "from": None if e.fields is None else list(e.fields),
                "model": e.model,
                "identity": dict(e.identity),
            }
            for name, e in self.embed.items()
        }
        return {"fields": fields, "embed": embed, "strict": self.strict}


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
    _known_keys(spec, {"type", "many", "declared"}, pointer)
    kind = spec.get("type")
    try:
        type_ = FieldType(str(kind))
    except ValueError as error:
        known = ", ".join([*FieldType, "vector"])
        raise SchemaError(f"unknown field type: expected one of {known}; got={kind!r:.40}", pointer=pointer) from error
    return Field(type_, _flag(spec, "many", False, pointer), _flag(spec, "declared", True, pointer))


def _vector_field(spec: dict[str, JSON], pointer: str) -> VectorField:
    _known_keys(spec, {"type", "dim", "metric", "index", "m", "ef_construction"}, pointer)
    if "dim" not in spec:
        raise SchemaError("a vector field needs its dim", pointer=pointer)
    return VectorField(
        dim=_integer(spec, "dim", 1, 1, DIM_MAX, pointer),
        metric=Metric(_choice(spec, "metric", Metric.COSINE, list(Metric), pointer)),
        index=IndexKind(_choice(spec, "index", IndexKind.AUTO, list(IndexKind), pointer)),
        m=_integer(spec, "m", 16, 2, 256, pointer),
        ef_construction=_integer(spec, "ef_construction", 100, 4, 4096, pointer),
    )


def _embedding(given: JSON, pointer: str) -> Embedding:
    spec = _mapping(given, pointer)
    _known_keys(spec, {"from", "model", "identity"}, pointer)
    source = spec.get("from")
    if source is not None and (
        not isinstance(source, list) or not source or not all(isinstance(name, str) for name in source)
    ):
        raise SchemaError("from must be a list of field names", pointer=f"{pointer}/from")
    model = spec.get("model")
    if not isinstance(model, str) or not model:
        raise SchemaError("model must be a name", pointer=f"{pointer}/model")
    identity = _mapping(spec.get("identity") or {}, f"{pointer}/identity")
    return Embedding(None if source is None else tuple(source), model, identity)


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
