"""Requests to look after a database as a whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lumaai.wire.base import Background, Wire
from lumaai.wire.values import SNAPSHOT_PATTERN


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
