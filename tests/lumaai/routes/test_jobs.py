from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.lumaai.credentials import MASTER, bearer
from tests.lumaai.serving import FILMS, Service, problem_of, serving

WAIT_SECONDS = 30.0


def ended(service: Service, location: str, **options: Any) -> dict[str, Any]:
    """A job when nothing more happens to it."""
    last = time.monotonic() + WAIT_SECONDS
    while True:
        answer = service.get(location, **options)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        if job["state"] not in {"queued", "running"}:
            return job
        assert time.monotonic() < last, job
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/check", {"repair": False}, "check"),
        ("/v1/compact", {}, "compact"),
        ("/v1/purge", {}, "purge"),
        ("/v1/snapshots", {"name": "two"}, "snapshot"),
        ("/v1/snapshots/one:restore", {}, "restore"),
        ("/v1/collections/films/optimize", {}, "optimize"),
        ("/v1/collections/films/documents:delete", {"filter": {"year": 1999}}, "delete"),
        ("/v1/collections/films/documents:delete", {"ids": ["1"]}, "delete"),
        ("/v1/collections/films/search:recall", {"queries": 2, "limit": 1}, "recall"),
    ],
)
def test_long_work_goes_on_as_a_job(films: Service, path: str, body: dict[str, Any], kind: str) -> None:
    """202 and Location; the job's result is what the same request answers at once."""
    assert films.post("/v1/snapshots", {"name": "one"}).status_code == 201
    answer = films.post(path, {**body, "background": True})
    assert answer.status_code == 202, answer.text
    job = ended(films, answer.headers["location"])
    assert (job["id"], job["kind"], job["state"], job["error"]) == (answer.json()["id"], kind, "done", None)
    listed = films.get("/v1/jobs").json()["jobs"]
    assert [each["id"] for each in listed] == [job["id"]]
    if kind == "delete":
        assert job["result"]["deleted"] == 1
    assert films.post(f"{answer.headers['location']}:cancel").json() == job  # it has ended, and stays so


def test_embedding_anew_is_a_job(films: Service) -> None:
    """Its answer is what it was, with the job's address; asking again while it goes on names the same job."""
    answer = films.post("/v1/collections/films/reembedding", {"model": "hashing:32"})
    assert answer.status_code == 202
    assert answer.json()["model"] == "hashing:32"
    job = ended(films, answer.headers["location"])
    assert (job["state"], job["documents"], job["total"], job["collection"]) == ("done", 3, 3, "films")
    assert films.get("/v1/collections/films/reembedding").json()["reembedding"] == job["result"]


def test_a_failed_job_tells_its_problem(films: Service) -> None:
    """The problem details that the request would have been answered with."""
    films.post("/v1/snapshots", {"name": "one"})
    answer = films.post("/v1/snapshots", {"name": "one", "background": True})
    job = ended(films, answer.headers["location"])
    assert (job["state"], job["error"]["status"], job["error"]["code"]) == ("failed", 409, "snapshot_exists")


def test_what_cannot_be_done_is_no_job(films: Service) -> None:
    """Refused before anything is started, with the statuses of the requests themselves."""
    problem_of(films.post("/v1/snapshots/none:restore", {"background": True}), 404)
    problem_of(films.post("/v1/collections/none/optimize", {"background": True}), 404)
    problem_of(films.post("/v1/collections/films/documents:delete", {"filter": "year ~", "background": True}), 422)
    dry = {"filter": {}, "dry_run": True, "background": True}
    problem_of(films.post("/v1/collections/films/documents:delete", dry), 422)
    problem_of(films.get("/v1/jobs/0123456789abcdef"), 404, "job_not_found")
    problem_of(films.post("/v1/jobs/0123456789abcdef:cancel"), 404, "job_not_found")
    assert films.get("/v1/jobs").json() == {"jobs": []}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Service]:
    """A service that asks for keys, with two collections."""
    with serving(tmp_path, api_key=SecretStr(MASTER)) as service:
        for name in ("films", "secret"):
            assert service.put(f"/v1/collections/{name}", {"embed": {}}, headers=bearer(MASTER)).status_code == 201
            body = {"documents": FILMS}
            service.post(f"/v1/collections/{name}/documents", body, headers=bearer(MASTER))
        yield service


def test_a_key_sees_and_stops_its_own_jobs_only(guarded: Service) -> None:
    """Those of other keys and collections are 404; an administrator of the collection sees them."""

    def key(verbs: list[str], collections: list[str]) -> dict[str, str]:
        body = {"name": "k", "verbs": verbs, "collections": collections}
        return bearer(guarded.post("/v1/keys", body, headers=bearer(MASTER)).json()["key"])

    writer, other, admin = key(["write"], ["films"]), key(["write"], ["*"]), key(["admin"], ["films"])
    path = "/v1/collections/films/documents:delete"
    answer = guarded.post(path, {"filter": {"year": 1999}, "background": True}, headers=writer)
    assert answer.status_code == 202, answer.text
    location = answer.headers["location"]
    assert ended(guarded, location, headers=writer)["result"]["deleted"] == 1
    assert guarded.get(location, headers=admin).status_code == 200
    problem_of(guarded.get(location, headers=other), 404, "job_not_found")
    problem_of(guarded.post(f"{location}:cancel", headers=other), 404, "job_not_found")
    assert guarded.get("/v1/jobs", headers=other).json() == {"jobs": []}
    problem_of(guarded.get("/v1/jobs"), 401)
    refused = guarded.post("/v1/compact", {"background": True}, headers=writer)
    problem_of(refused, 403)


