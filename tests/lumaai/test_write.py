"""What a write embeds, what it leaves alone, and what happens when others write at the same time."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import ConflictError, InvalidRequestError, NotFoundError, OverloadedError, PreconditionFailedError
from tests.lumaai.films import FILMS, CountingEmbedder, open_database


def vectors_of(collection: Collection, id_: str) -> Any:
    (document,) = collection.get([id_], vectors=True)
    assert document is not None
    return document.get("vector")


def test_a_patch_of_other_fields_embeds_nothing(films: Collection, embedder: CountingEmbedder) -> None:
    """The vectors stay, with their passages."""
    before, hit = vectors_of(films, "2"), films.search("a creature on a moon", limit=1)[0]
    result = films.patch([{"id": "2", "year": 1980, "cast": ["Weaver"]}])
    assert (result.replaced, result.skipped) == (1, 0)
    assert len(embedder.texts) == 4  # with the query
    assert vectors_of(films, "2") == before
    again = films.search("a creature on a moon", limit=1)[0]
    assert (again.id, again.passage) == (hit.id, hit.passage)


def test_documents_that_are_refused_are_not_kept_alive(films: Collection) -> None:
    """They go with the error, without looking for garbage: a refused batch may be large."""

    class Given(dict[str, Any]):
        pass

    given = Given(id="9", year=float("nan"))
    alive = weakref.ref(given)
    gc.disable()
    try:
        with pytest.raises(InvalidRequestError, match="finite"):
            films.add([given])
        assert films.add([given], atomic=False).errors[0].code == "number_not_finite"
        del given
        assert alive() is None
    finally:
        gc.enable()


def test_a_patch_of_embedded_text_embeds_that_document(films: Collection, embedder: CountingEmbedder) -> None:
    """Only it, with all its text; a patch with the text that is there embeds nothing and is skipped."""
    result = films.patch([{"id": "2", "title": "Aliens"}, {"id": "3", "title": "Amélie"}, {"id": "1", "year": 2000}])
    assert (result.replaced, result.skipped) == (2, 1)
    assert embedder.texts[3:] == ["Aliens\nA crew meets a creature on a distant moon."]
    expected = embedder.embed_documents(embedder.texts[3:4])[0]
    np.testing.assert_allclose(vectors_of(films, "2"), expected, rtol=1e-6)


def test_a_patch_that_takes_the_text_away_takes_the_vectors(films: Collection) -> None:
    """A document without text is found by no search, and still there."""
    films.patch([{"id": "2", "title": None, "plot": None}])
    assert films.get(["2"], vectors=True) == [{"id": "2", "year": 1979}]
    assert "2" not in films.search("a creature on a moon").ids


def test_patches_of_one_document_are_applied_in_order(films: Collection, embedder: CountingEmbedder) -> None:
    """And embedded once, as it is at the end."""
    films.patch([{"id": "2", "title": "First"}, {"id": "2", "plot": None}, {"id": "2", "title": "Last"}])
    assert films.get(["2"]) == [{"id": "2", "title": "Last", "year": 1979}]
    assert embedder.texts[3:] == ["Last"]


def test_a_patch_may_bring_its_vector(films: Collection, embedder: CountingEmbedder) -> None:
    """Then nothing is embedded, whatever text it changes."""
    vector = np.eye(64, dtype=np.float32)[3].tolist()
    films.patch([{"id": "2", "title": "Aliens", "vector": vector}])
    assert len(embedder.texts) == 3
    assert vectors_of(films, "2") == vector


def test_a_replay_embeds_nothing(films: Collection, embedder: CountingEmbedder) -> None:
    """It is looked for before anything is embedded."""
    batch = [{"id": "8", "title": "new"}]
    first = films.add(batch, idempotency_key="k")
    films.delete(ids=["8"])
    assert len(embedder.texts) == 4
    again = films.add(batch, idempotency_key="k")
    assert (again.replayed, again.sequence, again.added) == (True, first.sequence, 1)
    assert len(embedder.texts) == 4
    assert films.get(["8"]) == [None]


def test_replays_are_known_after_reopening(tmp_path: Path) -> None:
    """The record is in the same batch as the write."""
    with open_database(tmp_path) as database:
        first = database.create_collection("films").add([{"title": "no id"}], idempotency_key="k")
    with open_database(tmp_path) as database:
        again = database["films"].add([{"title": "no id"}], idempotency_key="k")
        assert (again.replayed, again.ids) == (True, first.ids)
        assert database["films"].count() == 1


def test_an_insert_of_what_is_there_embeds_only_the_rest(films: Collection, embedder: CountingEmbedder) -> None:
    """What will be refused is not embedded first."""
    with pytest.raises(ConflictError) as caught:
        films.insert([{**FILMS[0], "plot": "Another one."}])
    assert caught.value.code == "document_exists"
    assert len(embedder.texts) == 3
    with pytest.raises(NotFoundError):
        films.patch([{"id": "9", "title": "nowhere"}])
    assert len(embedder.texts) == 3


def _interfering(monkeypatch: pytest.MonkeyPatch, method: str, interfere: Callable[[int], None]) -> None:
    """Call `interfere(n)` before the n-th (from 0) call of an engine collection's method."""
    original = getattr(engine.Collection, method)
    count = 0

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        number, count = count, count + 1
        with monkeypatch.context() as plain:
            plain.setattr(engine.Collection, method, original)
            interfere(number)
        return original(self, *arguments, **options)

    monkeypatch.setattr(engine.Collection, method, call)


