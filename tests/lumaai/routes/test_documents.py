from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.lumaai.serving import FILMS, Service, http_scope, problem_of, serving

FILMS_PATH = "/v1/collections/films"


def test_a_batch_is_added_and_replaced_and_skipped(films: Service) -> None:
    """One new, one changed, one the same."""
    batch = [{**FILMS[0]}, {**FILMS[1], "year": 1980}, {"id": "4", "title": "Solaris"}]
    answer = films.post(f"{FILMS_PATH}/documents", {"documents": batch})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["added"], body["replaced"], body["skipped"], body["errors"]) == (1, 1, 1, [])
    assert body["durability"] == "sync"
    assert body["ids"] == ["1", "2", "4"]


def test_a_bad_document_refuses_an_atomic_batch(films: Service) -> None:
    """422 names the place; nothing of the batch is written."""
    batch = [{"id": "9", "title": "fine"}, {"id": "10", "year": "not a number"}]
    problem = problem_of(films.post(f"{FILMS_PATH}/documents", {"documents": batch}), 422)
    assert problem["errors"][0]["pointer"] == "/documents/1/year"
    problem_of(films.get(f"{FILMS_PATH}/documents/9"), 404, "document_not_found")


def test_without_atomic_the_good_documents_go_in(films: Service) -> None:
    """`atomic=false`: what is bad is listed with its index, the rest is written."""
    batch = [{"id": "9", "title": "fine"}, {"id": "10", "year": "not a number"}]
    answer = films.post(f"{FILMS_PATH}/documents", {"documents": batch, "atomic": False})
    assert answer.status_code == 200
    body = answer.json()
    assert body["added"] == 1
    assert [(item["index"], item["pointer"]) for item in body["errors"]] == [(1, "/documents/1/year")]
    assert films.get(f"{FILMS_PATH}/documents/9").json() == {"id": "9", "title": "fine"}


def test_a_vector_of_the_wrong_size_names_both_sizes(points: Service) -> None:
    """The item has the pointer, the code, and expected and got, as the design shows."""
    body = {"documents": [{"id": "d", "vector": [1.0, 2.0, 3.0]}]}
    problem = problem_of(points.post("/v1/collections/points/documents", body), 422)
    item = problem["errors"][0]
    assert (item["pointer"], item["code"], item["expected"], item["got"]) == (
        "/documents/0/vector", "dimension_mismatch", 2, 3,
    )  # fmt: skip


