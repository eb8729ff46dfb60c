"""directory.scrub: what is damaged is found and named; what is derived is built again, and what is lost is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from engine import Collection, CorruptionError, Database, Schema, parse_filter
from engine.segments.comparison import live_places
from engine.store import keys
from engine.store.rocks import DOCUMENTS, IDS, VECTORS


@pytest.fixture
def films(database: Database) -> Collection:
    """A sealed segment with deletions, a head, and another collection."""
    collection = database.create_collection("films", Schema())
    collection.add([{"id": f"f{i}", "year": 1900 + i, "vector": [1.0, float(i)]} for i in range(2500)])
    collection.delete(ids=["f7"])
    collection.optimize()
    collection.add([{"id": "f8", "year": 0, "vector": [2.0, 1.0]}, {"id": "tail"}])
    database.create_collection("notes", Schema()).add([{"id": "n"}])
    return collection


def flip(file: Path, share: float = 0.5) -> None:
    """One bit, in place: what is mapped changes as well."""
    with file.open("r+b") as opened:
        opened.seek(int(file.stat().st_size * share))
        byte = opened.read(1)
        opened.seek(-1, 1)
        opened.write(bytes([byte[0] ^ 1]))


def test_a_sound_database_has_no_problems(database: Database, films: Collection) -> None:
    """Every live document is read once, and every row: 2,499 of the segment, of which one was replaced; the head."""
    told: list[tuple[str, int, int]] = []
    report = database.check(progress=lambda *each: told.append(each))
    assert report.problems == []
    assert report.documents == 2498 + 2 + 1
    assert report.rows == 2499 + 1
    assert report.files > 5
    assert {step for step, _, _ in told} == {"store", "segments", "documents"}
    assert films.snapshot().count() == 2500


def test_a_damaged_segment_is_found_and_built_again(database: Database, films: Collection, path: Path) -> None:
    """Without `repair` it is only named. Whichever file it is, searches answer as before."""
    for pattern in ("columns.arrow", "vector-0.faiss", "vector-0.arrow"):
        (file,) = (path / "indexes").rglob(pattern)
        flip(file, 0.02)
        for repair in (False, True):
            (problem,) = database.check(repair=repair).problems
            assert (problem.collection, problem.repaired) == ("films", repair)
            assert str(file.parent) in problem.file
            assert str(file) in problem.what
        assert database.check().problems == []
        assert films.snapshot().search(np.array([1.0, 5.0]), 1, exact=True).ids == ["f5"]
        assert films.snapshot().count() == 2500


def test_large_segment_files_are_read_as_well(
    database: Database, films: Collection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening compares only sizes beyond a limit; a check does not."""
    monkeypatch.setattr("engine.segments.segment.CHECKED_BYTES_MAX", 10)
    (file,) = (path / "indexes").rglob("columns.arrow")
    flip(file, 0.3)
    assert [problem.repaired for problem in database.check().problems] == [True]
    assert films.snapshot().count() == 2500


