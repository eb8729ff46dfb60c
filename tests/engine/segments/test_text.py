"""engine.segments.text: the text index of a collection follows its snapshots, whatever becomes of either."""

from __future__ import annotations

import gc
import logging
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tantivy

from engine import Collection, Database, InvalidInputError, Schema, failpoints, parse_filter
from engine.errors import CollectionNotFoundError, DatabaseClosedError, StorageError, StorageFullError
from engine.segments import text as text_module
from engine.segments import texts as texts_module
from engine.segments.text import CollectionText
from engine.snapshot import Snapshot
from engine.text.dictionary import WORDS

TEXT = Schema.from_json({"fields": {"text": "text", "n": "integer"}})


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database.open(path, seal_rows=1_000_000) as opened:
        yield opened


@pytest.fixture
def collection(database: Database) -> Collection:
    return database.create_collection("things", TEXT)


def add(collection: Collection, ids: range, words: str = "common") -> None:
    collection.add([{"id": f"d{i}", "text": f"{words} word{i}", "n": i} for i in ids])


def found(snapshot: Snapshot, query: str, k: int = 1000, **options: Any) -> set[str]:
    return set(snapshot.keyword(query, k, **options).ids)


def text_of(collection: Collection) -> CollectionText:
    assert collection.state.text is not None
    return collection.state.text


def directory_of(path: Path, number: int = 1) -> Path:
    return path / "indexes" / f"{number:08d}" / "text"


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)


def ids(numbers: range) -> set[str]:
    return {f"d{i}" for i in numbers}


def test_every_acknowledged_write_is_found_and_nothing_later(collection: Collection) -> None:
    """Additions, replacements, patches and deletions; each snapshot finds what is in it, the older one too."""
    add(collection, range(5))
    first = collection.snapshot()
    assert found(first, "common") == ids(range(5))
    add(collection, range(4, 8))
    collection.delete(ids=["d0"])
    collection.patch([{"id": "d1", "text": "another"}])
    second = collection.snapshot()
    assert found(second, "common") == ids(range(2, 8))
    assert found(second, "another") == {"d1"}
    assert found(first, "common") == ids(range(5))
    assert found(first, "another") == set()


def test_a_snapshot_finds_what_was_dropped_before_the_index_came_to_it(collection: Collection) -> None:
    """Deleted, sealed and merged away before anybody searched: it lives in the old snapshot."""
    add(collection, range(10))
    old = collection.snapshot()
    collection.delete(ids=["d3"])
    add(collection, range(5, 6), "changed")
    collection.optimize()
    assert found(collection.snapshot(), "common") == ids(range(10)) - {"d3", "d5"}
    assert found(old, "common") == ids(range(10))
    assert found(old, "word3") == {"d3"}


def test_hits_are_as_those_of_vectors(collection: Collection) -> None:
    """Ids, values, documents, relations; best first, with scores."""
    collection.add([{"id": "a", "text": "fox fox", "n": 1}, {"id": "b", "text": "fox dog", "n": 2}])
    snapshot = collection.snapshot()
    hits = snapshot.keyword("fox", 5)
    assert (hits.ids, hits.values("n"), hits.passages) == (["a", "b"], [1, 2], [None, None])
    assert hits.scores[0] > hits.scores[1] > 0
    assert [each["text"] for each in hits.documents()] == ["fox fox", "fox dog"]
    assert snapshot.relation_of(hits, ["n"]).arrow("n").to_pylist() == [1, 2]
    assert snapshot.keyword("+fox +dog", 5).ids == ["b"]
    assert snapshot.keyword("fox -dog", 5).ids == ["a"]
    assert snapshot.keyword('"dog fox"', 5).ids == []
    assert snapshot.keyword("fox dog", 5, match_all=True).ids == ["b"]


