"""What requests may say."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, RootModel, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from lumaai.wire.base import Background, Reading, Wire
from lumaai.wire.vectors import BASE64_FLOATS

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}$"
# Not what ends like a file or like a snapshot in the making or on its way out.
SNAPSHOT_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}$"
IDEMPOTENCY_KEY_PATTERN = r"^[!-~]{1,255}$"
QUESTION_CHARACTERS_MAX = 2_000

QUERY_CHARACTERS_MAX = 20_000

ScalarType = Literal["text", "keyword", "integer", "number", "boolean", "datetime", "geo", "json"]


def finite(value: Any) -> Any:
    """The value as it is; a number beyond float64 (1e400 reads as infinity) is refused wherever it is."""
    found = [value]
    for item in found:  # which grows meanwhile
        kind = type(item)
        if kind is list:
            found += item
        elif kind is dict:
            found += item.values()
        elif kind is float and not math.isfinite(item):
            raise PydanticCustomError("not_finite", "numbers must be finite")
    return value


def not_built(schema: dict[str, Any]) -> Any:
    """What is understood but not built yet: `schema` documents what works, the rest is refused as not_supported."""
    return WithJsonSchema({**schema, "description": "Other values are not supported yet."})


def not_blank(characters_max: int) -> Any:
    """What is documented here and refused further in, where the embedded database refuses it in the same words."""
    return Field(json_schema_extra={"pattern": r"\S", "maxLength": characters_max})


FieldName = Annotated[str, Field(min_length=1, max_length=256)]


def _whole(value: Any) -> Any:
    """10.0 as 10: in JSON they are one number."""
    return int(value) if type(value) is float and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
DocumentId = Annotated[str, Field(min_length=1, max_length=512, description="At most 512 bytes of UTF-8.")]
Filter = Annotated[
    dict[str, Any] | str,
    BeforeValidator(finite),
    Field(
        description='Conditions in the style of MongoDB, e.g. `{"year": {"$gte": 1990}, "genre": "drama"}`, or written '
        "like SQL, e.g. `year >= 1990 AND genre = 'drama'`.",
        examples=[{"year": {"$gte": 1990}}, "year >= 1990 AND genre = 'drama'"],
    ),
]
Document = Annotated[dict[str, Any], Field(description='A JSON object; its string "id" is made if missing.')]
Base64Floats = Annotated[
    str,
    Field(
        min_length=8,
        description="Little-endian float32 numbers in base64, the fast way to send a vector.",
        json_schema_extra={"pattern": BASE64_FLOATS},
    ),
]
# Lists stop at their first fault: each of a million would be a complaint of its own.
FloatList = Annotated[list[float], Field(min_length=1, fail_fast=True)]
Strings = Annotated[list[str], Field(fail_fast=True)]
# More fields than any collection needs, few enough to name what is wrong with each.
FIELDS_MAX = 4_096


Description = Annotated[str, Field(max_length=2_000, description="What it is about, for who answers questions.")]
Synonyms = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=128, pattern=r"\S")]],
    Field(max_length=32, fail_fast=True, description="Other words for it."),
]


class ReferenceSpec(Wire):
    """The field of another collection whose values a field has."""

    collection: str = Field(min_length=1, max_length=256)
    field: str = Field(default="id", min_length=1, max_length=256)


class FieldMeaning(Wire):
    """What a field is about; null takes away what was said."""

    description: Description | None = None
    synonyms: Synonyms | None = None
    references: ReferenceSpec | Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="Where its values lead: a collection (by id), or a field of one."
    )


class ScalarFieldSpec(FieldMeaning):
    """A field that is filtered, sorted and counted by."""

    type: ScalarType
    many: bool = Field(default=False, description="The field's values are lists.")
    declared: bool = Field(default=True, description="A declared type never widens.")


class VectorFieldSpec(Wire):
    """A field of vectors that are searched."""

    type: Literal["vector"]
    dim: Integer | None = Field(default=None, ge=1, le=65_536, description="May be left out where a model decides.")
    metric: Literal["cosine", "dot", "l2"] = "cosine"
    index: Literal["auto", "flat", "hnsw", "ivf_flat", "ivf_pq"] = "auto"
    quantization: Literal["auto", "none", "fp16", "sq8", "pq4", "rabitq"] = Field(
        default="auto", description="How exactly an index keeps vectors, as far as it knows several ways."
    )
    m: Integer = Field(default=16, ge=2, le=256, description="Neighbours of a row in the HNSW graph.")
    ef_construction: Integer = Field(default=100, ge=4, le=4_096, description="Candidates while that is built.")
    nlist: Integer | None = Field(
        default=None,
        ge=1,
        le=65_536,
        description="Lists of an ivf index, as many as a segment's rows allow (39 for each); null: about their root.",
    )


FieldSpec = Annotated[ScalarFieldSpec | VectorFieldSpec, Field(discriminator="type")]


class EmbedSpec(Wire):
    """How a vector field is filled from text."""

    from_: Strings | None = Field(default=None, alias="from", description="Text fields; null: all of them.")
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/\-]{1,200}$")] | None = Field(
        default=None, description="Name of a model; the service's own if not given."
    )
    identity: Annotated[dict[str, Any], BeforeValidator(finite)] | None = Field(
        default=None, description="What the model was; filled in by the service."
    )
    splitter: str | None = Field(
        default=None,
        description="How long text is cut: auto (by the suffix of `path`), sentences, markdown, code, none.",
    )


def _few_fields(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > FIELDS_MAX:
        raise PydanticCustomError(
            "too_many_keys", "too many fields: maximum={maximum} got={got}", {"maximum": FIELDS_MAX, "got": len(value)}
        )
    return value


FewFields = BeforeValidator(_few_fields)


class TtlSpec(Wire):
    """When documents expire: at the time that a field of theirs says, or so long after they were last written."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["field"]}, {"required": ["seconds"]}]})

    field: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="A datetime field, declared by this where `fields` does not; documents without it never expire.",
    )
    seconds: Annotated[float, Field(gt=0, le=10_000_000_000)] | None = Field(
        default=None, description="Writing a document again renews it."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        _exactly_one(self, ("field", "seconds"))
        return self


class CreateCollection(Wire):
    """`{}` infers the fields and embeds text with the default model; `"embed": {}` embeds nothing."""

    fields: Annotated[dict[FieldName, FieldSpec | ScalarType], FewFields] | None = None
    embed: Annotated[dict[FieldName, EmbedSpec], FewFields] | None = None
    strict: bool = Field(default=False, description="Refuse documents with fields that are not declared.")
    ttl: TtlSpec | None = Field(default=None, description="When documents expire; null: never.")
    description: Description | None = None
    synonyms: Synonyms | None = None


class DescribeCollection(Wire):
    """What a collection and its fields are about; what is not named stays, null takes away."""

    description: Description | None = None
    synonyms: Synonyms | None = None
    fields: Annotated[dict[FieldName, FieldMeaning], FewFields] | None = None


def _versions(value: Any) -> Any:
    """Versions by id, or the first that is none: each of a million would be a complaint of its own."""
    if isinstance(value, dict):
        for id_, version in value.items():
            if type(version) is float and version.is_integer():
                version = int(version)  # noqa: PLW2901 - in JSON they are one number
            if type(version) is not int or not 0 <= version < VERSION_BOUND:
                raise PydanticCustomError(
                    "version_invalid", "a version is a whole number from 0: got {got} for {id}",
                    {"got": repr(version)[:40], "id": repr(id_)[:80]},
                )  # fmt: skip
        return {id_: int(version) for id_, version in value.items()}
    return value


VERSION_BOUND = 2**63
Versions = Annotated[
    dict[str, Any],
    BeforeValidator(_versions),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "integer", "minimum": 0, "exclusiveMaximum": VERSION_BOUND},
            "description": "By id, the version that a document must have now; 0: there must be none.",
        }
    ),
]
Durability = Annotated[
    Literal["sync", "interval", "none"],
    Field(description="sync: answer when it is on disk. interval, none: before that; null: the service's default."),
]


