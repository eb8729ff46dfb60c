"""A batch of documents made ready to store: checked, encoded, and the schema grown to hold it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
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
from engine.errors import DocumentError, InvalidInputError, LimitExceededError, SchemaError
from engine.schema import DIM_MAX, FIELDS_MAX, ID, JSON, Field, FieldType, Schema, VectorField, check_field_name
from engine.store.codec import NEVER
from engine.vector.checks import check_vectors
from engine.writes.expiry import expiry_of
from engine.writes.inference import all_fit, contradicts, fits, grow_field, infer_field, is_untyped, natural_type

BATCH_DOCUMENTS_MAX = 100_000
BATCH_BYTES_MAX = 512 * 1024 * 1024  # of documents as they are stored, and as much of vectors
FAULTS_MAX = 100  # of one document that are named
# Strings of a first batch that are categories: so many of them, and so few different ones.
CATEGORY_VALUES_MIN = 20
CATEGORY_SHARE_MAX = 0.3
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
        base: the collection's schema that they were checked against.
        documents: as they were given.
        schema: `base`, grown to hold these documents.
        bodies: what is stored, as JSON bytes; vectors are taken out of it.
        own_vectors: the vectors that documents carried, by field.
        errors: the documents that cannot be stored; where there are any, the batch must not be.
        expires: when each expires, in microseconds since 1970; empty where no field of theirs says so.
        faults: how many fields of a document cannot be stored; `FAULTS_MAX` of them are among the errors.
    """

    base: Schema
    documents: Sequence[Any]
    schema: Schema
    ids: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    own_vectors: dict[str, VectorRows] = field(default_factory=dict)
    errors: list[DocumentError] = field(default_factory=list)
    expires: list[int] = field(default_factory=list)
    faults: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.documents)

    def with_ids(self) -> Sequence[Any]:
        """The documents with the ids that were made for them, so that preparing them again makes no others."""
        if self.errors or all(document.get(ID) for document in self.documents):
            return self.documents
        return [{**document, ID: id_} for document, id_ in zip(self.documents, self.ids, strict=True)]


def prepare(documents: Sequence[Any], schema: Schema) -> Batch:
    """Check and encode `documents` against `schema`; faults are collected, one a document.

    Raises:
        LimitExceededError: there are more than `BATCH_DOCUMENTS_MAX`, or more than `BATCH_BYTES_MAX` of them.
    """
    if len(documents) > BATCH_DOCUMENTS_MAX:
        raise LimitExceededError("batch has too many documents", BATCH_DOCUMENTS_MAX, len(documents), "documents")
    batch = Batch(schema, documents, schema)
    carried: dict[str, list[tuple[int, Vectors]]] = {}
    fields: dict[str, list[tuple[int, JSON]]] = {}
    for index, document in enumerate(documents):
        fault = _take_document(batch, carried, fields, index, document)
        if fault is not None:
            batch.errors.append(_error(index, document, fault))
    size = sum(map(len, batch.bodies))
    if size > BATCH_BYTES_MAX:
        raise LimitExceededError("batch is too large", BATCH_BYTES_MAX, size, "bytes")
    _grow_schema(batch, fields)
    if schema.ttl is not None and schema.ttl.field is not None:
        _take_expiry(batch, schema.ttl.field, fields.get(schema.ttl.field, ()))
    batch.errors.sort(key=lambda error: error.index)
    batch.own_vectors = {
        name: VectorRows(np.stack([vector for _, vector in rows]), np.array([i for i, _ in rows], dtype=np.int64))
        for name, rows in carried.items()
    }
    return batch


def _take_expiry(batch: Batch, name: str, entries: Iterable[tuple[int, JSON]]) -> None:
    """Note when documents expire, and those whose field says so is no moment."""
    batch.expires = [NEVER] * len(batch)
    known = {error.index for error in batch.errors}
    for index, value in entries:
        expires = expiry_of(value)
        if expires is not None:
            batch.expires[index] = expires
        elif index not in known:
            message = f"field {name!r} says when the document expires and must be a datetime: got={value!r:.60}"
            fault = Fault(f"/{_escape(name)}", "type_mismatch", message, FieldType.DATETIME.value)
            _refuse(batch, [(index, value)], fault)


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
    known = IMPLIED_VECTOR_FIELD in schema.vectors or IMPLIED_VECTOR_FIELD in schema.fields
    if IMPLIED_VECTOR_FIELD in body and not known and not schema.strict:
        implied = _implied_vector_field(body[IMPLIED_VECTOR_FIELD])
        if implied is not None:
            batch.schema = schema = schema.with_vector(IMPLIED_VECTOR_FIELD, implied)
    for name in schema.vectors:
        value = body.pop(name, None)
        if value is None:
            continue
        try:
            vectors[name] = as_vector(value, schema.vectors[name])
        except InvalidInputError as error:
            expected, got = error.details.get("expected"), error.details.get("got")
            return {}, Fault(f"/{name}", error.code, f"field {name!r}: {error}", expected, got)
    return vectors, None


