"""A database that could not be opened again after a restore, and one with a damaged collection: the rest goes on."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import engine
import lumaai
from lumaai import Client, opened
from lumaai.database import Database
from lumaai.errors import CorruptionError, DatabaseClosedError, LumaError, OverloadedError, StorageFullError
from lumaai.translation import translate
from tests.congruence.conftest import served
from tests.lumaai.films import FILMS, open_database
from tests.lumaai.serving import Service, problem_of, serving

Damage = Callable[[Database, str], None]


@pytest.fixture
def damage(monkeypatch: pytest.MonkeyPatch) -> Damage:
    """Has the engine know a collection as it does one whose files could not be read at opening."""

    def say(database: Database, name: str) -> None:
        native = database._native
        collection = native._collections.pop(name)
        monkeypatch.setitem(native._damaged, name, (collection, engine.CorruptionError("block checksum is wrong")))

    return say


@pytest.fixture
def allow_opening(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the reopening after a restore fail, and every opening from then on, until the function is called."""
    real = engine.Database.restore
    real_open = engine.Database.open

    def restore(self: engine.Database, *arguments: Any, **options: Any) -> engine.Database:
        real(self, *arguments, **options).close()
        monkeypatch.setattr(engine.Database, "open", staticmethod(open_))
        raise engine.StorageError("store failed: too many open files")

    def open_(*_: Any, **__: Any) -> engine.Database:
        raise engine.StorageError("store failed: too many open files")

    monkeypatch.setattr(engine.Database, "restore", restore)
    return lambda: monkeypatch.setattr(engine.Database, "open", staticmethod(real_open))


def filled(path: Path) -> Database:
    database = open_database(path)
    database.create_collection("films").add(FILMS)
    database.create_collection("notes", embed={})
    return database


def test_a_damaged_collection_is_listed_and_the_others_serve(tmp_path: Path, damage: Damage) -> None:
    """By name, with what is wrong; also over HTTP."""
    with filled(tmp_path / "data") as database:
        damage(database, "films")
        with served(database, tmp_path) as url, Client(url) as client:
            for each in (database, client):
                films, notes = each.infos()
                assert (films.name, films.damaged is not None) == ("films", True)
                assert "block checksum" in str(films.damaged)
                assert (notes.name, notes.documents, notes.damaged) == ("notes", 0, None)
                assert each.collections() == ["films", "notes"]
                with pytest.raises(CorruptionError):
                    each.collection("films")
                assert [info.name for info in each.infos(["notes", "none"])] == ["notes"]


def test_metrics_name_the_damaged_collection(tmp_path: Path, damage: Damage) -> None:
    """A gauge for each collection; only sound ones have documents."""
    with serving(tmp_path) as service:
        for name in ("films", "notes"):
            service.put(f"/v1/collections/{name}", {"embed": {}})
        damage(service.database, "films")
        answer = service.get("/metrics")
        assert answer.status_code == 200
        assert 'lumaai_collection_damaged{collection="films"} 1.0' in answer.text
        assert 'lumaai_collection_damaged{collection="notes"} 0.0' in answer.text
        assert 'lumaai_documents{collection="notes"} 0.0' in answer.text
        assert 'lumaai_documents{collection="films"}' not in answer.text


def test_a_collection_that_is_dropped_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the list of names and the look at each."""
    with filled(tmp_path / "data") as database:
        monkeypatch.setattr(database._native, "collections", lambda: ["films", "gone", "notes"])
        assert [info.name for info in database.infos()] == ["films", "notes"]


def test_what_could_not_be_opened_after_a_restore_is_opened_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allow_opening: Callable[[], None]
) -> None:
    """Until then every call is refused as one to repeat; tries become rarer."""
    now = [0.0]
    monkeypatch.setattr("lumaai.opened.time.monotonic", lambda: now[0])
    with filled(tmp_path / "data") as database:
        films = database["films"]
        database.create_snapshot("one")
        films.delete(filter={})
        with pytest.raises(LumaError, match="too many open files"):
            database.restore_snapshot("one")
        for seconds in (0.0, 0.3, 0.3, 0.3):
            now[0] += seconds
            for call in (database.collections, films.count, lambda: database.sequence):
                with pytest.raises(OverloadedError, match="too many open files") as caught:
                    call()
                assert (caught.value.code, caught.value.status, caught.value.retryable) == ("restoring", 503, True)
        allow_opening()
        with pytest.raises(OverloadedError):
            films.count()  # not yet due
        now[0] += 10
        assert films.count() == 3
        assert database.path == tmp_path / "data"
        assert films.add([{"id": "9", "title": "after"}]).added == 1
    with pytest.raises(DatabaseClosedError):
        films.count()


def test_restores_at_the_same_time_come_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one goes on with what the first made, where it had begun before that was there."""
    first_begun, second_begun = threading.Event(), threading.Event()
    real = engine.Database.restore

    def restore(self: engine.Database, *arguments: Any, **options: Any) -> engine.Database:
        if not first_begun.is_set():
            first_begun.set()
            assert second_begun.wait(10)
            time.sleep(0.1)  # so that the second one waits for this one
        return real(self, *arguments, **options)

    monkeypatch.setattr(engine.Database, "restore", restore)
    with filled(tmp_path / "db") as database:
        database.create_snapshot("monday")
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(database.restore_snapshot, "monday")
            assert first_begun.wait(10)
            close = database._opened.reembeddings.close

            def begun() -> None:
                second_begun.set()
                close()

            monkeypatch.setattr(database._opened.reembeddings, "close", begun)
            second = threads.submit(database.restore_snapshot, "monday")
            first.result(30)
            second.result(30)
        assert database["films"].count() == len(FILMS)
        assert database.check().is_sound


