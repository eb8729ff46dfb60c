from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from lumaai import wire
from lumaai.audit import AuditLog
from lumaai.auth import Gatekeeper
from lumaai.edge import Edge
from lumaai.limits import Lane
from lumaai.routes.page import page
from lumaai.routes.parse import INLINE_BYTES_MAX, PIECE_PARTS_MAX
from lumaai.settings import Settings
from lumaai.telemetry import Telemetry
from lumaai.tracing import Tracing
from lumaai.wire.faults import ERRORS_MAX
from tests.lumaai.serving import FILMS, Service, http_scope, problem_of, serving

COUNT = "/v1/collections/films/count"
JSON = {"content-type": "application/json"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service with a collection that embeds nothing."""
    with serving(tmp_path) as made:
        made.put("/v1/collections/films", {"embed": {}})
        made.post("/v1/collections/films/documents", {"documents": FILMS})
        yield made


def test_unknown_paths_and_methods_are_problems(service: Service) -> None:
    """404 for a path that is nowhere; 405 with all methods of the path in Allow."""
    assert "error" not in problem_of(service.get("/nowhere"), 404, "route_not_found")
    for path in ("/v1/responses", "/v1/files/file-1", "/v1/fine_tuning/jobs", "/v1/chat/completions/1"):  # OpenAI's
        assert problem_of(service.get(path), 404, "route_not_found")["error"]["type"] == "invalid_request_error"
    assert "error" not in problem_of(service.get("/v1/filesystem"), 404)
    answer = service.request("POST", "/v1/collections/films")
    problem_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"
    answer = service.post("/docs")
    problem_of(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_trailing_slashes_are_other_paths(service: Service) -> None:
    """No redirects: a client that follows one may drop the body or the key."""
    problem_of(service.get("/v1/collections/"), 404)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"{} {}", 400, "invalid_json"),
        (b"nul", 400, "invalid_json"),
        (b"\xff\xfe{}", 400, "invalid_json"),
        (b'{"filter": "\xff"}', 400, "invalid_json"),
        (b'{"filter": "\\ud800"}', 400, "invalid_json"),
        (b'{"filter": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "invalid_json"),
        (b'{"filter": ' + b"9" * 100_000 + b"}", 400, "invalid_json"),
        (b'{"filter": {"$not": ' * 60 + b"{}" + b"}}" * 60, 422, None),
        (b'{"filter": {"year": NaN}}', 422, "not_finite"),
        (b'{"filter": {"year": 1e999}}', 422, "not_finite"),
        (b'{"filter": 5}', 422, "wrong_type"),
        (b"[]", 422, "wrong_type"),
        (b"{}\x00", 400, "invalid_json"),
    ],
)
def test_bodies_that_are_not_right_are_refused(service: Service, content: bytes, status: int, code: str | None) -> None:
    """400 for what is not JSON, 422 for JSON that means nothing; never a 500, never a hang."""
    problem_of(service.post(COUNT, content=content, headers=JSON), status, code)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/jsonl"},
        {"content-type": ""},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json;charset=latin-1"},
    ],
)
def test_bodies_of_another_type_are_415(service: Service, headers: dict[str, str]) -> None:
    """Also what a browser's form can send from another page."""
    problem_of(service.post(COUNT, content=b"{}", headers=headers), 415)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        'application/json; Charset="UTF-8"',
        "APPLICATION/JSON",
        "application/merge-patch+json",
    ],
)
def test_json_by_its_other_names_is_read(service: Service, kind: str) -> None:
    """Parameters, case and +json."""
    assert service.post(COUNT, content=b"{}", headers={"content-type": kind}).json() == {"count": 3}


def test_bodies_over_the_limit_are_413(tmp_path: Path) -> None:
    """By what they declare, and by what arrives where they declare nothing."""
    with serving(tmp_path, body_bytes_max=1024) as service:
        problem = problem_of(service.post(COUNT, content=b" " * 1025, headers=JSON), 413, "body_too_large")
        assert "maximum=1024 got=1025" in problem["detail"]
        piece = {"type": "http.request", "body": b" " * 600, "more_body": True}
        start, body = service.send(http_scope("POST", COUNT, JSON), [piece, piece])
        assert start["status"] == 413
        assert json.loads(body["body"])["code"] == "body_too_large"


