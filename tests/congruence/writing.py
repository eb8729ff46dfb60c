"""Scripts of writes: modes, conditions, durability, idempotency keys, expiry, results of single documents."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from tests.congruence.agreement import outcome
from tests.congruence.material import FILMS, AnyDatabase, Scenario, films, points, refused


def inserting(database: AnyDatabase) -> Any:
    collection = films(database)
    results = [
        outcome(lambda: collection.insert([{"id": "6", "title": "new"}])),
        outcome(lambda: collection.insert([{"id": "7"}, FILMS[0], {"id": "6"}])),
        outcome(lambda: collection.insert([{"id": "8"}, {"id": "8"}])),
        outcome(lambda: collection.insert([{"title": "no id"}]).added),
        outcome(lambda: collection.insert([FILMS[1], {"id": "9"}, {"id": 5}], atomic=False)),
        outcome(lambda: collection.insert([FILMS[1]], atomic=False)),
        outcome(lambda: collection.insert([])),
        outcome(lambda: points(database).insert(ids=["x"], vectors=[[1, 0, 0, 0]])),
    ]
    assert [refused(result) for result in results] == [False, True, True, False, False, False, True, False]
    assert [item.status for item in results[4].results] == ["error", "added", "error"]
    return results, collection.count()


def python_values(database: AnyDatabase) -> Any:
    collection = database.create_collection("shifts", embed={})
    next_day = dt.datetime(2024, 2, 29, 12, 30)  # noqa: DTZ001  (without a zone, as many are)
    moment = dt.datetime(2024, 2, 28, 12, 30, tzinfo=dt.UTC)
    results = [
        outcome(lambda: collection.add([{"id": "1", "from": moment, "by": [{"badge": UUID(int=5)}]}])),
        outcome(lambda: collection.insert([{"id": "2", "from": next_day, "pay": Decimal("12.5")}])),
        outcome(lambda: collection.patch([{"id": "1", "pay": np.float32(0.5), "crew": np.int64(3)}])),
        outcome(lambda: collection.add(ids=["3"], fields={"from": [moment.replace(year=2025)]})),
        outcome(lambda: collection.add([{"id": "4", "tags": {"late"}}])),
        outcome(lambda: collection.add([{"id": "4", "tags": [b"late"]}])),
    ]
    assert [refused(result) for result in results] == [False] * 4 + [True] * 2
    late = {"from": {"$gte": "2024-02-29T00:00:00Z"}}
    assert collection.count(late) == 2
    return results, collection.get(["1", "2", "3"]), collection.info().schema


def patching(database: AnyDatabase) -> Any:
    collection = films(database)
    results = [
        outcome(lambda: collection.patch([{"id": "1", "year": 1928, "genre": None, "cast": {"a": 1}}])),
        outcome(lambda: collection.patch([{"id": "1", "cast": {"b": 2}}, {"id": "2", "year": 1979}])),
        outcome(lambda: collection.patch([{"id": "2", "plot": "Now about whales in the ocean."}])),
        outcome(lambda: collection.patch([{"id": "3", "title": "a"}, {"id": "3", "title": None}])),
        outcome(lambda: collection.patch([{"id": "4", "year": "soon"}])),
        outcome(lambda: collection.patch([{"id": "4", "year": 1}, {"id": "none", "year": 1}])),
        outcome(lambda: collection.patch([{"year": 1}])),
        outcome(lambda: collection.patch([{"id": "4", "year": 1}, {"id": "none"}, {"id": ""}], atomic=False)),
        outcome(lambda: collection.patch([])),
        outcome(lambda: collection.patch([5])),  # type: ignore[list-item]
    ]
    assert [refused(result) for result in results] == [False] * 4 + [True] * 3 + [False, True, True]
    assert (results[1].replaced, results[1].skipped) == (1, 1)
    assert collection.search("whales in the ocean", limit=1).ids == ["2"]
    stored = collection.get(["1", "2", "3", "4"])
    assert stored[0] is not None
    assert (stored[0]["year"], stored[0]["cast"]) == (1928, {"a": 1, "b": 2})
    assert "genre" not in stored[0]
    return results, stored, collection.search("a robot in a city"), collection.get(["1", "2"], vectors=True)


def patching_vectors(database: AnyDatabase) -> Any:
    collection = points(database)
    results = [
        outcome(lambda: collection.patch([{"id": "a", "color": "black"}])),
        outcome(lambda: collection.patch([{"id": "b", "vector": [0, 0, 0, 1]}])),
        outcome(lambda: collection.patch([{"id": "c", "vector": np.array([0, 0, 0, 2.0])}])),
        outcome(lambda: collection.patch([{"id": "d", "vector": None}])),
        outcome(lambda: collection.patch([{"id": "e", "vector": [1, 2]}])),
    ]
    assert [refused(result) for result in results] == [False] * 4 + [True]
    assert collection.search(vector=[0, 0, 0, 1], limit=2).ids in (["b", "c"], ["c", "b"])
    return results, collection.get(list("abcde"), vectors=True), collection.search(vector=[1, 0, 0, 0], limit=1)


def writing_on_conditions(database: AnyDatabase) -> Any:
    collection = films(database)
    fetched = collection.fetch(["1", "none", "2"])
    assert fetched.versions == [1, None, 1]
    change = [{**FILMS[0], "year": 1}]
    results = [
        outcome(lambda: collection.add(change, if_version={"1": 9})),
        outcome(lambda: collection.add(change, if_version={"1": 1})),
        outcome(lambda: collection.add(change, if_version={"1": 1})),
        outcome(lambda: collection.add([{"id": "new"}], if_version={"new": 0, "2": 1})),
        outcome(lambda: collection.add([{"id": "new2"}], if_version={"2": 7})),
        outcome(lambda: collection.add([{"id": "1"}, {"id": "new3"}], if_absent=True)),
        outcome(lambda: collection.add([{"id": "new4"}], if_absent=True)),
        outcome(lambda: collection.patch([{"id": "2", "x": 1}], if_matches={"year": {"$lt": 1900}})),
        outcome(lambda: collection.patch([{"id": "2", "x": 1}], if_matches={"year": 1979})),
        outcome(lambda: collection.add([{"id": "2"}, {"id": "new5"}], if_matches={"year": 1979})),
        outcome(lambda: collection.delete(ids=["2"], if_version={"2": 1})),
        outcome(lambda: collection.delete(ids=["3", "4"], if_matches={"year": 1942})),
        outcome(lambda: collection.delete(ids=["3"], if_matches={"year": 1942})),
        outcome(lambda: collection.add([{"id": "4"}, {"id": "5"}], if_version={"4": 8, "5": 1}, atomic=False)),
        outcome(lambda: collection.add([{"id": "4"}], if_version={"4": -1})),
        outcome(lambda: collection.add([{"id": "4"}], if_version=["4"])),  # type: ignore[arg-type]
        outcome(lambda: collection.add([{"id": "4"}], if_absent=1)),  # type: ignore[arg-type]
        outcome(lambda: collection.add([{"id": "4"}], if_matches={"year": {"$near": 1}})),
        outcome(lambda: collection.add([{"id": "4"}], if_matches=5)),  # type: ignore[arg-type]
        outcome(lambda: collection.add([{"id": "4"}], if_absent=True, if_matches={"year": 1})),
    ]
    done = [1, 3, 6, 8, 12, 13]
    assert [index for index, result in enumerate(results) if not refused(result)] == done
    return results, fetched, collection.fetch(["1", "2", "new", "4"]), collection.fetch([]), collection.count()


def writing_with_durability(database: AnyDatabase) -> Any:
    collection = films(database)
    results = [
        outcome(lambda: collection.add([{"id": "6"}], durability="interval")),
        outcome(lambda: collection.patch([{"id": "6", "x": 1}], durability="none")),
        outcome(lambda: collection.delete(ids=["6"], durability="none")),
        outcome(lambda: collection.delete(ids=[], durability="interval")),
        outcome(lambda: collection.add([{"id": "7"}])),
        outcome(lambda: collection.add([{"id": "8"}], durability="fsync")),
    ]
    assert [result.durability for result in results[:5]] == ["interval", "none", "none", "interval", "sync"]
    return results


def writing_under_keys(database: AnyDatabase) -> Any:
    collection = films(database)
    batch = [{"id": "6", "title": "six"}, {"id": "7", "year": "soon"}]
    results = [
        outcome(lambda: collection.add([{"title": "no id"}], idempotency_key="a")),
        outcome(lambda: collection.add([{"title": "no id"}], idempotency_key="a")),
        outcome(lambda: collection.add([{"title": "another"}], idempotency_key="a")),
        outcome(lambda: collection.add(batch, atomic=False, idempotency_key="b")),
        outcome(lambda: collection.add(batch, atomic=False, idempotency_key="b")),
        outcome(lambda: collection.add(batch[1:], atomic=False, idempotency_key="c")),
        outcome(lambda: collection.add(batch[1:], atomic=False, idempotency_key="c")),
        outcome(lambda: collection.patch([{"id": "6", "x": 1}], idempotency_key="d")),
        outcome(lambda: collection.patch([{"id": "6", "x": 1}], idempotency_key="d")),
        outcome(lambda: collection.delete(ids=["6"], dry_run=True, idempotency_key="e")),
        outcome(lambda: collection.delete(ids=["6"], idempotency_key="e")),
        outcome(lambda: collection.delete(ids=["6"], idempotency_key="e")),
        outcome(lambda: collection.delete(ids=[], idempotency_key="f")),
        outcome(lambda: collection.insert([{"id": "1"}], idempotency_key="g")),
        outcome(lambda: collection.insert([{"id": "10"}], idempotency_key="g")),
        outcome(lambda: collection.add([{"id": "11"}], idempotency_key="")),
        outcome(lambda: collection.add([{"id": "11"}], idempotency_key="two words")),
        outcome(lambda: collection.add([{"id": "11"}], idempotency_key=7)),  # type: ignore[arg-type]
    ]
    places = [2, 13, 15, 16, 17]  # a refused insert keeps nothing under its key
    got = [index for index, result in enumerate(results) if refused(result)]
    assert got == places, got
    replays = [index for index, result in enumerate(results) if not refused(result) and result.replayed]
    assert replays == [1, 4, 6, 8, 11]
    assert results[0].ids == results[1].ids
    assert [item.status for item in results[4].results] == ["added", "error"]
    told = [result if refused(result) else (result.replayed, *_without_ids(result)) for result in results]
    return told, collection.count()


def _without_ids(result: Any) -> tuple[Any, ...]:
    """A write's or deletion's result without the ids that were made for documents."""
    body = result.to_json()
    return tuple(value for key, value in sorted(body.items()) if key not in {"ids", "results"})


def results_of_single_documents(database: AnyDatabase) -> Any:
    collection = films(database)
    batch: list[Any] = [{"id": "8"}, {**FILMS[0], "year": 5}, FILMS[1], {"id": "9", "year": "x"}, {"id": ""}]
    result = collection.add(batch, atomic=False)
    assert [item.status for item in result.results] == ["added", "replaced", "skipped", "error", "error"]
    twice = collection.add([{"id": "a", "n": 1}, {"id": "a", "n": 2}], atomic=False)
    assert [item.status for item in twice.results] == ["replaced", "added"]
    return result, twice, collection.add(FILMS[:2]), collection.count()


def passing_limits(database: AnyDatabase) -> Any:
    collection = films(database)
    results = [
        outcome(lambda: collection.add([{"id": "x" * 513}])),
        outcome(lambda: collection.add([{"id": "x" * 513}, {"id": "y" * 600}])),
        outcome(lambda: collection.add([{"id": "x" * 513}, {"id": ""}])),
        outcome(lambda: collection.add([{"id": "9", "text": "x" * (17 << 20)}])),
        outcome(lambda: collection.add([{"id": "x" * 513}, {"id": "9"}], atomic=False)),
        outcome(lambda: collection.get(["x" * 513])),
        outcome(lambda: collection.delete(ids=["x" * 513])),
    ]
    assert [getattr(result, "status", 200) for result in results] == [413, 413, 422, 413, 200, 200, 200]
    return results


def expiring(database: AnyDatabase) -> Any:
    collection = database.create_collection("sessions", embed={}, ttl={"field": "until"})
    past, future = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
    collection.add([{"id": "old", "until": past}, {"id": "new", "until": future}, {"id": "never"}])
    assert collection.count() == 2
    results = [
        outcome(lambda: collection.insert([{"id": "old", "until": future}])),
        outcome(lambda: collection.insert([{"id": "new"}])),
        outcome(lambda: collection.patch([{"id": "new", "until": past}])),
        outcome(lambda: collection.patch([{"id": "new", "until": future}])),
        outcome(lambda: collection.add([{"id": "bad", "until": 5}])),
        outcome(lambda: database.create_collection("sessions", embed={}, ttl={"field": "until"}, exist_ok=True).info()),
        outcome(lambda: database.create_collection("sessions", embed={}, exist_ok=True)),
        outcome(lambda: database.create_collection("x", embed={}, ttl={"seconds": 3600}).info()),
        outcome(lambda: database.create_collection("y", ttl={})),
        outcome(lambda: database.create_collection("y", ttl={"seconds": -1})),
        outcome(lambda: database.create_collection("y", ttl={"seconds": 1, "field": "a"})),
        outcome(lambda: database.create_collection("y", {"a": "text"}, ttl={"field": "a"})),
    ]
    assert [index for index, result in enumerate(results) if not refused(result)] == [0, 2, 5, 7]
    return results, collection.get(["old", "new", "never"]), collection.count(), collection.info()


def writing_more_than_one_request_takes(database: AnyDatabase) -> Any:
    plain = database.create_collection("plain", embed={})
    told: list[tuple[int, int]] = []
    many = [{"id": f"d{number}", "n": number} for number in range(10_500)]
    first = plain.add(many, on_progress=lambda done, total: told.append((done, total)))
    assert (first.added, len(first.ids), told[-1]) == (10_500, 10_500, (10_500, 10_500))
    new: list[dict[str, Any]] = [{"id": f"e{number}"} for number in range(10_300)]
    some = plain.insert([*new, many[0], {"id": "bad", "n": "text"}], atomic=False)
    assert [detail.index for detail in some.errors] == [10_300, 10_301]
    assert [item.status for item in some.results[-3:]] == ["added", "error", "error"]
    return first, some, plain.count()


WRITING: list[Scenario] = [
    writing_more_than_one_request_takes,
    inserting,
    python_values,
    patching,
    patching_vectors,
    writing_on_conditions,
    writing_with_durability,
    writing_under_keys,
    results_of_single_documents,
    passing_limits,
    expiring,
]
