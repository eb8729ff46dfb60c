"""Jobs of a database that is open here: how they end, are stopped, bounded, kept, and gone on with later."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import lumaai
from lumaai import Database, jobs
from lumaai.access import Caller, Grant
from lumaai.errors import InvalidRequestError, NotFoundError, OverloadedError
from lumaai.job import Job, JobRequest
from models import Embedder, Vectors
from models.embedders.hashing import HashingEmbedder

WAIT_SECONDS = 30.0


class Gated(HashingEmbedder):
    """A model that embeds batches only while the gate is open; `waiting` is set when it stands before it."""

    def __init__(self, dim: int, gate: threading.Event, waiting: threading.Event) -> None:
        super().__init__(dim)
        self._gate, self._waiting = gate, waiting

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if self.dim == 32 and len(texts) > 1:  # the probe of the constructor is one
            self._waiting.set()
            assert self._gate.wait(WAIT_SECONDS)
        return super().embed_documents(texts)


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def waiting() -> threading.Event:
    return threading.Event()


@pytest.fixture
def database(tmp_path: Path, gate: threading.Event, waiting: threading.Event) -> Iterator[Database]:
    """Some documents, embedded by hashing; `hashing:32` waits at a gate."""

    def load(name: str) -> Embedder:
        return Gated(int(name.partition(":")[2]), gate, waiting)

    with Database(tmp_path / "data", default_model="hashing:16", load_embedder=load) as database:
        documents = [{"id": str(number), "title": f"film number {number}"} for number in range(600)]
        database.create_collection("films").add(documents)
        yield database
        gate.set()


def test_a_job_says_how_far_it_is(database: Database, gate: threading.Event, waiting: threading.Event) -> None:
    """Documents, rate and the time left while it runs; its result when it is done."""
    job = database.jobs.reembed("films", "hashing:32")
    assert waiting.wait(WAIT_SECONDS)
    assert database.jobs.reembed("films", "hashing:32").id == job.id  # asking twice does nothing
    with pytest.raises(OverloadedError, match="goes on") as found:
        job.wait(timeout_seconds=0.3)
    assert found.value.code == "job_running"
    running = job.refresh()
    assert (running.state, running.total, running.has_ended) == ("running", 600, False)
    gate.set()
    done = job.wait()
    assert (done.state, done.documents, done.total, done.progress) == ("done", 600, 600, 1.0)
    assert done.rate is not None
    assert done.rate > 0
    assert done.result["model"] == "hashing:32"
    assert done.started is not None
    assert done.ended is not None
    assert done.made <= done.started <= done.ended


def test_a_running_job_is_cancelled(database: Database, gate: threading.Event, waiting: threading.Event) -> None:
    """Embedding anew stays with the old model, and the job says that it was cancelled."""
    job = database.jobs.reembed("films", "hashing:32")
    assert waiting.wait(WAIT_SECONDS)
    assert job.cancel().cancelling
    gate.set()  # the batch that waits is embedded, and no other
    with pytest.raises(OverloadedError) as found:
        job.wait()
    assert found.value.code == "cancelled"
    assert job.refresh().state == "cancelled"
    assert database["films"].info().schema["embed"]["vector"]["model"] == "hashing:16"
    ended = database.reembedding("films")
    assert ended is not None
    assert (ended.state, ended.documents < ended.total) == ("cancelled", True)
    assert database.check().is_sound


def test_a_waiting_job_is_cancelled_at_once(database: Database) -> None:
    """Work on files is done one after the other: what waits behind ends when it is told to."""
    held, release = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        held.set()
        assert release.wait(WAIT_SECONDS)

    first = threading.Thread(target=lambda: database.check(progress=hold))
    first.start()
    assert held.wait(WAIT_SECONDS)
    running, behind = database.jobs.compact(), database.jobs.purge()
    assert behind.cancel().state == "cancelled"
    assert running.cancel().cancelling or running.refresh().has_ended
    release.set()
    first.join()
    with pytest.raises(OverloadedError):
        running.wait()
    assert database.check().is_sound


def test_a_job_fails_with_the_error_of_the_call(database: Database) -> None:
    """The same class, code and words; its problem is kept with it."""
    database.create_snapshot("one")
    job = database.jobs.snapshot("one")
    with pytest.raises(lumaai.ConflictError, match="exists already") as found:
        job.wait()
    assert found.value.code == "snapshot_exists"
    failed = job.refresh()
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["status"] == 409


def test_what_is_no_job_is_refused(database: Database) -> None:
    """A kind, a collection, a snapshot, a model or a filter that there is none of: nothing is started."""
    with pytest.raises(InvalidRequestError, match="no such kind"):
        database.jobs.start(JobRequest("dance"))
    with pytest.raises(NotFoundError):
        database.jobs.optimize("none")
    with pytest.raises(NotFoundError):
        database.jobs.restore("none")
    with pytest.raises(InvalidRequestError):
        database.jobs.delete("films", {"title": {"$what": 1}})
    assert database.jobs.list() == []


def test_waiting_jobs_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused with 429, and is in no list."""
    monkeypatch.setattr(jobs, "WAITING_MAX", 1)
    held, release = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        held.set()
        assert release.wait(WAIT_SECONDS)

    busy = threading.Thread(target=lambda: database.check(progress=hold))
    busy.start()
    assert held.wait(WAIT_SECONDS)
    running = database.jobs.compact()
    while running.refresh().state == "queued":
        pass
    behind = database.jobs.compact()
    with pytest.raises(OverloadedError) as found:
        database.jobs.compact()
    assert (found.value.status, found.value.code) == (429, "too_many_jobs")
    release.set()
    busy.join()
    assert [job.wait().state for job in (running, behind)] == ["done", "done"]
    assert len(database.jobs.list()) == 2


