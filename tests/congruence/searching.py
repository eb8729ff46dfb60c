"""Scripts of searches of every kind: the same embedded and over HTTP."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tests.congruence.agreement import outcome
from tests.congruence.material import FILMS, VECTORS, AnyCollection, AnyDatabase, Scenario, films, points, refused


def two_fields(database: AnyDatabase) -> AnyCollection:
    """Points with two vector fields of their own: of the second, every index kind and quantization can be said."""
    fields = {
        "near": {"type": "vector", "dim": 4, "metric": "cosine"},
        "far": {"type": "vector", "dim": 4, "metric": "l2", "index": "hnsw", "quantization": "sq8", "m": 8},
        "color": {"type": "keyword"},
    }
    collection = database.create_collection("two", fields)
    vectors = {"near": VECTORS, "far": VECTORS[::-1].copy()}
    collection.add(ids=list("abcde"), vectors=vectors, fields={"color": ["red", "red", "blue", "green", "blue"]})
    return collection


def searching_by_words(database: AnyDatabase) -> Any:
    collection = films(database)
    found = collection.search("distress creature", mode="keyword")
    assert found.ids == ["2"]
    assert collection.search("love", mode="keyword", filter={"genre": "drama"}).ids == ["3"]
    assert collection.search("robto", mode="keyword").ids == ["1"]
    lit = collection.search("robot", mode="hybrid", highlight=True, facets=["genre"], limit=1)
    assert lit[0].highlights is not None
    assert [lit[0].document["plot"][start:end] for start, end in lit[0].highlights[0].spans] == ["robot"]
    assert lit.facets is not None
    assert lit.facets["genre"]["values"][0] == {"value": "science fiction", "count": 3}
    return [
        found,
        collection.search("a space station", mode="keyword", limit=2, explain=True).ids,
        collection.search("alien", mode="keyword", text_fields=["title^3"], select=["year"]),
        collection.search("alien", mode="keyword", text_fields={"title": 2, "plot": 0.5}),
        collection.search("no such words anywhere zzz", mode="keyword"),
        collection.search('"future city" -robot +"', mode="keyword"),
        lit,
        collection.search("love", facets={"years": {"field": "year", "limit": 2}}, filter={"year": {"$lt": 1979}}),
        collection.search("a man", mode="keyword", limit=1, offset=1),
    ]


def searching_by_both(database: AnyDatabase) -> Any:
    collection = films(database)
    semantic = collection.search("love and space", limit=5)
    words = collection.search("love and space", mode="keyword")
    results = [
        collection.search("love and space", mode="hybrid"),
        collection.search("love and space", mode="hybrid", fusion="weighted", limit=2, offset=1),
        collection.search("love and space", mode="hybrid", fusion={"method": "dbsf", "weights": [2, 1]}),
        collection.search("love and space", mode="hybrid", fusion={"k": 10, "weights": {"keyword": 0}}),
        collection.search("love and space", mode="hybrid", fusion={"weights": {"semantic": 0}}),
        collection.search("zzz", mode="hybrid"),
        collection.search("love", mode="hybrid", id="4", filter={"year": {"$lt": 1979}}),
        collection.search("love", mode="hybrid", positive=["1"], negative=[{"text": "a room"}]),
    ]
    assert results[3].ids == semantic.ids
    assert results[4].ids == words.ids
    assert results[5].ids == collection.search("zzz").ids
    assert set(results[6].ids) <= {"1", "3"}
    return results


def searching_by_examples(database: AnyDatabase) -> Any:
    collection = two_fields(database)
    like = collection.search(positive=["a"], vector_field="near")
    assert like.ids[0] == "b"
    assert "a" not in like.ids
    results = [
        like,
        collection.search(positive=["a", [0, 1, 0, 0]], negative=[{"id": "e"}], vector_field="near"),
        collection.search(positive=[{"vector": VECTORS[2]}], vector_field="far", strategy="best_score"),
        collection.search(negative=[np.array([1, 0, 0, 0])], vector_field="near", strategy="best_score"),
        films(database).search(positive=[{"text": "a robot in love"}], negative=["3"]),
    ]
    assert results[3].ids[-1] == "a"
    return results


def searching_several_vector_fields(database: AnyDatabase) -> Any:
    collection = two_fields(database)
    query = [1.0, 0.1, 0.0, 0.0]
    return [
        collection.search(vector=query, vector_field=["near", "far"]),
        collection.search(vector=query, vector_field={"near": 1, "far": 0}).ids,
        collection.search(vector=query, vector_field="near").ids,
        collection.search(vector=query, vector_field={"near": 0.5, "far": 2}, fusion="weighted", limit=2),
        collection.search(id="c", vector_field=["near", "far"], limit=3),
    ]


def composing_searches(database: AnyDatabase) -> Any:
    collection = two_fields(database)
    query = [1.0, 0.1, 0.0, 0.0]
    inner: dict[str, Any] = {"vector": [0, 0, 1, 0], "vector_field": "near", "limit": 3}
    prefetched = collection.search(vector=query, vector_field="far", prefetch=[inner])
    assert set(prefetched.ids) == set(collection.search(**inner).ids)
    grouped = collection.search(vector=query, vector_field="near", group_by={"field": "color", "size": 2}, limit=2)
    assert grouped.groups is not None
    assert [(group.value, len(group.ids)) for group in grouped.groups] == [("red", 2), ("blue", 2)]
    return [
        prefetched,
        collection.search(prefetch=[inner, {**inner, "vector_field": "far"}], fusion={"weights": [1, 3]}),
        collection.search(prefetch=[{"prefetch": [inner, inner], "fusion": "dbsf"}], limit=2),
        grouped,
        grouped.groups,
        collection.search(vector=query, vector_field="near", group_by="color", offset=1),
        collection.search(vector=query, vector_field="near", diversity=0.7),
        collection.search(vector=query, vector_field="near", score_threshold=0.5),
        collection.search(vector=query, vector_field="near", params={"nprobe": 4, "oversample": 2}),
        collection.search(vector=query, vector_field="near", params={"recall": 0.99}, min_sequence=1),
        sorted(collection.search(vector=query, vector_field=["near", "far"], explain=True).explain or {}),
        collection.search_many([{"vector": query, "vector_field": "near"}, {"id": "a", "vector_field": "far"}]),
        collection.search_many([]),
    ]


def measuring_recall(database: AnyDatabase) -> Any:
    report = points(database).recall(queries=3, limit=2)
    assert report.exact.recall == 1.0
    return [(level.params, level.recall) for level in (report.exact, *report.levels)], report.queries, report.limit


BAD_SEARCHES: list[dict[str, Any]] = [
    {"positive": ["nowhere"]},
    {"negative": [{"id": "nowhere"}], "positive": ["a"]},
    {"negative": ["a"]},
    {"positive": []},
    {"positive": "a"},
    {"positive": [[1, 0, 0]]},
    {"positive": [[0, 0, 0, 0]]},
    {"positive": [{"vector": [1, 0, 0, 0], "id": "a"}]},
    {"positive": ["a"], "id": "b"},
    {"positive": ["a"], "strategy": "guess"},
    {"vector": [1, 0, 0, 0], "vector_field": ["near", "other"]},
    {"vector": [1, 0, 0, 0], "vector_field": {"near": -1}},
    {"vector": [1, 0, 0, 0], "vector_field": {"near": 0, "far": 0}},
    {"vector": [1, 0, 0, 0], "vector_field": []},
    {"vector": [1, 0, 0, 0], "fusion": "average"},
    {"vector": [1, 0, 0, 0], "fusion": {"k": 0}},
    {"vector": [1, 0, 0, 0], "vector_field": ["near", "far"], "fusion": {"weights": [1]}},
    {"vector": [1, 0, 0, 0], "vector_field": ["near", "far"], "fusion": {"weights": [1, -1]}},
    {"vector": [1, 0, 0, 0], "vector_field": ["near", "far"], "fusion": {"weights": [0, 0]}},
    {"vector": [1, 0, 0, 0], "prefetch": []},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "prefetch": [{}]},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "prefetch": [{"vector": [1, 0], "vector_field": "near"}]},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "prefetch": [{"id": "nowhere", "vector_field": "near"}]},
    {"vector": [1, 0, 0, 0], "vector_field": "near",
     "prefetch": [{"id": "a", "vector_field": "near", "filter": {"color": {"$near": 1}}}]},
    functools.reduce(lambda inner, _: {"prefetch": [inner]}, range(5), {"id": "a", "vector_field": "near"}),
    functools.reduce(lambda inner, _: {"prefetch": [inner]}, range(60), {"id": "a", "vector_field": "near"}),
    {"prefetch": [{"prefetch": [{"id": "a", "vector_field": "near"}] * 16}] * 16},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "group_by": "nothing"},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "group_by": {"field": "color", "size": 0}},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "group_by": {"name": "color"}},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "diversity": 2},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "diversity": "much"},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "score_threshold": math.nan},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "min_sequence": 10**9},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "min_sequence": -1},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "rerank": {"top": 20}},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "params": {"recall": 0.5}},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "params": {"recall": 0.95, "nprobe": 3}},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "params": {"oversample": 0.5}},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "mode": "keyword"},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "mode": "hybrid"},
    {"query": "red", "mode": "keyword"},
    {"query": "red", "mode": "hybrid", "vector_field": "near"},
    {"query": "red", "mode": "keyword", "id": "a"},
    {"query": "red", "mode": "magic"},
    {"query": "red", "mode": "keyword", "text_fields": ["color"]},
    {"query": "red", "mode": "keyword", "text_fields": []},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "limit": 0, "diversity": 0.5},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "offset": 10_000, "diversity": 0.5},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "limit": 10**9},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "limit": 2**70},
    {"vector": [1, 0, 0, 0], "vector_field": "near", "limit": 10**9, "group_by": "color"},
    {"query": "red", "mode": "keyword", "limit": 10**9},
    {"query": "red", "mode": "keyword", "group_by": {"field": "color", "size": 10**9}},
]  # fmt: skip


def refusing_composed_searches(database: AnyDatabase) -> Any:
    collection, both = two_fields(database), films(database)
    results = [
        *(outcome(functools.partial(collection.search, **search)) for search in BAD_SEARCHES),
        outcome(lambda: both.search("x", mode="keyword", text_fields=["year"])),
        outcome(lambda: both.search("x", mode="keyword", text_fields={"title": -1})),
        outcome(lambda: both.search("   ", mode="hybrid")),
        outcome(lambda: both.search("x" * 20_001, mode="hybrid")),
        outcome(lambda: both.search("x", rerank={"top": 3})),
        outcome(lambda: both.search(positive=[{"text": ""}])),
        outcome(lambda: both.search(id="1", highlight=True)),
        outcome(lambda: both.search("a", facets=["nothing"])),
        outcome(lambda: both.search("a", facets={"year": {"limit": 0}})),
        outcome(lambda: both.search("a", limit=10**9)),
        outcome(lambda: both.facets({"year": {"limit": 10**9}})),
        outcome(lambda: both.scroll(limit=10**9)),
        outcome(lambda: collection.search_batch(np.eye(4)[:2], vector_field="near", limit=10**9)),
        outcome(lambda: both.search_many([{"query": "a"}, {"query": "a", "limit": 0}])),
        outcome(lambda: both.search_many([{"query": "a"}, {"query": "a", "lmit": 3}])),
        outcome(lambda: both.search_many([{"query": "a"}] * 101)),
        outcome(lambda: both.search_many("a")),
        outcome(lambda: both.recall(queries=0)),
        outcome(lambda: both.recall(limit=1_001)),
        outcome(lambda: both.recall(vector_field="other")),
    ]
    assert all(map(refused, results)), [index for index, result in enumerate(results) if not refused(result)]
    assert len(FILMS) == both.count()
    return results


def paging_through_searches(database: AnyDatabase) -> Any:
    collection = database.create_collection("many", {"v": {"type": "vector", "dim": 2}}, embed={})
    angles = np.linspace(0, 1, 250)
    collection.add(
        ids=[f"d{number:03}" for number in range(250)],
        vectors=np.stack([np.cos(angles), np.sin(angles)], axis=1),
        fields={"n": list(range(250))},
    )
    first = collection.search(vector=[1.0, 0.0], limit=60, filter="n < 240", select=["n"], cursor="")
    collection.delete(ids=["d061"])  # the pages show the state of the first one
    pages = [first]
    while pages[-1].next_cursor is not None:
        pages.append(collection.search(cursor=pages[-1].next_cursor, limit=60))
    assert [id_ for page in pages for id_ in page.ids] == [f"d{number:03}" for number in range(240)]
    assert pages[1][1].document == {"id": "d061", "n": 61}
    again = collection.search(cursor=first.next_cursor, limit=2)
    assert again.ids == ["d060", "d061"]
    scroll = collection.scroll(limit=1).next_cursor
    other = database.create_collection("other", {"v": {"type": "vector", "dim": 2}}, embed={})
    return [
        [(page.ids, page.scores, page.documents) for page in pages],
        collection.search(vector=[1.0, 0.0], limit=1, filter="n < 1", cursor="").next_cursor,
        outcome(lambda: collection.search(cursor=first.next_cursor, filter="n < 5")),
        outcome(lambda: collection.search(vector=[1.0, 0.0], cursor="", offset=1)),
        outcome(lambda: collection.search(vector=[1.0, 0.0], cursor="", group_by="n")),
        outcome(lambda: collection.search(cursor="nonsense")),
        outcome(lambda: collection.search(cursor=scroll)),
        outcome(lambda: collection.scroll(cursor=first.next_cursor)),
        outcome(lambda: other.search(cursor=first.next_cursor)),
    ]


def models_by_themselves(database: AnyDatabase) -> Any:
    films(database)
    texts = ["a robot in a future city", "love", "a space station " * 50]
    vectors = database.embed(texts)
    assert vectors.shape[0] == 3
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    short = database.embed(texts, model="hashing", dimensions=16, as_queries=True)
    assert short.shape == (3, 16)
    many = [f"text number {number}" for number in range(1_100)]  # more than go in one request
    together = database.embed(many)
    np.testing.assert_allclose(together[[0, 600, 1_099]], database.embed([many[0], many[600], many[1_099]]), atol=1e-6)
    bad: list[Any] = [
        lambda: database.embed([]), lambda: database.embed("text"), lambda: database.embed(["a", ""]),
        lambda: database.embed([1]), lambda: database.embed(texts, model="no such model"),  # type: ignore[list-item]
        lambda: database.embed(texts, dimensions=0), lambda: database.embed(texts, dimensions=65_000),
        lambda: database.embed(texts, dimensions="many"),  # type: ignore[arg-type]
        lambda: database.rerank("", texts), lambda: database.rerank("love", []),
        lambda: database.rerank(" ", texts), lambda: database.rerank("love", texts, model="no such model"),
        lambda: database.rerank("love", texts),  # this model gives no vectors of tokens
    ]  # fmt: skip
    refusals = [outcome(call) for call in bad]
    assert all(map(refused, refusals))
    return vectors, short, together[::100], refusals


SEARCHING: list[Scenario] = [
    models_by_themselves,
    paging_through_searches,
    searching_by_words,
    searching_by_both,
    searching_by_examples,
    searching_several_vector_fields,
    composing_searches,
    measuring_recall,
    refusing_composed_searches,
]
