"""engine.collection: writes, and a state machine against a dict and numpy."""

from __future__ import annotations

import gc
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine import (
    Collection,
    Database,
    DimensionMismatchError,
    InvalidDocumentsError,
    InvalidInputError,
    Metric,
    Schema,
    Snapshot,
    VectorField,
    VectorRows,
    WriteResult,
    parse_filter,
)
from engine.segments import sources
from engine.writes import writing


def test_a_write_says_what_it_did(collection: Collection) -> None:
    """Added, replaced and skipped are counted, and sequences rise by one a write."""
    first = collection.add([{"id": "1", "a": 1}, {"id": "2", "a": 2}])
    assert (first.added, first.replaced, first.skipped, first.ids, first.durability) == (2, 0, 0, ("1", "2"), "sync")
    second = collection.add([{"id": "1", "a": 1}, {"id": "2", "a": 5}, {"id": "3"}])
    assert (second.added, second.replaced, second.skipped) == (1, 1, 1)
    assert second.sequence == first.sequence + 1
    nothing = collection.add([{"id": "3"}])
    assert (nothing.skipped, nothing.sequence) == (1, second.sequence)
    assert collection.snapshot().get(["1", "2", "3", "4"]) == [
        {"id": "1", "a": 1},
        {"id": "2", "a": 5},
        {"id": "3"},
        None,
    ]


def test_the_last_of_equal_ids_wins_with_its_vector(collection: Collection) -> None:
    """Also where both carry vectors; the first counts as replaced."""
    result = collection.add([{"id": "1", "vector": [1, 0]}, {"id": "2"}, {"id": "1", "vector": [0, 1], "b": 2}])
    assert (result.added, result.replaced) == (2, 1)
    snapshot = collection.snapshot()
    assert snapshot.count() == 2
    assert snapshot.get(["1"], vectors=True) == [{"id": "1", "b": 2, "vector": [0.0, 1.0]}]
    assert snapshot.search(np.array([1, 0]), 5, exact=True).ids == ["1"]


def test_an_id_is_made_where_there_is_none(collection: Collection) -> None:
    """And is returned, and stored first in the document."""
    (id_,) = collection.add([{"a": 1}]).ids
    assert collection.snapshot().get([id_]) == [{"id": id_, "a": 1}]


@pytest.mark.parametrize("id_", ["\x00", "a/b", "😀", " ", "x" * 512, "'\"\\", "\x00\x00a"])
def test_odd_ids_work_everywhere(collection: Collection, id_: str) -> None:
    """NUL, slashes, emoji and length: get, filter, replace and delete, in head and segment."""
    collection.add([{"id": id_, "a": 1}, {"id": "other"}])
    collection.optimize()
    collection.add([{"id": id_, "a": 2}])
    snapshot = collection.snapshot()
    assert snapshot.get([id_]) == [{"id": id_, "a": 2}]
    assert snapshot.count(parse_filter({"id": id_})) == 1
    assert collection.delete(ids=[id_]).deleted == 1
    assert collection.snapshot().ids(collection.snapshot().ordinals()) == ["other"]


def test_a_bad_batch_writes_nothing(collection: Collection) -> None:
    """Every bad document is named; the good ones are not stored and the schema does not grow."""
    with pytest.raises(InvalidDocumentsError) as caught:
        collection.add([{"id": "1", "a": 1}, {"id": 5}, {"id": "3", "b": float("nan")}])
    assert [error.pointer for error in caught.value.errors] == ["/1/id", "/2/b"]
    assert collection.snapshot().count() == 0
    assert collection.schema == Schema()
    with pytest.raises(InvalidInputError, match="empty"):
        collection.add([])
    collection.add([{"id": "1"}], {"v": VectorRows(np.ones((1, 2), np.float32), np.array([0]))})
    with pytest.raises(DimensionMismatchError):
        collection.add([{"id": "2"}], {"v": VectorRows(np.ones((1, 3), np.float32), np.array([0]))})
    assert collection.snapshot().get(["1", "2"]) == [{"id": "1"}, None]


def test_prepared_documents_serve_every_call(collection: Collection) -> None:
    """One `prepare` for check, unchanged, text_fields and add; made ids stay, also when the schema grew meanwhile."""
    batch = collection.prepare([{"a": 1}, {"id": "x", "title": "t"}])
    assert collection.check(batch) == []
    assert collection.text_fields(batch) == ["title"]
    assert collection.unchanged(batch).tolist() == [False, False]
    collection.add([{"id": "y", "b": True}])
    result = collection.add(batch)
    assert result.ids == tuple(batch.ids)
    assert collection.unchanged(batch).tolist() == [True, True]
    assert list(collection.schema.fields) == ["b", "a", "title"]


