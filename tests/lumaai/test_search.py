"""Searches of the embedded database: by text, by vector, by document, in batches."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import InvalidRequestError, NotFoundError
from lumaai.search import selected
from tests.lumaai.films import FILMS, passage_of


def test_a_text_finds_the_nearest_documents(films: Collection) -> None:
    """Best first, with document, passage and the state that was searched."""
    hits = films.search("creature on a distant moon", limit=2)
    assert hits.ids[0] == "2"
    assert len(hits) == 2
    assert hits[0].score > hits[1].score
    assert hits[0].document == FILMS[1]
    assert (passage_of(hits[0]).field, passage_of(hits[0]).text) == ("plot", FILMS[1]["plot"])
    assert hits.sequence == films.info().sequence
    assert hits.milliseconds > 0
    assert hits.explain is None


def test_a_vector_finds_by_cosine(points: Collection) -> None:
    """Scores are worked out by hand: 1, 0.6 and 0."""
    hits = points.search(vector=np.array([1.0, 0.0]))
    assert hits.ids == ["a", "b", "c"]
    np.testing.assert_allclose(hits.scores, [1.0, 0.6, 0.0], atol=1e-6)
    assert [hit.passage for hit in hits] == [None] * 3


def test_a_document_finds_those_like_it_but_not_itself(points: Collection) -> None:
    """`limit` others, even so."""
    assert points.search(id="a", limit=2).ids == ["b", "c"]
    assert points.search(id="c", limit=1, offset=1).ids == ["a"]
    with pytest.raises(NotFoundError) as caught:
        points.search(id="z")
    assert caught.value.code == "document_not_found"
    points.add([{"id": "d", "n": 4}])
    with pytest.raises(InvalidRequestError, match="has no vector in 'v'"):
        points.search(id="d")


def test_filter_limit_offset_and_select_shape_the_hits(points: Collection) -> None:
    """The filter holds for every hit; offset passes the best over; select keeps the id and the fields named."""
    assert points.search(vector=[1.0, 0.0], filter={"n": {"$gt": 1}}).ids == ["b", "c"]
    assert points.search(vector=[1.0, 0.0], offset=1, limit=1).ids == ["b"]
    assert points.search(vector=[1.0, 0.0], offset=5).ids == []
    points.add([{"id": "d", "n": 4, "m": 5, "v": [1.0, 0.0]}])
    assert points.search(vector=[1.0, 0.0], filter={"n": 4}, select=["m"])[0].document == {"id": "d", "m": 5}
    assert points.search(vector=[1.0, 0.0], filter={"n": 4}, select=[])[0].document == {"id": "d"}


def test_the_raw_answer_is_the_same_as_json(films: Collection) -> None:
    """What the service sends decodes to what the embedded search gives."""
    raw = films.search_raw("creature on a moon", limit=2, explain=True)
    decoded = raw.decoded()
    assert json.loads(raw.to_json_bytes()) == decoded.to_json()
    assert decoded.ids == films.search("creature on a moon", limit=2).ids
    assert decoded.explain is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of query, vector and id"),
        ({"query": "a", "id": "1"}, "exactly one of query, vector and id"),
        ({"query": ""}, "must not be blank"),
        ({"query": " \n"}, "must not be blank"),
        ({"query": 7}, "must be a string"),
        ({"query": "x" * 20_001}, "maximum=20000 got=20001"),
        ({"query": "a", "limit": 0}, "limit must be at least 1: got=0"),
        ({"query": "a", "limit": True}, "limit must be a whole number"),
        ({"query": "a", "limit": 2.0}, "limit must be a whole number"),
        ({"query": "a", "limit": 10, "offset": 9_991}, "maximum=10000 got=10001"),
        ({"query": "a", "offset": -1}, "offset must be at least 0"),
        ({"query": "a", "select": "title"}, "select must be a list"),
        ({"query": "a", "params": {"probes": 3}}, "unknown search parameter 'probes'"),
        ({"query": "a", "params": {"ef_search": 0}}, "from 1 to 100000: got=0"),
        ({"query": "a", "params": {"exact": 1}}, "exact must be true or false"),
        ({"query": "a", "params": [1]}, "params must be an object"),
        ({"query": "a", "vector_field": "other"}, "no embedded vector field 'other'"),
        ({"query": "a", "mode": "fast"}, "mode must be"),
        ({"vector": [1.0] * 63}, "vector has wrong size: expected=64 got=63"),
        ({"vector": [0.0] * 64}, "zero"),
        ({"vector": [float("nan")] * 64}, "not finite"),
        ({"vector": [[1.0] * 64]}, "expected=1 got=2"),
        ({"vector": ["a"] * 64}, "must hold numbers"),
        ({"vector": []}, "vector"),
        ({"id": 7}, "id must hold strings"),
    ],
)
def test_a_bad_search_is_refused(films: Collection, arguments: Any, message: Any) -> None:
    """422 with the facts in the message."""
    with pytest.raises(InvalidRequestError, match=message) as caught:
        films.search(**arguments)
    assert caught.value.status == 422


def test_a_batch_of_vectors_gives_ids_and_scores(points: Collection) -> None:
    """(n, limit), NaN where there is no more to find."""
    found = points.search_batch([[1.0, 0.0], [0.0, 1.0]], limit=4, filter={"n": {"$lt": 3}})
    assert found.ids == [["a", "b"], ["b", "a"]]
    np.testing.assert_allclose(found.scores, [[1.0, 0.6, np.nan, np.nan], [0.8, 0.0, np.nan, np.nan]], atol=1e-6)
    with pytest.raises(InvalidRequestError, match="batch is empty"):
        points.search_batch(np.empty((0, 2)))


def test_searches_see_what_was_acknowledged_while_others_write(films: Collection) -> None:
    """Each thread finds its own document right after adding it."""
    missed = []

    def add_and_find(thread: int) -> None:
        for i in range(10):
            word = f"unique{thread}x{i}"
            films.add([{"id": word, "title": f"Film {word}"}])
            if word not in films.search(word, limit=100).ids:
                missed.append(word)

    threads = [threading.Thread(target=add_and_find, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missed == []
    assert films.count() == 43


def test_meaning_is_found_with_the_real_model(tmp_path: Path) -> None:
    """all-MiniLM-L6-v2 through ONNX Runtime: words that the documents do not use."""
    with Database(tmp_path) as db:
        films = db.create_collection("films")
        films.add(FILMS)
        assert films.search("extraterrestrial monster")[0].id == "2"
        assert films.search("kind young woman in the capital of France")[0].id == "3"
        text = " ".join(f"Minutes of meeting {i}: the budget was discussed at length." for i in range(60))
        films.add([{"id": "long", "title": "Minutes", "text": f"{text} A whale swam into the harbour. {text}"}])
        passage = passage_of(films.search("marine mammal near the port", filter={"title": "Minutes"})[0])
        assert "whale swam into the harbour" in passage.text
        assert len(passage.text) < len(text)
        info = films.info().schema
        assert (info["fields"]["vector"]["dim"], info["embed"]["vector"]["model"]) == (384, "all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("fields", "rest"),
    [
        (["a.b"], {"a": {"b": 1}}),
        (["a.c.e", "a.c.d"], {"a": {"c": {"d": 2, "e": None}}}),
        (["a", "a.b"], {"a": {"b": 1, "c": {"d": 2, "e": None}}}),
        (["a.c", "a.c.d"], {"a": {"c": {"d": 2, "e": None}}}),
        (["l.x"], {"l": [{"x": 1}]}),
        (["k.z"], {"k.z": 5}),
        (["n.x", "nothing.r", "l.x.y", "a.b.z", ""], {}),
    ],
)
def test_what_stands_at_a_path_is_selected_within_its_objects(fields: list[str], rest: dict[str, Any]) -> None:
    """Of objects and of those in lists; a field whose own name has a dot comes first; what is not there is left out."""
    document = {
        "id": "1",
        "a": {"b": 1, "c": {"d": 2, "e": None}},
        "l": [{"x": 1, "y": 2}, {"y": 3}, 4],
        "k.z": 5,
        "k": {"z": 6},
        "n": None,
    }
    assert json.loads(selected(json.dumps(document).encode(), fields)) == {"id": "1", **rest}