class WriteConditions(Wire):
    """What a write rests on, and how durable it must be when it is answered."""

    if_version: Versions | None = None
    if_matches: Filter | None = Field(default=None, description="The stored documents must match this filter.")
    durability: Durability | None = None


class WriteDocuments(WriteConditions):
    """A batch of documents; in mode `patch` each is a JSON Merge Patch (RFC 7396) with the id of its document.

    A declared vector may be its float32 numbers in base64.
    """

    documents: Annotated[list[Document], Field(fail_fast=True)] = Field(min_length=1)
    mode: Literal["add", "insert", "patch"] = Field(
        default="add", description="add: or replace; insert: none may be there; patch: change what is there."
    )
    atomic: bool = Field(default=True, description="false: write the good ones and say what became of each.")
    if_absent: bool = Field(default=False, description="None of the documents may be there.")


class PutDocument(RootModel[dict[str, Any]]):
    """One document; its "id", if given, is the one in the path."""


class PatchDocument(RootModel[dict[str, Any]]):
    """What changes of one document: a JSON Merge Patch (RFC 7396); null takes a field away."""


class FetchDocuments(Reading):
    """Documents by their ids."""

    ids: Strings = Field(min_length=1)
    vectors: bool = Field(default=False, description="Give the stored vectors too.")
    versions: bool = Field(default=False, description="Give the documents' versions too, for `if_version`.")