@pytest.mark.parametrize(
    "documents",
    [
        [],
        {},
        "text",
        [1],
        [[]],
        [None],
        [{"id": 5}],
        [{"id": ""}],
        [{"id": "a" * 513}, {"id": 5}],
        [{"id": "a", "title": "\udead"}],
        [{"id": "a", "x": math.nan}],
        [{"id": "a", "x": math.inf}],
        [{"id": "a", "x": {"y": [1, math.nan]}}],
        [{"id": "a", "": 1}],
        [{"id": "a", "$gt": 1}],
        [{"id": "a", "vector": [math.nan] * 64}],
        [{"id": "a", "vector": "text"}],
        [{"id": "a", "vector": [10**400] * 64}],
    ],
)
def test_documents_that_cannot_be_stored_are_refused(films: Service, documents: Any) -> None:
    """A 4xx problem, never a 500, and nothing is written."""
    content = json.dumps({"documents": documents}).encode()
    answer = films.post(f"{FILMS_PATH}/documents", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    problem_of(answer, answer.status_code)
    assert films.post(f"{FILMS_PATH}/count").json() == {"count": 3}


def test_integers_of_any_size_are_kept(films: Service) -> None:
    """JSON has no largest integer; what went in comes out."""
    huge = 10**400
    assert films.put(f"{FILMS_PATH}/documents/huge", {"n": huge}).status_code == 201
    assert films.get(f"{FILMS_PATH}/documents/huge").json()["n"] == huge


def test_too_many_documents_are_too_large(tmp_path: Path) -> None:
    """413 naming the limit and its setting."""
    with serving(tmp_path, batch_documents_max=2) as service:
        service.put("/v1/collections/films", {"embed": {}})
        problem = problem_of(service.post(f"{FILMS_PATH}/documents", {"documents": FILMS}), 413)
        assert "batch_documents_max=2 got=3" in problem["detail"]


def test_fetch_keeps_the_order_and_says_null(films: Service) -> None:
    """Documents come in the order of the ids, with null where there is none."""
    answer = films.post(f"{FILMS_PATH}/documents:fetch", {"ids": ["2", "no", "1"]}).json()
    assert answer["documents"] == [FILMS[1], None, FILMS[0]]


def test_fetch_gives_vectors_when_asked(points: Service) -> None:
    """The vector comes back under its field's name."""
    answer = points.post("/v1/collections/points/documents:fetch", {"ids": ["a"], "vectors": True}).json()
    assert answer["documents"] == [{"id": "a", "vector": [1.0, 0.0]}]


def test_delete_by_ids_and_by_filter(films: Service) -> None:
    """A dry run deletes nothing; ids that are not there do not count."""
    dry = films.post(f"{FILMS_PATH}/documents:delete", {"filter": {"year": {"$lt": 2000}}, "dry_run": True})
    assert (dry.json()["deleted"], dry.json()["dry_run"]) == (2, True)
    assert films.post(f"{FILMS_PATH}/count").json() == {"count": 3}
    assert films.post(f"{FILMS_PATH}/documents:delete", {"ids": ["1", "no"]}).json()["deleted"] == 1
    assert films.post(f"{FILMS_PATH}/documents:delete", {"filter": {}}).json()["deleted"] == 2
    assert films.post(f"{FILMS_PATH}/count").json() == {"count": 0}


def test_a_bad_filter_names_its_place(films: Service) -> None:
    """422 with a pointer into the filter."""
    problem = problem_of(films.post(f"{FILMS_PATH}/count", {"filter": {"year": {"$near": 1}}}), 422)
    assert problem["errors"][0]["pointer"].startswith("/filter/year")


def test_scroll_pages_through_all(films: Service) -> None:
    """Two pages of at most two; the last has no cursor; no document twice."""
    first = films.post(f"{FILMS_PATH}/scroll", {"limit": 2}).json()
    assert len(first["documents"]) == 2
    second = films.post(f"{FILMS_PATH}/scroll", {"limit": 2, "cursor": first["next_cursor"]}).json()
    assert second["next_cursor"] is None
    ids = [document["id"] for document in first["documents"] + second["documents"]]
    assert sorted(ids) == ["1", "2", "3"]


def test_scroll_refuses_what_it_cannot_do(films: Service) -> None:
    """There is no such field to sort by; a cursor of one's own making is not valid; too large a page is too large."""
    problem_of(films.post(f"{FILMS_PATH}/scroll", {"order_by": "nothing"}), 422)
    problem_of(films.post(f"{FILMS_PATH}/scroll", {"cursor": "mine"}), 422, "cursor_invalid")
    problem_of(films.post(f"{FILMS_PATH}/scroll", {"limit": 10_001}), 413)


def test_one_document_is_put_got_and_deleted(films: Service) -> None:
    """201 when new, 200 when replaced, 404 after its deletion; an id with a slash and a space works."""
    path = f"{FILMS_PATH}/documents/a%2Fb%20c"
    assert films.put(path, {"title": "New"}).status_code == 201
    assert films.get(path).json() == {"id": "a/b c", "title": "New"}
    assert films.put(path, {"id": "a/b c", "title": "Newer"}).status_code == 200
    assert films.delete(path).json()["deleted"] == 1
    problem_of(films.get(path), 404, "document_not_found")
    problem_of(films.delete(path), 404, "document_not_found")


def test_put_refuses_another_id_and_points_into_the_document(films: Service) -> None:
    """The pointer is into the body, which is one document here."""
    problem_of(films.put(f"{FILMS_PATH}/documents/5", {"id": "6"}), 422, "id_mismatch")
    problem = problem_of(films.put(f"{FILMS_PATH}/documents/5", {"year": "x"}), 422)
    assert problem["errors"][0]["pointer"] == "/year"
    assert "index" not in problem["errors"][0]


def test_an_over_long_id_in_the_path_is_refused(films: Service) -> None:
    """413 on PUT, naming the limit, 404 on GET: nothing can be there."""
    problem = problem_of(films.put(f"{FILMS_PATH}/documents/{'a' * 513}", {"title": "x"}), 413, "id_too_long")
    assert "maximum=512 got=513" in problem["detail"]
    problem_of(films.get(f"{FILMS_PATH}/documents/{'a' * 513}"), 404)


def test_dots_in_a_path_reach_nothing_else(films: Service) -> None:
    """A path with `..` is taken literally: it names a document that is not there, or nothing."""
    scope = http_scope("GET", "/v1/collections/films/documents/../../../../etc/passwd")
    start, _ = films.send(scope, [{"type": "http.request", "body": b"", "more_body": False}])
    assert start["status"] == 404
    scope = http_scope("GET", "/v1/collections/../healthz")
    start, _ = films.send(scope, [{"type": "http.request", "body": b"", "more_body": False}])
    assert start["status"] == 404


def test_unknown_query_parameters_are_refused(films: Service) -> None:
    """A misspelt or misplaced option is an error, not silence; so is one given twice."""
    body = {"documents": FILMS}
    for query in ("atomc=false", "atomic=1", "atomic=true&atomic=false", "mode=add&mode=add"):
        problem_of(films.post(f"{FILMS_PATH}/documents?{query}", body), 422)
