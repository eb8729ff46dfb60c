"""engine.memory: the cap on caches, and the account."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import Database, Schema, VectorRows, parse_filter
from engine.memory import _ENTRY_BYTES, MaskCache, MemoryLimits


class Part:
    """Anything that can be referred to weakly."""


def test_the_cap_is_split() -> None:
    """A fifth each for masks and indexes, a tenth for embeddings and for text, the rest for blocks; or refused."""
    assert MemoryLimits.split(10_000_000) == MemoryLimits(
        block_cache_bytes=4_000_000,
        masks_bytes=2_000_000,
        embeddings_bytes=1_000_000,
        indexes_bytes=2_000_000,
        text_bytes=1_000_000,
    )
    with pytest.raises(ValueError, match="got=1000"):
        MemoryLimits.split(1000)


def test_masks_are_forgotten_by_bytes_the_least_used_first() -> None:
    """Three fit; the fourth takes the place of the one that nobody asked for."""
    size = 1000 + 1 + _ENTRY_BYTES
    cache = MaskCache(3 * size)
    part, schema = Part(), object()
    for name in "abc":
        cache.put(part, name, schema, np.ones(1000, dtype=bool))
    assert cache.bytes == 3 * size
    assert cache.get(part, "a", schema) is not None
    cache.put(part, "d", schema, np.ones(1000, dtype=bool))
    assert [cache.get(part, name, schema) is not None for name in "abcd"] == [True, False, True, True]
    assert cache.bytes == 3 * size
    cache.put(part, "e", schema, np.ones(100_000, dtype=bool))
    assert cache.get(part, "e", schema) is None
    assert len(cache) == 3


def test_a_mask_is_of_one_part_under_one_schema() -> None:
    """Another part, or a schema that has grown, is asked anew; putting again replaces."""
    cache = MaskCache()
    one, other, schema = Part(), Part(), object()
    cache.put(one, "a", schema, np.ones(10, dtype=bool))
    assert cache.get(other, "a", schema) is None
    assert cache.get(one, "a", object()) is None
    before = cache.bytes
    cache.put(one, "a", schema, np.zeros(10, dtype=bool))
    found = cache.get(one, "a", schema)
    assert found is not None
    assert not found.any()
    assert cache.bytes == before


def test_masks_of_parts_that_are_gone_can_be_let_go() -> None:
    """A new part that happens to lie where an old one lay never gets its mask."""
    cache = MaskCache()
    schema = object()
    for _ in range(100):
        part = Part()
        assert cache.get(part, "a", schema) is None
        cache.put(part, "a", schema, np.ones(10, dtype=bool))
        del part
    gc.collect()
    kept = Part()
    cache.put(kept, "a", schema, np.ones(10, dtype=bool))
    cache.forget_dead()
    assert len(cache) == 1
    assert cache.bytes == 10 + 1 + _ENTRY_BYTES


def test_filters_stay_cached_across_writes(tmp_path: Path) -> None:
    """A segment's mask is computed once, however many snapshots ask; what is deleted since is left out."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(i), "n": i} for i in range(1000)])
        collection.state.seal()
        where = parse_filter({"n": {"$lt": 500}})
        assert collection.snapshot().count(where) == 500
        segment = collection.snapshot().parts[0]
        before = database._masks.get(segment, repr(where), collection.snapshot().schema)
        assert before is not None
        collection.delete(ids=["3"])
        assert collection.snapshot().count(where) == 499
        assert database._masks.get(segment, repr(where), collection.snapshot().schema) is before
        assert before.sum() == 500


def test_the_account_says_what_takes_memory(tmp_path: Path) -> None:
    """Caches with their limits, memtables, heads before and segments after sealing."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000, memory_bytes_max=10_000_000) as database:
        collection = database.create_collection("c", Schema())
        rows = np.random.default_rng(0).standard_normal((1000, 64)).astype(np.float32)
        collection.add([{"id": str(i), "n": i} for i in range(1000)], {"v": VectorRows(rows, np.arange(1000))})
        memory = database.stats()["memory"]
        assert memory["block_cache_bytes_max"] == 4_000_000
        assert memory["masks_bytes_max"] == 2_000_000
        assert memory["heads_bytes"] >= rows.nbytes
        assert memory["memtables_bytes"] >= rows.nbytes
        assert memory["segments_bytes"] == memory["segments_mapped_bytes"] == memory["masks_bytes"] == 0
        collection.optimize()
        collection.snapshot().count(parse_filter({"n": 3}))
        memory = database.stats()["memory"]
        assert memory["heads_bytes"] == 0
        assert memory["segments_bytes"] >= rows.nbytes
        (segment,) = collection.state.segments()
        tables = [path.stat().st_size for path in segment.directory.glob("*.arrow")]
        assert memory["segments_mapped_bytes"] == sum(tables) > 8000
        assert memory["masks_bytes"] >= 1000


def test_the_block_cache_keeps_to_its_share(tmp_path: Path) -> None:
    """Reading much more than it may hold leaves it within the limit."""
    with Database.open(tmp_path / "db", memory_bytes_max=4_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(i), "text": "x" * 1000} for i in range(10_000)])
        database.compact()
        snapshot = collection.snapshot()
        for begin in range(0, 10_000, 1000):
            assert all(snapshot.get([str(i) for i in range(begin, begin + 1000)]))
        memory = database.stats()["memory"]
        assert 500_000 < memory["block_cache_bytes"] <= 1.1 * memory["block_cache_bytes_max"]


GIVEN_BACK = """
import gc, sys
import numpy as np
import engine
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
with engine.Database.open(sys.argv[1]) as database:
    def once():
        schema = {"fields": {"v": {"type": "vector", "dim": 128, "index": "flat"}}}
        collection = database.create_collection("c", engine.Schema.from_json(schema))
        rows = np.random.default_rng(0).random((10_000, 128), dtype=np.float32)
        for begin in range(0, 40_000, 10_000):
            documents = [{"id": str(i), "text": "x" * 500} for i in range(begin, begin + 10_000)]
            collection.add(documents, {"v": engine.VectorRows(rows, np.arange(10_000))})
        collection.optimize()
        collection.snapshot().search(rows[0], 3)
        database.drop_collection("c")
    once()
    gc.collect()
    dropped = resident()
    engine.memory.give_back()
    print(dropped - resident())
"""


def test_dropping_gives_memory_back_to_the_system(tmp_path: Path) -> None:
    """Glibc keeps nothing for later that is worth asking for."""
    child = subprocess.run(
        [sys.executable, "-c", GIVEN_BACK, str(tmp_path / "db")], capture_output=True, check=False, timeout=120
    )
    assert child.returncode == 0, child.stderr.decode()
    assert int(child.stdout) < 30_000_000
