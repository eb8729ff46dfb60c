"""The bodies of requests and responses, exactly as `/openapi.json` shows them.

Requests are validated with these models. Responses are written with msgspec, because documents are spliced into
them as the bytes they are stored as; the response models here are what those bytes conform to, which a test and
the OpenAPI checks hold.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, model_validator
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,127}$"
QUESTION_CHARACTERS_MAX = 2_000

QUERY_CHARACTERS_MAX = 20_000

ScalarType = Literal["text", "keyword", "integer", "number", "boolean", "datetime", "geo", "json"]


class Wire(BaseModel):
    """Base of all bodies: unknown keys, wrong types (true is not 1) and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


def _finite(value: Any) -> Any:
    """The value as it is; a number beyond float64 (1e400 reads as infinity) is refused wherever it is."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise PydanticCustomError("not_finite", "numbers must be finite")
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return value


def not_blank(characters_max: int) -> Any:
    """What is documented here and refused further in, where the embedded database refuses it in the same words."""
    return Field(json_schema_extra={"pattern": r"\S", "maxLength": characters_max})


FieldName = Annotated[str, Field(min_length=1, max_length=256)]
DocumentId = Annotated[str, Field(min_length=1, max_length=512, description="At most 512 bytes of UTF-8.")]
Filter = Annotated[
    dict[str, Any],
    BeforeValidator(_finite),
    Field(
        description='Conditions in the style of MongoDB, e.g. `{"year": {"$gte": 1990}, "genre": "drama"}`.',
        examples=[{"year": {"$gte": 1990}}],
    ),
]
Document = Annotated[dict[str, Any], Field(description='A JSON object; its string "id" is made if missing.')]
StoredDocument = Annotated[dict[str, Any], Field(description='The document as it was given, with its "id".')]
Base64Floats = Annotated[
    str,
    Field(min_length=4, description="Little-endian float32 numbers in base64, the fast way to send a vector."),
]
FloatList = Annotated[list[float], Field(min_length=1)]


# Requests


class ScalarFieldSpec(Wire):
    """A field that is filtered, sorted and counted by."""

    type: ScalarType
    many: bool = Field(default=False, description="The field's values are lists.")
    declared: bool = Field(default=True, description="A declared type never widens.")


class VectorFieldSpec(Wire):
    """A field of vectors that are searched."""

    type: Literal["vector"]
    dim: int | None = Field(default=None, ge=1, le=65_536, description="May be left out where a model decides.")
    metric: Literal["cosine", "dot", "l2"] = "cosine"
    index: Literal["auto", "flat", "hnsw"] = "auto"
    m: int = Field(default=16, ge=2, le=256, description="Neighbours of a row in the HNSW graph.")
    ef_construction: int = Field(default=100, ge=4, le=4_096)


FieldSpec = Annotated[ScalarFieldSpec | VectorFieldSpec, Field(discriminator="type")]


class EmbedSpec(Wire):
    """How a vector field is filled from text."""

    from_: list[str] | None = Field(default=None, alias="from", description="Text fields; null: all of them.")
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/\-]{1,200}$")] | None = Field(
        default=None, description="Name of a model; the service's own if not given."
    )
    identity: Annotated[dict[str, Any], BeforeValidator(_finite)] | None = Field(
        default=None, description="What the model was; filled in by the service."
    )


class CreateCollection(Wire):
    """`{}` infers the fields and embeds text with the default model; `"embed": {}` embeds nothing."""

    fields: dict[FieldName, FieldSpec | ScalarType] | None = None
    embed: dict[FieldName, EmbedSpec] | None = None
    strict: bool = Field(default=False, description="Refuse documents with fields that are not declared.")


class AddDocuments(Wire):
    """A batch of documents to add or replace."""

    documents: list[Document] = Field(min_length=1)


class PutDocument(RootModel[dict[str, Any]]):
    """One document; its "id", if given, is the one in the path."""


class FetchDocuments(Wire):
    """Documents by their ids."""

    ids: list[str] = Field(min_length=1)
    vectors: bool = Field(default=False, description="Give the stored vectors too.")


class DeleteDocuments(Wire):
    """Documents to delete: named, or all that a filter matches."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["ids"]}, {"required": ["filter"]}]})

    ids: list[str] = Field(default=[], min_length=1)
    filter: Filter = {}
    dry_run: bool = Field(default=False, description="Count what would be deleted and delete nothing.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        _exactly_one(self, ("ids", "filter"))
        return self


class CountDocuments(Wire):
    """How many documents match."""

    filter: Filter | None = None


class ScrollDocuments(Wire):
    """One page of all the documents that match, in the order of the store."""

    limit: int = Field(default=1_000, ge=1)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")
    filter: Filter | None = None
    order_by: str | None = Field(default=None, description="Not supported yet: leave it out.")


class OptimizeCollection(Wire):
    """Seal and merge what is held in memory and in small segments."""

    wait: bool = Field(default=True, description="Answer when it is done rather than when it has begun.")


class SearchParams(Wire):
    """How hard to search."""

    ef_search: int | None = Field(
        default=None, ge=1, le=100_000, description="Candidates kept while walking the graph."
    )
    exact: bool = Field(default=False, description="Compare with every vector instead of using the index.")


SEARCH_KEYS = ("query", "vector", "id", "positive", "negative")


class SearchOptions(Wire):
    """What one search and a batch of searches have in common."""

    vector_field: str | None = Field(default=None, description="Needed where a collection has several.")
    limit: int = Field(default=10, ge=1)
    filter: Filter | None = None
    params: SearchParams = SearchParams()


class SearchRequest(SearchOptions):
    """The documents nearest to a text, a vector or another document."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in ("query", "vector", "id")]})

    query: Annotated[str, not_blank(QUERY_CHARACTERS_MAX)] = Field(
        default="", description="Text to embed and search for."
    )
    vector: FloatList | Base64Floats = Field(default=[], description="As many numbers as the vector field has.")
    id: DocumentId = Field(default="", description="Find documents like this one.")
    positive: list[Any] | None = Field(default=None, description="Not supported yet: leave it out.")
    negative: list[Any] | None = Field(default=None, description="Not supported yet: leave it out.")
    mode: Literal["semantic", "keyword", "hybrid"] = Field(
        default="semantic", description="Only `semantic` is supported yet."
    )
    offset: int = Field(default=0, ge=0)
    select: list[str] | None = Field(default=None, description="Fields of the documents to give; null: all.")
    explain: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if "positive" not in self.model_fields_set and "negative" not in self.model_fields_set:
            _exactly_one(self, ("query", "vector", "id"))
        return self


class SearchBatchRequest(SearchOptions):
    """Many vectors at once; the answer gives ids and scores only."""

    vectors: Annotated[list[FloatList], Field(min_length=1)] | Base64Floats = Field(
        description="Lists of equal length, or all numbers row after row as base64 float32."
    )


class AskRequest(Wire):
    """A question in natural language about the documents."""

    question: Annotated[str, not_blank(QUESTION_CHARACTERS_MAX)]
    collections: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="null: all of them."
    )
    planner: Literal["auto", "rules", "llm"] = "auto"
    stream: bool = Field(default=False, description="Not supported yet: leave it out.")


def _exactly_one(body: Wire, keys: tuple[str, ...]) -> None:
    given = [key for key in keys if key in body.model_fields_set]
    if len(given) != 1:
        wanted = " or ".join(keys)
        got = " and ".join(given) or "none of them"
        raise PydanticCustomError(
            "exactly_one", "give exactly one of {wanted}: got {got}", {"wanted": wanted, "got": got}
        )


def vector_of(given: list[float] | str) -> np.ndarray:
    """The (dim,) float32 vector of a request.

    Raises:
        ValueError: not base64, not whole float32 numbers, or a number float32 cannot hold.
    """
    if isinstance(given, str):
        try:
            raw = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("vector is not base64") from error
        if len(raw) % 4:
            raise ValueError(f"vector is not whole float32 numbers: bytes={len(raw)}")
        vector = np.frombuffer(raw, dtype="<f4")
    else:
        with np.errstate(over="ignore"):
            vector = np.asarray(given, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise ValueError("vector has numbers that are not finite float32")
    return vector


def vectors_of(given: list[list[float]] | str, dim: int) -> np.ndarray:
    """The (n, dim) float32 vectors of a request; `dim` cuts base64 into rows.

    Raises:
        ValueError: as for `vector_of`, or rows of unequal length.
    """
    if isinstance(given, str):
        flat = vector_of(given)
        if len(flat) % dim:
            raise ValueError(f"vectors are not whole rows: dim={dim} got={len(flat)} numbers")
        return flat.reshape(-1, dim)
    lengths = sorted({len(row) for row in given})
    if len(lengths) > 1:
        raise ValueError(f"vectors have different sizes: smallest={lengths[0]} largest={lengths[-1]}")
    return np.stack([vector_of(row) for row in given])


class CollectionsQuery(Wire):
    """Where a list of collections goes on."""

    cursor: str = Field(default="", description="`next_cursor` of the page before.")


def _flag(value: Any) -> Any:
    """A boolean of the query string, spelled as in JSON."""
    return {"true": True, "false": False}.get(value, value)


Flag = Annotated[bool, BeforeValidator(_flag)]


class AddQuery(Wire):
    """How a batch is written."""

    mode: Literal["add", "insert", "patch"] = Field(default="add", description="Only `add` is supported yet.")
    atomic: Flag = Field(default=True, description="false: write the good documents and list the bad ones.")


class BulkQuery(Wire):
    """How an upload is written."""

    strict: Flag = Field(default=False, description="Stop at the first bad line.")


# Responses


class ErrorItem(Wire):
    """One thing that is wrong, and where."""

    pointer: str | None = Field(default=None, description="JSON Pointer into the body (RFC 6901).")
    code: str
    message: str | None = None
    index: int | None = Field(default=None, description="Which document of the batch.")
    id: str | None = None
    expected: Any = None
    got: Any = None


class Problem(Wire):
    """RFC 9457 problem details; `code` is for programs, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The id of the request, also in X-Request-Id.")
    retry_after: float | None = Field(default=None, description="Seconds; also in the Retry-After header.")
    code: str
    errors: list[ErrorItem]
    retryable: bool


class CollectionInfo(Wire):
    """A collection as it is now."""

    name: str
    documents: int
    sequence: int = Field(description="Of the last change that this view includes.")
    # Called `schema` on the wire; pydantic has a method of that name.
    schema_: dict[str, Any] = Field(alias="schema", description="What `PUT` takes: fields, embed, strict.")


class CollectionList(Wire):
    """All collections, by name."""

    collections: list[CollectionInfo]
    next_cursor: str | None = None


class Stats(BaseModel):
    """How a collection is kept."""

    model_config = ConfigDict(extra="allow")

    documents: int
    sequence: int


class DatabaseStats(BaseModel):
    """How much the database takes."""

    model_config = ConfigDict(extra="allow")


class StoredObject(BaseModel):
    """The document as it was given, with its "id"."""

    model_config = ConfigDict(extra="allow")

    id: str


class WriteResponse(Wire):
    """What became of a batch; on return it is on disk and found by the next search."""

    sequence: int
    durability: str
    added: int
    replaced: int
    skipped: int = Field(description="Identical documents, left as they were.")
    ids: list[str]
    errors: list[ErrorItem]


class DeleteResponse(Wire):
    """How many documents were deleted (with `dry_run`: would be)."""

    sequence: int
    deleted: int


class DocumentList(Wire):
    """Documents in the order of the ids asked for; null where there is none."""

    documents: list[StoredDocument | None]


class CountResponse(Wire):
    """How many documents match."""

    count: int


class ScrollPage(Wire):
    """One page of documents; the last has no `next_cursor`."""

    documents: list[StoredDocument]
    next_cursor: str | None


class PassageHit(Wire):
    """The part of a text field that matched: characters `start` to `end`."""

    field: str
    start: int
    end: int
    text: str


class Hit(Wire):
    """One document found; a larger score is better."""

    id: str
    score: float
    document: StoredDocument
    passage: PassageHit | None = None


class SearchResponse(Wire):
    """The best documents, best first."""

    hits: list[Hit]
    sequence: int
    milliseconds: float
    explain: dict[str, Any] | None = None


class SearchBatchResponse(Wire):
    """For each vector its nearest documents, best first."""

    ids: list[list[str]]
    scores: list[list[float]]
    sequence: int
    milliseconds: float


class BulkLine(Wire):
    """One line of the answer to a bulk upload: a batch, a bad line, or (the last) the summary."""

    type: Literal["batch", "error", "summary"]
    line: int | None = Field(default=None, description="Of a bad line, counted from 1.")
    first_line: int | None = None
    last_line: int | None = None
    lines: int | None = None
    sequence: int | None = None
    added: int | None = None
    replaced: int | None = None
    skipped: int | None = None
    failed: int | None = None
    stopped: bool | None = Field(default=None, description="True: the rest of the upload was not taken.")
    pointer: str | None = None
    code: str | None = None
    message: str | None = None
    expected: Any = None
    got: Any = None
    id: str | None = None


class Answer(BaseModel):
    """An answer with its evidence: the plan that ran, rows in and out of each step, citations."""

    model_config = ConfigDict(extra="allow")

    answer: dict[str, Any] = Field(description="`text`, `values`, `citations`…")


class Health(Wire):
    """The process answers."""

    status: Literal["ok"]
    version: str


class Readiness(Wire):
    """Whether the service may serve, and if not, why."""

    ready: bool
    reasons: list[str]


class Limits(Wire):
    """What one request may ask for at most."""

    body_bytes_max: int
    bulk_bytes_max: int
    line_bytes_max: int
    batch_documents_max: int
    search_limit_max: int
    search_batch_max: int
    scroll_limit_max: int
    request_seconds_max: float
    question_characters_max: int
    search_threads: int
    search_queue_max: int
    write_threads: int
    write_queue_max: int
    ask_threads: int
    ask_queue_max: int