def test_a_patch_is_made_anew_when_another_writer_was_quicker(
    films: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both changes are there, and the vector is of the text that both made."""

    def interfere(number: int) -> None:
        if number == 0:
            films.add([{**FILMS[1], "plot": "Somebody else's plot."}])

    _interfering(monkeypatch, "patch", interfere)
    films.patch([{"id": "2", "title": "Aliens"}])
    assert films.get(["2"]) == [{**FILMS[1], "title": "Aliens", "plot": "Somebody else's plot."}]
    expected = CountingEmbedder().embed_documents(["Aliens\nSomebody else's plot."])[0]
    np.testing.assert_allclose(vectors_of(films, "2"), expected, rtol=1e-6)


def test_an_unchanged_document_that_changes_meanwhile_is_written_with_its_vector(
    films: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was left out of embedding because it was stored; now it is not, and must not be stored without vectors."""

    def interfere(number: int) -> None:
        if number == 0:
            films.delete(ids=["2"])

    _interfering(monkeypatch, "add", interfere)
    films.add([*FILMS, {"id": "9", "title": "new"}])
    assert films.get(["2"]) == [FILMS[1]]
    assert films.search("a creature on a moon", limit=1).ids == ["2"]


def test_a_patch_that_never_gets_through_is_refused(films: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded number of rounds: nothing is written, and trying again may help."""

    def interfere(number: int) -> None:
        films.add([{**FILMS[1], "plot": f"Plot {number}."}])

    _interfering(monkeypatch, "patch", interfere)
    with pytest.raises(OverloadedError) as caught:
        films.patch([{"id": "2", "title": "Aliens"}])
    assert (caught.value.code, caught.value.retryable) == ("write_conflict", True)
    assert films.get(["2"]) == [{**FILMS[1], "plot": "Plot 7."}]


def test_the_callers_own_condition_is_not_tried_again(films: Collection, embedder: CountingEmbedder) -> None:
    """A wrong version is a wrong version: once, with its facts."""
    with pytest.raises(PreconditionFailedError) as caught:
        films.patch([{"id": "2", "title": "Aliens"}], if_version={"2": 7})
    assert (caught.value.errors[0].expected, caught.value.errors[0].got) == (7, 1)
    assert len(embedder.texts) == 4


def test_concurrent_patches_lose_nothing(films: Collection) -> None:
    """Eight threads, each patching its own key of one document and its text: all keys are there at the end."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        for turn in range(5):
            try:
                films.patch([{"id": "1", f"key{number}": turn}, {"id": "2", "title": f"{number} {turn}"}])
            except OverloadedError:
                continue  # in time: all eight want the same document
            except BaseException as error:  # noqa: BLE001 - told below
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (document,) = films.get(["2"], vectors=True)
    assert document is not None
    expected = CountingEmbedder().embed_documents([f"{document['title']}\n{document['plot']}"])[0]
    np.testing.assert_allclose(document["vector"], expected, rtol=1e-6)


def test_collections_with_expiry_are_embedded_too(db: Database) -> None:
    """A document whose time is renewed keeps its vectors."""
    notes = db.create_collection("notes", ttl={"seconds": 3600})
    notes.add([{"id": "1", "text": "a note about a creature"}])
    assert notes.add([{"id": "1", "text": "a note about a creature"}]).replaced == 1
    assert notes.search("creature").ids == ["1"]
    notes.patch([{"id": "1", "more": 1}])
    assert notes.search("creature").ids == ["1"]


@pytest.mark.parametrize(
    "options",
    [
        {"if_version": {"1": -1}},
        {"if_version": {1: 1}},
        {"if_version": [1]},
        {"if_absent": 1},
        {"if_matches": "year"},
        {"durability": "fsync"},
        {"idempotency_key": ""},
        {"idempotency_key": "a b"},
        {"idempotency_key": 5},
        {"idempotency_key": "x" * 256},
        {"if_absent": True, "if_matches": {"year": 1}},
    ],
)
def test_malformed_options_are_refused(films: Collection, options: dict[str, Any]) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidRequestError):
        films.add([{"id": "9"}], **options)
    assert films.count() == 3


def test_the_default_durability_is_the_databases(tmp_path: Path) -> None:
    """Of writes that ask for none."""
    with Database(tmp_path, durability="none") as database:
        notes = database.create_collection("notes", embed={})
        assert notes.add([{"id": "1"}]).durability == "none"
        assert notes.add([{"id": "1"}, {"id": "2"}], durability="sync").durability == "sync"
        assert notes.delete(ids=["1"]).durability == "none"
    with pytest.raises(InvalidRequestError):
        Database(tmp_path, durability="fsync")