def test_one_caller_leaves_room_for_the_jobs_of_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their share is full before the queue is; what ends, or is cancelled, gives its place back."""
    monkeypatch.setattr(jobs, "WAITING_MAX", 3)
    monkeypatch.setattr(jobs, "WAITING_OF_ONE_MAX", 2)
    held, release = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        held.set()
        assert release.wait(WAIT_SECONDS)

    busy = threading.Thread(target=lambda: database.check(progress=hold))
    busy.start()
    try:
        assert held.wait(WAIT_SECONDS)
        everywhere = (Grant.of(["admin"], ["*"]),)
        greedy, modest, third = (database.seen_by(Caller(f"key:{name}", everywhere)).jobs for name in ("a", "b", "c"))
        running = greedy.compact()
        while running.refresh().state == "queued":
            pass
        waiting = [greedy.compact() for _ in range(2)]
        with pytest.raises(OverloadedError, match="of yours"):
            greedy.compact()
        modest.compact()
        with pytest.raises(OverloadedError, match="jobs are waiting: maximum=3"):
            third.compact()
        waiting[0].cancel()
        third.compact()
    finally:
        release.set()
        busy.join()


def test_only_the_last_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that have ended the oldest go, from the records as well."""
    monkeypatch.setattr(jobs, "KEPT_MAX", 3)
    made = [database.jobs.optimize("films").wait().id for _ in range(5)]
    assert [job.id for job in database.jobs.list()] == made[:1:-1]
    assert set(database._opened.native.records("job", lasting=True).items()) == set(made[2:])


def test_a_caller_sees_their_own_jobs_and_those_of_what_they_administer(database: Database) -> None:
    """Others are not there for them, to look at or to stop."""
    reader = Caller("key:reader", (Grant.of(["read"], ["films"]),))
    keeper = Caller("key:keeper", (Grant.of(["admin"], ["films"]),))
    of_database, of_films = database.jobs.compact(), database.jobs.optimize("films")
    own = database.seen_by(reader).jobs.recall("films", queries=2, limit=1)
    for job in (of_database, of_films, own):
        job.wait()
    assert [job.id for job in database.seen_by(reader).jobs.list()] == [own.id]
    assert [job.id for job in database.seen_by(keeper).jobs.list()] == [own.id, of_films.id]
    for seen, job in ((reader, of_films), (reader, of_database), (keeper, of_database)):
        with pytest.raises(NotFoundError):
            database.seen_by(seen).jobs.get(job.id)
        with pytest.raises(NotFoundError):
            database.seen_by(seen).jobs.cancel(job.id)


