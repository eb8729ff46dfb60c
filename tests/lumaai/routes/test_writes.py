"""Modes, conditions, durability, idempotency keys and per-document results of writes over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lumaai.serving import FILMS, Service, problem_of, serving

DOCUMENTS = "/v1/collections/films/documents"
KEY = {"Idempotency-Key": "request-1"}


def write(service: Service, documents: list[Any], *, headers: dict[str, str] | None = None, **options: Any) -> Any:
    return service.post(DOCUMENTS, {"documents": documents, **options}, headers=headers)


def stored(service: Service, id_: str) -> Any:
    return service.get(f"{DOCUMENTS}/{id_}").json()


def test_insert_refuses_what_is_there(films: Service) -> None:
    """409 names each document that is there; nothing is written."""
    problem = problem_of(write(films, [{"id": "9"}, FILMS[0], FILMS[1]], mode="insert"), 409, "document_exists")
    assert [(item["pointer"], item["id"]) for item in problem["errors"]] == [
        ("/documents/1", "1"), ("/documents/2", "2"),
    ]  # fmt: skip
    assert films.get(f"{DOCUMENTS}/9").status_code == 404
    assert write(films, [{"id": "9"}], mode="insert").json()["added"] == 1


def test_patch_changes_parts_of_documents(films: Service) -> None:
    """Objects are merged, null removes a key, the rest stays; a patch that changes nothing is skipped."""
    write(films, [{"id": "9", "a": {"b": 1, "c": 2}, "d": [1]}])
    body = write(films, [{"id": "9", "a": {"b": None, "e": 3}, "d": None}, {"id": "1", "year": 1999}], mode="patch")
    assert (body.json()["replaced"], body.json()["skipped"]) == (1, 1)
    assert stored(films, "9") == {"id": "9", "a": {"c": 2, "e": 3}}


def test_patch_refuses_what_is_not_there(films: Service) -> None:
    """404 names each document that is missing; nothing is written."""
    problem = problem_of(write(films, [{"id": "1", "year": 5}, {"id": "7", "x": 1}], mode="patch"), 404)
    assert problem["code"] == "document_not_found"
    assert [item["pointer"] for item in problem["errors"]] == ["/documents/1"]
    assert stored(films, "1")["year"] == 1999


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"if_version": {"1": 1}}, 200),
        ({"if_version": {"1": 7}}, 412),
        ({"if_version": {"1": 0}}, 412),
        ({"if_version": {"other": 0}}, 200),
        ({"if_version": {"other": 1}}, 412),
        ({"if_absent": True}, 412),
        ({"if_matches": {"year": {"$lt": 2000}}}, 200),
        ({"if_matches": {"year": {"$gt": 2000}}}, 412),
    ],
)
def test_conditions_decide_whether_a_write_is_done(films: Service, options: dict[str, Any], status: int) -> None:
    """412 lists the documents that are not as demanded, and leaves them as they were."""
    answer = write(films, [{**FILMS[0], "year": 1998}], **options)
    if status == 412:
        problem = problem_of(answer, 412, "precondition_failed")
        assert problem["errors"][0]["id"] in {"1", "other"}
        assert stored(films, "1") == FILMS[0]
    else:
        assert answer.status_code == 200, answer.text
        assert stored(films, "1")["year"] == 1998


def test_a_condition_on_a_document_outside_the_batch_names_the_condition(films: Service) -> None:
    """Its pointer is into `if_version`, because no document of the batch is at fault."""
    problem = problem_of(write(films, [{"id": "9"}], if_version={"1": 5}), 412)
    assert [(item["pointer"], item["id"]) for item in problem["errors"]] == [("/if_version", "1")]
    assert "index" not in problem["errors"][0]


def test_versions_are_fetched_with_their_documents(films: Service) -> None:
    """What `if_version` takes; null where there is no document, and nothing where it was not asked for."""
    body = films.post(f"{DOCUMENTS}:fetch", {"ids": ["1", "none"], "versions": True}).json()
    assert body == {"documents": [FILMS[0], None], "versions": [1, None]}
    assert "versions" not in films.post(f"{DOCUMENTS}:fetch", {"ids": ["1"]}).json()
    assert write(films, [{"id": "1", "year": 1}], if_version={"1": 1}).json()["sequence"] == 2
    assert films.post(f"{DOCUMENTS}:fetch", {"ids": ["1"], "versions": True}).json()["versions"] == [2]


def test_deleting_takes_conditions(films: Service) -> None:
    """412, and nothing is deleted."""
    problem_of(films.post(f"{DOCUMENTS}:delete", {"ids": ["1"], "if_version": {"1": 9}}), 412)
    problem_of(films.post(f"{DOCUMENTS}:delete", {"ids": ["1", "3"], "if_matches": {"year": 1999}}), 412)
    assert films.post(f"{DOCUMENTS}:delete", {"ids": ["1"], "if_version": {"1": 1}}).json()["deleted"] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "upsert"},
        {"atomic": "false"},
        {"durability": "fsync"},
        {"if_version": {"1": -1}},
        {"if_version": {"1": 2**63}},
        {"if_version": {"1": "1"}},
        {"if_version": {"1": True}},
        {"if_version": ["1"]},
        {"if_absent": 1},
        {"if_matches": {"year": {"$near": 1}}},
        {"if_matches": [1]},
    ],
)
def test_malformed_options_are_refused(films: Service, options: dict[str, Any]) -> None:
    """422 with a pointer to the option."""
    problem = problem_of(write(films, [{"id": "9"}], **options), 422)
    assert problem["errors"][0]["pointer"].startswith(f"/{next(iter(options))}"), problem


@pytest.mark.parametrize("durability", ["sync", "interval", "none"])
def test_the_answer_says_which_durability_held(films: Service, durability: str) -> None:
    """As asked for; found by the next search all the same."""
    assert write(films, [{"id": "9"}], durability=durability).json()["durability"] == durability
    assert stored(films, "9") == {"id": "9"}
    deleted = films.post(f"{DOCUMENTS}:delete", {"ids": ["9"], "durability": durability}).json()
    assert deleted["durability"] == durability


def test_the_default_durability_is_a_setting(tmp_path: Path) -> None:
    """Of writes that ask for none; given to the database, where the service opens it."""
    from lumaai.settings import load_settings

    assert load_settings().durability == "sync"
    assert load_settings(durability="interval").durability == "interval"


def test_without_atomic_each_document_has_its_result(films: Service) -> None:
    """One result a document in their order: added, replaced, skipped, or the error."""
    batch = [{"id": "8", "title": "new"}, {**FILMS[0], "year": 1}, FILMS[1], {"id": "9", "year": "x"}, {"id": ""}]
    body = write(films, batch, atomic=False).json()
    assert [(item["id"], item["status"]) for item in body["results"]] == [
        ("8", "added"), ("1", "replaced"), ("2", "skipped"), ("9", "error"), (None, "error"),
    ]  # fmt: skip
    assert body["results"][3]["error"]["pointer"] == "/documents/3/year"
    assert [item["index"] for item in body["errors"]] == [3, 4]
    assert (body["added"], body["replaced"], body["skipped"]) == (1, 1, 1)
    assert "results" not in write(films, FILMS).json()


def test_without_atomic_conditions_and_modes_refuse_single_documents(films: Service) -> None:
    """What is there to insert, not there to patch, or of another version is left out; the rest goes in."""
    body = write(films, [FILMS[0], {"id": "8"}], mode="insert", atomic=False).json()
    assert [(item["status"], item.get("error", {}).get("code")) for item in body["results"]] == [
        ("error", "document_exists"), ("added", None),
    ]  # fmt: skip
    body = write(films, [{"id": "7", "x": 1}, {"id": "8", "x": 1}], mode="patch", atomic=False).json()
    assert [item["status"] for item in body["results"]] == ["error", "replaced"]
    body = write(films, [{"id": "1"}, {"id": "2"}], if_version={"1": 9, "2": 1}, atomic=False).json()
    assert [(item["status"], item.get("error", {}).get("code")) for item in body["results"]] == [
        ("error", "precondition_failed"), ("replaced", None),
    ]  # fmt: skip


def test_the_same_request_under_the_same_key_is_done_once(films: Service) -> None:
    """The replay has the same body, a header says so, and nothing is written; documents get the same ids."""
    first = write(films, [{"title": "no id"}], headers=KEY)
    second = write(films, [{"title": "no id"}], headers=KEY)
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert films.post("/v1/collections/films/count").json() == {"count": 4}
    third = write(films, [{"title": "no id"}], headers={"Idempotency-Key": "request-2"})
    assert third.json()["ids"] != first.json()["ids"]


def test_a_replay_of_a_partial_write_tells_its_errors(films: Service) -> None:
    """Errors and results are those of then, though the documents would now be skipped or refused otherwise."""
    batch = [{"id": "8"}, {"id": "9", "year": "x"}, {"id": "1", "title": "x"}]
    first = write(films, batch, atomic=False, headers=KEY)
    assert [item["status"] for item in first.json()["results"]] == ["added", "error", "replaced"]
    assert write(films, batch, atomic=False, headers=KEY).content == first.content
    bad = [{"id": "9", "year": "x"}]
    first = write(films, bad, atomic=False, headers={"Idempotency-Key": "all-bad"})
    again = write(films, bad, atomic=False, headers={"Idempotency-Key": "all-bad"})
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content


def test_the_order_of_keys_is_no_other_request(films: Service) -> None:
    """The fingerprint is of the canonical body: key order and defaults spelled out do not count."""
    write(films, [{"id": "9", "title": "a", "x": 1}], headers=KEY)
    content = json.dumps({"atomic": True, "mode": "add", "documents": [{"x": 1, "title": "a", "id": "9"}]})
    answer = films.post(DOCUMENTS, content=content, headers={**KEY, "content-type": "application/json"})
    assert answer.headers["idempotency-replayed"] == "true"


def test_a_key_for_another_request_is_refused(films: Service) -> None:
    """422: other documents, another mode, other conditions, or a deletion."""
    write(films, [{"id": "9"}], headers=KEY)
    for answer in (
        write(films, [{"id": "8"}], headers=KEY),
        write(films, [{"id": "9"}], mode="patch", headers=KEY),
        write(films, [{"id": "9"}], if_version={"9": 2}, headers=KEY),
        write(films, [{"id": "9"}], durability="none", headers=KEY),
        films.post(f"{DOCUMENTS}:delete", {"ids": ["9"]}, headers=KEY),
    ):
        problem_of(answer, 422, "idempotency_key_reused")
    assert films.get(f"{DOCUMENTS}/8").status_code == 404


def test_a_deletion_under_a_key_is_done_once(films: Service) -> None:
    """A second time it would say 0; a replay says what the first did. A dry run keeps nothing under the key."""
    path, body = f"{DOCUMENTS}:delete", {"filter": {"year": 1999}}
    assert films.post(path, {**body, "dry_run": True}, headers=KEY).json()["deleted"] == 1
    assert films.post(path, body, headers=KEY).json()["deleted"] == 1
    again = films.post(path, body, headers=KEY)
    assert again.json()["deleted"] == 1
    assert again.headers["idempotency-replayed"] == "true"


def test_a_refused_write_keeps_nothing_under_its_key(films: Service) -> None:
    """What failed may be mended and sent again under the same key."""
    problem_of(write(films, [{"id": "9", "year": "x"}], headers=KEY), 422)
    problem_of(write(films, [{"id": "9"}], if_version={"1": 7}, headers=KEY), 412)
    assert write(films, [{"id": "9", "year": 1}], headers=KEY).json()["added"] == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü"])
def test_malformed_keys_are_refused(films: Service, key: str) -> None:
    """1 to 255 visible ASCII characters."""
    headers = [("Idempotency-Key", key.encode("latin-1"))]
    answer = films.post(DOCUMENTS, {"documents": [{"id": "9"}]}, headers=headers)
    problem_of(answer, 422, "idempotency_key_invalid")


def test_limits_on_documents_answer_413_with_the_limit(films: Service) -> None:
    """Where every fault is a limit's; with another fault among them the batch is invalid."""
    problem = problem_of(write(films, [{"id": "x" * 513}]), 413, "id_too_long")
    assert (problem["errors"][0]["expected"], problem["errors"][0]["got"]) == (512, 513)
    problem_of(write(films, [{"id": "9", "text": "x" * (16 << 20)}]), 413, "document_too_large")
    problem_of(write(films, [{"id": "x" * 513}, {"id": 7}]), 422, "documents_invalid")
    body = write(films, [{"id": "x" * 513}, {"id": "9"}], atomic=False).json()
    assert [item["status"] for item in body["results"]] == ["error", "added"]


