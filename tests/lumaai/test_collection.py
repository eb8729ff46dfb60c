"""A collection of the embedded database: adding, reading, deleting."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lumaai.batch import Batch
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.documents import Write
from lumaai.embedding import SLICE_TEXTS, EmbedBounds
from lumaai.errors import InvalidRequestError, OverloadedError
from lumaai.options import WriteOptions
from models.embedder import Vectors
from tests.lumaai.films import FILMS, CountingEmbedder, open_database, passage_of

# Adding


def test_documents_come_back_as_they_were_given(films: Collection) -> None:
    """Found at once, in the order asked for; what is not there is None."""
    assert films.get(["3", "nothing", "1"]) == [FILMS[2], None, FILMS[0]]
    assert films.get_raw(["3", "nothing"]) == [
        json.dumps(FILMS[2], ensure_ascii=False, separators=(",", ":")).encode(),
        None,
    ]


def test_unchanged_documents_are_not_embedded_again(films: Collection, embedder: CountingEmbedder) -> None:
    """Re-adding embeds only what has changed, and counts each document once."""
    assert len(embedder.texts) == 3
    result = films.add(FILMS)
    assert (result.added, result.replaced, result.skipped, result.ids) == (0, 0, 3, ("1", "2", "3"))
    assert len(embedder.texts) == 3
    changed = {**FILMS[1], "plot": "A crew meets nobody."}
    result = films.add([FILMS[0], changed, FILMS[2], {"id": "4", "title": "Heat"}])
    assert (result.added, result.replaced, result.skipped) == (1, 1, 2)
    assert result.ids == ("1", "2", "3", "4")
    assert sorted(embedder.texts[3:]) == ["Alien\nA crew meets nobody.", "Heat"]


def test_the_last_of_equal_ids_counts(films: Collection, embedder: CountingEmbedder) -> None:
    """Those before it are not embedded; they count as replaced, as they do without embedding."""
    batch = [{"id": "1", "title": "First"}, FILMS[0], {"id": "9", "title": "A"}, {"id": "9", "title": "B"}]
    result = films.add(batch)
    assert (result.added, result.replaced, result.skipped) == (1, 2, 1)
    assert films.get(["1", "9"]) == [FILMS[0], {"id": "9", "title": "B"}]
    assert embedder.texts[3:] == ["B"]


def test_documents_without_id_get_one(films: Collection) -> None:
    """The result names it."""
    (id_,) = films.add([{"title": "New"}]).ids
    assert films.get([id_]) == [{"id": id_, "title": "New"}]


def test_a_bad_document_refuses_an_atomic_batch(films: Collection, embedder: CountingEmbedder) -> None:
    """Nothing is written or embedded; every bad one is named with its place, and with what was expected."""
    batch: list[dict[str, Any]] = [
        {"id": "4", "title": "Good"},
        {"id": "5", "year": "soon"},
        {"id": 6},
        {"id": "x" * 513},
    ]
    with pytest.raises(InvalidRequestError) as caught:
        films.add(batch)
    error = caught.value
    assert (error.status, error.code) == (422, "documents_invalid")
    assert [(e.index, e.pointer) for e in error.errors] == [
        (1, "/documents/1/year"),
        (2, "/documents/2/id"),
        (3, "/documents/3/id"),
    ]
    assert error.errors[0].expected == "integer"
    assert films.count() == 3
    assert len(embedder.texts) == 3


@pytest.mark.parametrize("embed", [None, {}])
def test_bad_documents_are_left_out_where_the_batch_is_not_atomic(db: Database, embed: Any) -> None:
    """The others go in, and the result lists the bad ones by their place; with and without embedding."""
    films = db.create_collection("films", embed=embed)
    batch: list[Any] = [
        {"id": "1", "title": "A", "year": 1},
        [],
        {"id": "2", "year": float("nan")},
        {"id": "3", "title": "C"},
    ]
    result = films.add(batch, atomic=False)
    assert (result.added, result.ids) == (2, ("1", "3"))
    assert [(e.index, e.id, e.pointer) for e in result.errors] == [
        (1, None, "/documents/1"),
        (2, "2", "/documents/2/year"),
    ]
    assert films.count() == 2


def test_a_batch_of_nothing_but_bad_documents_writes_nothing(films: Collection) -> None:
    """No error is raised: each is in the result."""
    batch: list[Any] = [1, 2]
    result = films.add(batch, atomic=False)
    assert (result.added, len(result.errors), result.sequence) == (0, 2, films.info().sequence)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "batch_empty"),
        ({"documents": []}, "batch_empty"),
        ({"ids": []}, "batch_empty"),
        ({"documents": {"id": "1"}}, "type_mismatch"),
        ({"documents": "text"}, "type_mismatch"),
        ({"documents": 7}, "type_mismatch"),
        ({"documents": [{"id": "1"}], "ids": ["1"]}, "invalid_request"),
        ({"ids": ["1", "2"], "fields": {"title": ["one"]}}, "length_mismatch"),
        ({"ids": ["1"], "fields": {"title": "one"}}, "type_mismatch"),
        ({"ids": ["1"], "vectors": [["x"]]}, "vector_invalid"),
        ({"ids": ["1"], "vectors": [[1.0], [1.0, 2.0]]}, "vector_invalid"),
        ({"ids": ["1"], "vectors": [float("nan")]}, "vector_invalid"),
        ({"ids": ["1"], "vectors": [[float("inf")] * 64]}, "vector_invalid"),
        ({"ids": ["1"], "vectors": [[1.0] * 63]}, "dimension_mismatch"),
        ({"ids": ["1"], "vectors": {"w": [[1.0]]}}, "vector_field_unknown"),
    ],
)
def test_bad_arguments_of_add_are_refused(films: Collection, arguments: Any, code: Any) -> None:
    """Each with its own code, status 422; nothing is written."""
    with pytest.raises(InvalidRequestError) as caught:
        films.add(**arguments)
    assert (caught.value.status, caught.value.code) == (422, code)
    assert films.count() == 3


def test_columns_are_added_as_documents(points: Collection) -> None:
    """Ids, fields and vectors of equal length; numpy's numbers become JSON's."""
    points.add(ids=np.array(["d"]), vectors=np.array([[1, 1]], dtype=np.float64), fields={"n": np.array([4])})
    assert points.get(["d"], vectors=True) == [{"id": "d", "n": 4, "v": [1.0, 1.0]}]
    assert points.search(vector=[1.0, 1.0], limit=1).ids == ["d"]


def test_vectors_beside_documents_are_not_embedded_over(films: Collection, embedder: CountingEmbedder) -> None:
    """Columns with vectors for an embedded field are taken as they are."""
    vector = np.zeros((1, 64), dtype=np.float32)
    vector[0, 5] = 1.0
    films.add(ids=["9"], vectors=vector, fields={"title": ["Given"]})
    assert len(embedder.texts) == 3
    hit = films.search(vector=vector[0], limit=1)[0]
    assert (hit.id, hit.passage) == ("9", None)
    assert hit.score == pytest.approx(1.0)


def test_a_document_may_carry_its_vector(films: Collection, embedder: CountingEmbedder) -> None:
    """Under the field's name; the others of the batch are embedded."""
    vector = [0.0] * 63 + [1.0]
    films.add([{"id": "8", "title": "Embedded"}, {"id": "9", "title": "Carried", "vector": vector}])
    assert embedder.texts[3:] == ["Embedded"]
    assert films.search(vector=vector, limit=1).ids == ["9"]


