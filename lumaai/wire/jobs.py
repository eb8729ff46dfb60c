"""The bodies of jobs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from lumaai.wire.answers import Problem
from lumaai.wire.base import Wire

JOB_ID_PATTERN = r"^[0-9a-f]{16}$"


class JobProblem(Problem):
    """Problem details of a job, which are those of no request."""

    instance: str = ""


class Job(Wire):
    """Work that goes on by itself."""

    id: str
    kind: Literal[
        "check", "compact", "purge", "snapshot", "restore", "optimize", "reembed", "delete", "recall", "import"
    ]
    collection: str | None = Field(description="That it is done to; null for the whole database.")
    arguments: dict[str, Any] = Field(description="That it was started with.")
    state: Literal["queued", "running", "done", "failed", "cancelled", "interrupted"] = Field(
        description="interrupted: by the end of the service; `advice` says what to do."
    )
    made: str = Field(description="When it was asked for, in UTC; `started` and `ended` likewise.")
    owner: str = Field(description="Who asked for it.")
    started: str | None
    ended: str | None
    stage: str | None = Field(description="What it is doing.")
    progress: float = Field(ge=0, le=1)
    documents: int | None = Field(description="Done so far, where documents are counted.")
    total: int | None
    rate: float | None = Field(description="Documents a second, likewise.")
    eta_seconds: float | None = Field(description="How long it will go on at this pace.")
    cancelling: bool = Field(description="It was told to stop, and does at its next step, if it has steps.")
    result: Any = Field(description="What the operation answers that does it at once.")
    error: JobProblem | None = Field(description="Why it failed.")
    advice: str | None = Field(description="What to do about it, where something is to be done.")
    attempts: int = Field(description="How often it was begun: once more after each restart that it outlived.")


class JobList(Wire):
    """Jobs, the newest first."""

    jobs: list[Job]