class DeleteDocuments(WriteConditions):
    """Documents to delete: named, or all that a filter matches."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["ids"]}, {"required": ["filter"]}]})

    ids: Strings = Field(default=[])
    filter: Filter = Field(default={})
    dry_run: bool = Field(default=False, description="Count what would be deleted and delete nothing.")
    background: Background = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        _exactly_one(self, ("ids", "filter"))
        return self


class CountDocuments(Reading):
    """How many documents match."""

    filter: Filter | None = None
    explain: bool = Field(default=False, description="Say how the filter is evaluated; needs one.")


class OrderSpec(Wire):
    """A field to sort by."""

    field: FieldName
    direction: Literal["asc", "desc"] = "asc"


OrderKey = Annotated[str, Field(min_length=1, max_length=512)] | OrderSpec


class ScrollDocuments(Reading):
    """One page of all the documents that match, in the order of the store or of some fields."""

    limit: Integer = Field(default=1_000, ge=1)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")
    filter: Filter | None = None
    order_by: OrderKey | Annotated[list[OrderKey], Field(min_length=1, max_length=8, fail_fast=True)] | None = Field(
        default=None, description='Fields that have an order; nulls come last. `"year desc"` is in falling order.'
    )


class Reembed(Wire):
    """Embed a collection anew, with another model."""

    model: str = Field(pattern=r"^[^\x00-\x1f]{1,4096}$", description="The new model's name.")
    field: str | None = Field(default=None, description="The vector field; needed where several are embedded.")


class OptimizeCollection(Wire):
    """Seal and merge what is held in memory and in small segments."""

    wait: bool = Field(default=True, description="Answer when it is done rather than when it has begun.")
    background: Background = False


ConversationName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[ -~]+$")]


TimeZone = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_+\-]{1,40}(/[A-Za-z0-9_+\-]{1,40}){0,2}$",
        description='Whose "today" is meant: a name of the IANA database, such as Europe/Paris. null: UTC.',
    ),
]


class AskRequest(Reading):
    """A question in natural language about the documents."""

    question: Annotated[str, not_blank(QUESTION_CHARACTERS_MAX)]
    collections: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="null: all of them."
    )
    planner: Literal["auto", "rules", "llm"] = "auto"
    conversation: ConversationName | None = Field(
        default=None, description="A name of your choice, under which a question may go on from the one before."
    )
    time_zone: TimeZone | None = None
    stream: bool = Field(default=False, description="Answer with server-sent events, as they happen.")


class PlanRequest(Reading):
    """A question to plan."""

    question: Annotated[str, not_blank(QUESTION_CHARACTERS_MAX)]
    collections: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="null: all of them."
    )
    planner: Literal["auto", "rules", "llm"] = "auto"
    time_zone: TimeZone | None = None


PlanObject = Annotated[
    dict[str, Any],
    BeforeValidator(finite),
    Field(description='A plan: `{"question", "params", "steps": [{"id", "op", …}], "output"}`.'),
]
ParameterValues = Annotated[
    dict[str, Any], BeforeValidator(finite), Field(description="Values of the plan's parameters, by name.")
]


class PlanBody(Reading):
    """A plan, and what it may read."""

    plan: PlanObject
    collections: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="null: all of them."
    )


class ExecuteRequest(PlanBody):
    """A plan to run."""

    params: ParameterValues | None = None
    from_step: str | None = Field(default=None, description="Run this step and those that read it again.")
    partial: bool = Field(
        default=False, description="Begin though the language model's budget will not suffice, and answer with a part."
    )
    stream: bool = Field(default=False, description="Answer with server-sent events, as they happen.")


class SaveProgram(Wire):
    """A plan to keep."""

    plan: PlanObject
    params: ParameterValues | None = Field(
        default=None, description="Constants of the plan that become parameters, by the names that they get."
    )
    description: Description | None = None


class RunProgram(Reading):
    """How a program is run."""

    params: ParameterValues | None = None
    version: Annotated[Integer, Field(ge=1, lt=VERSION_BOUND)] | None = Field(
        default=None, description="null: the last one."
    )
    stream: bool = Field(default=False, description="Answer with server-sent events, as they happen.")


def _exactly_one(body: Wire, keys: tuple[str, ...]) -> None:
    given = [key for key in keys if key in body.model_fields_set]
    if len(given) != 1:
        wanted = " or ".join(keys)
        got = " and ".join(given) or "none of them"
        raise PydanticCustomError(
            "exactly_one", "give exactly one of {wanted}: got {got}", {"wanted": wanted, "got": got}
        )


def _number(value: Any) -> Any:
    """A whole number of the query string; what is none is left to be refused."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return value


