"""Embedding a collection anew: searches go on, writes are in both, the switch is one step, a kill loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import engine
import lumaai
from engine import failpoints
from lumaai import reembedding
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import ConflictError, InvalidRequestError, LumaError, NotFoundError
from models import Embedder, Vectors
from models.embedders.hashing import HashingEmbedder

DOCUMENTS = [{"id": f"d{i}", "text": f"number {i} of words about {'cats' if i % 2 else 'dogs'}"} for i in range(600)]


class Held(HashingEmbedder):
    """Embeds documents only while it may."""

    def __init__(self, dim: int, allowed: threading.Event) -> None:
        super().__init__(dim)
        self._allowed = allowed

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if len(texts) > 1:  # the probe of the constructor is one
            assert self._allowed.wait(30)
        return super().embed_documents(texts)


def database_at(path: Path, load: Callable[[str], Embedder] | None = None) -> Database:
    return Database(path, default_model="hashing:64", load_embedder=load)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    with database_at(tmp_path / "data") as database:
        database.create_collection("films").add(DOCUMENTS)
    return tmp_path / "data"


def model_of(collection: Collection) -> tuple[str, int]:
    schema = collection.info().schema
    return schema["embed"]["vector"]["model"], schema["fields"]["vector"]["dim"]


def passages_of(collection: engine.Collection) -> list[engine.Passage | None]:
    snapshot = collection.snapshot()
    return list(collection.copies(snapshot, snapshot.ordinals(), ["vector"]).vectors["vector"].passages or ())


def test_a_collection_changes_its_model(filled: Path) -> None:
    """Same documents and versions, new vectors, through the handle that was there before; and after reopening."""
    told: list[float] = []
    with database_at(filled) as database:
        films = database["films"]
        before = films.fetch(["d1", "d599"])
        done = database.reembed("films", "hashing:16", progress=lambda _, fraction: told.append(fraction))
        assert (done.state, done.documents, done.total, done.model) == ("done", 600, 600, "hashing:16")
        assert model_of(films) == ("hashing:16", 16)
        assert films.fetch(["d1", "d599"]) == before
        assert films.search("number 7 of words about cats", limit=1)[0].id == "d7"
        assert len(films.get(["d7"], vectors=True)[0]["vector"]) == 16  # type: ignore[index]
        assert films.add([{"id": "d7", "text": "another"}], if_version={"d7": before.versions[0]}).replaced == 1  # type: ignore[dict-item]
        assert database.collections() == ["films"]
        assert told == sorted(told)
    with database_at(filled) as database:
        assert model_of(database["films"]) == ("hashing:16", 16)
        assert database["films"].count() == 600
        assert database.reembedding("films") is None
        assert database._native.hidden_collections() == []


def test_searches_and_writes_go_on(filled: Path) -> None:
    """Until the switch the old model answers; what was written, replaced and deleted meanwhile is there after it."""
    allowed = threading.Event()
    with database_at(filled, lambda name: Held(16, allowed) if name == "new" else HashingEmbedder(64)) as database:
        films = database["films"]
        started = database.reembed("films", "new", wait=False)
        assert started.state == "running"
        assert model_of(films)[1] == 64
        assert films.search("number 7 of words about cats", limit=1)[0].id == "d7"
        films.add([{"id": "late", "text": "zebras graze"}, {"id": "d1", "text": "giraffes browse"}])
        films.delete(ids=["d2"])
        version = films.fetch(["late"]).versions
        with pytest.raises(ConflictError, match="being embedded anew with new"):
            database.reembed("films", "hashing:32")
        assert database.reembed("films", "new", wait=False).state == "running"  # the same again does nothing
        allowed.set()
        done = database.reembed("films", "new")
        assert done.state == "done"
        assert model_of(films)[1] == 16
        assert films.search("zebras graze", limit=1)[0].id == "late"
        assert films.search("giraffes browse", limit=1)[0].id == "d1"
        assert films.get(["d2"]) == [None]
        assert films.fetch(["late"]).versions == version
        assert films.count() == 600


def test_no_reader_and_writer_ever_fails(filled: Path) -> None:
    """Threads that search and add during the switch see one model or the other, and lose nothing."""
    stop, errors, added = threading.Event(), [], []

    def run(act: Callable[[int], None]) -> None:
        count = 0
        while not stop.is_set():
            try:
                act(count)
            except Exception as error:  # noqa: BLE001 - all that any thread meets is looked at below
                errors.append(error)
            count += 1

    with database_at(filled) as database:
        films = database["films"]

        def search(_: int) -> None:
            assert films.search("number 7 of words about cats", limit=1)[0].id == "d7"

        def write(count: int) -> None:
            films.add([{"id": f"new{count}", "text": f"new document {count}"}])
            added.append(f"new{count}")

        threads = [threading.Thread(target=run, args=(act,)) for act in (search, write)]
        for thread in threads:
            thread.start()
        for dim in (16, 64, 32, 64):  # 64 twice: the same size, so that only the check of the model tells them apart
            assert database.reembed("films", f"hashing:{dim}").state == "done"
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []
        assert films.count() == 600 + len(added)
        assert all(document is not None for document in films.get(added))
        assert {len(each["vector"]) for each in films.get(added, vectors=True) if each} == {64}


def test_a_failure_at_the_switch_changes_nothing(filled: Path) -> None:
    """The old model stays; the same call goes on with the copies that there are."""
    with database_at(filled) as database:
        failpoints.arm("exchange.before_batch:error")
        with pytest.raises((LumaError, OSError)):
            database.reembed("films", "hashing:16")
        failpoints.arm("")
        assert model_of(database["films"]) == ("hashing:64", 64)
        state = database.reembedding("films")
        assert state is not None
        assert state.state == "failed"
        assert database.reembed("films", "hashing:16").state == "done"


def test_an_interrupted_one_goes_on(filled: Path) -> None:
    """A database that is closed amid the work keeps the copies; the next one embeds only what is missing."""
    allowed = threading.Event()
    with database_at(filled, lambda name: Held(16, allowed) if name == "new" else HashingEmbedder(64)) as database:
        database.reembed("films", "new", wait=False)
        native = database._native
        hidden = native.hidden_collections()
        assert len(hidden) == 1
        threading.Timer(0.2, allowed.set).start()
    with database_at(filled, lambda _: HashingEmbedder(16)) as database:
        state = database.reembedding("films")
        assert state is not None
        assert (state.state, state.model, state.total) == ("interrupted", "new", 600)
        assert database.collections() == ["films"]
        with pytest.raises(NotFoundError):
            database.collection(hidden[0])
        assert database.reembed("films", "new").documents == 600


def test_cancelling_leaves_nothing(filled: Path) -> None:
    """The old model stays and the copies go; also those that an earlier process left."""
    allowed = threading.Event()
    with database_at(filled, lambda name: Held(16, allowed) if name == "new" else HashingEmbedder(64)) as database:
        database.reembed("films", "new", wait=False)
        threading.Timer(0.2, allowed.set).start()
        database.cancel_reembedding("films")
        state = database.reembedding("films")
        assert state is not None
        assert state.state == "cancelled"
        assert database._native.hidden_collections() == []
        assert model_of(database["films"])[1] == 64
        database.cancel_reembedding("films")


def test_purge_gives_up_what_was_cut_short(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No copy may hold what was deleted."""
    with database_at(filled) as database:
        native = database._native
        hidden = reembedding.hidden_name(native.collection("films"))
        native.create_collection(hidden, native.collection("films").schema, hidden=True)
        database.purge()
        assert native.hidden_collections() == []


