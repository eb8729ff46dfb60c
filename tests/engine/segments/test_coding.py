"""engine.segments.coding: a head that grows faster than it is sealed, as the one who asks sees it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Collection, Database, Field, FieldType, Metric, Schema, VectorField, VectorRows, parse_filter
from engine.segments.coding import code_rest
from tests.engine.vector.data import clustered

DIM, K = 64, 10
VECTORS, QUERIES = clustered(9_000, DIM), clustered(20, DIM, 1)


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collection]:
    """With codes for heads of 1,200 rows, in steps of 200, where there are centroids; it seals only when told."""
    monkeypatch.setattr("engine.vector.build.FLAT_BYTES_MAX", 1_000 * 4 * DIM)
    monkeypatch.setattr("engine.vector.coded.BEGIN_BYTES", 1_200 * 4 * DIM)
    monkeypatch.setattr("engine.vector.coded.TAIL_BYTES_MAX", 200 * 4 * DIM)
    monkeypatch.setattr("engine.segments.state.IDLE_SECONDS", 1e9)
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        schema = Schema({"n": Field(FieldType.INTEGER)}, {"v": VectorField(DIM, Metric.L2)})
        yield database.create_collection("c", schema)


def add(collection: Collection, first: int, end: int) -> None:
    documents = [{"id": str(i), "n": i % 10} for i in range(first, end)]
    collection.add(documents, {"v": VectorRows(VECTORS[first:end], np.arange(end - first))})


def hows(collection: Collection) -> list[str]:
    return [part["how"] for part in collection.snapshot().search(QUERIES[0], K).explain["parts"]]


def recall(collection: Collection, where: str | None = None) -> float:
    """Of full results, beside exact ones."""
    snapshot, condition = collection.snapshot(), None if where is None else parse_filter(where)
    shares = []
    for query in QUERIES:
        found, exact = (snapshot.search(query, K, where=condition, exact=exact) for exact in (False, True))
        assert len(found) == len(exact) == K
        shares.append(len(set(found.ids) & set(exact.ids)) / K)
    return float(np.mean(shares))


def test_a_head_beside_a_segment_of_codes_gets_codes_as_it_grows(collection: Collection) -> None:
    """Small: compared with. Large: by the segment's centroids, and the latest rows beside them."""
    add(collection, 0, 2_000)
    assert hows(collection) == ["head, exact"]  # nothing to take centroids from
    collection.state.seal()
    add(collection, 2_000, 3_200)
    assert hows(collection)[1] == "head, exact"
    add(collection, 3_200, 3_300)
    assert hows(collection)[1].startswith("head, ivf_pq pq4, nprobe ")
    add(collection, 3_300, 3_450)
    assert hows(collection)[1].endswith("no filter; 150 rows exact")
    add(collection, 3_450, 3_520)
    assert hows(collection)[1].endswith("no filter")
    assert recall(collection) >= 0.95
    assert recall(collection, "n = 3") >= 0.95
    assert recall(collection, "n != 3") >= 0.95


