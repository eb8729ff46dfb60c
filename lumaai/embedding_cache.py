"""The caches of a database's embeddings: opened when the first model is, emptied when deleted text must be gone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import models
from lumaai.errors import InvalidRequestError, ModelUnavailableError
from lumaai.model_options import ModelOptions

log = logging.getLogger(__name__)

CACHE_FILE = "embeddings-1.sqlite3"  # the number is the file's format


class EmbeddingCaches:
    """Vectors of texts, in this process and behind it. Safe for many threads.

    A cache that cannot be opened costs speed only: it is said once, and the others serve. The lock guards opening.

    Args:
        options: which caches there are.
        directory: of the database; None where nothing may be written to it.
        memory_bytes_max: of the vectors in this process.
    """

    def __init__(self, options: ModelOptions, directory: Path | None, memory_bytes_max: int) -> None:
        self.kind = "memory" if options.cache == "sqlite" and directory is None else options.cache
        self.memory_bytes_max = 0 if self.kind == "none" else memory_bytes_max
        self._options = options
        self._file = None if directory is None else directory / CACHE_FILE
        self._memory = models.MemoryCache(self.memory_bytes_max)
        self._lock = threading.Lock()
        self._opened: tuple[models.EmbeddingCache, ...] | None = None

    @property
    def memory_bytes(self) -> int:
        """What the vectors in this process take."""
        return self._memory.memory_bytes

    def open(self) -> Sequence[models.EmbeddingCache]:
        """The caches, nearest first."""
        with self._lock:
            if self._opened is None:
                shared = self._open_shared() if self.kind in {"sqlite", "redis"} else None
                near = () if self.kind == "none" else (self._memory,)
                self._opened = near if shared is None else (*near, shared)
            return self._opened

    def forget_all(self) -> None:
        """Empty all caches, those that this process has not used included.

        Raises:
            ModelUnavailableError: vectors of deleted texts may still be there (code "cache_unavailable"); try again.
        """
        self._remove_unused_file()
        errors = []
        for cache in reversed(self.open()):  # the shared one first, so that it does not fill the near one again
            try:
                cache.clear()
            except models.CacheUnavailableError as error:
                errors.append(error)
        if errors or (self.kind == "redis" and len(self.open()) < 2):
            reason = str(errors[0]) if errors else "embedding cache could not be opened: cache=redis"
            message = f"{reason}; all else is done, but it may hold vectors of deleted texts: try again"
            raise ModelUnavailableError(message, code="cache_unavailable", retryable=True)

    def close(self) -> None:
        """Let go of files and connections; doing it twice does no harm."""
        with self._lock:
            for cache in self._opened or ():
                cache.close()
            self._opened = ()

    def _open_shared(self) -> models.EmbeddingCache | None:
        try:
            if self.kind == "redis":
                return self._open_redis()
            assert self._file is not None
            return models.SqliteCache(self._file, file_bytes_max=self._options.cache_bytes_max)
        except models.ModelError as error:
            log.warning("cache.unusable", extra={"cache": self.kind, "reason": str(error)})
            return None

    def _open_redis(self) -> models.EmbeddingCache:
        try:
            return models.RedisCache(self._options.redis_url or "")
        except ModuleNotFoundError as error:
            raise InvalidRequestError(
                "cache 'redis' needs the extra redis. Install it with: pip install 'lumaai[redis]'",
                code="settings_invalid",
            ) from error

    def _remove_unused_file(self) -> None:
        """A file of another time, when this was the cache, holds what must be forgotten as well."""
        if self.kind == "sqlite" or self._file is None:
            return
        for suffix in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)


def cache_figures(counts: Sequence[models.CacheCounts], kind: str) -> dict[str, Any]:
    """Hits by cache, misses, and the share of hits, over all models."""
    hits: dict[str, int] = {}
    for each in counts:
        for name, found in each.hits.items():
            hits[name] = hits.get(name, 0) + found
    misses = sum(each.misses for each in counts)
    total = sum(hits.values()) + misses
    rate = sum(hits.values()) / total if total else 0.0
    return {"kind": kind, "hits": hits, "misses": misses, "hit_rate": rate}
