"""A real redis-server, alive, slow, dead, and holding nonsense."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import numpy as np
import pytest
import redis

from models import CacheUnavailableError, CachingEmbedder, RedisCache
from models.embedders.hashing import HashingEmbedder
from tests.models.caches.conftest import RedisServer

KEY = b"0123456789abcdef"
ONES = np.ones((1, 8), dtype=np.float32)


def test_two_services_share_vectors(redis_server: RedisServer) -> None:
    """What one put, the other finds; another prefix is another cache."""
    one, two = RedisCache(redis_server.url), RedisCache(redis_server.url)
    other = RedisCache(redis_server.url, prefix="other:")
    one.put_many("m", [KEY], ONES)
    assert two.get_many("m", [KEY])[0] is not None
    assert other.get_many("m", [KEY]) == [None]
    other.clear()
    assert one.get_many("m", [KEY])[0] is not None
    for cache in (one, two, other):
        cache.close()


def test_entries_expire(redis_server: RedisServer) -> None:
    """Every key has a time to live, so that nothing outlives its use for ever."""
    cache = RedisCache(redis_server.url, ttl_seconds=100)
    cache.put_many("m", [KEY], ONES)
    with redis.Redis.from_url(redis_server.url) as client:
        (key,) = client.keys("*")
        assert 0 < client.ttl(key) <= 100
    cache.close()


def test_forgotten_text_is_not_in_the_server(redis_server: RedisServer) -> None:
    """No key is left, and keys of others are not touched."""
    cache = RedisCache(redis_server.url)
    embedder = CachingEmbedder(HashingEmbedder(8), [cache])
    embedder.embed_documents(["secret"])
    embedder.embed_queries(["secret"])
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("somebody:else", "1")
        assert len(client.keys("*")) == 3
        embedder.forget(["secret"])
        assert client.keys("*") == [b"somebody:else"]
        embedder.embed_documents(["secret"])
        embedder.forget_all()
        assert client.keys("*") == [b"somebody:else"]
    cache.close()


def test_nonsense_in_the_server_is_a_miss(redis_server: RedisServer) -> None:
    """Short, damaged, of another dimension, or under a key of another type: embedded anew."""
    cache = RedisCache(redis_server.url)
    embedder = CachingEmbedder(HashingEmbedder(8), [cache])
    expected = embedder.embed_documents(["text"])
    with redis.Redis.from_url(redis_server.url) as client:
        (key,) = client.keys("*")
        good = client.hget(key, embedder.fingerprint)
        assert isinstance(good, bytes)
        for bad in (b"", b"abc", good[:-1] + bytes([good[-1] ^ 1]), good[: 4 + 16]):
            client.hset(key, embedder.fingerprint, bad)
            np.testing.assert_array_equal(embedder.embed_documents(["text"]), expected)
        client.set(key, "a string")
        np.testing.assert_array_equal(embedder.embed_documents(["text"]), expected)
    cache.close()


def test_a_dead_server_costs_speed_only(redis_server: RedisServer) -> None:
    """Killed between two calls: the same vectors, and the second call after that does not wait for it."""
    cache = RedisCache(redis_server.url)
    embedder = CachingEmbedder(HashingEmbedder(8), [cache])
    expected = embedder.embed_documents(["a", "b"])
    redis_server.kill()
    np.testing.assert_array_equal(embedder.embed_documents(["a", "b"]), expected)
    started = time.perf_counter()
    for _ in range(20):
        np.testing.assert_array_equal(embedder.embed_documents(["a", "b"]), expected)
    assert time.perf_counter() - started < 0.2
    with pytest.raises(CacheUnavailableError):
        embedder.forget(["a"])
    with pytest.raises(CacheUnavailableError):
        embedder.forget_all()
    cache.close()


def test_a_server_that_comes_back_is_used_again(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its rest; until then nothing is asked."""
    monkeypatch.setattr("models.caches.redis._REST_SECONDS", 0.3)
    cache = RedisCache(redis_server.url)
    with redis.Redis.from_url(redis_server.url) as client:
        client.execute_command("CLIENT", "PAUSE", "400", "ALL")
        cache.put_many("m", [KEY], ONES)
    time.sleep(0.8)
    cache.put_many("m", [KEY], ONES)
    assert cache.get_many("m", [KEY])[0] is not None
    cache.close()


def test_a_server_that_never_answers_is_given_up_quickly(tmp_path: Path) -> None:
    """A port that accepts and stays silent costs the timeout once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.perf_counter()
        assert cache.get_many("m", [KEY]) == [None]
        assert cache.get_many("m", [KEY]) == [None]
        assert time.perf_counter() - started < 2
        cache.close()
