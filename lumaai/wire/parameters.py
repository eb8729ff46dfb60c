"""What query strings may say."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from lumaai.wire.base import Wire
from lumaai.wire.documents import Durability
from lumaai.wire.values import VERSION_BOUND


def number(value: Any) -> Any:
    """A whole number of the query string; what is none is left to be refused."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return value


class NoQuery(Wire):
    """Nothing is said in the query string: what stands there is a mistake."""


class ReadQuery(Wire):
    """How fresh the answer must be."""

    min_sequence: Annotated[int, BeforeValidator(number)] = Field(
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

    limit: Annotated[int, BeforeValidator(number)] = Field(default=10, ge=1)
    offset: Annotated[int, BeforeValidator(number)] = Field(default=0, ge=0)
    vector_field: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        default="", description="Needed where a collection has several."
    )
    filter: str = Field(default="", description="JSON, or written like SQL.")
    select: str = Field(default="", description="Fields, with commas between.")
    params: str = Field(default="", description="JSON.")
    explain: Flag = False


class SearchBatchQuery(ReadQuery):
    """What searches by a binary body are told beside their vectors, as in a JSON body."""

    limit: Annotated[int, BeforeValidator(number)] = Field(default=10, ge=1)
    vector_field: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        default="", description="Needed where a collection has several."
    )
    filter: str = Field(default="", description="JSON, or written like SQL.")
    params: str = Field(default="", description="JSON.")


class BulkQuery(Wire):
    """How an upload is written."""

    strict: Flag = Field(default=False, description="Stop at the first bad line.")
    first_line: Annotated[int, BeforeValidator(number)] = Field(
        default=1, ge=1, lt=VERSION_BOUND, description="Number of the body's first line, where a cut upload goes on."
    )
    background: Flag = Field(
        default=False, description="Answer 202 with a job as soon as all has arrived; it goes on after a restart."
    )


class ChangesQuery(ReadQuery):
    """Where the changes go on."""

    model_config = ConfigDict(populate_by_name=False)

    from_: Annotated[int, BeforeValidator(number)] = Field(
        default=0, ge=0, lt=VERSION_BOUND, alias="from", description="`next` of the answer before; 0 for all."
    )
    limit: Annotated[int, BeforeValidator(number)] = Field(
        default=1_000, ge=1, le=10_000, description="Changes at most; one may hold many documents."
    )


class ProgramQuery(Wire):
    """Which version of a program."""

    version: Annotated[int, BeforeValidator(number)] = Field(
        default=0, ge=0, lt=VERSION_BOUND, description="0: the last one."
    )


class DatabaseChangesQuery(ChangesQuery):
    """Where the changes of the database go on."""

    collection: str = Field(default="", description="Only the changes of this collection.")