def test_a_body_that_never_ends_is_408(tmp_path: Path) -> None:
    """The rest of the body does not come: the caller's fault, after request_seconds_max."""
    with serving(tmp_path, request_seconds_max=0.05) as service:
        piece = {"type": "http.request", "body": b"{", "more_body": True}
        start, body = service.send(http_scope("POST", COUNT, JSON), [piece])
    assert start["status"] == 408
    assert json.loads(body["body"])["code"] == "body_timeout"


def test_a_body_that_is_cut_off_is_logged_and_left(service: Service) -> None:
    """The client went away in the middle: nobody to answer."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert service.send(http_scope("POST", COUNT, JSON), messages) == []
    assert service.log()[-1]["status"] == 499


def test_work_that_takes_too_long_is_503(tmp_path: Path) -> None:
    """The answer comes at the limit, while the thread is still at work."""
    with serving(tmp_path, request_seconds_max=0.05) as service:
        gate = threading.Event()
        service.app.state.service.searches._executor.submit(gate.wait, 10)
        service.app.state.service.searches._executor.submit(gate.wait, 10)
        answer = service.get("/v1/collections")
        problem_of(answer, 503, "request_timeout")
        assert answer.json()["retryable"] is False
        gate.set()


def test_overload_is_refused_early(tmp_path: Path) -> None:
    """With its one thread busy and no queue, a search is 503 with Retry-After; writes have a lane of their own."""
    with serving(tmp_path, search_threads=1, search_queue_max=0) as service:
        service.put("/v1/collections/films", {"embed": {}})
        service.app.state.service.searches._taken = 1
        answer = service.post(COUNT)
        problem_of(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        assert service.get("/readyz").json() == {"ready": False, "reasons": ["the search queue is full"]}
        assert service.post("/v1/collections/films/documents", {"documents": FILMS}).status_code == 200
        service.app.state.service.searches._taken = 0
        assert service.post(COUNT).status_code == 200


def test_a_standing_queue_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    """Searches wait too long: the next ones are 503 whatever their bodies hold; probes and metrics are answered."""
    with serving(tmp_path, search_wait_seconds_max=1e-9) as service:
        service.put("/v1/collections/films", {"embed": {}})
        lane = service.app.state.service.searches
        lane.seconds, lane._taken = 10.0, lane.threads + 50
        lane._late_since, lane._late_last = lane._clock() - 60, lane._clock()
        answer = service.post(COUNT, content=b"no JSON", headers=JSON)
        problem_of(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 10
        assert service.get("/readyz").json() == {"ready": True, "reasons": []}
        assert service.get("/metrics").status_code == 200
        lane._taken = 0
        problem_of(service.post(COUNT, content=b"no JSON", headers=JSON), 400)


def test_the_unexpected_is_500_and_says_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message, no traceback to the caller; the log has the place under the request's id."""

    def broken(name: str) -> None:
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr(service.database, "collection", broken)
    answer = service.post(COUNT)
    problem = problem_of(answer, 500, "internal")
    assert "secret" not in answer.text
    failed, request = service.log()[-2:]
    assert (failed["event"], failed["error"], failed["id"]) == (
        "request.failed",
        "ZeroDivisionError",
        problem["instance"],
    )
    assert "secret" not in json.dumps(failed)
    assert request["status"] == 500


def test_a_database_that_is_closed_is_503(service: Service) -> None:
    """Requests and readiness say so; the process is alive."""
    service.database.close()
    problem_of(service.post(COUNT), 503, "database_closed")
    ready = service.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["ready"] is False
    assert ready.json()["reasons"]
    assert service.get("/healthz").json()["status"] == "ok"


