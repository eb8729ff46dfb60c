"""What is said of API keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lumaai.key_info import GRACE_SECONDS_MAX, NAME_CHARACTERS_MAX, REQUESTS_MAX, SECONDS_MAX
from lumaai.wire.base import Wire
from lumaai.wire.values import Integer

KEY_ID_PATTERN = r"^[0-9a-f]{12}$"
COLLECTION_PATTERN = r"^([A-Za-z0-9_.\-]{0,127}\*|[A-Za-z0-9_.\-]{1,128})$"

VerbName = Literal["read", "write", "ask", "admin"]
Requests = Annotated[Integer, Field(ge=1, le=REQUESTS_MAX)]


class CreateKey(Wire):
    """A key to make."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)] = Field(
        description="What it is called in lists; printable characters."
    )
    verbs: Annotated[list[VerbName], Field(min_length=1, max_length=256, fail_fast=True)] = Field(
        description="`admin` includes the others."
    )
    collections: Annotated[
        list[Annotated[str, Field(pattern=COLLECTION_PATTERN)]], Field(min_length=1, max_length=256, fail_fast=True)
    ] = Field(description="Names, or beginnings of names with a `*` behind; `*` is all of them.")
    expires_in_seconds: Annotated[float, Field(gt=0, le=SECONDS_MAX)] | None = Field(
        default=None, description="null: never."
    )
    requests_per_minute: Requests | None = None
    requests_per_day: Requests | None = Field(default=None, description="From midnight to midnight UTC.")


class RotateKey(Wire):
    """How to rotate a key."""

    grace_seconds: Annotated[float, Field(ge=0, le=GRACE_SECONDS_MAX)] = Field(
        default=0.0, description="How long the secret before goes on working."
    )


class KeyInfo(Wire):
    """An API key without its secret."""

    id: str
    name: str
    verbs: list[VerbName]
    collections: list[str]
    created: str
    expires: str | None
    last_used: str | None = Field(description="To the minute or so.")
    requests_per_minute: int | None
    requests_per_day: int | None


class NewKey(KeyInfo):
    """An API key that was just made or rotated."""

    key: str = Field(description="What to send. It is shown this once and kept nowhere.")


class KeyList(Wire):
    """All keys, in the order in which they were made."""

    keys: list[KeyInfo]
