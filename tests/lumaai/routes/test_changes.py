"""The change feed over HTTP."""

from __future__ import annotations

import pytest

from tests.lumaai.serving import FILMS, Service, problem_of

FEED = "/v1/changes"


def test_changes_are_told_in_their_order(films: Service) -> None:
    """Documents as written, ids that were deleted; `next` goes on, and at the end it stays."""
    films.post("/v1/collections/films/documents:delete", {"ids": ["2"]})
    films.post("/v1/collections/films/documents", {"documents": [{"id": "1", "title": "Newer"}]})
    body = films.get(FEED).json()
    assert [(change["sequence"], change["collection"]) for change in body["changes"]] == [
        (1, "films"), (2, "films"), (3, "films"),
    ]  # fmt: skip
    assert body["changes"][0]["documents"] == [FILMS[2]]  # the others were deleted, or are told by a later change
    assert body["changes"][1] == {"sequence": 2, "collection": "films", "documents": [], "deleted": ["2"]}
    assert body["changes"][2]["documents"] == [{"id": "1", "title": "Newer"}]
    assert body["next"] == 3
    assert films.get(FEED, params={"from": 3}).json() == {"changes": [], "next": 3}


def test_a_page_of_changes(films: Service) -> None:
    """`limit` ends it early; `from` goes on behind it."""
    films.post("/v1/collections/films/documents", {"documents": [{"id": "9"}]})
    first = films.get(FEED, params={"limit": 1}).json()
    assert ([change["sequence"] for change in first["changes"]], first["next"]) == ([1], 1)
    second = films.get(FEED, params={"from": first["next"], "limit": 5}).json()
    assert ([change["sequence"] for change in second["changes"]], second["next"]) == ([2], 2)


def test_changes_of_one_collection(films: Service) -> None:
    """By its path, or by the parameter; a collection that is not there is a 404."""
    films.put("/v1/collections/notes", {"embed": {}})
    films.post("/v1/collections/notes/documents", {"documents": [{"id": "n"}]})
    by_path = films.get("/v1/collections/notes/changes").json()
    assert [change["documents"] for change in by_path["changes"]] == [[{"id": "n"}]]
    assert films.get(FEED, params={"collection": "notes"}).json() == by_path
    problem_of(films.get("/v1/collections/none/changes"), 404, "collection_not_found")
    problem_of(films.get(FEED, params={"collection": "none"}), 404, "collection_not_found")


def test_changes_that_the_log_no_longer_holds_are_gone(films: Service) -> None:
    """410 after a purge, saying from where on the log is whole; also for a sequence that never was."""
    films.post("/v1/collections/films/documents:delete", {"ids": ["2"]})
    assert films.post("/v1/purge").status_code == 200
    problem = problem_of(films.get(FEED, params={"from": 0}), 410, "changes_gone")
    oldest = problem["errors"][0]["expected"]
    assert films.get(FEED, params={"from": oldest}).status_code == 200
    problem_of(films.get(FEED, params={"from": 99}), 410, "changes_gone")


@pytest.mark.parametrize("query", ["from=-1", "from=x", "from=1.5", "limit=0", "limit=10001", "limit=", "after=1"])
def test_malformed_questions_are_refused(films: Service, query: str) -> None:
    """422, not silence."""
    problem_of(films.get(f"{FEED}?{query}"), 422)