def test_a_head_with_codes_may_wait_longer_to_be_sealed(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times as many rows: each part costs a search as much as thousands of rows in codes."""
    monkeypatch.setattr(collection.state, "_seal_rows", 1_500)
    add(collection, 0, 1_499)
    assert not collection.state.wants_seal(0)
    add(collection, 1_499, 1_500)
    assert collection.state.wants_seal(0)
    collection.state.seal()
    add(collection, 1_500, 7_499)
    assert hows(collection)[1].startswith("head, ivf_pq pq4")
    assert not collection.state.wants_seal(0)
    add(collection, 7_499, 7_500)
    assert collection.state.wants_seal(0)


def test_a_large_head_without_a_segment_learns_its_own(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever kind is declared: a graph takes long to build, and searches do not wait for it."""
    monkeypatch.setattr("engine.vector.coded.TRAIN_ROWS_MIN", 2_000)
    add(collection, 0, 1_999)
    assert hows(collection) == ["head, exact"]
    add(collection, 1_999, 2_000)
    assert hows(collection)[0].startswith("head, ivf_pq pq4")
    assert recall(collection) >= 0.95


def test_what_a_seal_leaves_of_a_head_keeps_codes(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written while it was built is many rows: the first search after it does not compare with them all."""
    add(collection, 0, 2_000)
    collection.state.seal()
    add(collection, 2_000, 4_000)
    built = threading.Event()
    written = threading.Event()

    def hit(name: str) -> None:
        if name == "seal.before_swap":
            built.set()
            assert written.wait(20)

    monkeypatch.setattr("engine.failpoints.hit", hit)
    sealing = threading.Thread(target=collection.state.seal)
    sealing.start()
    assert built.wait(20)
    add(collection, 4_000, 6_000)
    written.set()
    sealing.join(20)
    assert [segment["documents"] for segment in collection.stats()["segments"]] == [2_000, 2_000]
    assert hows(collection)[2].startswith("head, ivf_pq pq4")
    assert recall(collection) >= 0.95
    assert sorted(collection.snapshot().ids(collection.snapshot().ordinals()), key=int) == [
        str(i) for i in range(6_000)
    ]


def test_what_is_written_while_the_rest_is_coded_gets_codes_before_it_is_shown(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first snapshot after the swap compares with few rows, however many came while codes were made."""
    add(collection, 0, 2_000)
    collection.state.seal()
    add(collection, 2_000, 4_000)
    more, shown = iter([(4_000, 6_000), (6_000, 7_000)]), list[str]()

    def coded(*arguments: Any) -> Any:
        found = code_rest(*arguments)
        for first, end in itertools.islice(more, 1):
            add(collection, first, end)
        return found

    def hit(name: str) -> None:
        if name == "seal.before_swap":
            add(collection, *next(more))
        if name == "seal.after_swap":
            shown.extend(hows(collection))

    monkeypatch.setattr("engine.segments.state.code_rest", coded)
    monkeypatch.setattr("engine.failpoints.hit", hit)
    collection.state.seal()
    assert len(shown) == 3
    assert shown[2].startswith("head, ivf_pq pq4")
    assert shown[2].endswith("no filter")  # and no rows compared with beside it
    assert recall(collection) >= 0.95


def test_a_snapshot_stays_as_it_was_while_its_head_is_coded(collection: Collection) -> None:
    """It finds what it showed, and nothing that came later; deleted documents are not found by codes either."""
    add(collection, 0, 2_000)
    collection.state.seal()
    add(collection, 2_000, 4_000)
    before = collection.snapshot()
    answers = [before.search(query, K).ids for query in QUERIES]
    add(collection, 4_000, 9_000)
    assert [before.search(query, K).ids for query in QUERIES] == answers
    nearest = [collection.snapshot().search(VECTORS[i], 1).ids[0] for i in (3_999, 4_000, 8_999)]
    assert nearest == ["3999", "4000", "8999"]
    collection.delete(ids=["3999", "8999"])
    for i in (3_999, 8_999):
        assert str(i) not in collection.snapshot().search(VECTORS[i], K).ids
    assert before.search(VECTORS[3_999], 1).ids == ["3999"]


def test_searches_and_writers_at_once(collection: Collection) -> None:
    """Codes are replaced while others search by them: every search finds the row it asks for, from its commit on."""
    add(collection, 0, 2_000)
    collection.state.seal()
    wrong: list[str] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            snapshot = collection.snapshot()
            last = snapshot.count() - 1
            found = snapshot.search(VECTORS[last], 1).ids
            if found != [str(last)]:
                wrong.append(f"{last}: {found}")

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for begin in range(2_000, 9_000, 100):
        add(collection, begin, begin + 100)
        if begin in (4_000, 6_500):
            collection.state.seal()
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_values_and_ids_of_a_head_are_read_from_few_documents(collection: Collection) -> None:
    """As columns would give them, in order, also where hits lie in several parts."""
    add(collection, 0, 2_000)
    collection.state.seal()
    add(collection, 2_000, 2_100)
    for query in QUERIES[:5]:
        hits = collection.snapshot().search(query, 200)
        assert hits.values("n") == [int(id_) % 10 for id_ in hits.ids]
        assert hits.values("id") == hits.ids
        assert hits.ids == [document["id"] for document in hits.documents()]