def test_vectors_make_a_field_where_nothing_is_declared(db: Database) -> None:
    """`embed={}` and vectors: the field is called "vector"."""
    points = db.create_collection("points", embed={})
    points.add(ids=["a"], vectors=[[1.0, 0.0]])
    assert points.info().schema["fields"]["vector"]["dim"] == 2
    points.add(ids=["b"], vectors=[[0.0, 1.0]])
    assert points.search(vector=[0.0, 1.0]).ids == ["b", "a"]


def test_an_arrow_table_is_added_row_by_row(films: Collection) -> None:
    """Null and NaN cells are left out."""
    table = pa.table({"id": ["7", "8"], "title": ["Heat", None], "rating": [float("nan"), 0.5]})
    assert films.add(table).added == 2
    assert films.get(["7", "8"]) == [{"id": "7", "title": "Heat"}, {"id": "8", "rating": 0.5}]


def test_long_text_is_found_by_its_best_passage(tmp_path: Path) -> None:
    """One hit a document, with the passage's exact span and text."""
    filler = " ".join(f"Sentence number {i} speaks of nothing at all." for i in range(40))
    text = f"{filler} A zebra crossed the frozen lake. {filler}"
    with open_database(tmp_path, CountingEmbedder(256, max_tokens=42)) as db:
        notes = db.create_collection("notes")
        notes.add([{"id": "long", "title": "Diary", "text": text}, {"id": "short", "title": "Other", "text": "Words."}])
        hits = notes.search("zebra crossed the frozen lake")
        assert hits.ids == ["long", "short"]
        passage = passage_of(hits[0])
        assert passage.field == "text"
        assert passage.text == text[passage.start : passage.end]
        assert "A zebra crossed the frozen lake." in passage.text
        assert len(passage.text) < 400