def test_a_database_that_was_lost_can_be_closed(tmp_path: Path, allow_opening: Callable[[], None]) -> None:
    """And stays closed."""
    database = filled(tmp_path / "data")
    database.create_snapshot("one")
    with pytest.raises(LumaError):
        database.restore_snapshot("one")
    allow_opening()
    database.close()
    with pytest.raises(DatabaseClosedError):
        database.collections()
    with open_database(tmp_path / "data") as again:
        assert again["films"].count() == 3


def test_a_service_comes_back_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allow_opening: Callable[[], None]
) -> None:
    """503 with Retry-After until the directory can be opened; readiness says why."""
    monkeypatch.setattr(opened, "REOPEN_SECONDS_MIN", 0.0)
    with serving(tmp_path) as service:
        service.put("/v1/collections/films", {"embed": {}})
        service.post("/v1/snapshots", {"name": "one"})
        assert service.post("/v1/snapshots/one:restore").status_code == 500
        answer = service.post("/v1/collections/films/count")
        assert problem_of(answer, 503, "restoring")["retryable"]
        assert "retry-after" in answer.headers
        ready = service.get("/readyz")
        assert (ready.status_code, "open files" in ready.text) == (503, True)
        allow_opening()
        assert wait_for(service) == {"count": 0}


def wait_for(service: Service) -> Any:
    """The answer to a count, as soon as there is one."""
    for _ in range(100):
        answer = service.post("/v1/collections/films/count")
        if answer.status_code == 200:
            return answer.json()
    raise AssertionError(answer.text)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["compact", "purge", "optimize"])
def test_a_full_disk_during_long_work_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """507, also where only the system says it."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(number, "no space", "/data/file")

    with serving(tmp_path) as service:
        service.put("/v1/collections/films", {"embed": {}})
        target = engine.Collection if call == "optimize" else engine.Database
        monkeypatch.setattr(target, call, full)
        path = "/v1/collections/films/optimize" if call == "optimize" else f"/v1/{call}"
        problem_of(service.post(path), 507, "storage_full")


def test_other_errors_of_the_system_are_not_translated() -> None:
    """They are ours to look at."""
    assert isinstance(translate(OSError(errno.ENOSPC, "x")), StorageFullError)
    assert translate(OSError(errno.EIO, "x")) is None


def test_a_directory_of_another_format_is_no_damage(tmp_path: Path) -> None:
    """A newer one, one that holds something else, one that is missing: for the caller to change."""
    newer, foreign = tmp_path / "newer", tmp_path / "foreign"
    newer.mkdir()
    (newer / "lumaai.json").write_text('{"format": 9999}')
    foreign.mkdir()
    (foreign / "letter.txt").write_text("x")
    for path, read_only in ((newer, False), (foreign, False), (tmp_path / "none", True)):
        with pytest.raises(lumaai.LumaError) as caught:
            Database(path, read_only=read_only)
        assert caught.value.status == (404 if path.name == "none" else 422)


def test_adding_what_is_stored_already_waits_for_no_more_than_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at what is stored has the durability of the write."""
    asked = []
    real = engine.Collection.unchanged

    def unchanged(self: engine.Collection, batch: Any, durability: Any = engine.Durability.SYNC) -> Any:
        asked.append(str(durability))
        return real(self, batch, durability)

    monkeypatch.setattr(engine.Collection, "unchanged", unchanged)
    with filled(tmp_path / "data") as database:
        asked.clear()
        for durability in ("none", "interval", "sync"):
            assert database["films"].add(FILMS, durability=durability).skipped == 3
    assert asked == ["none", "interval", "sync"]
