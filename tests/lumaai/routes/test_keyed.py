"""Idempotency keys of writes that are not documents, conditions on collections, and patches of one document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from lumaai import replays
from lumaai.errors import OverloadedError, StorageFullError
from tests.lumaai.credentials import MASTER, bearer
from tests.lumaai.serving import FILMS, Service, problem_of, serving

KEY = {"idempotency-key": "once"}
INSERT = {"language": "lql", "query": "INSERT INTO films (year) VALUES (1)"}
WRITES = [
    ("/v1/snapshots", {"name": "one"}, {"name": "two"}),
    ("/v1/snapshots/zero:restore", {}, {"background": True}),
    ("/v1/check", {}, {"repair": False}),
    ("/v1/compact", {"background": True}, {}),
    ("/v1/purge", {}, {"background": True}),
    ("/v1/collections/films/optimize", {}, {"wait": False}),
    ("/v1/collections/films/reembedding", {"model": "hashing:32"}, {"model": "hashing:16"}),
    ("/v1/collections/films/documents:delete", {"ids": ["1"]}, {"ids": ["2"]}),
    ("/v1/collections/films/documents:delete", {"ids": ["1"], "background": True}, {"ids": ["2"], "background": True}),
    ("/v1/collections/films/documents", {"documents": [{"year": 1}]}, {"documents": [{"year": 2}]}),
    ("/v1/query", INSERT, {**INSERT, "query": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "other"), WRITES)
def test_a_key_makes_repeating_harmless(films: Service, path: str, body: Any, other: Any) -> None:
    """The same answer with Idempotency-Replayed, and nothing done twice; another body under the key is 422."""
    films.post("/v1/snapshots", {"name": "zero"})
    first = films.post(path, body, headers=KEY)
    assert first.status_code < 300, first.text
    assert "idempotency-replayed" not in first.headers
    jobs = len(films.get("/v1/jobs").json()["jobs"])
    again = films.post(path, body, headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers.get("location") == first.headers.get("location")
    assert len(films.get("/v1/jobs").json()["jobs"]) == jobs
    problem_of(films.post(path, other, headers=KEY), 422, "idempotency_key_reused")


def test_every_writing_post_takes_a_key(service: Service) -> None:
    """As the document says: those that change nothing, or are asked for an answer, are named here."""
    paths = service.get("/openapi.json").json()["paths"]
    without = {
        methods["post"]["operationId"]
        for methods in paths.values()
        if "post" in methods
        and not any(parameter["name"] == "Idempotency-Key" for parameter in methods["post"].get("parameters", []))
    }
    # They read; a job that was cancelled stays so, and a program that is run writes nothing.
    reads = {"search", "search_batch", "explain_search", "measure_recall", "fetch_documents", "count_documents",
             "scroll_documents", "count_facets", "sql", "ask", "plan_question", "validate_plan", "execute_plan",
             "explain_plan", "run_program", "cancel_job", "create_embeddings", "complete_chat", "rerank"}  # fmt: skip
    assert without == reads


def test_a_failure_is_not_kept(films: Service) -> None:
    """What was refused is done when it may be done."""
    problem_of(films.post("/v1/snapshots/one:restore", headers=KEY), 404)
    films.post("/v1/snapshots", {"name": "one"})
    assert films.post("/v1/snapshots/one:restore", headers=KEY).status_code == 200


def test_answers_outlive_a_restart_and_a_restore(tmp_path: Path) -> None:
    """They are on disk beside the database, and going back to a snapshot does not forget them."""
    with serving(tmp_path) as service:
        first = service.post("/v1/snapshots", {"name": "one"}, headers=KEY)
        service.post("/v1/snapshots/one:restore", headers={"idempotency-key": "another"})
    with serving(tmp_path) as service:
        again = service.post("/v1/snapshots", {"name": "one"}, headers=KEY)
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"


def test_old_answers_are_let_go(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day, and where there are too many."""
    kept = films.app.state.service.replays
    first = films.post("/v1/snapshots", {"name": "one"}, headers=KEY)
    monkeypatch.setattr(replays, "KEPT_MAX", 2)
    for number in range(3):
        films.post("/v1/check", headers={"idempotency-key": f"key-{number}"})
    assert len(films.database.records("replay").items()) == 2
    films.delete("/v1/snapshots/one")
    assert films.post("/v1/snapshots", {"name": "one"}, headers=KEY).json()["name"] == first.json()["name"]
    now = kept._clock()
    monkeypatch.setattr(kept, "_clock", lambda: now + replays.KEEP_SECONDS + 1)
    problem_of(films.post("/v1/snapshots", {"name": "one"}, headers=KEY), 409, "snapshot_exists")


