"""Cursors of searches, and `min_sequence` of whatever reads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lumaai.serving import Service, problem_of

SEARCH = "/v1/collections/films/search"


@pytest.mark.parametrize(
    "search",
    [
        {"query": "a film about people"},
        {"query": "a film", "mode": "keyword"},
        {"query": "a film about people", "mode": "hybrid"},
        {"query": "a film", "diversity": 0.5},
        {"positive": ["n1", "n2"], "negative": ["n3"]},
    ],
)
def test_each_hit_comes_once_whatever_is_written_meanwhile(films: Service, search: dict[str, Any]) -> None:
    """Pages of any size over the state of the first one, past the length that is ranked at first."""
    documents = [{"id": f"n{number}", "title": f"a film number {number} about people"} for number in range(130)]
    films.post("/v1/collections/films/documents", {"documents": documents})
    answer = films.post(SEARCH, {**search, "limit": 7, "cursor": None}).json()
    seen = [hit["id"] for hit in answer["hits"]]
    limits = iter([1, 40, 3, *[50] * 10])
    while answer["next_cursor"] is not None:
        films.post("/v1/collections/films/documents", {"documents": [{"id": f"later{len(seen)}", "title": "a film"}]})
        films.post("/v1/collections/films/documents:delete", {"ids": [f"n{len(seen)}"]})
        answer = films.post(SEARCH, {"cursor": answer["next_cursor"], "limit": next(limits)}).json()
        seen += [hit["id"] for hit in answer["hits"]]
    assert len(seen) == len(set(seen)) >= 128
    assert not any(id_.startswith("later") for id_ in seen)


def test_a_page_asked_for_twice_is_the_same(films: Service) -> None:
    """A cursor is a place, not a queue; an answer without cursor has none."""
    first = films.post(SEARCH, {"query": "a film", "limit": 1, "cursor": ""}).json()
    again = [films.post(SEARCH, {"cursor": first["next_cursor"], "limit": 1}).json()["hits"] for _ in range(2)]
    assert again[0] == again[1]
    assert "next_cursor" not in films.post(SEARCH, {"query": "a film", "limit": 1}).json()
    assert films.post(SEARCH, {"query": "a film", "cursor": ""}).json()["next_cursor"] is None


def test_cursors_that_lead_nowhere(films: Service) -> None:
    """Changed: 422; expired: 410; with more beside them than they take: 422."""
    cursor: str = films.post(SEARCH, {"query": "a film", "limit": 1, "cursor": ""}).json()["next_cursor"]
    changed = ("A" if cursor[20] != "A" else "B").join((cursor[:20], cursor[21:]))
    problem_of(films.post(SEARCH, {"cursor": changed}), 422, "cursor_invalid")
    problem_of(films.post(SEARCH, {"cursor": cursor, "query": "another"}), 422)
    problem_of(films.post(SEARCH, {"query": "a film", "cursor": "", "group_by": "year"}), 422)
    films.database._opened.cursors._clock = lambda: 1e12
    problem_of(films.post(SEARCH, {"cursor": cursor}), 410, "cursor_expired")


READS = [
    ("POST", "/v1/collections/films/search", {"query": "x"}),
    ("POST", "/v1/collections/films/search:explain", {"query": "x"}),
    ("POST", "/v1/collections/films/search:batch", {"searches": [{"query": "x"}]}),
    ("POST", "/v1/collections/films/search:batch", {"vectors": [[0.0] * 63 + [1.0]]}),
    ("POST", "/v1/collections/films/search:recall", {"queries": 1, "limit": 1}),
    ("POST", "/v1/collections/films/documents:fetch", {"ids": ["1"]}),
    ("POST", "/v1/collections/films/count", {}),
    ("POST", "/v1/collections/films/scroll", {}),
    ("POST", "/v1/collections/films/facets", {"facets": ["year"]}),
    ("POST", "/v1/sql", {"sql": "SELECT count(*) FROM films"}),
    ("POST", "/v1/query", {"language": "lql", "query": "SELECT * FROM films"}),
    ("POST", "/v1/ask", {"question": "How many films are there?", "planner": "rules"}),
    ("GET", "/v1/collections", None),
    ("GET", "/v1/collections/films", None),
    ("GET", "/v1/collections/films/stats", None),
    ("GET", "/v1/collections/films/statistics", None),
    ("GET", "/v1/collections/films/documents/1", None),
    ("GET", "/v1/collections/films/changes", None),
    ("GET", "/v1/changes", None),
]


@pytest.mark.parametrize(("method", "path", "body"), READS)
def test_reads_refuse_to_be_older_than_asked(films: Service, method: str, path: str, body: Any) -> None:
    """The last write's sequence is reached, the next one is not: 409, retryable, with both numbers."""
    reached = films.get("/v1/stats").json()["sequence"]

    def asked(sequence: int) -> Any:
        if method == "GET":
            return films.get(path, params={"min_sequence": str(sequence)})
        return films.post(path, {**body, "min_sequence": sequence})

    answer = asked(reached)
    assert answer.status_code == 200, answer.text
    problem = problem_of(asked(reached + 1), 409, "sequence_not_reached")
    assert problem["retryable"]
    assert (problem["errors"][0]["expected"], problem["errors"][0]["got"]) == (reached + 1, reached)
