"""Scripts that run on either kind of database and return everything that a caller could see of them.

Each asserts a few results by hand, so that two databases cannot agree by both being wrong.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tests.congruence.agreement import outcome
from tests.congruence.asking import ASKING
from tests.congruence.counting import COUNTING
from tests.congruence.describing import DESCRIBING
from tests.congruence.ingesting import INGESTING
from tests.congruence.material import FILMS, VECTORS, AnyDatabase, Scenario, films, points, refused
from tests.congruence.queries import QUERIES
from tests.congruence.searching import SEARCHING
from tests.congruence.upkeep import UPKEEP
from tests.congruence.writing import WRITING


def making_collections(database: AnyDatabase) -> Any:
    fields = {"year": {"type": "integer"}, "v": {"type": "vector", "dim": 3, "metric": "l2", "index": "flat"}}
    created = database.create_collection("b.second-1", fields, embed={}, strict=True)
    database.create_collection("a_first")
    names = database.collections()
    assert names == ["a_first", "b.second-1"]
    infos = [created.info(), database["a_first"].info(), database.collection("a_first").info()]
    database.drop("a_first")
    assert database.collections() == ["b.second-1"]
    return names, infos, created.name


def making_a_collection_twice(database: AnyDatabase) -> Any:
    fields = {"year": {"type": "integer"}}
    database.create_collection("films", fields)
    results = [
        outcome(lambda: database.create_collection("films", fields)),
        outcome(lambda: database.create_collection("films", fields, exist_ok=True).info()),
        outcome(lambda: database.create_collection("films", {"year": {"type": "text"}}, exist_ok=True)),
        outcome(lambda: database.create_collection("films", {"year": {"type": "text"}})),
        outcome(lambda: database.create_collection("films", fields, strict=True, exist_ok=True)),
    ]
    assert [refused(result) for result in results] == [True, False, True, True, True]
    return results


def refusing_collections(database: AnyDatabase) -> Any:
    def made(name: str, fields: Any = None, **options: Any) -> Any:
        return outcome(lambda: database.create_collection(name, fields, **options))

    names = ["", ".", "..", ".hidden", "a/b", "a b", "ü", "x" * 129]
    results = [
        *(made(name) for name in names),
        made("f", {"year": {"type": "whole"}}),
        made("f", {"v": {"type": "vector"}}),
        made("f", {"v": {"type": "vector", "dim": 0}}),
        made("f", {"v": {"type": "vector", "dim": 3, "metric": "taxicab"}}),
        made("f", {"year": {"type": "integer", "sort": True}}),
        made("f", ["year"]),
        made("f", embed={"vector": {"from": ["plot"], "model": "no-such-model"}}),
        outcome(lambda: database["nothing"]),
        outcome(lambda: database.collection("nothing")),
        outcome(lambda: database.drop("nothing")),
    ]
    assert all(map(refused, results))
    assert database.collections() == []
    return results


def adding(database: AnyDatabase) -> Any:
    collection = database.create_collection("films")
    results = [
        collection.add(FILMS[:3]),
        collection.add(FILMS),
        collection.add([{**FILMS[0], "year": 1928}]),
        collection.add([{"id": "9", "title": "first"}, {"id": "9", "title": "last"}]),
        collection.add(document for document in FILMS),
    ]
    assert [(r.added, r.replaced, r.skipped) for r in results[:3]] == [(3, 0, 0), (2, 0, 3), (0, 1, 0)]
    assert collection.get(["9"]) == [{"id": "9", "title": "last"}]
    made = collection.add([{"title": "no id"}, {"title": "none either"}])
    assert len(set(made.ids)) == 2
    assert all(len(id_) == 36 for id_ in made.ids)
    return results, made.added, made.sequence, collection.count(), collection.info()


def adding_values_of_all_kinds(database: AnyDatabase) -> Any:
    collection = database.create_collection("kinds")
    document: dict[str, Any] = {
        "id": "Zażółć/gęślą jaźń?#%20", "text": 'quote " backslash \\ newline \n tab \t null \u0000 emoji 🦊',
        "big": 2**62, "small": -1, "tiny": 5e-324, "third": 1 / 3, "yes": True, "nothing": None,
        "list": ["a", "b"], "nested": {"deep": {"er": [1, {"x": None}]}}, "empty": {}, "when": "2024-02-29T12:00:00Z",
        "place": {"lat": 48.2, "lon": 16.4},
    }  # fmt: skip
    collection.add([document])
    found = collection.get([document["id"]])
    assert found == [document]
    return found, collection.info(), collection.search("emoji", limit=1)


def refusing_documents(database: AnyDatabase) -> Any:
    collection = database.create_collection("films", {"year": {"type": "integer"}})
    bad: list[Any] = [
        [{"id": "1", "year": "soon"}],
        [{"id": "1", "year": 1999}, {"id": 7}, {"id": ""}, {"id": "x" * 513}, {"id": "5", "year": "soon"}],
        [{"id": "1", "year": 1999}, "text", None],
        [{"id": "1", "rating": math.nan}],
        [{"id": "1", "rating": math.inf}],
        [{"id": "1", "title": {1, 2}}],
        [{"id": "1", 2: "two"}],
        [{"id": "1", "title": "\ud800"}],
        [],
        None,
        "text",
        {"id": "1"},
        7,
    ]
    results = [outcome(functools.partial(collection.add, batch)) for batch in bad]
    assert all(map(refused, results))
    assert collection.count() == 0
    partly = collection.add([{"id": "1", "year": 1999}, {"id": "2", "year": "soon"}, {"id": 3}], atomic=False)
    assert (partly.added, [error.index for error in partly.errors]) == (1, [1, 2])
    return results, partly, collection.count(), collection.info()


def adding_to_a_strict_collection(database: AnyDatabase) -> Any:
    collection = database.create_collection("films", {"year": {"type": "integer"}}, embed={}, strict=True)
    results = [
        outcome(lambda: collection.add([{"id": "1", "year": 1999, "title": "?"}])),
        outcome(lambda: collection.add([{"id": "1", "year": 1999}])),
        outcome(lambda: collection.search("anything")),
    ]
    assert [refused(result) for result in results] == [True, False, True]
    return results


def adding_columns(database: AnyDatabase) -> Any:
    collection = points(database)
    results = [
        outcome(lambda: collection.add(ids=["f"], vectors=[[0.0, 0.0, 0.0, 2.0]])),
        outcome(lambda: collection.add(ids=["g"], vectors={"vector": np.ones((1, 4))}, fields={"color": ["red"]})),
        outcome(lambda: collection.add([{"id": "h", "color": "red", "vector": [1, 1, 0, 0]}])),
        outcome(lambda: collection.add([{"id": "i", "color": "red", "vector": np.ones(4)}])),
        outcome(lambda: collection.add(ids=["a", "b"], vectors=[[1, 2, 3, 4]])),
        outcome(lambda: collection.add(ids=["x"], vectors=[[1, 2, 3]])),
        outcome(lambda: collection.add(ids=["x"], vectors=[[1, 2, 3, math.nan]])),
        outcome(lambda: collection.add(ids=["x"], vectors=[[0, 0, 0, 0]])),
        outcome(lambda: collection.add(ids=["x"], vectors=[1, 2, 3, 4])),
        outcome(lambda: collection.add(ids=["x"], vectors=[["a", "b", "c", "d"]])),
        outcome(lambda: collection.add(ids=["x"], vectors={"other": [[1, 2, 3, 4]]})),
        outcome(lambda: collection.add([{"id": "x"}], ids=["x"])),
        outcome(lambda: collection.add([{"id": "x", "vector": [1, 2, 3]}])),
        outcome(lambda: collection.add([{"id": "x", "vector": [1, 2, 3, "4"]}])),
        outcome(lambda: collection.add([{"id": "x", "vector": [0, 0, 0, 0]}])),
    ]
    assert [refused(result) for result in results] == [False] * 4 + [True] * 11
    assert collection.count() == 9
    return results, collection.get(list("abcdefghi"), vectors=True)


def adding_vectors_without_a_schema(database: AnyDatabase) -> Any:
    collection = database.create_collection("loose", embed={})
    collection.add(ids=["a", "b"], vectors=[[1.0, 0.0], [0.0, 1.0]])
    assert collection.search(vector=[1.0, 0.1], limit=1).ids == ["a"]
    return collection.info(), collection.search(vector=[1.0, 0.1])


def getting(database: AnyDatabase) -> Any:
    collection = films(database)
    found = collection.get(["3", "nowhere", "1", "3"])
    assert [document and document["title"] for document in found] == ["Casablanca", None, "Metropolis", "Casablanca"]
    return [
        found,
        collection.get([]),
        collection.get(["2"], vectors=True),
        outcome(lambda: collection.get("12")),
        outcome(lambda: collection.get([1])),  # type: ignore[list-item]
        outcome(lambda: collection.get(None)),  # type: ignore[arg-type]
    ]


FILTERS: list[tuple[Any, int]] = [
    ({}, 5),
    ({"year": 1979}, 2),
    ({"year": {"$gte": 1942, "$lt": 1979}}, 2),
    ({"genre": {"$ne": "drama"}}, 4),
    ({"genre": {"$in": ["drama", "horror"]}}, 2),
    ({"genre": {"$nin": ["drama", "horror"]}}, 3),
    ({"$or": [{"year": {"$lt": 1930}}, {"rating": {"$gt": 8.4}}]}, 3),
    ({"$and": [{"genre": "science fiction"}, {"$not": {"year": 1979}}]}, 2),
    ({"tags": "space"}, 2),
    ({"tags": {"$contains_all": ["space", "love"]}}, 1),
    ({"tags": {"$contains_any": ["robot", "war"]}}, 2),
    ({"title": {"$starts_with": "S"}}, 2),
    ({"title": {"$ends_with": "s"}}, 2),
    ({"rating": {"$exists": True}}, 5),
    ({"missing": {"$is_null": True}}, 5),
]

BAD_FILTERS: list[Any] = [
    {"year": {"$near": 3}},
    {"$xor": []},
    {"$and": {}},
    {"year": {"$in": 3}},
    {"year": {"$gte": "soon"}},
    {"year": {"$gte": math.nan}},
    {"genre": {"$starts_with": 3}},
    ["year"],
    "year",
]


def counting(database: AnyDatabase) -> Any:
    collection = films(database)
    counts = [outcome(functools.partial(collection.count, conditions)) for conditions, _ in FILTERS]
    assert counts == [expected for _, expected in FILTERS]
    wrong = [outcome(functools.partial(collection.count, conditions)) for conditions in BAD_FILTERS]
    assert all(map(refused, wrong))
    return counts, wrong, collection.count()


def deleting(database: AnyDatabase) -> Any:
    collection = films(database)
    results = [
        collection.delete(ids=["1", "nowhere"], dry_run=True),
        collection.delete(ids=["1", "nowhere"]),
        collection.delete(ids=["1"]),
        collection.delete(ids=[]),
        collection.delete(filter={"year": 1979}, dry_run=True),
        collection.delete(filter={"year": 1979}),
        outcome(collection.delete),
        outcome(lambda: collection.delete(ids=["2"], filter={})),
        outcome(lambda: collection.delete(filter={"year": {"$near": 1}})),
        outcome(lambda: collection.delete(ids="3")),
    ]
    assert [result.deleted for result in results[:6]] == [1, 1, 0, 0, 2, 2]
    assert collection.search("a distant planet", limit=1).ids == ["4"]
    assert collection.delete(filter={}).deleted == 2
    return results, collection.count(), collection.search("a distant planet")


def scrolling(database: AnyDatabase) -> Any:
    collection = films(database)
    pages, cursor = [], None
    while True:
        page = collection.scroll(limit=2, cursor=cursor)
        pages.append(page.documents)
        cursor = page.next_cursor
        collection.add([{"id": f"late {len(pages)}", "title": "not in this snapshot"}])
        if cursor is None:
            break
    assert [[document["id"] for document in page] for page in pages] == [["1", "2"], ["3", "4"], ["5"]]
    filtered = collection.scroll(filter={"genre": "science fiction"})
    assert [document["id"] for document in filtered.documents] == ["1", "4", "5"]
    return [
        pages,
        filtered.documents,
        outcome(lambda: collection.scroll(cursor="nonsense")),
        outcome(lambda: collection.scroll(limit=0)),
        outcome(lambda: collection.scroll(limit=-3)),
        outcome(lambda: collection.scroll(limit="2")),  # type: ignore[arg-type]
        outcome(lambda: collection.scroll(filter={"year": {"$near": 1}})),
    ]


def searching_by_text(database: AnyDatabase) -> Any:
    collection = films(database)
    best = collection.search("creature in space")
    assert best.ids[0] == "2"
    assert len(best) == 5
    passage = best[0].passage
    assert passage is not None
    assert FILMS[1][passage.field][passage.start : passage.end] == passage.text
    return [
        best,
        collection.search("creature in space", limit=2),
        collection.search("creature in space", limit=2, offset=1),
        collection.search("creature in space", filter={"genre": "science fiction"}, select=["title", "nothing"]),
        collection.search("creature in space", select=[]),
        collection.search("creature in space", filter={"year": 2050}),
        collection.search("creature in space", params={"exact": True}, vector_field="vector"),
        collection.search(id="4", limit=3),
    ]


def searching_by_vector(database: AnyDatabase) -> Any:
    results: list[Any] = []
    for metric in ("cosine", "dot", "l2"):
        collection = points(database, metric)
        results += [
            collection.search(vector=[1.0, 0.1, 0.0, 0.0]),
            collection.search(vector=np.array([0, 0, 1, 1], dtype=np.float64), limit=2, filter={"color": "blue"}),
            collection.search(vector=(0, 1, 0, 0), limit=3, params={"ef_search": 64}),
            collection.search(id="a", limit=2),
            collection.search_batch(VECTORS[:2], limit=3),
            collection.search_batch(VECTORS.tolist(), limit=7, filter={"color": {"$ne": "red"}}),
        ]
        assert results[-6].ids[:2] == ["a", "b"]
        assert results[-1].scores.shape == (5, 7)
        assert np.isnan(results[-1].scores[:, 3:]).all()
        database.drop("points")
    return results


def refusing_searches(database: AnyDatabase) -> Any:
    collection, both = points(database), films(database)

    def searched(**options: Any) -> Any:
        return outcome(lambda: collection.search(**options))

    right = [1, 0, 0, 0]
    results = [
        searched(),
        searched(vector=right, id="a"),
        searched(query="text"),
        searched(vector=[1, 0, 0]),
        searched(vector=[]),
        searched(vector=[[1, 0, 0, 0]]),
        searched(vector=[1, 0, 0, math.nan]),
        searched(vector=[0, 0, 0, 0]),
        searched(vector="AAAA"),
        searched(vector=["a", "b", "c", "d"]),
        searched(vector=right, vector_field="other"),
        searched(vector=right, limit=0),
        searched(vector=right, limit="3"),
        searched(vector=right, limit=True),
        searched(vector=right, offset=-1),
        searched(vector=right, select="color"),
        searched(vector=right, params={"probes": 3}),
        searched(vector=right, params={"ef_search": 0}),
        searched(vector=right, params={"exact": "yes"}),
        searched(vector=right, mode="keyword"),
        searched(vector=right, mode="hybrid"),
        searched(vector=right, mode="magic"),
        searched(vector=right, filter={"color": {"$near": 1}}),
        searched(id="nowhere"),
        searched(id=7),
        outcome(lambda: both.search("")),
        outcome(lambda: both.search("   ")),
        outcome(lambda: both.search("x" * 20_001)),
        outcome(lambda: both.search(7)),  # type: ignore[arg-type]
        outcome(lambda: collection.search_batch([])),
        outcome(lambda: collection.search_batch([1, 0, 0, 0])),
        outcome(lambda: collection.search_batch([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])),
        outcome(lambda: collection.search_batch([[1, 0, 0]])),
        outcome(lambda: collection.search_batch([[1, 0, 0, 0], [1, 0]])),
        outcome(lambda: collection.search_batch([right], limit=0)),
        outcome(lambda: collection.search_batch([right], vector_field="other")),
    ]
    assert all(map(refused, results)), [index for index, result in enumerate(results) if not refused(result)]
    return results


QUESTIONS = [
    "How many films are there?",
    "How many films are there per genre?",
    "What is the average rating?",
    "Which film has the highest rating?",
    "Which films were made before 1950?",
    "Which film is about a creature in space?",
]


def asking(database: AnyDatabase) -> Any:
    films(database)
    answers = [database.ask(question, collections=["films"], planner="rules") for question in QUESTIONS]
    assert answers[0].values == (5,)
    assert all(answer.text for answer in answers)
    return [
        {key: value for key, value in answer.to_json().items() if key != "usage"} for answer in answers
    ], database.ask(QUESTIONS[0]).values


def refusing_questions(database: AnyDatabase) -> Any:
    films(database)
    results = [
        outcome(lambda: database.ask("")),
        outcome(lambda: database.ask("   ")),
        outcome(lambda: database.ask("x" * 2001)),
        outcome(lambda: database.ask(7)),  # type: ignore[call-overload]
        outcome(lambda: database.ask("How many?", planner="magic")),
        outcome(lambda: database.ask("How many?", planner="llm")),
        outcome(lambda: database.ask("How many?", collections=["nothing"])),
    ]
    assert all(map(refused, results))
    return results


def optimizing(database: AnyDatabase) -> Any:
    collection = films(database)
    collection.delete(ids=["2"])
    before = collection.search("creature in space")
    collection.optimize()
    after = collection.search("creature in space")
    assert before.ids == after.ids
    stats = collection.stats()
    assert stats["documents"] == 4
    collection.optimize(wait=False)
    return before, after, sorted(stats), stats["documents"], sorted(database.stats())


SCENARIOS: list[Scenario] = [
    making_collections,
    making_a_collection_twice,
    refusing_collections,
    adding,
    adding_values_of_all_kinds,
    refusing_documents,
    adding_to_a_strict_collection,
    adding_columns,
    adding_vectors_without_a_schema,
    getting,
    counting,
    deleting,
    scrolling,
    searching_by_text,
    searching_by_vector,
    refusing_searches,
    asking,
    refusing_questions,
    optimizing,
    *ASKING,
    *DESCRIBING,
    *COUNTING,
    *SEARCHING,
    *QUERIES,
    *WRITING,
    *UPKEEP,
    *INGESTING,
]
