"""Searches of every kind over HTTP: what is refused, and where the fault stands; what is answered; as a user would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumaai import Database
from tests.lumaai.films import FILMS
from tests.lumaai.serving import Service, serving

SEARCH = "/v1/collections/points/search"
RIGHT: dict[str, Any] = {"vector": [1, 0], "vector_field": "v"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Points with two vector fields, and films with text."""
    with serving(tmp_path_factory.mktemp("searching")) as running:
        fields = {"v": {"type": "vector", "dim": 2}, "w": {"type": "vector", "dim": 2, "metric": "l2"}}
        running.put("/v1/collections/points", {"fields": fields})
        documents = [
            {"id": f"p{i}", "n": i % 3, "where": {"lat": 1.0, "lon": 1.0}, "v": [1.0, i], "w": [i, 1.0]}
            for i in range(12)
        ]
        running.post("/v1/collections/points/documents", {"documents": [*documents, {"id": "bare", "n": 1}]})
        running.put("/v1/collections/films", {"embed": {"vector": {"from": ["plot"], "model": "hashing:16"}}})
        running.post("/v1/collections/films/documents", {"documents": FILMS})
        yield running


def nested(depth: int) -> dict[str, Any]:
    return reduce(lambda inner, _: {"prefetch": [inner]}, range(depth), dict(RIGHT))


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 422, ""),
        ({**RIGHT, "vektor": 1}, 422, "/vektor"),
        ({**RIGHT, "vector_field": "x"}, 422, "/vector_field"),
        ({**RIGHT, "vector_field": ["v", "x"]}, 422, "/vector_field"),
        ({**RIGHT, "vector_field": {"v": -1}}, 422, "/vector_field/v"),
        ({**RIGHT, "vector_field": {"v": 0}}, 422, "/vector_field"),
        ({**RIGHT, "vector": [1]}, 422, "/vector"),
        ({**RIGHT, "vector": [0, 0], "diversity": 0.1}, 422, "/vector"),
        ({**RIGHT, "vector": [0, 0]}, 422, "/vector"),
        ({**RIGHT, "vector": [1, "x"]}, 422, "/vector/1"),
        ({**RIGHT, "limit": 0}, 422, "/limit"),
        ({**RIGHT, "limit": 10**9}, 413, None),
        ({**RIGHT, "offset": 10**9}, 413, None),
        ({**RIGHT, "offset": -1}, 422, "/offset"),
        ({"id": "nowhere", "vector_field": "v"}, 404, "/id"),
        ({"id": "bare", "vector_field": "v"}, 422, "/id"),
        ({"positive": ["p1", "nowhere"], "vector_field": "v"}, 404, "/positive/1"),
        ({"positive": ["p1"], "negative": ["nowhere"], "vector_field": "v"}, 404, "/negative/0"),
        ({"positive": ["p1"], "negative": [[1, 2, 3]], "vector_field": "v"}, 422, "/negative/0"),
        ({"positive": ["p1", [0, 0]], "vector_field": "v"}, 422, "/positive/1"),
        ({"positive": [{"id": 3}], "vector_field": "v"}, 422, "/positive/0/id"),
        ({"negative": ["p1"], "vector_field": "v"}, 422, "/positive"),
        ({**RIGHT, "group_by": "x"}, 422, "/group_by/field"),
        ({**RIGHT, "group_by": "where"}, 422, "/group_by/field"),
        ({**RIGHT, "group_by": {"field": "n", "size": 0}}, 422, "/group_by/size"),
        ({**RIGHT, "fusion": {"weights": [-1]}}, 422, "/fusion/weights/0"),
        ({**RIGHT, "fusion": {"weights": [1, 1]}}, 422, "/fusion/weights"),
        ({**RIGHT, "fusion": {"weights": {"keyword": 1}}, "mode": "semantic", "vector_field": ["v", "w"]}, 200, None),
        ({**RIGHT, "fusion": "best"}, 422, "/fusion"),
        ({**RIGHT, "fusion": {"k": 0}}, 422, "/fusion/k"),
        (nested(5), 422, "/prefetch/0" * 5),
        (nested(40), 422, "/prefetch/0" * 5),
        (nested(4), 200, None),
        ({"prefetch": [{"prefetch": [RIGHT] * 16}] * 3}, 422, None),
        ({**RIGHT, "prefetch": [{"vector": [1], "vector_field": "v"}]}, 422, "/prefetch/0/vector"),
        ({**RIGHT, "prefetch": [RIGHT, {"id": "nowhere", "vector_field": "v"}]}, 404, "/prefetch/1/id"),
        ({**RIGHT, "prefetch": [{**RIGHT, "filter": {"n": {"$near": 1}}}]}, 422, "/prefetch/0/filter/n/$near"),
        ({**RIGHT, "filter": {"n": {"$near": 1}}, "diversity": 0.5}, 422, "/filter/n/$near"),
        ({**RIGHT, "prefetch": [{**RIGHT, "vector_field": "x"}]}, 422, "/prefetch/0/vector_field"),
        ({**RIGHT, "prefetch": [{**RIGHT, "offset": 3}]}, 422, "/prefetch/0/offset"),
        ({**RIGHT, "params": {"nprobe": 0}}, 422, "/params/nprobe"),
        ({**RIGHT, "params": {"recall": 0.95, "exact": True}}, 422, "/params/recall"),
        ({**RIGHT, "params": {"recall": 0.95, "exact": True}, "diversity": 0}, 422, "/params/recall"),
        ({**RIGHT, "diversity": -0.1}, 422, "/diversity"),
        ({**RIGHT, "rerank": {"top": 30}}, 422, "/rerank"),
        ({**RIGHT, "min_sequence": 10**6}, 409, "/min_sequence"),
        ({"query": "x", "mode": "keyword", "text_fields": ["n"]}, 422, None),
    ],
)
def test_what_is_wrong_is_named_by_its_place(
    service: Service, body: dict[str, Any], status: int, pointer: str | None
) -> None:
    """A 4xx with a JSON Pointer to the fault; a search that is right answers 200."""
    answer = service.post(SEARCH, body)
    assert answer.status_code == status, answer.text
    if pointer is not None:
        assert [error["pointer"] for error in answer.json()["errors"]][:1] == [pointer], answer.text