def test_documents_with_vectors_of_their_own_are_never_unchanged(collection: Collection) -> None:
    """Their vectors may differ though the rest is the same."""
    collection.add([{"id": "1", "a": 1, "vector": [1, 2]}])
    documents: list[dict[str, Any]] = [{"id": "1", "a": 1}, {"id": "1", "a": 1, "vector": [1, 2]}]
    assert collection.unchanged(documents).tolist() == [True, False]
    assert collection.add([documents[0]]).skipped == 1
    assert collection.add([{"id": "1", "a": 1, "vector": [3, 4]}]).replaced == 1
    assert collection.snapshot().get(["1"], vectors=True) == [{"id": "1", "a": 1, "vector": [3.0, 4.0]}]


def test_deleting_takes_ids_or_a_filter(collection: Collection) -> None:
    """A dry run only counts; ids that are not there are passed over."""
    collection.add([{"id": str(i), "n": i} for i in range(10)])
    assert collection.delete(where=parse_filter({"n": {"$gte": 5}}), dry_run=True).deleted == 5
    assert collection.snapshot().count() == 10
    assert collection.delete(where=parse_filter({"n": {"$gte": 5}})).deleted == 5
    before = collection.snapshot().sequence
    assert collection.delete(ids=["0", "0", "9", "\ud800"]).deleted == 1
    assert collection.delete(ids=["0"]).sequence == before + 1
    assert sorted(collection.snapshot().ids(collection.snapshot().ordinals())) == ["1", "2", "3", "4"]
    for arguments in ({}, {"ids": ["1"], "where": parse_filter({})}, {"ids": "123"}):
        with pytest.raises(InvalidInputError):
            collection.delete(**arguments)


def test_a_type_may_widen_after_sealing(collection: Collection) -> None:
    """Sealed integers are found as numbers, single values as lists, dates as words; old snapshots stay as they are."""
    collection.add([{"id": "1", "n": 2**60 + 1, "k": "a", "d": "2020-01-01"}])
    collection.optimize()
    old = collection.snapshot()
    collection.add([{"id": "2", "n": 1.5, "k": ["a", "b"], "d": "soon"}])
    for _ in range(2):
        new = collection.snapshot()
        assert new.count(parse_filter({"n": {"$gt": 1}})) == 2
        assert new.count(parse_filter({"k": "a"})) == 2
        assert new.count(parse_filter({"d": {"$starts_with": "2020"}})) == 1
        assert new.relation(["k"]).column("k") == [["a"], ["a", "b"]]
        collection.optimize()
    assert old.relation(["n", "k", "d"]).rows() == [{"id": "1", "n": 2**60 + 1, "k": "a", "d": "2020-01-01T00:00:00Z"}]


def test_an_empty_list_is_there_before_and_after_sealing(collection: Collection) -> None:
    """$exists does not change when a later document gives the list a type, nor when the head is sealed."""
    exists = parse_filter({"tags": {"$exists": True}})
    collection.add([{"id": "1", "tags": []}])
    assert collection.snapshot().count(exists) == 1
    collection.optimize()
    assert collection.snapshot().count(exists) == 1
    collection.add([{"id": "2", "tags": [5]}])
    assert collection.snapshot().count(exists) == 2
    collection.optimize()
    assert collection.snapshot().count(exists) == 2
    assert collection.snapshot().field_values("tags") == [(5, 1)]


def test_a_vector_field_may_be_given_to_some_documents_only(collection: Collection) -> None:
    """Those without are never hits, and count as documents."""
    collection.add([{"id": "1"}, {"id": "2", "vector": [1, 1]}, {"id": "3"}])
    for _ in range(2):
        snapshot = collection.snapshot()
        assert snapshot.search(np.array([1.0, 1.0]), 10).ids == ["2"]
        assert snapshot.count() == 3
        collection.optimize()
    collection.add([{"id": "4"}])
    assert collection.snapshot().search(np.array([1.0, 1.0]), 10).ids == ["2"]


def in_thread(work: Callable[[], WriteResult], results: list[WriteResult]) -> threading.Thread:
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