def _implied_vector_field(value: Any) -> VectorField | None:
    if isinstance(value, np.ndarray):
        numbers = value.ndim == 1 and value.dtype.kind in "fiu"
    else:
        numbers = isinstance(value, list) and all(type(item) in (int, float) for item in value)
    return VectorField(len(value)) if numbers and 0 < len(value) <= DIM_MAX else None


def as_vector(value: Any, spec: VectorField) -> Vectors:
    """`value` as (dim,) float32.

    Raises:
        DimensionMismatchError: it has another size.
        InvalidInputError: not numbers, not finite, too long, or a zero vector under cosine.
    """
    return check_vectors(_as_array(value, 1), spec)


def check_rows(batch: Batch, given: Mapping[str, VectorRows]) -> tuple[dict[str, VectorRows], Schema]:
    """The rows of both ways to give vectors, checked, and the schema with the vector fields that they imply.

    Raises:
        InvalidInputError: they do not fit their field or their documents.
        LimitExceededError: there are more than `BATCH_BYTES_MAX` of them.
    """
    schema, merged = batch.schema, dict(batch.own_vectors)
    size = sum(4 * np.size(rows.vectors) for rows in (*merged.values(), *given.values()))
    if size > BATCH_BYTES_MAX:
        raise LimitExceededError("vectors of the batch are too large", BATCH_BYTES_MAX, size, "bytes")
    for name, rows in given.items():
        array = np.asarray(rows.vectors)
        if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
            raise InvalidInputError(f"vectors of {name!r} must be numbers of shape (rows, dim): got={array.shape}")
        if name not in schema.vectors:
            schema = _with_implied(schema, name, array.shape[1])
        if name in merged:
            raise InvalidInputError(f"vectors of {name!r} are given twice: within documents and beside them")
        documents = _check_places(name, rows, len(array), len(batch))
        merged[name] = VectorRows(check_vectors(array, schema.vectors[name]), documents, rows.passages)
    return {name: rows for name, rows in merged.items() if len(rows.vectors)}, schema


def _with_implied(schema: Schema, name: str, dim: int) -> Schema:
    if schema.strict or name in schema.fields:
        raise InvalidInputError(f"unknown vector field {name!r}")
    check_field_name(name, "/vectors")
    if dim > DIM_MAX:
        raise InvalidInputError(f"vector has too many components: maximum={DIM_MAX} got={dim}")
    return schema.with_vector(name, VectorField(dim))