def test_faults_of_a_batch_are_inside_their_search(service: Service) -> None:
    """Whether the shape is wrong or the meaning."""
    path = "/v1/collections/points/search:batch"
    for wrong, pointer in (
        ({**RIGHT, "limit": 0}, "/searches/1/limit"),
        ({"id": "no", "vector_field": "v"}, "/searches/1/id"),
    ):
        errors = service.post(path, {"searches": [RIGHT, wrong]}).json()["errors"]
        assert errors[0]["pointer"] == pointer
    assert service.post(path, {"searches": [RIGHT], "limit": 3}).status_code == 422
    assert service.post(path, {"searches": [RIGHT], "vectors": [[1, 2]]}).status_code == 422
    assert service.post(path, {"searches": [RIGHT] * 101}).status_code == 422
    answers = service.post(path, {"searches": [RIGHT, {**RIGHT, "limit": 2, "explain": True}]}).json()["answers"]
    assert [len(answer["hits"]) for answer in answers] == [10, 2]
    assert answers[1]["explain"]


def test_explain_says_what_ran(service: Service) -> None:
    """As its own operation, and as a key; sides, rows considered and time."""
    body = {"query": "a creature on a moon", "mode": "hybrid", "filter": {"year": {"$gt": 1980}}}
    explain = service.post("/v1/collections/films/search:explain", body).json()["explain"]
    assert [step["step"] for step in explain["steps"]] == ["semantic", "keyword", "fusion"]
    assert explain["steps"][0]["parts"][0]["rows"] == len(FILMS)
    assert explain["milliseconds"] > 0
    plain = service.post("/v1/collections/points/search:explain", RIGHT).json()["explain"]
    assert plain["parts"][0]["how"]


def test_recall_is_measured(service: Service) -> None:
    """All defaults, also without a body."""
    answer = service.request("POST", "/v1/collections/films/search:recall")
    assert answer.status_code == 200, answer.text
    assert answer.json()["exact"]["recall"] == 1.0
    assert answer.json()["levels"][0]["params"] == {}


@pytest.mark.parametrize("fusion", ["rrf", "weighted", "dbsf"])
def test_hybrid_is_its_sides(tmp_path: Path, fusion: str) -> None:
    """An empty side changes nothing, weight 0 equals the other side, filters hold on both sides, pages are slices."""
    with Database(tmp_path, default_model="hashing:32") as database:
        notes = database.create_collection("notes")
        words = ["river", "stone", "light", "paper", "engine", "garden", "winter", "letter"]
        rng = np.random.default_rng(5)
        notes.add([{"id": str(i), "text": " ".join(rng.choice(words, 6)), "n": i} for i in range(300)])
        for optimized in (False, True):
            if optimized:
                notes.optimize()
            query = "winter garden letter"
            for conditions in (None, {"n": {"$lt": 40}}, "n >= 290"):
                sides = {
                    mode: notes.search(query, mode=mode, limit=300, filter=conditions).ids  # the whole order
                    for mode in ("semantic", "keyword")
                }
                for mode, other in (("semantic", "keyword"), ("keyword", "semantic")):
                    one = {"method": fusion, "weights": {other: 0}}
                    found = notes.search(query, mode="hybrid", limit=25, filter=conditions, fusion=one)
                    # As deep as a side is looked at, so that the same of its equals are at the end of the window.
                    side = notes.search(query, mode=mode, limit=30, filter=conditions)
                    assert found.ids == side.ids[:25]
                whole = notes.search(query, mode="hybrid", limit=300, filter=conditions, fusion=fusion)
                assert sorted(whole.ids) == sorted(sides["semantic"])
                assert (np.diff(whole.scores) <= 1e-7).all()
                pages = [
                    notes.search(query, mode="hybrid", limit=70, offset=offset, filter=conditions, fusion=fusion).ids
                    for offset in range(0, 300, 70)
                ]
                assert [id_ for page in pages for id_ in page] == whole.ids
            nothing = notes.search("xylophone", mode="hybrid", limit=20, fusion=fusion)
            assert nothing.ids == notes.search("xylophone", limit=20).ids


def test_a_user_searches_films(tmp_path: Path) -> None:
    """By words, by meaning and both, grouped, like one and unlike another, and the best read again by a model."""
    with Database(tmp_path) as database:
        films = database.create_collection("films")
        films.add(FILMS)
        assert films.search("extraterrestrial monster", mode="hybrid")[0].id == "2"
        assert films.search(positive=["2"], negative=[{"text": "romance in Paris"}], limit=1).ids != ["2"]
        grouped = films.search("a film", group_by="year")
        assert grouped.groups is not None
        assert [group.ids for group in grouped.groups] == [(id_,) for id_ in grouped.ids]
        reranked = films.search("creature on a moon", mode="hybrid", rerank="late-interaction", explain=True)
        assert reranked[0].id == "2"
        assert reranked.explain is not None
        assert [step["step"] for step in reranked.explain["steps"]] == ["semantic", "keyword", "fusion", "rerank"]
        assert json.loads(json.dumps(reranked.to_json()))["hits"][0]["id"] == "2"
