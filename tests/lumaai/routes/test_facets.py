"""HTTP: filters written like SQL, facets, orders and statistics, and what is wrong with them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.lumaai.serving import Service, problem_of

FILMS_PATH = "/v1/collections/films"


def test_a_filter_may_be_written_like_sql(films: Service) -> None:
    """Wherever one is taken."""
    where = "year >= 1990 AND title LIKE '%M%'"
    assert films.post(f"{FILMS_PATH}/count", {"filter": where}).json() == {"count": 1}
    hits = films.post(f"{FILMS_PATH}/search", {"query": "people", "filter": where}).json()["hits"]
    assert [hit["id"] for hit in hits] == ["1"]
    page = films.post(f"{FILMS_PATH}/scroll", {"filter": "year < 1990"}).json()
    assert [document["id"] for document in page["documents"]] == ["2"]
    assert films.post(f"{FILMS_PATH}/documents:delete", {"filter": where, "dry_run": True}).json()["deleted"] == 1
    batch = {"documents": [{"id": "1", "title": "x"}], "if_matches": "year < 1990"}
    problem_of(films.post(f"{FILMS_PATH}/documents", batch), 412)


def test_a_fault_in_a_string_is_told_by_its_offset(films: Service) -> None:
    """Beside the pointer to the string."""
    problem = problem_of(films.post(f"{FILMS_PATH}/count", {"filter": "year > 1990 AND near(year, 3)"}), 422)
    assert (problem["errors"][0]["pointer"], problem["errors"][0]["offset"]) == ("/filter", 16)
    batch = {"documents": [{"id": "1", "title": "x"}], "if_matches": "year <"}
    problem = problem_of(films.post(f"{FILMS_PATH}/documents", batch), 422)
    assert (problem["errors"][0]["pointer"], problem["errors"][0]["offset"]) == ("/if_matches", 5)


def nested(depth: int, opening: str, closing: str, core: str) -> str:
    return opening * depth + core + closing * depth


@pytest.mark.parametrize(
    "filter_json",
    [
        nested(10_000, '{"$not": ', "}", '{"year": 1}'),
        nested(10_000, '{"$and": [', "]}", '{"year": 1}'),
        nested(10_000, '{"year": {"$in": [', "]}}", "1"),
        json.dumps(nested(5_000, "(", ")", "year = 1")),
        json.dumps(nested(4_000, "NOT ", "", "year = 1")),
        json.dumps("year = 1" + " AND year = 1" * 100_000),
        json.dumps("title = '" + "x" * 1_000_000 + "'"),
        json.dumps({"title": "x" * 1_000_000}),
        json.dumps({"title": {"$regex": "(a{1,1000}){1,1000}"}}),
        json.dumps({"title": {"$in": ["x"] * 100_001}}),
        json.dumps({"$or": [{"year": i} for i in range(1_001)]}),
        json.dumps({"year": {"$gt": 10**5}, "title": {"$gt": 3}}),
        json.dumps({"year": 10**400})[:-1] + "}",
        '{"year": 1e999}',
    ],
    ids=range(14),
)
def test_strange_filters_are_refused_at_once(films: Service, filter_json: str) -> None:
    """Deep, long, catastrophic or of the wrong type: a 4xx within a second, with the place."""
    started = time.process_time()
    content = f'{{"filter": {filter_json}}}'.encode()
    answer = films.post(f"{FILMS_PATH}/count", content=content, headers={"Content-Type": "application/json"})
    assert time.process_time() - started < 3
    if answer.status_code == 200:  # a number beyond 64 bits is only larger than all that there is
        assert answer.json() == {"count": 0}
        return
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.status_code in (400, 413) or answer.json()["errors"][0]["pointer"].startswith("/filter")


def test_a_slow_regex_is_not_slow_here(films: Service) -> None:
    """RE2 knows no backtracking: what takes others minutes is answered."""
    films.post(f"{FILMS_PATH}/documents", {"documents": [{"id": "a", "title": "a" * 50_000 + "!"}]})
    started = time.process_time()
    answer = films.post(f"{FILMS_PATH}/count", {"filter": {"title": {"$regex": "^(a+)+$"}}})
    assert answer.json() == {"count": 0}
    assert time.process_time() - started < 3


def test_facets_over_http(films: Service) -> None:
    """The values of fields, and what is wrong with a facet by its pointer."""
    answer = films.post(
        f"{FILMS_PATH}/facets", {"facets": {"year": {"sort": "value", "limit": 2}}, "filter": "year > 1980"}
    )
    assert answer.json() == {
        "facets": {
            "year": {
                "values": [{"value": 1999, "count": 1}, {"value": 2001, "count": 1}],
                "distinct": 2, "other": 0, "missing": 0,
            }
        }
    }  # fmt: skip
    assert films.post(f"{FILMS_PATH}/facets", {"facets": ["year"]}).json()["facets"]["year"]["distinct"] == 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"facets": {"nothing": {}}}, "/facets/nothing"),
        ({"facets": {"year": {"prefix": "1"}}}, "/facets/year/prefix"),
        ({"facets": {"year": {"ranges": [{"from": "a"}]}}}, "/facets/year/ranges/0/from"),
        ({"facets": ["year"], "filter": {"year": {"$near": 1}}}, "/filter/year/$near"),
    ],
)
def test_bad_facets_name_the_place(films: Service, body: Any, pointer: str) -> None:
    """422 with a JSON Pointer into the body."""
    problem = problem_of(films.post(f"{FILMS_PATH}/facets", body), 422)
    assert problem["errors"][0]["pointer"] == pointer


def test_scrolls_in_order(films: Service) -> None:
    """By names and by objects; a field without an order is named."""
    for order in ("year desc", {"field": "year", "direction": "desc"}, ["year desc", "title"]):
        page = films.post(f"{FILMS_PATH}/scroll", {"order_by": order, "limit": 2}).json()
        rest = films.post(f"{FILMS_PATH}/scroll", {"cursor": page["next_cursor"], "limit": 2}).json()
        assert [document["id"] for document in page["documents"] + rest["documents"]] == ["3", "1", "2"]
    problem = problem_of(films.post(f"{FILMS_PATH}/scroll", {"order_by": ["year", "nothing"]}), 422)
    assert problem["errors"][0]["pointer"] == "/order_by/1"


def test_statistics_and_explanations(films: Service) -> None:
    """Figures of fields, and what ran for a filter."""
    figures = films.get(f"{FILMS_PATH}/statistics").json()["fields"]["year"]
    assert (figures["min"], figures["max"], figures["count"], figures["nulls"]) == (1979, 2001, 3, 0)
    answer = films.post(f"{FILMS_PATH}/count", {"filter": "year > 1980", "explain": True}).json()
    assert answer["count"] == answer["explain"]["count"] == 2
    step = answer["explain"]["parts"][0]["steps"][0]
    assert (step["how"], step["rows"], step["found"]) == ("column scan", 3, 2)
    assert step["condition"] == {"year": {"$gt": 1980}}
