from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import lumaai
from lumaai.errors import ConflictError, InvalidRequestError, NotFoundError
from tests.congruence.conftest import served

Target = lumaai.Database | lumaai.Client


@pytest.fixture(params=["embedded", "remote"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """Collections "v1" and "v2", of a document each, in this process and behind a service."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        for name in ("v1", "v2"):
            database.create_collection(name, embed={}).add([{"id": "1", "title": f"film of {name}"}])
        if request.param == "embedded":
            yield database
            return
        with served(database, tmp_path) as url, lumaai.Client(url, timeout_seconds=60) as client:
            yield client


def test_an_alias_stands_for_its_collection_everywhere(target: Target) -> None:
    """Reads, writes, SQL, languages, questions and changes; after a switch all of them see the other one."""
    assert target.set_alias("films", "v1")
    for expected in ("v1", "v2"):
        films = target["films"]
        assert films.info().name == expected
        assert films.get(["1"])[0]["title"] == f"film of {expected}"  # type: ignore[index]  # it is there
        assert films.count() == 1
        assert films.search(query="film", mode="keyword").ids == ["1"]
        assert target.sql("SELECT title FROM FILMS").rows == [[f"film of {expected}"]]
        assert target.sql("SELECT count(*) FROM films JOIN v1 USING (id)").rows == [[1]]
        assert target.sql("SELECT title FROM films", dialect="sqlite").rows == [[f"film of {expected}"]]
        assert target.query("jql", {"find": "films"}).to_pylist()[0]["title"] == f"film of {expected}"
        assert target.changes(collection="films").items[0].collection == expected
        answer = target.ask("How many documents are there?", collections=["films"], planner="rules")
        assert list(answer.values) == [1]
        films.add([{"id": "2", "title": "another"}])
        assert target[expected].count() == 2
        films.delete(ids=["2"])
        assert target.sql("EXPLAIN SELECT * FROM films").rows
        if expected == "v1":
            assert not target.set_alias("films", "v2")
    assert target.aliases() == {"films": "v2"}
    assert target.collections() == ["v1", "v2"]


def test_names_are_either_collections_or_aliases(target: Target) -> None:
    """None becomes both, and none leads to what is not there or to another alias."""
    target.set_alias("films", "v1")
    for collection, says in (("gone", "does not exist"), ("films", "this is an alias itself")):
        with pytest.raises(NotFoundError, match=says):
            target.set_alias("other", collection)
    with pytest.raises(ConflictError) as caught:
        target.set_alias("v2", "v1")
    assert caught.value.code == "collection_exists"
    for exist_ok in (False, True):
        with pytest.raises(ConflictError) as caught:
            target.create_collection("films", exist_ok=exist_ok)
        assert caught.value.code == "alias_exists"
    with pytest.raises(NotFoundError, match="this is an alias: drop the collection behind it"):
        target.drop("films")
    with pytest.raises(NotFoundError):
        target.drop_alias("v1")
    for name in ("_files.x", "a b", ""):
        with pytest.raises((InvalidRequestError, NotFoundError)):
            target.set_alias(name, "v1")
    target.drop_alias("films")
    with pytest.raises(NotFoundError):
        target.collection("films")
    assert target.aliases() == {}


def test_aliases_go_with_their_collection(target: Target) -> None:
    """A collection that is made anew is not found under them."""
    target.set_alias("films", "v1")
    target.set_alias("others", "v2")
    target.drop("v1")
    assert target.aliases() == {"others": "v2"}
    target.create_collection("films", embed={})
    assert target["films"].count() == 0


def test_aliases_are_durable_and_go_back_with_a_snapshot(tmp_path: Path) -> None:
    """They are there after reopening; a restored database has those of its snapshot."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        for name in ("v1", "v2"):
            database.create_collection(name, embed={}).add([{"id": name}])
        database.set_alias("films", "v1")
        database.create_snapshot("before")
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        assert database["films"].info().name == "v1"
        database.set_alias("films", "v2")
        database.restore_snapshot("before")
        assert database["films"].info().name == "v1"


def test_a_switch_is_seen_at_once_and_never_half(tmp_path: Path) -> None:
    """Readers find one collection or the other, none of them nothing, and after the call the new one."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        for name in ("v1", "v2"):
            database.create_collection(name, embed={}).add([{"id": name}])
        database.set_alias("films", "v1")
        stop, failed = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                try:
                    found = database["films"].info().name
                    assert found in ("v1", "v2")
                except Exception as error:  # noqa: BLE001 - told by the test
                    failed.append(error)
                    return

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for i in range(40):
            wanted = ("v2", "v1")[i % 2]
            database.set_alias("films", wanted)
            assert database["films"].info().name == wanted
        stop.set()
        for reader in readers:
            reader.join()
        assert failed == []