def _check_places(name: str, rows: VectorRows, count: int, documents: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """`rows.documents` as int64: one a vector, ascending, within the batch; and the passages likewise."""
    places = np.asarray(rows.documents)
    if places.shape != (count,) or (count and places.dtype.kind not in "iu"):
        raise InvalidInputError(f"vectors of {name!r} need one document each: expected={count} got={places.shape}")
    places = places.astype(np.int64)
    if count and (places[0] < 0 or places[-1] >= documents or (np.diff(places) < 0).any()):
        raise InvalidInputError(f"vectors of {name!r} must follow the order of their documents: documents={documents}")
    if rows.passages is not None and len(rows.passages) != count:
        raise InvalidInputError(f"vectors of {name!r} need one passage each: expected={count} got={len(rows.passages)}")
    for passage in rows.passages or ():
        if passage is not None and not 0 <= passage.start <= passage.end < 2**32:
            raise InvalidInputError(f"passage has no such span: start={passage.start} end={passage.end}")
    return places


def _as_array(value: Any, dimensions: int) -> Vectors:
    if isinstance(value, list | tuple) and not all(type(item) in (int, float) for item in value):
        raise InvalidInputError("vector must be a list of numbers")
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = np.array([float(item) for item in value])
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError("vector must be a list of numbers") from error
    if array.ndim != dimensions or array.dtype.kind not in "fiu":
        raise InvalidInputError(f"vector must be a list of numbers: got={array.ndim} dimensions of {array.dtype}")
    return array


def _grow_schema(batch: Batch, fields: dict[str, list[tuple[int, JSON]]]) -> None:
    """Widen the fields that these values widen, infer those that are new, and note what contradicts."""
    known = batch.schema.fields
    grown: dict[str, Field] = {}
    for name, entries in fields.items():
        if name in batch.schema.vectors:  # a later document of the batch made it a vector field
            message = f"field {name!r} must be a list of numbers, as in other documents of the batch"
            _refuse(batch, entries, Fault(f"/{_escape(name)}", "type_mismatch", message, "vector"))
            continue
        old = known.get(name)
        if old is not None and not is_untyped(old):
            new: Field | None = _widened(batch, name, old, entries)
        elif old is None and (fault := _new_field_fault(batch.schema, name, len(known) + len(grown))):
            _refuse(batch, entries, fault)
            continue
        else:
            new = _inferred(batch, name, entries)
            if new is not None and old is not None:  # there are empty lists stored
                new = replace(new, many=is_untyped(new) or new.type is not FieldType.JSON)
        if new is not None and new != old:
            grown[name] = new
    if grown:
        batch.schema = _promote_text(batch.schema.with_fields(grown), fields)


def _inferred(batch: Batch, name: str, entries: list[tuple[int, JSON]]) -> Field | None:
    """The field that these values imply; the few that contradict nearly all others are noted."""
    values = [value for _, value in entries]
    spec = infer_field(name, values)
    if spec is None or all_fit(spec, values):
        return spec
    bad = [(index, value) for index, value in entries if contradicts(spec, value)]
    for index, value in bad:
        fault = _contradiction(name, spec.type, value)
        share = f"{len(entries) - len(bad):,} of {len(entries):,} documents have {spec.type}; a declared type decides"
        _refuse(batch, [(index, value)], replace(fault, message=f"{fault.message} ({share})"))
    return spec


def _widened(batch: Batch, name: str, spec: Field, entries: list[tuple[int, JSON]]) -> Field:
    """`spec`, widened as far as these values need; those that contradict it are noted."""
    if all_fit(spec, [value for _, value in entries]):
        return spec
    for index, value in entries:
        wider = grow_field(spec, value)
        if wider is None:
            _refuse(batch, [(index, value)], _contradiction(name, spec.type, value))
        else:
            spec = wider
    return spec


def _refuse(batch: Batch, entries: list[tuple[int, JSON]], fault: Fault) -> None:
    for index, _ in entries:
        batch.faults[index] = batch.faults.get(index, 0) + 1
        if batch.faults[index] <= FAULTS_MAX:
            batch.errors.append(_error(index, batch.documents[index], fault))


def _new_field_fault(schema: Schema, name: str, count: int) -> Fault | None:
    pointer = f"/{_escape(name)}"
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
    """Where all text fields are embedded and none was found, the keyword field with the longest values becomes one.

    But for categories: whoever has only those has a table, and searches of "open" or "shipped" by meaning find nothing
    that a filter would not.
    """
    embeds_all = any(embedding.fields is None for embedding in schema.embed.values())
    if not embeds_all or any(spec.type is FieldType.TEXT for spec in schema.fields.values()):
        return schema

    def strings_of(name: str) -> list[str]:
        return [value for _, value in fields.get(name, ()) if isinstance(value, str)]

    def characters(name: str) -> float:
        strings = strings_of(name)
        return sum(map(len, strings)) / max(1, len(strings))

    def is_category(name: str) -> bool:
        strings = strings_of(name)
        return len(strings) >= CATEGORY_VALUES_MIN and len(set(strings)) <= CATEGORY_SHARE_MAX * len(strings)

    labels = [
        name
        for name, spec in schema.fields.items()
        if spec.type is FieldType.KEYWORD and not spec.many and not is_category(name)
    ]
    if not labels:
        return schema
    chosen = max(labels, key=characters)
    if schema.fields[chosen].declared:
        return schema
    return schema.with_fields({chosen: replace(schema.fields[chosen], type=FieldType.TEXT)})


def _contradiction(name: str, expected: FieldType, value: JSON) -> Fault:
    items = value if isinstance(value, list) else [value]
    kinds = itertools.chain((natural_type(item) for item in items if not fits(expected, item)), [FieldType.JSON])
    got = next(kind for kind in kinds if kind is not None)
    pointer = f"/{_escape(name)}"
    message = f"field {name!r} has the wrong type: expected={expected} got={got}"
    return Fault(pointer, "type_mismatch", message, expected.value, got.value)


def _escape(token: str) -> str:
    """One token of a JSON Pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


def _error(index: int, document: Any, fault: Fault) -> DocumentError:
    id_ = own_id(document) if isinstance(document, Mapping) else None
    return DocumentError(index, id_, f"/{index}{fault.pointer}", fault.code, fault.message, fault.expected, fault.got)