class NoQuery(Wire):
    """Nothing is said in the query string: what stands there is a mistake."""


class ReadQuery(Wire):
    """How fresh the answer must be."""

    min_sequence: Annotated[int, BeforeValidator(_number)] = Field(
        default=0, ge=0, lt=VERSION_BOUND, description="Refuse (409) if the writes up to this one are not seen yet."
    )


class CollectionsQuery(ReadQuery):
    """Where a list of collections goes on."""

    cursor: str = Field(default="", description="`next_cursor` of the page before.")


def _flag(value: Any) -> Any:
    """A boolean of the query string, spelled as in JSON."""
    return {"true": True, "false": False}.get(value, value)


Flag = Annotated[bool, BeforeValidator(_flag)]


class DocumentsQuery(Wire):
    """How a binary body of documents is written."""

    mode: Literal["add", "insert", "patch"] = "add"
    atomic: Flag = Field(default=True, description="false: write the good ones and say what became of each.")
    durability: Durability | None = None
    ids: str = Field(default="", description="Of x-npy: the documents' ids with commas between; made if missing.")
    vector_field: str = Field(default="", description="Of x-npy: needed where a collection has several.")


class SearchQuery(ReadQuery):
    """What a search by a binary body is told beside its vector, as in a JSON body."""

    limit: Annotated[int, BeforeValidator(_number)] = Field(default=10, ge=1)
    offset: Annotated[int, BeforeValidator(_number)] = Field(default=0, ge=0)
    vector_field: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        default="", description="Needed where a collection has several."
    )
    filter: str = Field(default="", description="JSON, or written like SQL.")
    select: str = Field(default="", description="Fields, with commas between.")
    params: str = Field(default="", description="JSON.")
    explain: Flag = False


class SearchBatchQuery(ReadQuery):
    """What searches by a binary body are told beside their vectors, as in a JSON body."""

    limit: Annotated[int, BeforeValidator(_number)] = Field(default=10, ge=1)
    vector_field: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        default="", description="Needed where a collection has several."
    )
    filter: str = Field(default="", description="JSON, or written like SQL.")
    params: str = Field(default="", description="JSON.")


class BulkQuery(Wire):
    """How an upload is written."""

    strict: Flag = Field(default=False, description="Stop at the first bad line.")
    first_line: Annotated[int, BeforeValidator(_number)] = Field(
        default=1, ge=1, lt=VERSION_BOUND, description="Number of the body's first line, where a cut upload goes on."
    )
    background: Flag = Field(
        default=False, description="Answer 202 with a job as soon as all has arrived; it goes on after a restart."
    )


class ChangesQuery(ReadQuery):
    """Where the changes go on."""

    model_config = ConfigDict(populate_by_name=False)

    from_: Annotated[int, BeforeValidator(_number)] = Field(
        default=0, ge=0, lt=VERSION_BOUND, alias="from", description="`next` of the answer before; 0 for all."
    )
    limit: Annotated[int, BeforeValidator(_number)] = Field(
        default=1_000, ge=1, le=10_000, description="Changes at most; one may hold many documents."
    )


class ProgramQuery(Wire):
    """Which version of a program."""

    version: Annotated[int, BeforeValidator(_number)] = Field(
        default=0, ge=0, lt=VERSION_BOUND, description="0: the last one."
    )


class DatabaseChangesQuery(ChangesQuery):
    """Where the changes of the database go on."""

    collection: str = Field(default="", description="Only the changes of this collection.")


class CreateSnapshot(Wire):
    """A snapshot to make."""

    name: Annotated[str, Field(pattern=SNAPSHOT_PATTERN)] | None = Field(
        default=None, description="Made from the time if not given."
    )
    background: Background = False


class RestoreSnapshot(Wire):
    """How to go back."""

    background: Background = False


class CheckDatabase(Wire):
    """How to check."""

    repair: bool = Field(default=True, description="Make anew what is derived from the store and damaged.")
    background: Background = False


class ReclaimDisk(Wire):
    """How to give disk back."""

    background: Background = False