def test_what_is_left_of_a_cancelled_one_holds_nothing(filled: Path) -> None:
    """Why it ended is kept, and none of what it was reading then: a purge right afterwards finds nobody reading."""
    allowed = threading.Event()
    with database_at(filled, lambda name: Held(16, allowed) if name == "new" else HashingEmbedder(64)) as database:
        database.reembed("films", "new", wait=False)
        threading.Timer(0.2, allowed.set).start()
        database.cancel_reembedding("films")
        database["films"].delete(ids=["d1"])
        database.purge()  # refuses after a minute where somebody still reads
        assert database["films"].count() == 599


def test_purge_waits_for_one_that_is_cancelled_meanwhile(filled: Path) -> None:
    """It is no failure of the purge's; the copy goes, as it does when it was cut short."""
    allowed = threading.Event()
    with database_at(filled, lambda name: Held(16, allowed) if name == "new" else HashingEmbedder(64)) as database:
        database.reembed("films", "new", wait=False)
        database["films"].delete(ids=["d1"])
        database._opened.reembeddings.tell_to_stop("films")
        threading.Timer(0.3, allowed.set).start()
        database.purge()
        assert database._native.hidden_collections() == []
        state = database.reembedding("films")
        assert state is not None
        assert state.state == "cancelled"
        assert model_of(database["films"])[1] == 64