def test_too_many_versions_are_too_large(tmp_path: Path) -> None:
    """413, naming the setting."""
    with serving(tmp_path, batch_documents_max=2) as service:
        service.put("/v1/collections/films", {"embed": {}})
        versions = {str(number): 0 for number in range(3)}
        problem = problem_of(write(service, [{"id": "9"}], if_version=versions), 413)
        assert "batch_documents_max=2 got=3" in problem["detail"]


def test_a_collection_may_let_documents_expire(service: Service) -> None:
    """By a field of theirs, or after a time; the rule is part of the schema, and contradicting it is a conflict."""
    body: dict[str, Any] = {"embed": {}, "ttl": {"field": "until"}}
    assert service.put("/v1/collections/films", body).status_code == 201
    old, new = {"id": "1", "until": "2001-01-01T00:00:00Z"}, {"id": "2", "until": "2999-01-01T00:00:00Z"}
    write(service, [old, new, {"id": "3"}])
    assert service.post("/v1/collections/films/count").json() == {"count": 2}
    assert service.get(f"{DOCUMENTS}/1").status_code == 404
    assert service.get("/v1/collections/films").json()["schema"]["ttl"] == {"field": "until"}
    assert service.put("/v1/collections/films", body).status_code == 200
    problem_of(service.put("/v1/collections/films", {"embed": {}}), 409, "schema_differs")
    problem_of(service.put("/v1/collections/films", {**body, "ttl": {"seconds": 5}}), 409, "schema_differs")


@pytest.mark.parametrize(
    "ttl", [{}, {"seconds": 0}, {"seconds": -1}, {"field": ""}, {"field": "a", "seconds": 1}, {"seconds": "1"}, 5]
)
def test_malformed_rules_of_expiry_are_refused(service: Service, ttl: Any) -> None:
    """422, at `/ttl`."""
    problem = problem_of(service.put("/v1/collections/films", {"ttl": ttl, "embed": {}}), 422)
    assert problem["errors"][0]["pointer"].startswith("/ttl")


def test_options_in_the_query_string_of_a_json_body_are_refused_with_where_they_belong(films: Service) -> None:
    """The query string says them only beside an array; nothing is written."""
    given = {"documents": [{"id": "9"}]}
    problem = problem_of(films.post(f"{DOCUMENTS}?mode=insert&atomic=false", given), 422, "unknown_key")
    assert problem["detail"].startswith("goes into a JSON body")
    assert [error["pointer"] for error in problem["errors"]] == ["/mode", "/atomic"]
    assert "known are" not in problem_of(films.post(f"{DOCUMENTS}?moed=insert", given), 422, "unknown_key")["detail"]
    problem_of(films.get(f"{DOCUMENTS}/9"), 404, "document_not_found")
