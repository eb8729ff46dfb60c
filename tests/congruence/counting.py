"""Scripts of filters written either way, facets, orders and figures."""

from __future__ import annotations

from typing import Any

from tests.congruence.agreement import outcome
from tests.congruence.material import FILMS, AnyDatabase, Scenario, films, refused

SQL_AND_JSON: list[tuple[str, dict[str, Any]]] = [
    ("year >= 1970", {"year": {"$gte": 1970}}),
    (
        "genre = 'drama' OR rating BETWEEN 8.0 AND 8.1",
        {"$or": [{"genre": "drama"}, {"rating": {"$gte": 8, "$lte": 8.1}}]},
    ),
    ("NOT genre IN ('drama', 'horror')", {"genre": {"$nin": ["drama", "horror"]}}),
    ("CONTAINS_ANY(tags, 'love', 'war')", {"tags": {"$contains_any": ["love", "war"]}}),
    ("title LIKE '%a%' AND director IS NULL", {"title": {"$like": "%a%"}, "director": None}),
    ("MATCHES(plot, 'love woman')", {"plot": {"$match": "love woman"}}),
    ("EXISTS(note)", {"note": {"$exists": True}}),
]


def filters_in_both_ways(database: AnyDatabase) -> Any:
    collection = films(database)
    collection.add([{**FILMS[0], "note": None}])
    counts = []
    for text, data in SQL_AND_JSON:
        counts.append(collection.count(text))
        assert counts[-1] == collection.count(data), text
    assert counts == [3, 3, 3, 2, 3, 1, 1]
    found = collection.search("space", filter="year = 1979")
    assert sorted(found.ids) == ["2", "5"]
    page = collection.scroll(filter="tags = 'space'")
    kept = collection.add([{**FILMS[0], "year": 1928}], if_matches="year < 1900", atomic=False)
    assert not kept.added + kept.replaced
    deleted = collection.delete(filter="year < 1940", dry_run=True).deleted
    return counts, found, page.documents, deleted, collection.explain("year = 1979")["count"]


def refusing_filters(database: AnyDatabase) -> Any:
    collection = films(database)
    deep: Any = {"year": 1}
    for _ in range(200):
        deep = {"$not": deep}
    bad: list[Any] = [
        "year >", "year = 'x'", "(year = 1", "'open", "year = 1; DROP TABLE films", "SELECT 1", "", "near(year, 3)",
        "(" * 9_000 + "year = 1", "year = " + "1" * 20_000, "regex(title, '(')", {"title": {"$regex": "(a+)+\\1"}},
        {"year": {"$gt": "x"}}, {"year": {"$near": 1}}, {"$or": 3}, deep, {"title": {"$like": "%" * 2_000}}, [1], 7,
        {"title": "x" * 1_000_000}, {"place": {"$geo_radius": {"lat": 100, "lon": 0, "meters": 1}}},
    ]  # fmt: skip
    results = [outcome(lambda where=where: collection.count(where)) for where in bad]  # type: ignore[misc]
    assert all(map(refused, results))
    return results


def facets(database: AnyDatabase) -> Any:
    collection = films(database)
    spec: dict[str, Any] = {
        "genre": {"limit": 1}, "tags": {"sort": "value", "prefix": "l"}, "decades": {"field": "year", "interval": 10},
        "rating": {"ranges": [{"to": 8.2}, {"from": 8.2}]}, "figures": {"field": "year", "stats": True},
        "pairs": {"by": ["genre", "year"], "limit": 2},
    }  # fmt: skip
    found = collection.facets(spec)
    assert found["genre"]["values"] == [{"value": "science fiction", "count": 3}]
    assert [bucket["start"] for bucket in found["decades"]["buckets"]] == [1920, 1940, 1970]
    assert [item["count"] for item in found["rating"]["ranges"]] == [2, 3]
    some = collection.facets(["genre", "year"], filter="year >= 1979")
    bad: list[Any] = [
        3, {"genre": 7}, {"no": {}}, {"genre": {"limit": 0}}, {"genre": {"interval": "month"}},
        {"year": {"prefix": "1"}},
        {"year": {"ranges": []}}, {"year": {"ranges": [{"from": "a"}]}}, {"year": {"sort": "size"}}, [7],
        {"plot": {"stats": True, "limit": 3}}, {"year": {"unknown": 1}},
    ]  # fmt: skip
    refusals = [refused(outcome(lambda spec=spec: collection.facets(spec))) for spec in bad]  # type: ignore[misc]
    assert all(refusals)
    return found, some


def scrolling_in_order(database: AnyDatabase) -> Any:
    collection = films(database)
    collection.add([{"id": "6", "title": "Untitled"}])
    orders: list[Any] = ["year", "year desc", {"field": "rating", "direction": "desc"}, ["genre", "year desc"]]
    pages = []
    for order in orders:
        page = collection.scroll(order_by=order, limit=2)
        ids = [document["id"] for document in page.documents]
        collection.add([{"id": "new", "title": "meanwhile", "year": 1000, "rating": 9.9, "genre": "a"}])
        while page.next_cursor is not None:
            page = collection.scroll(cursor=page.next_cursor, limit=2)
            ids += [document["id"] for document in page.documents]
        collection.delete(ids=["new"])
        pages.append(ids)
    assert pages == [list("134256"), list("254316"), list("231546"), list("325416")]
    first = collection.scroll(order_by="year", limit=1)
    bad: list[Any] = ["nothing", "tags", "", {"field": "year", "direction": "up"}, ["year"] * 9, 7, []]
    refusals = [refused(outcome(lambda order=order: collection.scroll(order_by=order))) for order in bad]  # type: ignore[misc]
    assert all(refusals)
    other = outcome(lambda: collection.scroll(cursor=first.next_cursor, order_by="rating"))
    assert refused(other)
    return pages, first.documents, other


def statistics_of_fields(database: AnyDatabase) -> Any:
    collection = films(database)
    before = collection.statistics()
    assert (before["year"]["min"], before["year"]["max"], before["year"]["distinct"]) == (1927, 1979, 4)
    assert before["tags"]["top"][0] == {"value": "love", "count": 2}
    collection.delete(ids=["1"])
    after = collection.statistics()
    assert (after["year"]["min"], after["year"]["count"]) == (1942, 4)
    return before, after


COUNTING: list[Scenario] = [filters_in_both_ways, refusing_filters, facets, scrolling_in_order, statistics_of_fields]