def test_a_damaged_table_names_its_file_and_the_documents_in_it(path: Path) -> None:
    """A block of documents is lost: exactly those that a read fails on are listed; other collections are whole."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": f"d{i}", "text": f"{i} " * 200} for i in range(300)])
        collection.optimize()
        database.create_collection("other", Schema()).add([{"id": "o"}])
    table = max((path / "store").glob("*.sst"), key=lambda each: each.stat().st_size)
    flip(table)
    with Database.open(path, seal_rows=1_000_000) as database:
        report = database.check()
        unreadable: dict[str, str] = {}
        snapshot = database.collection("c").snapshot()
        for i in range(300):
            try:
                assert snapshot.get([f"d{i}"])[0] is not None
            except CorruptionError as error:
                unreadable[f"d{i}"] = str(error)
        assert unreadable
        assert all(table.name in message for message in unreadable.values())
        listed = [problem for problem in report.problems if problem.ids]
        assert [(problem.collection, sorted(problem.ids)) for problem in listed] == [("c", sorted(unreadable))]
        assert any(problem.file.endswith(table.name) for problem in report.problems)
        assert not any(problem.repaired for problem in report.problems)
        assert report.documents == 300 - len(unreadable) + 1
        assert database.collection("other").snapshot().get(["o"]) == [{"id": "o"}]
        assert database.collection("other").add([{"id": "p"}]).added == 1


def remove(database: Database, family: str, key: bytes) -> None:
    batch = database._store.batch()
    batch.delete(family, key)
    batch.flush()


def test_what_the_store_has_lost_is_listed(database: Database, films: Collection) -> None:
    """A document, a vector, and an id vanish from the store: each is a problem that says which, and is not mended."""
    remove(database, DOCUMENTS, keys.document_key(films.number, 12))
    remove(database, VECTORS, keys.vector_key(films.number, 0, 20))
    remove(database, IDS, keys.id_key(films.number, "f30"))
    problems = database.check().problems
    assert [problem.ids for problem in problems] == [("f12",), (), ("f30",)]
    assert "rows=[20] of 1" in problems[1].what
    assert all(problem.collection == "films" and not problem.repaired for problem in problems)


def test_an_id_without_its_document_is_listed(database: Database, films: Collection) -> None:
    """The table of ids names a document that the index calls deleted."""
    films.state._deleted = films.state._deleted | BitMap([44])
    films.state._snapshot = None
    assert [problem.ids for problem in database.check().problems] == [("f44",)]


def test_columns_that_disagree_with_the_documents_are_built_again(database: Database, films: Collection) -> None:
    """The segment was built from other documents than the store has, with checksums that fit."""
    batch = database._store.batch()
    key = keys.document_key(films.number, 5)
    value = database._store.get(DOCUMENTS, key)
    assert value is not None
    batch.put(DOCUMENTS, key, value.replace(b"1905", b"1850"))
    batch.flush()
    (problem,) = database.check().problems
    assert (problem.what, problem.repaired) == ("index disagrees with the store: year", True)
    assert database.check().problems == []
    assert films.snapshot().count(parse_filter({"year": 1850})) == 1


def test_a_damaged_log_is_replaced_by_tables(database: Database, films: Collection, path: Path) -> None:
    """What the log holds is still in memory: it is written to tables, and nothing is lost by opening again."""
    log = max((path / "store").glob("*.log"), key=lambda each: each.stat().st_size)
    flip(log)
    (problem,) = database.check().problems
    assert (problem.file, problem.repaired) == (str(path / "store"), True)
    assert database.check().problems == []
    database.close()
    with Database.open(path) as again:
        assert again.collection("films").snapshot().count() == 2500
        assert films.name == "films"


@pytest.mark.parametrize("name", ["highwater.json", "highwater.counter", "lumaai.json"])
@pytest.mark.parametrize("damage", [None, b"", b"x"])
def test_damaged_small_files_are_written_anew(
    database: Database, films: Collection, path: Path, name: str, damage: bytes | None
) -> None:
    """Missing, empty or nonsense: named, and as before afterwards."""
    database._mark()
    before = (path / name).read_bytes()
    if damage is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(damage)
    (problem,) = database.check().problems
    assert name in problem.file
    assert problem.repaired
    assert database.check().problems == []
    assert (path / name).exists()
    if name == "lumaai.json":
        assert (path / name).read_bytes() == before
    assert films.snapshot().count() == 2500


def test_a_check_during_writes_finds_nothing(database: Database, films: Collection) -> None:
    """Documents replaced, deleted and added, sealed and merged while it reads are no problems."""
    import threading

    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            films.add([{"id": f"f{n % 500}", "year": n, "vector": [1.0, 3.0]}, {"id": f"n{n}"}])
            films.delete(ids=[f"f{(n * 7) % 500}"])
            if n % 15 == 0:
                films.optimize()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert database.check().problems == []
    finally:
        stop.set()
        writer.join()


def test_a_collection_that_cannot_be_opened_leaves_the_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its segment and a document of it are lost: it says so when asked for, is listed, can be dropped; others serve."""
    with Database.open(path, seal_rows=1_000_000) as database:
        bad = database.create_collection("bad", Schema())
        bad.add([{"id": f"b{i}", "vector": [1.0, float(i)]} for i in range(20)])
        bad.optimize()
        remove(database, DOCUMENTS, keys.document_key(bad.number, 3))
        database.create_collection("good", Schema()).add([{"id": "g"}])
    (columns,) = (path / "indexes").rglob("columns.arrow")
    columns.unlink()
    with Database.open(path, seal_rows=1_000_000) as database:
        assert database.collections() == ["bad", "good"]
        with pytest.raises(CorruptionError, match="collection is damaged: 'bad'"):
            database.collection("bad")
        assert list(database.snapshot()) == ["good"]
        database.collection("good").add([{"id": "h"}])
        (problem,) = database.check().problems
        assert (problem.collection, problem.ids, problem.repaired) == ("bad", ("b3",), False)
        database.drop_collection("bad")
        assert database.collections() == ["good"]
        assert not list((path / "indexes").rglob("*.faiss"))
    with Database.open(path) as database:
        assert database.collections() == ["good"]
        assert database.collection("good").snapshot().count() == 2


def test_what_opening_found_and_mended_is_reported_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also without repair: the segment is named in the log and in the report, and so is the mark."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("films", Schema())
        collection.add([{"id": str(i)} for i in range(10)])
        collection.optimize()
    (columns,) = path.rglob("columns.arrow")
    columns.write_bytes(columns.read_bytes()[:-8])
    mark = path / "highwater.json"
    mark.write_bytes(mark.read_bytes().replace(b'"sequence": 1', b'"sequence": 3'))
    with Database.open(path) as database:
        (record,) = (record for record in caplog.records if record.message == "segment.damaged")
        assert (record.__dict__["collection"], record.__dict__["path"]) == ("films", str(columns.parent))
        problems = database.check(repair=False).problems
        assert [(each.file, each.collection, each.repaired) for each in problems] == [
            (str(mark), None, True),
            (str(columns.parent), "films", True),
        ]
        assert all("when the database was opened" in each.what for each in problems)
        assert database.check(repair=False).problems == []
        assert database.collection("films").snapshot().count() == 10


def test_snapshots_in_the_directory_are_read(path: Path) -> None:
    """A damaged one is named; one in the making is not looked at."""
    with Database.open(path) as database:
        database.create_collection("c", Schema()).add([{"id": "1"}])
        (path / "snapshots").mkdir()
        for name in ("first", "second", "third.partial"):
            database.archive(path / "snapshots" / name)
        assert database.check().problems == []
        for name in ("second", "third.partial"):
            file = path / "snapshots" / name / "lumaai.json"
            file.write_bytes(file.read_bytes() + b" ")
        (problem,) = database.check().problems
        assert problem.file == str(path / "snapshots" / "second")
        assert not problem.repaired
        assert "lumaai.json" in problem.what


def test_what_is_dropped_meanwhile_is_not_reported_lost(
    database: Database, films: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped just when its documents are about to be read; the other collection is still read."""
    looked = live_places
    names = ["films"]

    def drop_first(*given: Any) -> Any:
        if names:
            database.drop_collection(names.pop())
        return looked(*given)

    monkeypatch.setattr("engine.directory.scrub.live_places", drop_first)
    report = database.check()
    assert films.reader.dropped
    assert report.problems == []
    assert report.documents == 1