def test_bad_requests_change_nothing(filled: Path) -> None:
    """Unknown collections, models and fields, and collections that embed nothing."""
    with database_at(filled) as database:
        database.create_collection("points", {"v": {"type": "vector", "dim": 2}})
        for name, model, field, error in [
            ("nowhere", "hashing:16", None, NotFoundError),
            ("films", "hashing:one", None, LumaError),
            ("films", "hashing:16", "other", InvalidRequestError),
            ("points", "hashing:16", None, InvalidRequestError),
        ]:
            with pytest.raises(error):
                database.reembed(name, model, field=field)
        assert database._native.hidden_collections() == []
        assert database.reembedding("films") is None


def test_expiry_and_passages_of_other_fields_go_with_the_documents(tmp_path: Path) -> None:
    """Copies live as long as their originals; fields that keep their model keep their vectors."""
    with database_at(tmp_path / "data") as database:
        films = database.create_collection(
            "films",
            {"own": {"type": "vector", "dim": 2}},
            embed={"a": {"from": ["text"]}, "b": {"from": ["text"]}},
            ttl={"seconds": 3600},
        )
        films.add([{"id": "x", "text": "one two", "own": [3.0, 4.0]}])
        native = database._native.collection("films")
        expires = native.copies(native.snapshot(), native.snapshot().ordinals(), []).expires
        database.reembed("films", "hashing:16", field="b")
        (document,) = films.get(["x"], vectors=True)
        assert document is not None
        assert (len(document["a"]), len(document["b"]), document["own"]) == (64, 16, [3.0, 4.0])
        copies = native.copies(native.snapshot(), native.snapshot().ordinals(), [])
        assert expires is not None
        assert copies.expires is not None
        assert copies.expires.tolist() == expires.tolist()


def test_long_text_is_cut_as_the_collection_says(tmp_path: Path) -> None:
    """The splitter is the collection's, not the model's; one that cuts nothing leaves one passage a document."""
    text = "# Cats\n\n" + "One sentence about cats. " * 400 + "\n\n# Dogs\n\n" + "And one about dogs. " * 400
    with database_at(tmp_path / "data") as database:
        for splitter in ("none", "markdown", "sentences"):
            films = database.create_collection(splitter, embed={"vector": {"splitter": splitter}})
            films.add([{"id": "x", "text": text}])
            native = database._native.collection(splitter)
            before = passages_of(native)
            database.reembed(splitter, "hashing:16")
            after = passages_of(database._native.collection(splitter))
            assert after == before
            assert (len(before) == 1) == (splitter == "none")


def test_types_go_with_the_documents(tmp_path: Path) -> None:
    """What a field is was decided by all documents, not by those that are copied first."""
    with database_at(tmp_path / "data") as database:
        films = database.create_collection("films")
        films.add([{"id": str(i), "text": f"t {i}", "n": i if i < 300 else i / 2} for i in range(600)])
        films.add([{"id": "late", "text": "x", "m": 1}, {"id": "later", "text": "y", "m": 1.5}])
        fields = films.info().schema["fields"]
        database.reembed("films", "hashing:16")
        after = films.info().schema["fields"]
        assert {name: spec for name, spec in after.items() if name != "vector"} == {
            name: spec for name, spec in fields.items() if name != "vector"
        }
        assert films.count({"n": {"$gte": 250}}) == 150
        assert films.count({"m": {"$gt": 1}}) == 1


def test_idempotency_keys_stay_with_the_name(filled: Path) -> None:
    """A write that is repeated after the switch is still the same write."""
    with database_at(filled) as database:
        films = database["films"]
        first = films.insert([{"id": "once", "text": "only"}], idempotency_key="k")
        database.reembed("films", "hashing:16")
        again = films.insert([{"id": "once", "text": "only"}], idempotency_key="k")
        assert again.replayed
        assert again.sequence == first.sequence


def test_a_reader_beside_the_owner_sees_the_switch(filled: Path) -> None:
    """At its next refresh."""
    with database_at(filled) as database, lumaai.Database(filled, read_only=True, default_model="hashing:64") as reader:
        assert model_of(reader["films"])[1] == 64
        database.reembed("films", "hashing:16")
        reader.refresh()
        assert model_of(reader["films"])[1] == 16
        assert reader["films"].search("number 7 of words about cats", limit=1)[0].id == "d7"
        assert reader.collections() == ["films"]


def test_hidden_names_are_nobodys(filled: Path) -> None:
    """Callers can neither make, open nor drop them."""
    with database_at(filled) as database:
        with pytest.raises(InvalidRequestError):
            database.create_collection(f"{engine.HIDDEN_PREFIX}x")
        for act in (database.collection, database.drop):
            with pytest.raises(NotFoundError):
                act(f"{engine.HIDDEN_PREFIX}reembedding-1")
