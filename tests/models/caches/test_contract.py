"""What every cache does, whatever holds the vectors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import EmbeddingCache, MemoryCache, RedisCache, SqliteCache

DIM = 8
ROWS = np.arange(40, dtype=np.float32).reshape(5, DIM)
DIGESTS = [bytes([row]) * 16 for row in range(5)]


@pytest.fixture(params=["memory", "sqlite", "redis"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddingCache]:
    made: EmbeddingCache
    match request.param:
        case "memory":
            made = MemoryCache()
        case "sqlite":
            made = SqliteCache(tmp_path / "vectors.sqlite3")
        case _:
            made = RedisCache(request.getfixturevalue("redis_server").url)
    yield made
    made.close()
    made.close()


def found(cache: EmbeddingCache, model: str, digests: list[bytes] = DIGESTS) -> list[Any]:
    return [None if vector is None else vector.tolist() for vector in cache.get_many(model, digests)]


def test_what_is_put_is_found_in_the_order_asked_for(cache: EmbeddingCache) -> None:
    """Bit for bit; digests that are unknown give None in their place."""
    cache.put_many("m", DIGESTS[:3], ROWS[:3])
    asked = [DIGESTS[4], DIGESTS[2], DIGESTS[0]]
    assert found(cache, "m", asked) == [None, ROWS[2].tolist(), ROWS[0].tolist()]
    assert cache.get_many("m", []) == []


def test_models_do_not_see_each_other(cache: EmbeddingCache) -> None:
    """One text, two models, two vectors."""
    cache.put_many("m", DIGESTS[:1], ROWS[:1])
    cache.put_many("n", DIGESTS[:1], ROWS[1:2])
    assert found(cache, "m")[0] == ROWS[0].tolist()
    assert found(cache, "n")[0] == ROWS[1].tolist()


def test_the_last_vector_counts(cache: EmbeddingCache) -> None:
    """Putting again replaces."""
    cache.put_many("m", DIGESTS[:1], ROWS[:1])
    cache.put_many("m", DIGESTS[:1], ROWS[3:4])
    assert found(cache, "m", DIGESTS[:1]) == [ROWS[3].tolist()]


def test_deleted_digests_are_gone_for_all_models(cache: EmbeddingCache) -> None:
    """The others stay; deleting what is not there is no error."""
    for model in "mn":
        cache.put_many(model, DIGESTS, ROWS)
    cache.delete_many([DIGESTS[1], b"\xff" * 16])
    for model in "mn":
        assert [vector is None for vector in found(cache, model)] == [False, True, False, False, False]


def test_a_cleared_cache_is_empty_and_usable(cache: EmbeddingCache) -> None:
    """Nothing is left, and new vectors are kept."""
    cache.put_many("m", DIGESTS, ROWS)
    cache.clear()
    assert found(cache, "m") == [None] * 5
    cache.put_many("m", DIGESTS[:1], ROWS[:1])
    assert found(cache, "m")[0] == ROWS[0].tolist()


def test_many_digests_go_in_one_call(cache: EmbeddingCache) -> None:
    """More than SQLite takes as parameters of one statement."""
    digests = [row.to_bytes(16, "big") for row in range(2500)]
    vectors = np.random.default_rng(0).random((2500, DIM), dtype=np.float32)
    cache.put_many("m", digests, vectors)
    np.testing.assert_array_equal(np.stack([v for v in cache.get_many("m", digests) if v is not None]), vectors)
    cache.delete_many(digests)
    assert cache.get_many("m", digests) == [None] * 2500


def test_threads_share_a_cache(cache: EmbeddingCache) -> None:
    """Eight writers and readers at once; every vector found is the right one."""

    def work(number: int) -> None:
        for turn in range(20):
            row = (number + turn) % 5
            cache.put_many("m", [DIGESTS[row]], ROWS[row : row + 1])
            for digest, vector in zip(DIGESTS, cache.get_many("m", DIGESTS), strict=True):
                assert vector is None or vector.tolist() == ROWS[digest[0]].tolist()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert None not in found(cache, "m")