def test_a_filter_deletes_only_what_it_matches_when_it_runs(database: Database, collection: Collection) -> None:
    """A document changed by a write that is still being synced is judged by its new version."""
    collection.add([{"id": "x", "n": 1}])
    results: list[WriteResult] = []
    with database._commits.hold():  # as if a sync took long
        adding = in_thread(lambda: collection.add([{"id": "x", "n": 2}]), results)
        wait_until(lambda: collection._writer.counters.next_ordinal == 2)
        deleting = in_thread(lambda: collection.delete(where=parse_filter({"n": 1})), results)
        deleting.join(0.2)
    adding.join()
    deleting.join()
    assert sum(result.deleted for result in results) == 0
    assert collection.snapshot().get(["x"]) == [{"id": "x", "n": 2}]


def test_nothing_is_called_stored_before_it_is_durable(database: Database, collection: Collection) -> None:
    """Adding what another writer is still syncing waits for that sync."""
    results: list[WriteResult] = []
    collection.add([{"id": "old"}])
    with database._commits.hold():
        threads = [in_thread(lambda: collection.add([{"id": "x"}]), results)]
        wait_until(lambda: collection._writer.counters.next_ordinal == 2)
        threads.append(in_thread(lambda: collection.add([{"id": "x"}]), results))
        threads[-1].join(0.2)
        assert results == []
    for thread in threads:
        thread.join()
    assert sorted((result.added, result.skipped) for result in results) == [(0, 1), (1, 0)]


def test_concurrent_writers_lose_nothing(database: Database) -> None:
    """Eight threads on two collections: every document is there, every sequence once."""
    collections = [database.create_collection(name, Schema()) for name in ("a", "b")]
    sequences: list[int] = []

    def writer(number: int) -> None:
        for i in range(30):
            ids = [f"{number}-{i}-{j}" for j in range(3)]
            result = collections[number % 2].add([{"id": id_, "f": number, "vector": [1.0, i]} for id_ in ids])
            sequences.append(result.sequence)
            assert collections[number % 2].snapshot().get(ids) == [{"id": id_, "f": number} for id_ in ids]

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sequences) == list(range(1, 241))
    assert [collection.snapshot().count() for collection in collections] == [360, 360]


WORDS = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from([f"id{i}" for i in range(8)])
BODIES = st.fixed_dictionaries(
    {"id": KEYS},
    optional={
        "n": st.sampled_from([1, 2, 3.5]),
        "k": WORDS | st.lists(WORDS, max_size=2),
        "j": st.dictionaries(WORDS, st.integers(0, 2), max_size=2),
    },
)
VECTOR = st.lists(st.integers(-3, 3), min_size=3, max_size=3)


