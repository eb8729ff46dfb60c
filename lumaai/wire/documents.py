"""What requests say of documents: writes and their conditions, reads by id, pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, RootModel, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from lumaai.wire.base import Background, Reading, Wire
from lumaai.wire.values import VERSION_BOUND, Document, FieldName, Filter, Integer, Strings, exactly_one


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
        exactly_one(self, ("ids", "filter"))
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
