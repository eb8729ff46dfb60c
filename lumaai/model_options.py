"""How models are run, and where their vectors are kept: the part of the settings that an embedded database takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import models
from lumaai.errors import InvalidRequestError

CacheKind: TypeAlias = Literal["none", "memory", "sqlite", "redis"]
CACHE_FILE_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How models are run.

    Attributes:
        precision: of collections to come: "float32", "int8", or "auto": int8 where its measured loss of quality is
            small. A collection stays with the precision that it was made with.
        threads: of a model; None lets it choose.
        cache: where the vectors of texts are kept beside this process: "sqlite" is a file in the database directory,
            "redis" is shared by several services, "memory" and "none" are nowhere.
        cache_bytes_max: of that file.
        redis_url: such as `redis://localhost:6379/0`.
        embeddings: the service of models named `openai:NAME`, and its key.
        rerankers: likewise, of rerankers.
        reranker: reranks searches that name no model.
    """

    precision: Literal["auto", "float32", "int8"] = "auto"
    threads: int | None = None
    cache: CacheKind = "sqlite"
    cache_bytes_max: int = CACHE_FILE_BYTES_MAX
    redis_url: str | None = field(default=None, repr=False)
    embeddings: models.RemoteAccess = field(default_factory=models.RemoteAccess)
    rerankers: models.RemoteAccess = field(default_factory=models.RemoteAccess)
    reranker: str = models.LATE_INTERACTION

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            InvalidRequestError: an unknown precision or cache, or Redis without its address (code "settings_invalid").
        """
        choices = {"precision": ("auto", "float32", "int8"), "cache": ("none", "memory", "sqlite", "redis")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise _wrong(f"{name} must be one of {', '.join(known)}: got={given!r:.40}")
        if self.cache == "redis" and not self.redis_url:
            raise _wrong("cache 'redis' needs its address: give redis_url, or set LUMAAI_REDIS_URL")

    def load_embedder(
        self,
        name: str,
        precision: str | None,
        *,
        cache_directory: Path,
        progress: Callable[[str, float], None] | None = None,
    ) -> models.Embedder:
        """The model of that name, in the precision that a collection has, or else the one chosen here."""
        return models.load_embedder(
            name,
            cache_directory=cache_directory,
            threads=self.threads,
            precision=self.precision if precision is None else models.Precision(precision).value,
            remote=self.embeddings,
            progress=progress,
        )

    def load_reranker(
        self,
        name: str,
        embedder: object,
        *,
        cache_directory: Path,
        progress: Callable[[str, float], None] | None = None,
    ) -> models.Reranker:
        """The reranker of that name; `embedder` is the collection's, for late interaction."""
        return models.load_reranker(
            name,
            cache_directory=cache_directory,
            threads=self.threads,
            embedder=embedder,
            remote=self.rerankers,
            progress=progress,
        )


def _wrong(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="settings_invalid")