def test_the_order_under_a_filter_is_that_without_it(collection: Collection) -> None:
    """At every selectivity, in sealed and growing parts, among deleted documents: the same order with gaps."""
    random = np.random.default_rng(3)
    documents = [
        {
            "id": f"d{i}",
            "text": " ".join(["common"] * int(random.integers(1, 6)) + ["x"] * int(random.integers(9))),
            "n": i,
        }
        for i in range(3000)
    ]
    collection.add(documents[:2000])
    collection.state.seal()
    collection.add(documents[2000:])
    collection.delete(where=parse_filter({"n": {"$in": list(range(0, 3000, 7))}}))
    snapshot = collection.snapshot()
    everything = snapshot.keyword("common", 3000)
    order = list(zip(everything.ids, everything.scores.tolist(), strict=True))
    assert everything.scores.tolist() == sorted(everything.scores.tolist(), reverse=True)
    assert len(order) == snapshot.count()
    ordinals = everything.ordinals.astype(np.int64)
    assert (np.diff(ordinals)[np.diff(everything.scores) == 0] > 0).all()
    for wanted in ({"$lt": 3000}, {"$lt": 1500}, {"$gte": 2900}, {"$gte": 2990}, {"$in": [8, 2999]}, {"$lt": 0}):
        where = parse_filter({"n": wanted})
        allowed = set(snapshot.ids(snapshot.ordinals(where)))
        for k in (1, 10, 200):
            hits = snapshot.keyword("common", k, where=where)
            expected = [each for each in order if each[0] in allowed][:k]
            assert list(zip(hits.ids, hits.scores.tolist(), strict=True)) == expected


def test_a_collection_without_text_says_so(database: Database) -> None:
    """So does a search in a field that is no text, or with a boost that is none."""
    plain = database.create_collection("plain", Schema.from_json({"fields": {"n": "integer"}}))
    plain.add([{"id": "a", "n": 1}])
    with pytest.raises(InvalidInputError, match="collection 'plain' has no text field to search"):
        plain.snapshot().keyword("x", 5)
    things = database.create_collection("things", TEXT)
    add(things, range(2))
    snapshot = things.snapshot()
    with pytest.raises(InvalidInputError, match="no text field 'n': expected one of text"):
        snapshot.keyword("x", 5, fields=["n"])
    with pytest.raises(InvalidInputError, match="boost must be above 0"):
        snapshot.keyword("x", 5, fields={"text": -1})
    with pytest.raises(InvalidInputError, match="fields is empty"):
        snapshot.keyword("x", 5, fields=[])
    with pytest.raises(InvalidInputError, match="k must be at least 1"):
        snapshot.keyword("x", 0)
    assert snapshot.keyword("", 5).ids == snapshot.keyword('+ - " ^^ ((', 5).ids == []