class CollectionMachine(RuleBasedStateMachine):
    """A collection beside a dict; vectors (one or two a document) are searched by numpy."""

    @initialize(rows=st.sampled_from([2, 5, 100_000]))
    def start(self, rows: int) -> None:
        self.seal_rows = rows
        self.directory = Path(tempfile.mkdtemp(prefix="lumaai-"))
        self.model: dict[str, tuple[dict[str, Any], list[list[float]]]] = {}
        self.pinned: list[tuple[Snapshot, dict[str, tuple[dict[str, Any], list[list[float]]]]]] = []
        self.database = Database.open(self.directory / "db", seal_rows=rows)
        self.collection = self.database.create_collection("c", Schema(vectors={"v": VectorField(3, Metric.L2)}))

    @rule(documents=st.lists(st.tuples(BODIES, st.lists(VECTOR, max_size=2)), min_size=1, max_size=5))
    def add(self, documents: list[tuple[dict[str, Any], list[list[float]]]]) -> None:
        places = [i for i, (_, vectors) in enumerate(documents) for _ in vectors]
        vectors = [vector for _, given in documents for vector in given]
        rows = {"v": VectorRows(np.array(vectors, np.float32), np.array(places))} if vectors else None
        result = self.collection.add([body for body, _ in documents], rows)
        assert result.added + result.replaced + result.skipped == len(documents)
        for body, given in {body["id"]: (body, given) for body, given in documents}.values():
            old = self.model.get(body["id"])
            same = old is not None and repr(old[0]) == repr(body) and not given
            if not same:
                self.model[body["id"]] = (body, given)

    @rule(ids=st.lists(KEYS, max_size=3))
    def delete(self, ids: list[str]) -> None:
        assert self.collection.delete(ids=ids).deleted == len(set(ids) & self.model.keys())
        for id_ in ids:
            self.model.pop(id_, None)

    @rule(word=WORDS)
    def delete_by_filter(self, word: str) -> None:
        gone = [id_ for id_, (body, _) in self.model.items() if word in body.get("k", ())]
        assert self.collection.delete(where=parse_filter({"k": word})).deleted == len(gone)
        for id_ in gone:
            del self.model[id_]

    @rule()
    def optimize(self) -> None:
        self.collection.optimize()
        assert len(self.collection.stats()["segments"]) <= 1

    @rule()
    def seal(self) -> None:
        self.collection.state.seal()

    @rule()
    def reopen(self) -> None:
        self.pinned.clear()
        self.database.close()
        self.database = Database.open(self.directory / "db", seal_rows=self.seal_rows)
        self.collection = self.database.collection("c")

    @rule()
    def pin(self) -> None:
        self.pinned = [*self.pinned[-2:], (self.collection.snapshot(), dict(self.model))]

    @rule(query=VECTOR, k=st.integers(1, 6), word=st.none() | WORDS)
    def search(self, query: list[float], k: int, word: str | None) -> None:
        for snapshot, model in [*self.pinned, (self.collection.snapshot(), self.model)]:
            where = None if word is None else parse_filter({"k": word})
            near = {
                id_: -min(float(np.linalg.norm(np.subtract(vector, query))) for vector in vectors)
                for id_, (body, vectors) in model.items()
                if vectors and (word is None or word in body.get("k", ()))
            }
            hits = snapshot.search(np.array(query, np.float32), k, where=where, exact=True)
            assert len(set(hits.ids)) == len(hits) == min(k, len(near))
            np.testing.assert_allclose(hits.scores, sorted(near.values(), reverse=True)[:k], atol=2e-3)
            np.testing.assert_allclose(hits.scores, [near[id_] for id_ in hits.ids], atol=2e-3)
            assert hits.documents() == [model[id_][0] for id_ in hits.ids]

    @invariant()
    def everything_is_there(self) -> None:
        for snapshot, model in [*self.pinned, (self.collection.snapshot(), self.model)]:
            ids = [f"id{i}" for i in range(8)]
            assert repr(snapshot.get(ids)) == repr([model[id_][0] if id_ in model else None for id_ in ids])
            assert sorted(snapshot.ids(snapshot.ordinals())) == sorted(model)
            assert snapshot.count() == len(model)
            big = sum(1 for body, _ in model.values() if body.get("n", 0) > 1)
            assert snapshot.count(parse_filter({"n": {"$gt": 1}})) == big
            paths = sum(1 for body, _ in model.values() if body.get("j", {}).get("a") == 1)
            assert snapshot.count(parse_filter({"j.a": 1})) == paths

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.directory)


CollectionMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestCollectionMachine = CollectionMachine.TestCase


def test_unchanged_holds_what_it_reads(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that is replaced, sealed and collected between its look-up and its reading is there to be read."""
    collection.add([{"id": "a", "t": "1"}, {"id": "b"}])
    read = sources.read_documents
    collected: list[int] = []

    def late(*given: Any) -> Any:
        if threading.current_thread().name == "reader" and not collected:
            writer = threading.Thread(target=collection.add, args=([{"id": "a", "t": "2"}],))
            writer.start()
            writer.join()
            collection.state.seal()
            gc.collect()
            collected.append(collection.state.collect())
        return read(*given)

    monkeypatch.setattr(writing, "read_documents", late)
    found: list[Any] = []
    reader = threading.Thread(name="reader", target=lambda: found.extend(collection.unchanged([{"id": "a", "t": "1"}])))
    reader.start()
    reader.join()
    assert (found, collected) == ([True], [0])
    gc.collect()
    collection.state.collect()  # unless the background was quicker
    assert collection.state.garbage() == 0


def test_optimizing_in_the_background_takes_two_threads_at_most(collection: Collection) -> None:
    """One that runs and one that waits for it, however often it is asked for; and both are done."""
    collection.add([{"id": "a"}])
    with collection.state._sealing:
        for _ in range(50):
            collection.optimize(wait=False)
        time.sleep(0.05)
        names = [thread.name for thread in threading.enumerate()]
        assert 1 <= names.count(f"optimize-{collection.name}") <= 2
        for _ in range(50):
            collection.optimize(wait=False)
        names = [thread.name for thread in threading.enumerate()]
        assert names.count(f"optimize-{collection.name}") == 2
    deadline = time.monotonic() + 10
    while collection.stats()["head_documents"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert collection.stats()["head_documents"] == 0
