"""One document under HTTP's own conditions: ETags, If-Match, If-None-Match, Idempotency-Key; and unknown queries."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lumaai.routes import all_operations
from lumaai.routes.operation import Operation
from tests.lumaai.serving import FILMS, Service, problem_of

PATH = "/v1/collections/films/documents"


def put(service: Service, id_: str, title: str, **headers: str) -> Any:
    return service.put(f"{PATH}/{id_}", {"title": title}, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize("operation", all_operations(), ids=lambda operation: operation.id)
def test_every_operation_refuses_a_query_that_it_does_not_know(films: Service, operation: Operation) -> None:
    """422 before anything is done; in OpenAI's shapes 400."""
    path = re.sub(r"{(\w+)}", lambda found: {"c": "films", "id": "1"}.get(found[1], "s"), operation.path)
    headers = {"content-type": operation.body_media_type}
    answer = films.request(operation.method, f"{path}?dryrun=true", content=b"{}", headers=headers)
    problem_of(answer, 400 if operation.like_openai else 422, "unknown_key")
    assert films.post("/v1/collections/films/count").json() == {"count": 3}


def test_a_dry_run_in_the_query_deletes_nothing(films: Service) -> None:
    """It is no option of this operation: refused, rather than passed over."""
    problem_of(films.delete(f"{PATH}/1?dry_run=true"), 422, "unknown_key")
    assert films.get(f"{PATH}/1").json() == FILMS[0]


def test_the_etag_is_the_version(films: Service) -> None:
    """Of what is got and of what is put; one that is put again as it is keeps its own."""
    assert films.get(f"{PATH}/1").headers["etag"] == '"1"'
    assert put(films, "9", "new").headers["etag"] == '"2"'
    assert put(films, "8", "other").headers["etag"] == '"3"'
    assert put(films, "9", "new").headers["etag"] == '"2"'
    assert films.get(f"{PATH}/9").headers["etag"] == '"2"'
    fetched = films.post(f"{PATH}:fetch", {"ids": ["9"], "versions": True}).json()
    assert fetched["versions"] == [2]


def test_if_match_writes_only_that_version(films: Service) -> None:
    """412 with another version, and on a document that is not there; nothing is written."""
    assert put(films, "1", "second", If_Match='"1"').status_code == 200
    problem = problem_of(put(films, "1", "third", If_Match='"1"'), 412, "precondition_failed")
    assert "/documents" not in problem["errors"][0]["pointer"]
    assert films.get(f"{PATH}/1").json()["title"] == "second"
    for etag in ('"1"', "*", '"0"', '"word"', f'"{2**70}"'):
        problem_of(put(films, "none", "new", If_Match=etag), 412, "precondition_failed")
    for malformed in ("2", '"2", "3"', 'W/"2"', ""):
        problem_of(put(films, "1", "third", If_Match=malformed), 412, "precondition_failed")
    assert put(films, "1", "third", If_Match="*").status_code == 200


def test_if_none_match_writes_only_what_is_not_there(films: Service) -> None:
    """The way to insert one document."""
    problem_of(put(films, "1", "new", If_None_Match="*"), 412, "precondition_failed")
    assert put(films, "9", "new", If_None_Match="*").status_code == 201
    problem_of(put(films, "9", "newer", If_None_Match="*"), 412, "precondition_failed")


def test_if_match_deletes_only_that_version(films: Service) -> None:
    """412 otherwise, and the document stays."""
    problem_of(films.delete(f"{PATH}/1", headers={"If-Match": '"7"'}), 412, "precondition_failed")
    assert films.get(f"{PATH}/1").status_code == 200
    assert films.delete(f"{PATH}/1", headers={"If-Match": '"1"'}).json()["deleted"] == 1


@pytest.mark.parametrize(
    ("method", "headers", "code"),
    [
        ("PUT", {"If-None-Match": '"1"'}, "if_none_match_invalid"),
        ("DELETE", {"If-None-Match": "*"}, "if_none_match_invalid"),
        ("PUT", {"Idempotency-Key": "a b"}, "idempotency_key_invalid"),
        ("DELETE", {"Idempotency-Key": "x" * 256}, "idempotency_key_invalid"),
    ],
)
def test_what_is_not_understood_is_refused(films: Service, method: str, headers: dict[str, str], code: str) -> None:
    """422, and nothing is done."""
    content: dict[str, Any] = {"json": {"title": "x"}} if method == "PUT" else {}
    problem_of(films.request(method, f"{PATH}/1", headers=headers, **content), 422, code)
    assert films.get(f"{PATH}/1").json() == FILMS[0]


def test_a_known_document_is_not_sent_again(films: Service) -> None:
    """304 without a body; 200 when it has changed."""
    answer = films.get(f"{PATH}/1", headers={"If-None-Match": '"5", W/"1"'})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')
    assert films.get(f"{PATH}/1", headers={"If-None-Match": "*"}).status_code == 304
    for other in ('"5"', "1", ""):
        assert films.get(f"{PATH}/1", headers={"If-None-Match": other}).json() == FILMS[0]


def test_a_key_makes_a_put_happen_once(films: Service) -> None:
    """The second answer is the first one, also after others have written; another document under it is refused."""
    first = put(films, "9", "new", Idempotency_Key="k")
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    put(films, "9", "newer")
    again = put(films, "9", "new", Idempotency_Key="k")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
    assert films.get(f"{PATH}/9").json()["title"] == "newer"
    problem_of(put(films, "9", "else", Idempotency_Key="k"), 422, "idempotency_key_reused")


def test_a_key_makes_a_delete_happen_once(films: Service) -> None:
    """A document that came back meanwhile is not deleted by the repetition, which answers as the first did."""
    first = films.delete(f"{PATH}/1", headers={"Idempotency-Key": "k"})
    put(films, "1", "back")
    again = films.delete(f"{PATH}/1", headers={"Idempotency-Key": "k"})
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert films.get(f"{PATH}/1").json()["title"] == "back"


@pytest.mark.parametrize(
    "path", ["/v1/snapshots", "/v1/check", "/v1/compact", "/v1/purge", "/v1/collections/films/optimize"]
)
def test_a_body_whose_keys_may_all_be_left_out_may_be_left_out(films: Service, path: str) -> None:
    """No body, with a Content-Type or without; what announces another type is refused."""
    assert films.request("POST", path).is_success
    assert films.request("POST", path, content=b"", headers={"content-type": "application/json"}).is_success
    assert films.request("POST", path, content=b"{}").status_code == 415
    problem_of(films.request("POST", path, content=b"x", headers={"content-type": "text/plain"}), 415)


def test_a_restore_needs_no_body(films: Service) -> None:
    """As above."""
    films.post("/v1/snapshots", {"name": "one"})
    assert films.request("POST", "/v1/snapshots/one:restore").status_code == 200
    headers = {"content-type": "application/json"}
    assert films.request("POST", "/v1/snapshots/one:restore", content=b"", headers=headers).status_code == 200