def test_request_ids_are_made_or_taken(service: Service) -> None:
    """A plain word of the caller's is used; anything else is replaced."""
    assert service.get("/healthz", headers={"X-Request-Id": "trace-1.a_b"}).headers["x-request-id"] == "trace-1.a_b"
    for bad in ("two words", "a" * 129, "ü".encode("latin-1")):
        made = service.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{16}", made)


def test_each_request_is_one_line_with_its_route(service: Service) -> None:
    """The template, not the path; the rows; never the text."""
    service.post("/v1/collections/films/documents:fetch", {"ids": ["1", "no"]})
    service.get("/nowhere/secret-name")
    fetched, lost = service.log()[-2:]
    assert (fetched["route"], fetched["status"], fetched["rows"]) == (
        "/v1/collections/{c}/documents:fetch", 200, 1,
    )  # fmt: skip
    assert (lost["route"], lost["code"]) == ("unmatched", "route_not_found")
    logged = json.dumps(service.log())
    assert "Matrix" not in logged
    assert "secret-name" not in logged


def test_metrics_tell_of_requests_and_documents(service: Service) -> None:
    """Prometheus text with routes as templates."""
    answer = service.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'lumaai_http_requests_total{method="PUT",route="/v1/collections/{c}",status="201"} 1.0' in answer.text
    assert 'lumaai_documents{collection="films"} 3.0' in answer.text


def test_limits_are_published(service: Service) -> None:
    """What refuses a request is what is shown."""
    limits = service.get("/v1/limits").json()
    assert set(limits) == set(wire.Limits.model_fields)
    assert limits["body_bytes_max"] == service.app.state.service.settings.body_bytes_max


