"""What is said of aliases."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lumaai.wire.base import Wire
from lumaai.wire.values import NAME_PATTERN


class SetAlias(Wire):
    """Where an alias is to lead."""

    collection: Annotated[str, Field(pattern=NAME_PATTERN)] = Field(description="Its name; an alias is none.")


class Alias(Wire):
    """An alias and its collection."""

    alias: str
    collection: str


class AliasList(Wire):
    """All aliases, by name."""

    aliases: list[Alias]