def test_an_answer_is_kept_where_other_writes_are_refused(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done: it waits for its place among the writes, and is not for ever under way."""
    writes, refused = films.app.state.service.writes, iter([True, True])

    def check_room() -> None:
        if next(refused, False):
            raise OverloadedError("too many requests of this kind at once")

    monkeypatch.setattr(writes, "check_room", check_room)
    first = films.post("/v1/snapshots", {"name": "one"}, headers=KEY)
    assert first.status_code == 201, first.text
    assert next(refused, None) is None  # both were waited for
    assert films.post("/v1/snapshots", {"name": "one"}, headers=KEY).content == first.content


def test_a_request_whose_answer_cannot_be_kept_is_under_way_no_more(
    films: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails: the next one is not told to wait for it."""
    kept = films.app.state.service.replays

    def full(*_: Any) -> None:
        raise StorageFullError("no room on the disk")

    with monkeypatch.context() as patched:
        patched.setattr(kept, "_write", full)
        problem_of(films.post("/v1/check", headers=KEY), 507)
    assert films.post("/v1/check", headers=KEY).status_code == 200
    with monkeypatch.context() as patched:
        patched.setattr(kept, "find", full)
        problem_of(films.post("/v1/check", headers={"idempotency-key": "other"}), 507)
    assert films.post("/v1/check", headers={"idempotency-key": "other"}).status_code == 200


def test_one_request_at_a_time_under_a_key(films: Service) -> None:
    """Its double is refused while it is under way, and may be sent again."""
    request = replays.KeyedRequest.of("anybody", "once", b"", is_secret=False)
    films.app.state.service.replays.claim(request)
    problem = problem_of(films.post("/v1/check", headers=KEY), 409, "idempotency_in_progress")
    assert problem["retryable"]
    films.app.state.service.replays.release(request)
    assert films.post("/v1/check", headers=KEY).status_code == 200


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, api_key=SecretStr(MASTER)) as service:
        yield service


def test_a_new_key_is_replayed_and_never_on_disk(guarded: Service) -> None:
    """The secret that it holds is remembered in memory only; callers do not share their keys."""
    body = {"name": "k", "verbs": ["admin"], "collections": ["*"]}
    first = guarded.post("/v1/keys", body, headers={**KEY, **bearer(MASTER)})
    again = guarded.post("/v1/keys", body, headers={**KEY, **bearer(MASTER)})
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len(guarded.get("/v1/keys", headers=bearer(MASTER)).json()["keys"]) == 1
    assert guarded.database.records("replay").items() == {}
    other = guarded.post("/v1/keys", body, headers={**KEY, **bearer(first.json()["key"])})
    assert other.json()["id"] != first.json()["id"]


def test_collections_change_only_as_expected(films: Service) -> None:
    """ETag, If-None-Match and If-Match of a collection: 304, 412, and done where it is as the caller thinks."""
    path = "/v1/collections/films"
    answer = films.get(path)
    etag = answer.headers["etag"]
    assert films.get(path, headers={"if-none-match": etag}).status_code == 304
    films.post(f"{path}/documents", {"documents": FILMS[:1]})  # stored already: nothing has changed
    assert films.get(path).headers["etag"] == etag
    described = films.request("PATCH", path, json={"description": "films"}, headers={"if-match": etag})
    assert described.status_code == 200
    newer = described.headers["etag"]
    assert newer != etag
    assert films.get(path).headers["etag"] == newer
    problem_of(films.request("PATCH", path, json={"description": "x"}, headers={"if-match": etag}), 412)
    problem_of(films.delete(path, headers={"if-match": etag}), 412)
    problem_of(films.put(path, {}, headers={"if-none-match": "*"}), 412)
    problem_of(films.put("/v1/collections/new", {}, headers={"if-match": "*"}), 422, "if_match_invalid")
    assert films.put("/v1/collections/new", {"embed": {}}, headers={"if-none-match": "*"}).status_code == 201
    films.post(f"{path}/documents", {"documents": [{"id": "9"}]})
    problem_of(films.delete(path, headers={"if-match": newer}), 412)  # written to since
    assert films.delete(path, headers={"if-match": films.get(path).headers["etag"]}).status_code == 204
    problem_of(films.delete(path, headers={"if-match": "*"}), 404)


def test_one_document_is_patched(films: Service) -> None:
    """Fields that are given change, null takes away, the ETag follows; 404 and 412 where it is not as expected."""
    path = "/v1/collections/films/documents/1"
    etag = films.get(path).headers["etag"]

    def patch(body: Any, **headers: str) -> Any:
        return films.request("PATCH", path, json=body, headers=headers)

    answer = patch({"year": 2000, "plot": None}, **{"if-match": etag})
    assert answer.status_code == 200, answer.text
    stored = films.get(path)
    assert stored.json() == {"id": "1", "title": "The Matrix", "year": 2000}
    assert stored.headers["etag"] == answer.headers["etag"] != etag
    problem_of(patch({"year": 1}, **{"if-match": etag}), 412)
    same = patch({"year": 2000})
    assert same.headers["etag"] == answer.headers["etag"]
    keyed = [patch({"year": 1990}, **KEY) for _ in range(2)]
    assert keyed[0].content == keyed[1].content
    assert keyed[1].headers["idempotency-replayed"] == "true"
    problem_of(patch({"id": "2"}), 422, "id_mismatch")
    assert problem_of(patch({"year": "soon"}), 422)["errors"][0]["pointer"] == "/year"
    problem_of(films.request("PATCH", path.replace("/1", "/none"), json={"year": 1}), 404)
    merge = {"content-type": "application/merge-patch+json"}
    assert films.request("PATCH", path, content=b'{"year": 5}', headers=merge).status_code == 200