def test_a_key_guards_everything_but_liveness(tmp_path: Path) -> None:
    """401 with WWW-Authenticate; the key itself is in no answer and no line."""
    with serving(tmp_path, api_key=SecretStr("sesame")) as service:
        answer = service.get("/v1/collections")
        problem_of(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert service.get("/docs").status_code == 200
        assert service.get("/").headers["location"] == "/docs"
        assert service.get("/healthz").status_code == 200
        assert service.get("/v1/collections", headers={"X-Api-Key": "sesame"}).status_code == 200
        assert service.get("/v1/collections", headers={"Authorization": "Bearer sesame"}).status_code == 200
        problem_of(service.get("/v1/collections", headers={"X-Api-Key": "sesam"}), 401, "wrong_api_key")
        document = service.get("/openapi.json").json()
        assert set(document["components"]["securitySchemes"]) == {"bearer", "api_key"}
        assert document["paths"]["/v1/collections"]["get"]["security"] == [{"bearer": []}, {"api_key": []}]
        assert "security" not in document["paths"]["/healthz"]["get"]
        assert "sesame" not in json.dumps(service.log())


def test_other_hosts_are_refused_on_loopback(service: Service) -> None:
    """DNS rebinding: a Host that is not this machine's is 403."""
    problem_of(service.get("/v1/collections", headers={"host": "evil.example"}), 403, "host_not_allowed")


def test_there_is_no_cors(service: Service) -> None:
    """No page of another origin is told that it may read."""
    answer = service.get("/v1/collections", headers={"origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    problem_of(service.request("OPTIONS", "/v1/collections", headers={"origin": "https://e.example"}), 403)
    assert service.request("OPTIONS", "/v1/collections").status_code == 405


def test_head_is_get_without_a_body(service: Service) -> None:
    """The server leaves the body out; the headers are those of GET."""
    assert service.request("HEAD", "/healthz").status_code == 200


def test_docs_show_every_operation_once(service: Service) -> None:
    """Operation ids are unique, every error status has a problem body, /docs loads the document."""
    document: dict[str, Any] = service.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) == 73
    for operation in operations:
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and operation["operationId"] != "readyz":
                assert list(answer["content"]) == ["application/problem+json"]


def test_the_page_of_the_documentation_needs_nothing_from_elsewhere(service: Service) -> None:
    """It has every operation and every schema that it refers to, and browsers run no script but its own."""
    answer = service.get("/docs")
    text = answer.text
    document: dict[str, Any] = service.get("/openapi.json").json()
    assert 'href="/openapi.json"' in text
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f'<details id="{operation["operationId"]}">' in text
            assert f'data-method="{method.upper()}" data-path="{path}"' in text
    assert set(re.findall('href="#(schema-[^"]*)"', text)) <= set(re.findall('id="(schema-[^"]*)"', text))
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(""", text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    for kind, content in (("script", text.partition("<script>")[2]), ("style", text.partition("<style>")[2])):
        own = content.partition(f"</{kind}>")[0].encode()
        digest = base64.b64encode(hashlib.sha256(own).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert text.count("<script>") == 1
    assert 'id="key"' not in text  # where none is asked for, none is to be typed in


def test_words_of_others_are_no_markup_of_the_page() -> None:
    """Descriptions, names and defaults are text, whatever is in them."""
    evil = "</script><script>alert(1)</script>"
    schema = {"type": "object", "description": evil, "properties": {evil: {"default": evil, "description": evil}}}
    operation = {
        "operationId": "x", "summary": evil, "description": evil, "tags": ["t"], "responses": {},
        "parameters": [{"name": "p", "in": "query", "required": False, "description": evil, "schema": {}}],
        "requestBody": {"content": {"application/json": {"schema": {"examples": [evil]}}}},
    }  # fmt: skip
    document = {
        "info": {"title": evil, "version": evil, "description": evil},
        "tags": [{"name": "t", "description": evil}],
        "paths": {"/x": {"post": operation}},
        "components": {"schemas": {"X": schema}},
    }
    assert page(document).count(b"<script>") == 1


def test_ask_refuses_what_is_no_question(service: Service) -> None:
    """A question without words, one that is too long, and a collection that is not there."""
    problem_of(service.post("/v1/ask", {"question": "   "}), 422)
    problem_of(service.post("/v1/ask", {"question": "x" * 2_001}), 422)
    problem_of(service.post("/v1/ask", {"question": "How many films?", "collections": ["no"]}), 404)


def test_ask_answers_with_its_plan(service: Service) -> None:
    """The shape of the design: answer.text, citations, plan, steps."""
    answer = service.post("/v1/ask", {"question": "How many films are there?", "collections": ["films"]})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "3" in body["answer"]["text"]
    assert body["plan"]


MANY = 10_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("documents:fetch", {"ids": [0] * MANY}),
        ("documents:fetch", {str(number): 0 for number in range(MANY)}),
        ("documents", {"documents": [0] * MANY}),
        ("search", {"vector": ["a"] * MANY}),
        ("search", {"vector": [1.0], "params": {str(number): 0 for number in range(MANY)}}),
        ("search:batch", {"vectors": [["a"]] * MANY}),
    ],
)
def test_many_faults_are_told_quickly(service: Service, path: str, body: Any) -> None:
    """Ten thousand faults in one body are refused in a fraction of a second, naming a hundred at most."""
    started = time.process_time()
    problem = problem_of(service.post(f"/v1/collections/films/{path}", body), 422)
    assert time.process_time() - started < 5  # with the square it would be minutes
    assert 1 <= len(problem["errors"]) <= ERRORS_MAX


def test_many_bad_fields_are_told_quickly(service: Service) -> None:
    """Each of 4,000 declarations is wrong: a hundred are named; more than 4,096 fields are refused as such."""
    started = time.process_time()
    bad = {f"f{number}": {"type": "vector", "x": 1} for number in range(4_000)}
    assert len(problem_of(service.put("/v1/collections/a", {"fields": bad}), 422)["errors"]) == ERRORS_MAX
    many = dict.fromkeys(map(str, range(5_000)), 0)
    assert len(problem_of(service.put("/v1/collections/a", {"fields": many}), 422, "invalid_value")["errors"]) == 1
    assert time.process_time() - started < 5  # with the square it would be minutes


def test_a_path_that_ends_like_an_upload_is_none(tmp_path: Path) -> None:
    """A document's id may be anything; the limits on size and time are those of its own route."""
    path = "/v1/collections/films/documents/x/documents:bulk"
    with serving(tmp_path, body_bytes_max=2048, request_seconds_max=0.05) as service:
        problem_of(service.put(path, {"x": "y" * 3000}), 413, "body_too_large")
        problem_of(service.put("/v1/collections/films/documents:bulk", {"x": "y" * 3000}), 413, "body_too_large")
        piece = {"type": "http.request", "body": b"{", "more_body": True}
        assert service.send(http_scope("PUT", path, JSON), [piece])[0]["status"] == 408


def test_bodies_without_documents_have_a_smaller_limit(tmp_path: Path) -> None:
    """request_bytes_max is for all but what brings documents."""
    with serving(tmp_path, request_bytes_max=1024) as service:
        service.put("/v1/collections/films", {"embed": {}})
        large = {"x": "y" * 2000}
        assert service.post("/v1/collections/films/documents", {"documents": [large]}).status_code == 200
        assert service.put("/v1/collections/films/documents/a/b", large).status_code == 201
        for path in ("count", "documents:fetch", "search", "search:batch"):
            problem = problem_of(service.post(f"/v1/collections/films/{path}", large), 413, "body_too_large")
            assert "maximum=1024" in problem["detail"]


def test_large_bodies_are_read_in_threads(service: Service) -> None:
    """They are read as small ones are, faults named alike, and are refused when too many are being read."""
    filling: dict[str, Any] = {"id": "long", "text": "y" * INLINE_BYTES_MAX, "list": [[1, 2.5], None, "é"]}
    filling["parts"] = [{"n": [number]} for number in range(PIECE_PARTS_MAX)]
    add = "/v1/collections/films/documents"
    assert service.post(add, {"documents": [filling, {"id": "2", "title": "x"}]}).json()["added"] == 1
    assert service.get(f"{add}/long").json() == filling
    problem = problem_of(service.post(add, {"documents": [filling, {"id": 5}]}), 422)
    assert problem["errors"][0]["pointer"] == "/documents/1/id"
    content = json.dumps({"documents": [filling]}).encode()
    problem_of(service.post(add, content=content[:-1], headers=JSON), 400, "invalid_json")
    problem_of(service.post(add, content=content.replace(b"2.5", b"NaN"), headers=JSON), 422)
    problem_of(service.post(add, content=content.replace(b"yyy", b"y\xffy", 1), headers=JSON), 400, "invalid_json")
    bodies = service.app.state.service.bodies
    bodies._taken = bodies.capacity
    problem_of(service.post(add, content=content, headers=JSON), 503, "overloaded")
    bodies._taken = 0


def test_answers_are_bounded_in_size(tmp_path: Path) -> None:
    """A page of a scroll ends early, everything comes in the end; fetch and search are refused, naming the limit."""
    documents = [{"id": str(number), "x": "y" * 400, "vector": [1.0, number]} for number in range(100)]
    ids = [document["id"] for document in documents]
    with serving(tmp_path, response_bytes_max=5_000) as service:
        service.put("/v1/collections/a", {"fields": {"vector": {"type": "vector", "dim": 2}}, "embed": {}})
        assert service.post("/v1/collections/a/documents", {"documents": documents}).status_code == 200
        seen, cursor, pages = [], None, 0
        while cursor is not None or not pages:
            page = service.post("/v1/collections/a/scroll", {"cursor": cursor}).json()
            seen += [document["id"] for document in page["documents"]]
            cursor, pages = page["next_cursor"], pages + 1
        assert (seen, pages >= 9) == (ids, True)
        for body in ({"ids": ids}, {"ids": ids, "vectors": True}):
            problem = problem_of(service.post("/v1/collections/a/documents:fetch", body), 413, "response_too_large")
            assert "response_bytes_max=5000" in problem["detail"]
        assert service.post("/v1/collections/a/documents:fetch", {"ids": ids[:10]}).status_code == 200
        search = {"vector": [1.0, 1.0], "limit": 50}
        problem_of(service.post("/v1/collections/a/search", search), 413, "response_too_large")
        assert service.post("/v1/collections/a/search", {**search, "select": []}).status_code == 200
        batch = {"vectors": [[1.0, 1.0]] * 2, "limit": 50}
        problem_of(service.post("/v1/collections/a/search:batch", batch), 413, "response_too_large")


def test_embedding_has_a_lane_of_its_own(tmp_path: Path) -> None:
    """With the writes full, a collection that embeds takes documents, and the other way round."""
    body = {"embed": {"vector": {"from": ["title"], "model": "hashing:16"}}}
    with serving(tmp_path) as service:
        service.put("/v1/collections/texts", body)
        service.put("/v1/collections/plain", {"embed": {}})
        lanes = service.app.state.service
        for full, open_, closed in ((lanes.writes, "texts", "plain"), (lanes.embeds, "plain", "texts")):
            full._taken = full.capacity
            documents = {"documents": FILMS}
            assert service.post(f"/v1/collections/{open_}/documents", documents).status_code == 200
            problem_of(service.post(f"/v1/collections/{closed}/documents", documents), 503, "overloaded")
            full._taken = 0


def test_more_text_than_a_request_can_embed_is_refused(tmp_path: Path) -> None:
    """413 naming the limit; what is stored already is not counted, nor what an upload brings."""
    body = {"embed": {"vector": {"from": ["title"], "model": "hashing:16"}}}
    with serving(tmp_path, embed_characters_max=100) as service:
        service.put("/v1/collections/texts", body)
        add, long = "/v1/collections/texts/documents", {"id": "1", "title": "word " * 30}
        problem = problem_of(service.post(add, {"documents": [long]}), 413, "too_much_text")
        assert "embed_characters_max=100 got=150" in problem["detail"]
        problem_of(service.put(f"{add}/1", long), 413, "too_much_text")
        headers = {"content-type": "application/x-ndjson"}
        assert service.post(f"{add}:bulk", content=json.dumps(long).encode(), headers=headers).status_code == 200
        assert service.post(add, {"documents": [long]}).json()["skipped"] == 1


def test_a_failure_amid_an_answer_is_logged_and_cut_off(tmp_path: Path) -> None:
    """Nothing is raised to the server, whose log would quote it; the answer stays incomplete, so that it is seen."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("the text of a document")

    async def exchange() -> None:
        telemetry = Telemetry(log)
        edge = Edge(
            broken,
            settings=Settings(),
            telemetry=telemetry,
            is_closed=lambda: False,
            gatekeeper=Gatekeeper(Settings()),
            lane=Lane("identify", threads=1, queue_max=1),
            audit=AuditLog(telemetry, None),
            like_openai=re.compile("(?!)"),
            check_room=lambda path: None,
            tracing=Tracing(None),
        )
        await edge(http_scope("GET", "/"), receive, send)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    log, sent = io.BytesIO(), list[str]()
    asyncio.run(exchange())
    assert sent == ["http.response.start"]
    assert b"request.failed" in log.getvalue()
    assert b"the text" not in log.getvalue()


@pytest.mark.parametrize("id_", ["%ff", "a%C3", "%ed%a0%80"])
def test_paths_that_are_not_utf8_are_refused(service: Service, id_: str) -> None:
    """Decoded they would name another document, with U+FFFD in its id."""
    for method, body in (("PUT", b"{}"), ("GET", b""), ("DELETE", b"")):
        answer = service.request(method, f"/v1/collections/films/documents/{id_}", content=body, headers=JSON)
        problem_of(answer, 400, "path_invalid")
    assert service.put("/v1/collections/films/documents/%C3%A9%2F%25", {}).status_code == 201
    assert service.get("/v1/collections/films/documents/%C3%A9%2F%25").json() == {"id": "é/%"}


def test_a_collection_dropped_under_way_is_404(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between finding the collection and using it, another request dropped it."""
    found = service.database.collection("films")
    service.delete("/v1/collections/films")
    monkeypatch.setattr(service.database, "collection", lambda name: found)
    problem_of(service.post("/v1/collections/films/documents", {"documents": FILMS}), 404, "collection_not_found")