def test_a_job_of_the_environments_key_is_its_own(guarded: Service) -> None:
    """Its owner is who started it, as in the log, and no other key sees it unless it administers what it is done to."""
    answer = guarded.post("/v1/compact", {"background": True}, headers=bearer(MASTER))
    assert answer.status_code == 202, answer.text
    assert answer.json()["owner"] == "environment"
    assert ended(guarded, answer.headers["location"], headers=bearer(MASTER))["owner"] == "environment"
    body = {"name": "k", "verbs": ["admin"], "collections": ["films"]}
    other = bearer(guarded.post("/v1/keys", body, headers=bearer(MASTER)).json()["key"])
    problem_of(guarded.get(answer.headers["location"], headers=other), 404, "job_not_found")


def test_a_service_goes_on_with_what_an_earlier_one_left(tmp_path: Path) -> None:
    """Embedding anew that had not ended is done by the next service, under the same id."""
    with serving(tmp_path) as service:
        body = {"embed": {"vector": {"from": ["title"], "model": "hashing:16"}}}
        service.put("/v1/collections/films", body)
        service.post("/v1/collections/films/documents", {"documents": FILMS})
        answer = service.post("/v1/collections/films/reembedding", {"model": "hashing:32"})
        location = answer.headers["location"]
        table = service.database._job_table
        ended(service, location)
        unfinished = table.jobs()[0].__class__.from_json({**table.jobs()[0].to_json(), "state": "running"})
        with table._lock:
            table._keep(unfinished)
        table._cancelled.clear()
    with serving(tmp_path) as service:
        job = ended(service, location)
        assert (job["state"], job["attempts"]) == ("done", 2)


BULK = "/v1/collections/films/documents:bulk"
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.mark.parametrize("zipped", [False, True])
def test_an_upload_is_taken_in_by_a_job(films: Service, zipped: bool) -> None:
    """202 when all has arrived; bad lines are in the result, and the file is gone."""
    content = b"".join(b'{"id": "n%d", "title": "film %d"}\n' % (n, n) for n in range(300)) + b"no document\n"
    headers = {**NDJSON, "idempotency-key": "k", **({"content-encoding": "gzip"} if zipped else {})}
    options: dict[str, Any] = {"content": gzip.compress(content) if zipped else content, "headers": headers}
    answer = films.request("POST", f"{BULK}?background=true", **options)
    assert answer.status_code == 202, answer.text
    job = ended(films, answer.headers["location"])
    assert job["state"] == "done", job
    assert (job["kind"], job["result"]["added"], job["result"]["failed"]) == ("import", 300, 1)
    assert job["result"]["errors"][0]["line"] == 301
    again = films.request("POST", f"{BULK}?background=true", **options)
    assert again.headers["location"] == answer.headers["location"]
    assert list((films.database.path / "imports").iterdir()) == []
    assert films.post("/v1/collections/films/count").json() == {"count": 303}


def test_an_upload_that_cannot_be_kept_is_no_job(films: Service) -> None:
    """Empty, of another type, or with what only an answer line by line can do: refused, and no file is left."""
    problem_of(films.request("POST", f"{BULK}?background=true", content=b"", headers=NDJSON), 422, "empty_batch")
    line = b'{"id": "1"}'
    problem_of(films.request("POST", f"{BULK}?background=true&strict=true", content=line, headers=NDJSON), 422)
    plain = {"content-type": "text/plain"}
    problem_of(films.request("POST", f"{BULK}?background=true", content=line, headers=plain), 415)
    place = films.database.path / "imports"
    assert not place.exists() or list(place.iterdir()) == []


def test_an_import_goes_on_after_a_restart(tmp_path: Path) -> None:
    """What was taken in stays; documents without ids are not taken in twice."""
    content = b"".join(b'{"title": "film %d"}\n' % n for n in range(700))
    with serving(tmp_path) as service:
        service.put("/v1/collections/films", {"embed": {}})
        table, begun = service.database._job_table, threading.Event()

        def cut(id_: str, figures: Any) -> None:
            show(id_, figures)
            if figures.get("documents"):
                begun.set()
                table._stopping.set()  # as if the service ended after the first batch

        show, table._show = table._show, cut  # type: ignore[method-assign]
        answer = service.request("POST", f"{BULK}?background=true", content=content, headers=NDJSON)
        location = answer.headers["location"]
        assert begun.wait(WAIT_SECONDS)
        assert ended(service, location)["state"] == "interrupted"
        count = service.post("/v1/collections/films/count").json()["count"]
        assert 0 < count < 700
    with serving(tmp_path) as service:
        job = ended(service, location)
        assert (job["state"], job["attempts"]) == ("done", 2)
        assert (job["result"]["added"], job["result"]["skipped"]) == (700 - count, count)
        assert service.post("/v1/collections/films/count").json() == {"count": 700}
        assert list((service.database.path / "imports").iterdir()) == []
