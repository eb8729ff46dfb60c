"""Scripts about the whole database: changes, snapshots, checks, giving disk back."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

import lumaai
from tests.congruence.agreement import outcome
from tests.congruence.material import FILMS, AnyDatabase, Scenario, films, refused


def following_changes(database: AnyDatabase) -> Any:
    collection = films(database)
    other = database.create_collection("other", embed={})
    other.add([{"id": "o"}])
    collection.delete(ids=["2"])
    collection.patch([{"id": "1", "year": 1928}])
    everything = database.changes()
    assert [change.sequence for change in everything] == [1, 2, 3, 4]
    assert [change.deleted for change in everything] == [[], [], ["2"], []]
    assert [document["id"] for document in everything[0].documents] == ["3", "4", "5"]
    first = database.changes(limit=2)
    assert (len(first), first.next) == (2, 2)
    return [
        everything,
        first,
        database.changes(first.next),
        database.changes(4),
        database.changes(collection="other"),
        database.refresh(),
        outcome(lambda: database.changes(99)),
        outcome(lambda: database.changes(-1)),
        outcome(lambda: database.changes(limit=0)),
        outcome(lambda: database.changes(limit=10_001)),
        outcome(lambda: database.changes("1")),  # type: ignore[arg-type]
        outcome(lambda: database.changes(collection="none")),
    ]


def going_back_to_snapshots(database: AnyDatabase) -> Any:
    collection = films(database)
    made = [database.create_snapshot("one")]
    collection.add([{"id": "6", "title": "later"}])
    made.append(database.create_snapshot("two"))
    collection.delete(filter={})
    cursor = films_cursor(database)
    results: list[Any] = [
        made,
        database.snapshots(),
        outcome(lambda: database.create_snapshot("one")),
        outcome(lambda: database.create_snapshot("../one")),
        outcome(lambda: database.create_snapshot("")),
        outcome(lambda: database.create_snapshot("a.tar")),
        outcome(lambda: database.create_snapshot(5)),  # type: ignore[arg-type]
        outcome(lambda: database.restore_snapshot("none")),
        outcome(lambda: database.restore_snapshot("a/b")),
        outcome(lambda: database.delete_snapshot("none")),
    ]
    assert all(map(refused, results[2:]))
    results.append(database.restore_snapshot("two"))
    assert collection.count() == 6
    results.append(outcome(lambda: database["cursors"].scroll(cursor=cursor)))
    assert refused(results[-1])
    results.append(database.restore_snapshot("one"))
    assert collection.get(["1", "6"]) == [FILMS[0], None]
    results += [collection.search("a distant planet"), collection.add([{"id": "7", "title": "after"}])]
    database.delete_snapshot("two")
    results.append(outcome(lambda: database.changes(1)))
    return results, [info.name for info in database.snapshots()], collection.count()


def films_cursor(database: AnyDatabase) -> str:
    """A scroll under way, in a collection of its own."""
    collection = database.create_collection("cursors", embed={})
    collection.add([{"id": "a"}, {"id": "b"}])
    cursor = collection.scroll(limit=1).next_cursor
    assert cursor is not None
    return cursor


def exporting_a_snapshot(database: AnyDatabase) -> Any:
    films(database)
    database.create_snapshot("one")
    with tempfile.TemporaryDirectory() as name:
        target = database.export_snapshot("one", Path(name) / "one.tar")
        with tarfile.open(target) as tar:
            members = tar.getnames()
        assert members[0] == "archive.json"
        info = lumaai.restore(target, Path(name) / "restored")
        results = [
            outcome(lambda: database.export_snapshot("one", target)),
            outcome(lambda: database.export_snapshot("none", Path(name) / "none.tar")),
            outcome(lambda: database.export_snapshot("one", Path(name) / "no" / "one.tar")),
            outcome(lambda: database.export_snapshot("../one", Path(name) / "x.tar")),
        ]
        with lumaai.Database(Path(name) / "restored", default_model="hashing") as restored:
            found = restored["films"].get(["1"])
        left = sorted(path.name for path in Path(name).iterdir())
    assert all(map(refused, results))
    assert found == [FILMS[0]]
    return results, info, left


def looking_after_the_files(database: AnyDatabase) -> Any:
    collection = films(database)
    told: list[float] = []
    collection.delete(ids=["1", "2"])
    checked = database.check(progress=lambda _, fraction: told.append(fraction))
    assert checked.is_sound
    assert checked.documents == 3
    compacted = database.compact(progress=lambda _, fraction: told.append(fraction))
    purged = database.purge(progress=lambda _, fraction: told.append(fraction))
    assert told
    assert purged["disk_bytes_after"] > 0
    return [
        checked.documents,
        checked.rows,
        checked.problems,
        database.check(repair=False).problems,
        outcome(lambda: database.check(repair="yes")),  # type: ignore[arg-type]
        sorted(compacted),
        sorted(purged),
        sorted(database.stats()["memory"]),
        outcome(lambda: database.changes(0)),
        collection.search("a distant planet"),
    ]


def embedding_anew(database: AnyDatabase) -> Any:
    collection = films(database)
    before = database.reembedding("films")
    done = database.reembed("films", "hashing:32")
    assert (done.state, done.documents, done.total) == ("done", 5, 5)
    return [
        before,
        done,
        database.reembedding("films"),
        collection.search("a distant planet"),
        len((collection.get(["1"], vectors=True)[0] or {})["vector"]),
        collection.fetch(["1", "5"]).versions,
        database.collections(),
        outcome(lambda: database.cancel_reembedding("films")),
        outcome(lambda: database.cancel_reembedding("none")),
        outcome(lambda: database.reembed("none", "hashing")),
        outcome(lambda: database.reembed("films", "hashing", field="title")),
        outcome(lambda: database.reembedding("none")),
    ]


def working_in_the_background(database: AnyDatabase) -> Any:
    collection = films(database)
    told: list[float] = []
    jobs = database.jobs
    done = [
        jobs.snapshot("one").wait(progress=lambda _, fraction: told.append(fraction)),
        jobs.check().wait(),
        jobs.reembed("films", "hashing:32").wait(),
        jobs.delete("films", {"id": "5"}).wait(),
        jobs.optimize("films").wait(),
        jobs.recall("films", queries=3, limit=2).wait(),
    ]
    assert [job.state for job in done] == ["done"] * 6
    assert done[3].result["deleted"] == 1
    assert collection.count() == 4
    done.append(jobs.restore("one").wait())
    assert collection.count() == 5
    done += [jobs.compact().wait(), jobs.purge().wait()]
    again = jobs.snapshot("one")
    failed = outcome(again.wait)
    assert refused(failed)
    assert [job.id for job in jobs.list()] == [again.id, *(job.id for job in reversed(done))]
    assert again.cancel() == again.refresh()  # one that has ended stays as it is
    return [
        [(job.kind, job.collection, job.arguments, job.state, job.progress, job.attempts) for job in jobs.list()],
        [sorted(job.result) for job in done if job.result is not None],
        told[-1],
        failed,
        outcome(lambda: jobs.get("0123456789abcdef")),
        outcome(lambda: jobs.get("no/job")),
        outcome(lambda: jobs.restore("none")),
        outcome(lambda: jobs.optimize("none")),
        outcome(lambda: jobs.reembed("films", "hashing", field="title")),
        outcome(lambda: jobs.delete("films", {"year": {"$what": 1}})),
    ]


UPKEEP: list[Scenario] = [
    working_in_the_background,
    embedding_anew,
    following_changes,
    going_back_to_snapshots,
    exporting_a_snapshot,
    looking_after_the_files,
]