def test_closing_interrupts_and_a_later_process_goes_on(
    database: Database, gate: threading.Event, waiting: threading.Event
) -> None:
    """What was embedded before is kept; the job is the same one, begun a second time."""
    job = database.jobs.reembed("films", "hashing:32")
    assert waiting.wait(WAIT_SECONDS)
    threading.Timer(0.2, gate.set).start()  # closing waits for the batch in hand
    database.close()
    with Database(database.path, default_model="hashing:16") as later:
        found = later.jobs.get(job.id)
        assert (found.state, found.attempts) == ("interrupted", 1)
        assert found.advice is not None
        with pytest.raises(OverloadedError) as refused:
            found.wait()
        assert refused.value.code == "interrupted"
        (resumed,) = later.jobs.resume()
        done = resumed.wait()
        assert (done.id, done.state, done.attempts) == (job.id, "done", 2)
        assert later["films"].info().schema["embed"]["vector"]["model"] == "hashing:32"
        assert list(later.jobs.resume()) == []


KILLED = """
import os, sys, threading, lumaai
database = lumaai.Database(sys.argv[1], default_model="hashing:16")
held, forever = threading.Event(), threading.Event()
busy = lambda *_: held.set() or forever.wait()
threading.Thread(target=lambda: database.check(progress=busy), daemon=True).start()
held.wait()
running, behind = database.jobs.purge(), database.jobs.optimize("films")
while running.refresh().state != "running" or not behind.refresh().has_ended:
    pass
waiting = database.jobs.compact()
print(running.id, behind.id, waiting.id, flush=True)
os._exit(9)
"""


def test_a_killed_process_leaves_its_jobs_interrupted(database: Database) -> None:
    """Records are on disk before work begins: what ran says what to do, what had not begun is done by the next."""
    database.close()
    command = [sys.executable, "-c", KILLED, str(database.path)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    running, behind, waiting = out.split()
    with Database(database.path, default_model="hashing:16") as later:
        assert later.jobs.get(behind).state == "done"
        job = later.jobs.get(running)
        assert (job.state, job.attempts) == ("interrupted", 1)
        assert "start it again" in (job.advice or "")
        (resumed,) = later.jobs.resume()
        assert resumed.id == waiting
        assert resumed.wait().state == "done"
        assert later.jobs.get(running).state == "interrupted"
        assert later["films"].count() == 600


def test_a_job_that_takes_its_process_down_is_not_begun_for_ever(database: Database) -> None:
    """After three attempts it is left as it is."""
    record = Job("0123456789abcdef", "reembed", "films", {"model": "hashing:64"}, "running", "2026", "x", attempts=3)
    records = database._opened.native.records("job", lasting=True)
    records.write({record.id: msgspec.json.encode(record.to_json())})
    database.close()
    with Database(database.path, default_model="hashing:16") as later:
        assert list(later.jobs.resume()) == []
        assert later.jobs.get(record.id).state == "interrupted"


def test_jobs_outlive_a_restore(database: Database) -> None:
    """Going back to a snapshot forgets none of them, the one that did it included."""
    database.create_snapshot("one")
    before = database.jobs.optimize("films").wait()
    restored = database.jobs.restore("one").wait()
    assert [job.id for job in database.jobs.list()] == [restored.id, before.id]
    database.close()
    with Database(database.path, default_model="hashing:16") as later:
        assert [job.state for job in later.jobs.list()] == ["done", "done"]


def test_a_job_reads_back_from_json() -> None:
    """All but who keeps it; keys of a later version are left out."""
    job = Job("0123456789abcdef", "compact", None, {}, "queued", "2026-11-30T00:00:00.000+00:00", "anybody")
    assert Job.from_json({**job.to_json(), "later": 1}) == job
    assert replace(job, state="done").has_ended