# Reading and deleting


def test_documents_are_counted_and_deleted_by_filter_and_by_id(films: Collection) -> None:
    """A dry run only counts; ids that are not there are passed over."""
    recent = {"year": {"$gte": 1990}}
    assert (films.count(), films.count(recent), films.count({})) == (3, 2, 3)
    assert films.delete(filter=recent, dry_run=True).deleted == 2
    assert films.count() == 3
    assert films.delete(filter=recent).deleted == 2
    result = films.delete(ids=["2", "2", "nothing"])
    assert (result.deleted, result.sequence, films.count()) == (1, films.info().sequence, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.delete(),
        lambda c: c.delete(ids=["1"], filter={}),
        lambda c: c.delete(ids="1"),
        lambda c: c.get("1"),
        lambda c: c.get([1]),
        lambda c: c.count({"year": {"$near": 1}}),
        lambda c: c.search("moon", filter=["year"]),
    ],
)
def test_bad_ids_and_filters_are_refused(films: Collection, call: Any) -> None:
    """422, nothing deleted."""
    with pytest.raises(InvalidRequestError) as caught:
        call(films)
    assert caught.value.status == 422
    assert films.count() == 3


def test_a_bad_filter_is_pointed_at(films: Collection) -> None:
    """The pointer leads into the request's filter."""
    with pytest.raises(InvalidRequestError) as caught:
        films.count({"year": {"$near": 1}})
    assert caught.value.code == "filter_invalid"
    assert caught.value.errors[0].pointer.startswith("/filter/year")


def test_optimizing_changes_no_answer(films: Collection) -> None:
    """One segment afterwards, the same hits."""
    before = films.search("world simulation").ids
    films.optimize()
    assert films.search("world simulation").ids == before
    assert films.stats()["documents"] == 3


@pytest.mark.parametrize("fields", ["x", 5, ["x"]])
def test_columns_that_are_none_are_refused(films: Collection, fields: Any) -> None:
    """As a LumaError, not as whatever Python says of it."""
    with pytest.raises(InvalidRequestError, match="fields must be columns"):
        films.add(fields=fields)


def test_embedding_that_nobody_waits_for_stops(tmp_path: Path) -> None:
    """Stopped within the first slice, the second is not embedded and nothing is written."""
    bounds = EmbedBounds(stopped=threading.Event())

    class StoppingEmbedder(CountingEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Vectors:
            if len(texts) > 10:  # not the probe that the fingerprint is made from
                bounds.stop()
            return super().embed_documents(texts)

    embedder = StoppingEmbedder()
    with open_database(tmp_path, embedder) as db:
        notes = db.create_collection("notes", embed={"vector": {"from": ["text"]}})
        before = len(embedder.texts)
        documents = [{"text": f"note {number}"} for number in range(2 * SLICE_TEXTS)]
        with pytest.raises(OverloadedError, match="nothing was written"):
            notes.write_bounded(Write("add", Batch(documents), WriteOptions()), bounds)
        assert len(embedder.texts) - before == SLICE_TEXTS
        assert notes.count() == 0
