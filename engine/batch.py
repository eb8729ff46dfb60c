"""A batch of documents made ready to store: checked, encoded, and the schema grown to hold it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.arrays import Vectors
from engine.document import (
    DOCUMENT_BYTES_MAX,
    Fault,
    Passage,
    encode,
    find_fault,
    find_id_fault,
    make_id,
    own_id,
)
from engine.errors import DimensionMismatchError, DocumentError, InvalidInputError, SchemaError
from engine.inference import grow_field, infer_field, natural_type
from engine.schema import FIELDS_MAX, ID, JSON, FieldType, Metric, Schema, VectorField, check_field_name

IMPLIED_VECTOR_FIELD = "vector"  # a key of this name with a list of numbers makes a vector field


@dataclass(frozen=True, slots=True)
class VectorRows:
    """The vectors of one vector field for a batch of documents.

    Attributes:
        vectors: (rows, dim) float32, finite.
        documents: (rows,) int64, non-decreasing: the document in the batch that each row belongs to.
        passages: what each row stands for; None for whole documents.
    """

    vectors: Vectors
    documents: np.ndarray[Any, np.dtype[np.int64]]
    passages: Sequence[Passage | None] | None = None


@dataclass(slots=True)
class Batch:
    """Documents ready to store.

    Attributes:
        ids: one a document.
        bodies: what is stored, as JSON bytes; vectors are taken out of it.
        own_vectors: the vectors that documents carried, by field.
        schema: the collection's schema, grown to hold these documents.
        errors: the documents that cannot be stored; where there are any, the batch must not be.
    """

    schema: Schema
    ids: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    own_vectors: dict[str, VectorRows] = field(default_factory=dict)
    errors: list[DocumentError] = field(default_factory=list)


def prepare(documents: Sequence[Any], schema: Schema) -> Batch:
    """Check and encode `documents` against `schema`; faults are collected, one a document."""
    batch = Batch(schema)
    carried: dict[str, list[tuple[int, Vectors]]] = {}
    fields: dict[str, list[tuple[int, JSON]]] = {}
    for index, document in enumerate(documents):
        fault = _take_document(batch, carried, fields, index, document)
        if fault is not None:
            batch.errors.append(_error(index, document, fault))
    _grow_schema(batch, fields, documents)
    batch.errors.sort(key=lambda error: error.index)
    batch.own_vectors = {
        name: VectorRows(np.stack([vector for _, vector in rows]), np.array([i for i, _ in rows], dtype=np.int64))
        for name, rows in carried.items()
    }
    return batch


def _take_document(
    batch: Batch,
    carried: dict[str, list[tuple[int, Vectors]]],
    fields: dict[str, list[tuple[int, JSON]]],
    index: int,
    document: Any,
) -> Fault | None:
    if not isinstance(document, Mapping):
        return Fault("", "type_mismatch", f"document must be an object: got={type(document).__name__}", "object")
    body = dict(document)
    if body.get(ID) is None:
        body = {ID: make_id(), **{key: value for key, value in body.items() if key != ID}}
    if fault := find_id_fault(body[ID]):
        return fault
    vectors, fault = _take_vectors(batch, body)
    if fault is not None:
        return fault
    if fault := find_fault(body):
        return fault
    encoded = encode(body)
    if len(encoded) > DOCUMENT_BYTES_MAX:
        message = f"document is too large: maximum={DOCUMENT_BYTES_MAX} got={len(encoded)} bytes"
        return Fault("", "document_too_large", message, DOCUMENT_BYTES_MAX, len(encoded))
    for name, value in body.items():
        if value is not None and name != ID:
            fields.setdefault(name, []).append((index, value))
    for name, vector in vectors.items():
        carried.setdefault(name, []).append((index, vector))
    batch.ids.append(body[ID])
    batch.bodies.append(encoded)
    return None


def _take_vectors(batch: Batch, body: dict[str, JSON]) -> tuple[dict[str, Vectors], Fault | None]:
    """Take the vectors out of `body`; a first `vector` of numbers makes a field of its size."""
    vectors: dict[str, Vectors] = {}
    schema = batch.schema
    if (
        IMPLIED_VECTOR_FIELD in body
        and not schema.strict
        and IMPLIED_VECTOR_FIELD
        not in {
            **schema.vectors,
            **schema.fields,
        }
    ):
        implied = _implied_vector_field(body[IMPLIED_VECTOR_FIELD])
        if implied is not None:
            batch.schema = schema = schema.with_vector(IMPLIED_VECTOR_FIELD, implied)
    for name in schema.vectors.keys() & body.keys():
        value = body.pop(name)
        if value is None:
            continue
        try:
            vectors[name] = as_vector(value, schema.vectors[name])
        except InvalidInputError as error:
            expected, got = error.details.get("expected"), error.details.get("got")
            return {}, Fault(f"/{name}", error.code, f"field {name!r}: {error}", expected, got)
    return vectors, None


def _implied_vector_field(value: Any) -> VectorField | None:
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "fiu" and len(value):
        return VectorField(len(value))
    if isinstance(value, list) and value and all(type(item) in (int, float) for item in value):
        return VectorField(len(value))
    return None


def as_vector(value: Any, spec: VectorField) -> Vectors:
    """`value` as (dim,) float32.

    Raises:
        DimensionMismatchError: it has another size.
        InvalidInputError: not numbers, not finite, or a zero vector under cosine.
    """
    return check_vectors(_as_array(value, 1), spec)


def check_vectors(array: Vectors, spec: VectorField) -> Vectors:
    """`array`, (dim,) or (n, dim), as contiguous float32 after the checks of `as_vector`."""
    if array.shape[-1] != spec.dim:
        raise DimensionMismatchError(spec.dim, array.shape[-1])
    with np.errstate(over="ignore"):
        vectors: Vectors = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise InvalidInputError("vector has a component that is not finite (NaN, infinite, or beyond float32)")
    if spec.metric is Metric.COSINE and not np.einsum("...i,...i->...", vectors, vectors).all():
        raise InvalidInputError("vector is zero, which has no direction: metric=cosine")
    return vectors


def _as_array(value: Any, dimensions: int) -> Vectors:
    if isinstance(value, list | tuple) and not all(type(item) in (int, float) for item in value):
        raise InvalidInputError("vector must be a list of numbers")
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = np.array([float(item) for item in value])
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError("vector must be a list of numbers") from error
    if array.ndim != dimensions or array.dtype.kind not in "fiu" or array.shape[-1] == 0:
        raise InvalidInputError(f"vector must be a list of numbers: got={array.ndim} dimensions of {array.dtype}")
    return array


def _grow_schema(batch: Batch, fields: dict[str, list[tuple[int, JSON]]], documents: Sequence[Any]) -> None:
    known = batch.schema.fields
    grown = {}
    for name, entries in fields.items():
        if name in known:
            spec = known[name]
            for index, value in entries:
                wider = grow_field(spec, value)
                if wider is None:
                    batch.errors.append(_error(index, documents[index], _contradiction(name, spec.type, value)))
                else:
                    spec = wider
            if spec != known[name]:
                grown[name] = spec
        elif fault := _new_field_fault(batch.schema, name, len(known) + len(grown)):
            batch.errors.extend(_error(index, documents[index], fault) for index, _ in entries)
        else:
            inferred = infer_field(name, [value for _, value in entries])
            if inferred is not None:
                grown[name] = inferred
    if grown:
        batch.schema = _promote_text(batch.schema.with_fields(grown), fields)


def _new_field_fault(schema: Schema, name: str, count: int) -> Fault | None:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    if schema.strict:
        return Fault(pointer, "unknown_field", f"unknown field {name!r}: the collection is strict")
    if count >= FIELDS_MAX:
        return Fault(pointer, "too_many_fields", f"too many fields: maximum={FIELDS_MAX}", FIELDS_MAX)
    try:
        check_field_name(name, pointer)
    except SchemaError as error:
        return Fault(pointer, "field_name_invalid", str(error))
    return None


def _promote_text(schema: Schema, fields: dict[str, list[tuple[int, JSON]]]) -> Schema:
    """Where all text fields are embedded and none was found, the wordiest keyword field is one after all."""
    embeds_all = any(embedding.fields is None for embedding in schema.embed.values())
    if not embeds_all or any(spec.type is FieldType.TEXT for spec in schema.fields.values()):
        return schema

    def words(name: str) -> float:
        strings = [value for _, value in fields.get(name, ()) if isinstance(value, str)]
        return sum(map(len, strings)) / max(1, len(strings))

    labels = [name for name, spec in schema.fields.items() if spec.type is FieldType.KEYWORD and not spec.many]
    if not labels:
        return schema
    chosen = max(labels, key=words)
    if schema.fields[chosen].declared:
        return schema
    return schema.with_fields({chosen: replace(schema.fields[chosen], type=FieldType.TEXT)})


def _contradiction(name: str, expected: FieldType, value: JSON) -> Fault:
    items = value if isinstance(value, list) else [value]
    kinds = itertools.chain((natural_type(item) for item in items), [FieldType.JSON])
    got = next(kind for kind in kinds if kind is not None and kind is not expected)
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    message = f"field {name!r} has the wrong type: expected={expected} got={got}"
    return Fault(pointer, "type_mismatch", message, expected.value, got.value)


def _error(index: int, document: Any, fault: Fault) -> DocumentError:
    id_ = own_id(document) if isinstance(document, Mapping) else None
    return DocumentError(index, id_, f"/{index}{fault.pointer}", fault.code, fault.message, fault.expected, fault.got)
