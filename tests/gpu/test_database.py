"""A database whose vectors are searched on a device: the same hits, and the processor where it cannot."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.vector.device.choice import has_driver
from engine.vector.device.searcher import SearchDevice
from engine.vector.device.sharing import SharedDevice
from tests.engine.vector.data import clustered

ROWS, DIM, K = 3_000, 24, 10
VECTORS, QUERIES = clustered(ROWS, DIM), clustered(15, DIM, 1)


def filled(database: engine.Database, metric: str, index: str) -> engine.Collection:
    vector = {"type": "vector", "dim": DIM, "metric": metric, "index": index}
    schema = engine.Schema.from_json({"fields": {"vector": vector, "number": {"type": "integer"}}})
    collection = database.create_collection("rows", schema)
    documents = [{"id": str(i), "number": i} for i in range(ROWS)]
    collection.add(documents, {"vector": engine.VectorRows(VECTORS, np.arange(ROWS))})
    collection.optimize()
    collection.delete(ids=[str(i) for i in range(0, ROWS, 50)])
    return collection


def arrived(collection: engine.Collection, device: SearchDevice) -> None:
    """Wait until every segment lies on the device."""
    for part in collection.snapshot().parts:
        vectors = part.vector_part("vector")
        index = getattr(vectors, "index", None)
        assert index is None or device.load(index)


def hows(hits: engine.Hits) -> list[str]:
    return [part["how"] for part in hits.explain["parts"]]


@pytest.fixture
def database(tmp_path: Path, device: SearchDevice) -> Iterator[engine.Database]:
    with engine.Database.open(tmp_path / "db", device=device) as found:
        yield found


@pytest.mark.parametrize("index", ["flat", "ivf_flat", "hnsw"])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_hits_are_those_of_the_processor(
    tmp_path: Path, database: engine.Database, device: SearchDevice, metric: str, index: str
) -> None:
    """Ids, order and scores agree, after deletions, with and without filters; `explain` says what ran."""
    collection = filled(database, metric, index)
    arrived(collection, device)
    with engine.Database.open(tmp_path / "other", device="cpu") as other:
        plain = filled(other, metric, index)
        for where in (None, {"number": {"$lt": 500}}, {"number": {"$gte": 20, "$lt": 50}}):
            chosen = None if where is None else engine.parse_filter(where)
            for query in QUERIES:
                ours = collection.snapshot().search(query, K, where=chosen, exact=True)
                theirs = plain.snapshot().search(query, K, where=chosen, exact=True)
                assert list(ours.ids) == list(theirs.ids)
                np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-4, atol=1e-4)
                assert any(device.name in how for how in hows(ours))
                assert not any(device.name in how for how in hows(theirs))
    assert database.device()["queries"] >= 15


def test_auto_says_that_the_device_answers(
    database: engine.Database, device: SearchDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lists are for where the device cannot; `explain` and the figures of the segment say why there are some."""
    monkeypatch.setattr("engine.vector.build.FLAT_BYTES_MAX", 1024)
    vector = {"type": "vector", "dim": DIM, "metric": "l2", "quantization": "none"}
    schema = engine.Schema.from_json({"fields": {"vector": vector}})
    collection = database.create_collection("rows", schema)
    documents = [{"id": str(i)} for i in range(ROWS)]
    collection.add(documents, {"vector": engine.VectorRows(VECTORS, np.arange(ROWS))})
    collection.optimize()
    arrived(collection, device)
    (part,) = collection.snapshot().search(QUERIES[0], K).explain["parts"]
    assert device.name in part["how"]
    assert part["why"].endswith(f"lists go with none, where {device.name} cannot answer, which holds the vectors")


def test_batches_and_writes_are_seen(database: engine.Database, device: SearchDevice) -> None:
    """What is written after the segment was loaded is found beside it, and what is deleted is not."""
    collection = filled(database, "l2", "flat")
    arrived(collection, device)
    collection.add([{"id": "new", "number": -1}], {"vector": engine.VectorRows(QUERIES[:1], np.arange(1))})

    first, *_ = collection.snapshot().search_batch(QUERIES, K)
    assert first.ids[0] == "new"
    collection.delete(ids=[first.ids[1]])
    again, *_ = collection.snapshot().search_batch(QUERIES, K)

    assert again.ids[1] == first.ids[2]
    assert any(device.name in how for how in hows(again))


def test_lists_are_learnt_on_the_device(database: engine.Database, device: SearchDevice) -> None:
    """Building inverted lists asks the device for centroids, and what it builds finds what is near."""
    collection = filled(database, "cosine", "ivf_flat")

    assert device.trainings > 0
    for query in QUERIES:
        near, exact = (collection.snapshot().search(query, K, exact=way).ids for way in (False, True))
        assert len(set(near) & set(exact)) >= K - 2


def test_unknown_devices_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    """The message names the choices, and no directory is left."""
    with pytest.raises(engine.InvalidInputError, match="expected one of auto, cpu, cuda"):
        engine.Database.open(tmp_path / "db", device="gpu")
    assert not (tmp_path / "db").exists()


@pytest.mark.skipif(has_driver(), reason="this machine has a CUDA driver")
def test_a_missing_card_costs_one_warning_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`cuda` without a card searches on the processor."""
    with caplog.at_level(logging.WARNING), engine.Database.open(tmp_path / "db", device="cuda") as database:
        collection = filled(database, "l2", "flat")
        hits = [collection.snapshot().search(query, K) for query in QUERIES]

    assert all(len(each.ids) == K for each in hits)
    assert [record.message for record in caplog.records if "device" in record.message] == ["device.missing"]


def test_the_last_user_closes_the_shared_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two databases share one thread, which ends with the second."""
    monkeypatch.setattr("engine.vector.device.sharing.has_driver", lambda: True)
    shared = SharedDevice()
    first, second = shared.acquire("auto"), shared.acquire("cuda")

    assert first is not None
    assert first is second
    shared.release(first)
    assert shared.acquire("cpu") is None
    third = shared.acquire("auto")
    assert third is first
    shared.release(second)
    shared.release(third)
    first._thread.join(10)
    assert not first._thread.is_alive()
    assert shared.acquire("auto") is not first
