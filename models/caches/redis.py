"""Vectors in Redis, shared by several services (extra `redis`)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import redis

from models.cache import Vector, decode_vector, encode_vector
from models.embedder import Vectors
from models.errors import CacheUnavailableError, ModelError

log = logging.getLogger(__name__)

DEFAULT_TTL_SECONDS = 30 * 24 * 3600
DEFAULT_PREFIX = "lumaai:embedding:"

_TIMEOUT_SECONDS = 0.25  # of connecting and of one answer; embedding the texts anew is rarely slower
_REST_SECONDS = 5.0  # after a failure nothing is asked for this long, so that a dead server costs nothing
_DELETED_AT_ONCE = 1000


class RedisCache:
    """One hash for each text, one field of it for each model. Any failure costs speed only.

    Args:
        url: as `redis.Redis.from_url` takes it, e.g. "redis://localhost:6379/0".
        prefix: before every key; services that share vectors share it.
        ttl_seconds: how long a vector is kept after it was last put.

    Raises:
        ModelError: the URL is none of Redis'.

    The lock guards the time of rest. An outage is logged once, when it begins, and its end once.
    """

    name = "redis"

    def __init__(self, url: str, *, prefix: str = DEFAULT_PREFIX, ttl_seconds: int = DEFAULT_TTL_SECONDS) -> None:
        self._prefix, self._ttl_seconds = prefix.encode(), ttl_seconds
        try:
            self._client = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
            )
        except ValueError:  # whose message may quote the password
            raise ModelError("redis address is wrong: expected=redis://, rediss:// or unix://") from None
        self._lock = threading.Lock()
        self._resting_until = 0.0
        self._failing = False  # said once; until it answers again

    def get_many(self, model: str, digests: Sequence[bytes]) -> list[Vector | None]:
        """The vector under each digest, or None; None for all where the server does not answer."""
        nothing: list[Vector | None] = [None] * len(digests)
        if self._rests():
            return nothing
        pipeline = self._client.pipeline(transaction=False)
        for digest in digests:
            pipeline.hget(self._key(digest), model)
        try:
            found = pipeline.execute()
        except redis.RedisError as error:
            self._rest(error)
            return nothing
        self._answered()
        return [decode_vector(data) if isinstance(data, bytes) else None for data in found]

    def put_many(self, model: str, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors, (n, dim) float32; none where the server does not answer."""
        if self._rests():
            return
        pipeline = self._client.pipeline(transaction=False)
        for digest, vector in zip(digests, vectors, strict=True):
            pipeline.hset(self._key(digest), model, encode_vector(vector))
            pipeline.expire(self._key(digest), self._ttl_seconds)
        try:
            pipeline.execute()
        except redis.RedisError as error:
            self._rest(error)
        else:
            self._answered()

    def delete_many(self, digests: Sequence[bytes]) -> None:
        """Forget these digests, of all models.

        Raises:
            CacheUnavailableError: the server does not answer.
        """
        try:
            for start in range(0, len(digests), _DELETED_AT_ONCE):
                self._client.delete(*map(self._key, digests[start : start + _DELETED_AT_ONCE]))
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def clear(self) -> None:
        """Forget everything under the prefix; raises what `delete_many` does."""
        try:
            keys: list[bytes] = []
            for key in self._client.scan_iter(match=self._prefix + b"*", count=_DELETED_AT_ONCE):
                keys.append(key)
                if len(keys) == _DELETED_AT_ONCE:
                    self._client.delete(*keys)
                    keys.clear()
            if keys:
                self._client.delete(*keys)
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()

    def _key(self, digest: bytes) -> bytes:
        return self._prefix + digest.hex().encode()

    def _rests(self) -> bool:
        with self._lock:
            return time.monotonic() < self._resting_until

    def _rest(self, error: redis.RedisError) -> None:
        with self._lock:
            first, self._failing = not self._failing, True
            self._resting_until = time.monotonic() + _REST_SECONDS
        if first:
            log.warning("cache.failed", extra={"cache": self.name, "reason": type(error).__name__})

    def _answered(self) -> None:
        if self._failing:
            with self._lock:
                self._failing = False
            log.info("cache.recovered", extra={"cache": self.name})

    def _unavailable(self, error: redis.RedisError) -> CacheUnavailableError:
        return CacheUnavailableError(f"embedding cache does not answer: cache=redis reason={type(error).__name__}")