def test_fields_that_join_later_are_searched(database: Database) -> None:
    """One that no document had is taken in; what were labels or dates before are indexed all, by building anew."""
    collection = database.create_collection("c", Schema())
    collection.add([{"id": "1", "text": "first one", "label": "red", "moment": "2024-05-06"}])
    assert found(collection.snapshot(), "first") == {"1"}
    old = collection.snapshot()
    collection.add([{"id": "2", "text": "second one", "title": "a title of several words to be read"}])
    assert found(collection.snapshot(), "several") == {"2"}
    assert text_of(collection).rebuilds == 0
    collection.add([{"id": "3", "label": "a red house with a green door and a very long description " * 5}])
    assert found(collection.snapshot(), "red") == {"1", "3"}
    assert text_of(collection).rebuilds == 1
    collection.add([{"id": "4", "moment": "some time in the year 2024, late in the evening, when all was quiet; " * 5}])
    assert found(collection.snapshot(), "2024") == {"1", "4"}
    assert text_of(collection).rebuilds == 2
    assert found(old, "red one") == {"1"}
    assert found(old, "text:red") == set()


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "current", "version", "ahead", "generation"])
def test_an_index_that_cannot_be_used_is_built_again(path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with it, searches find everything; nothing else is touched."""
    with Database.open(path) as database:
        add(database.create_collection("things", TEXT), range(300))
        assert len(found(database.collection("things").snapshot(), "common")) == 300
    directory = directory_of(path)
    generation = directory / "1"
    file = max(generation.glob("*.idx"), key=lambda each: each.stat().st_size)
    match damage:
        case "missing":
            file.unlink()
        case "truncated":
            file.write_bytes(file.read_bytes()[:-40])
        case "flipped":
            data = bytearray(file.read_bytes())
            data[: len(data) // 2] = bytes(len(data) // 2)
            file.write_bytes(data)
        case "current":
            (directory / "current").write_text("?")
        case "version":
            table = generation / "fields.json"
            table.write_text(table.read_text().replace('"analyzer":1', '"analyzer":0'))
        case "ahead":
            other = path.with_name("other")
            with Database.open(other) as database:
                add(database.create_collection("things", TEXT), range(400))
                found(database.collection("things").snapshot(), "common")
            shutil.rmtree(directory)
            shutil.copytree(directory_of(other), directory)
        case _:
            shutil.rmtree(generation)
    with caplog.at_level(logging.WARNING), Database.open(path) as database:
        collection = database.collection("things")
        problems = [problem.what for problem in database.check().problems]
        assert len(found(collection.snapshot(), "common")) == 300
        assert found(collection.snapshot(), "word299") == {"d299"}
        add(collection, range(300, 310))
        assert len(found(collection.snapshot(), "common")) == 310
        assert database.check().problems == []
    assert damage == "current" or problems or caplog.records
    assert len([each for each in directory.iterdir() if each.is_dir()]) == 1


def test_a_check_finds_documents_that_the_index_lacks(collection: Collection, database: Database) -> None:
    """And builds it again; documents without a word are not missed."""
    add(collection, range(50))
    collection.add([{"id": "empty", "text": "!!!"}, {"id": "none"}])
    assert len(found(collection.snapshot(), "common")) == 50
    assert database.check().problems == []
    index = text_of(collection)._index
    assert index is not None
    index.delete(np.array([7], dtype=np.uint32))
    index.commit()
    [problem] = database.check().problems
    assert (problem.what, problem.repaired) == ("text index lacks documents: 1", True)
    assert len(found(collection.snapshot(), "common")) == 50


def words_of(path: Path, prefix: str) -> list[str]:
    """In the dictionary of what is committed; it packs words, so that none can be looked for among the bytes."""
    [table] = directory_of(path).rglob("fields.json")
    searcher = tantivy.Index.open(str(table.parent)).searcher()
    return [entry for entry, _ in searcher.terms_with_prefix(WORDS, prefix)]


def files_with(directory: Path, needle: bytes) -> list[str]:
    every = [path for path in directory.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(directory)) for path in every if needle in path.read_bytes().lower())


def test_purged_words_are_in_no_file(path: Path) -> None:
    """Of deleted and replaced documents, whenever they were indexed; what lives is found as before."""
    with Database.open(path) as database:
        collection = database.create_collection("things", TEXT)
        add(collection, range(50), "secreta")
        assert len(found(collection.snapshot(), "secreta")) == 50
        assert words_of(path, "secret") == ["secreta"]
        add(collection, range(25, 75), "public")
        found(collection.snapshot(), "public")
        collection.delete(ids=sorted(ids(range(25))))
        database.purge()
        assert not directory_of(path).exists()
        assert files_with(path, b"secreta") == []
        assert found(collection.snapshot(), "public") == ids(range(25, 75))
        assert found(collection.snapshot(), "secreta") == set()
        assert (words_of(path, "secret"), words_of(path, "public")) == ([], ["public"])


def test_dropping_gives_back_files_and_memory_at_once(path: Path) -> None:
    """Descriptors, maps and disk; who searches an old snapshot is told that the collection is gone."""
    with Database.open(path) as database:
        add(database.create_collection("other", TEXT), range(3))
        before = sum(1 for _ in Path("/proc/self/fd").iterdir())
        collection = database.create_collection("things", TEXT)
        add(collection, range(100))
        snapshot = collection.snapshot()
        found(collection.snapshot(), "common")
        database.drop_collection("things")
        assert not (path / "indexes" / "00000002").exists()
        with pytest.raises(CollectionNotFoundError):
            collection.snapshot()
        text = collection.state.text
        assert text is not None
        with pytest.raises(CollectionNotFoundError):
            text.view(snapshot)
        del snapshot, collection, text
        gc.collect()
        maps = Path("/proc/self/maps").read_text()
        assert str(path / "indexes" / "00000002") not in maps
        assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before + 1


def test_archives_leave_the_index_out(path: Path, tmp_path: Path) -> None:
    """It is built again from what is restored."""
    with Database.open(path) as database:
        collection = database.create_collection("things", TEXT)
        add(collection, range(30))
        found(collection.snapshot(), "common")
        database.archive(tmp_path / "copy")
        assert not list((tmp_path / "copy").rglob("text"))
        add(collection, range(30, 40), "later")
        with database.restore(tmp_path / "copy") as restored:
            again = restored.collection("things").snapshot()
            assert found(again, "common") == ids(range(30))
            assert found(again, "later") == set()


def test_readers_search_beside_the_owner(path: Path) -> None:
    """With an index of their own, which follows refreshes, seals and restores; the owner's is not touched."""
    with Database.open(path) as owner:
        collection = owner.create_collection("things", TEXT)
        add(collection, range(20))
        found(collection.snapshot(), "common")
        mine = {file: file.stat().st_mtime_ns for file in directory_of(path).rglob("*")}
        with Database.open(path, read_only=True) as reader:
            seen = reader.collection("things")
            assert found(seen.snapshot(), "common") == ids(range(20))
            add(collection, range(15, 30), "common fresh")
            collection.delete(ids=["d0"])
            assert found(seen.snapshot(), "fresh") == set()
            reader.refresh()
            assert found(seen.snapshot(), "common") == ids(range(1, 30))
            text = seen.state.text
            collection.optimize()
            add(collection, range(30, 31))
            reader.refresh()
            assert seen.state.text is text
            assert found(seen.snapshot(), "common") == ids(range(1, 31))
            scratch = list(reader._scratch.rglob("fields.json"))  # type: ignore[attr-defined]
            assert len(scratch) == 1
        assert {file: file.stat().st_mtime_ns for file in mine} == mine
        assert not scratch[0].exists()


def test_it_is_kept_up_in_the_background(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made after a while of idleness, committed, freed of what is gone, closed; built anew when mostly dead."""
    monkeypatch.setattr(text_module, "FIRST_IDLE_SECONDS", 0.3)
    monkeypatch.setattr(text_module, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(text_module, "WRITER_IDLE_SECONDS", 0.3)
    monkeypatch.setattr(text_module, "DEAD_DOCUMENTS_MIN", 50)
    with Database.open(path) as database:
        collection = database.create_collection("things", TEXT)
        add(collection, range(3000))

        def figures() -> dict[str, Any]:
            each: dict[str, Any] = collection.stats()["text"]
            return each

        until(lambda: figures().get("documents") == 3000 and figures()["memory_bytes"] == 0)
        assert (figures()["pending"], figures()["dirty"], figures()["disk_bytes"] > 0) == (0, False, True)
        add(collection, range(3000, 3100))
        until(lambda: figures()["documents"] == 3100)
        assert len(found(collection.snapshot(), "common", 5000)) == 3100
        collection.delete(where=parse_filter({"n": {"$lt": 2000}}))
        collection.optimize()
        until(lambda: figures().get("documents") == 1100 and figures()["rebuilds"] == 1)
        assert len(found(collection.snapshot(), "common", 5000)) == 1100


def test_a_backlog_is_bounded_while_writes_go_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an index that has been asked for; one that nobody has asked for costs writers nothing."""
    monkeypatch.setattr(text_module, "BACKLOG_MAX", 500)
    with Database.open(path) as database:
        collection = database.create_collection("things", TEXT)
        add(collection, range(600))
        assert not collection.state.index_text()
        assert collection.stats()["text"] == {"open": False, "disk_bytes": 0}
        found(collection.snapshot(), "common")
        for i in range(6, 30):
            add(collection, range(i * 100, i * 100 + 100))
            until(lambda: collection.stats()["text"]["pending"] <= 600)


def test_writers_share_memory(path: Path) -> None:
    """With room for one heap there is one writer, however many collections are written to and searched."""
    with Database.open(path, memory_bytes_max=16 * 1024 * 1024) as database:
        each = [database.create_collection(f"c{i}", TEXT) for i in range(4)]
        for i, collection in enumerate(each):
            add(collection, range(10 + i))
            assert len(found(collection.snapshot(), "common")) == 10 + i
        heaps = [text_of(collection).memory_bytes() > 0 for collection in each]
        assert heaps == [False, False, False, True]
        add(each[0], range(50, 55))
        assert len(found(each[0].snapshot(), "common")) == 15
        assert database.stats()["memory"]["text_bytes"] == text_of(each[0]).memory_bytes() > 0


def test_a_disk_that_refuses_is_an_error_and_no_loss(collection: Collection) -> None:
    """The next search finds everything."""
    add(collection, range(20))
    for point in ("text.before_add", "text.before_commit", "text.after_commit"):
        failpoints.arm(f"{point}:error@1")
        with pytest.raises(StorageError):
            collection.snapshot().keyword("common", 5)
        assert found(collection.snapshot(), "common") == ids(range(20))
        failpoints.arm("")
        collection.state.discard_text()


def test_closing_does_not_wait_for_a_long_catching_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that adds what it lacks gives up after the chunk that it is at."""
    monkeypatch.setattr(texts_module, "CHUNK", 10)
    failures: list[BaseException] = []
    with Database.open(path) as database:
        collection = database.create_collection("things", TEXT)
        add(collection, range(1000))
        failpoints.arm("text.before_add:sleep(50)")

        def search() -> None:
            try:
                collection.snapshot().keyword("common", 5)
            except DatabaseClosedError as error:
                failures.append(error)

        thread = threading.Thread(target=search)
        thread.start()
        time.sleep(0.3)
        started = time.monotonic()
    thread.join()
    assert len(failures) == 1
    assert time.monotonic() - started < 5  # all of it would take 5 s by the sleeps alone


def test_a_forked_child_lets_the_index_be(collection: Collection) -> None:
    """It is refused, ends, and the parent goes on writing and searching."""
    add(collection, range(10))
    found(collection.snapshot(), "common")
    add(collection, range(10, 20))
    child = os.fork()
    if not child:
        try:
            collection.snapshot()
        except BaseException:  # noqa: BLE001
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert found(collection.snapshot(), "common") == ids(range(20))


KILLED = """
import sys
import engine
from engine import failpoints
from engine.segments import texts
texts.CHUNK = 50
database = engine.Database.open(sys.argv[1])
collection = database.create_collection("things", engine.Schema.from_json({"fields": {"text": "text", "n": "integer"}}))
def add(first, count, words):
    collection.add([{"id": f"d{i}", "text": f"{words} word{i}", "n": i} for i in range(first, first + count)])
add(0, 200, "common")
collection.snapshot().keyword("common", 5)
add(200, 300, "common")
collection.delete(ids=["d3", "d250"])
add(100, 1, "changed")
failpoints.arm(sys.argv[2])
collection.snapshot().keyword("common", 5)
collection.add([{"id": "e1", "label": "common short"}])
collection.snapshot().keyword("common", 5)
collection.add([{"id": "e2", "label": "common and long enough to be read as text, " * 5}])
collection.snapshot().keyword("common", 5)
collection.state.discard_text()
print("lived")
"""
POINTS = ["text.before_add", "text.before_commit", "text.after_commit", "text.before_build", "text.before_swap"]
POINTS += ["text.after_swap", "text.before_discard", "text.after_discard", "text.before_add:kill@4"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_loses_nothing(path: Path, point: str) -> None:
    """Half added, half committed, half built anew: the next opening finds all that was acknowledged."""
    armed = point if ":" in point else f"{point}:kill@1"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), armed], capture_output=True, text=True, check=False, timeout=60
    )
    assert (child.returncode, child.stdout) == (-9, ""), child.stderr
    with Database.open(path) as database:
        snapshot = database.collection("things").snapshot()
        there = set(snapshot.ids(snapshot.ordinals()))
        labels = {each["id"] for each in snapshot.get(["e2"]) if each} | (there & {"e1"} if "e2" in there else set())
        expected = (ids(range(500)) - {"d3", "d250", "d100"}) | labels
        assert found(snapshot, "common", 2000) == expected
        assert found(snapshot, "changed") == {"d100"}
        assert database.check().problems == []


def test_a_full_disk_is_said_and_then_all_is_found(collection: Collection) -> None:
    """No search passes an index for whole that could not be written; with room again the next one finds everything."""
    collection.add(
        [{"id": f"d{i}", "text": " ".join(["common", *(f"w{i}x{j}" for j in range(100))])} for i in range(300)]
    )
    text, snapshot = text_of(collection), collection.snapshot()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        for _ in range(2):
            with pytest.raises(StorageFullError, match="disk is full"):
                text.view(snapshot)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(found(snapshot, "common")) == 300
    assert text.check(snapshot) == []


def test_optimizing_lets_snapshots_search_what_was_merged(collection: Collection) -> None:
    """Without a write between: the same snapshot, the same answer, fewer of Tantivy's segments."""
    for i in range(100):
        add(collection, range(i, i + 1))
        snapshot = collection.snapshot()
        before = snapshot.text_view()
        collection.optimize()
        after = snapshot.text_view()
        assert found(snapshot, "common") == ids(range(i + 1))
        if after is not before:
            assert after.segments < before.segments
            return
    raise AssertionError("nothing was merged")
