from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lumaai.serving import Service, http_scope, problem_of, serving

BULK = "/v1/collections/films/documents:bulk"
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def empty(service: Service) -> Service:
    """A service with a collection that embeds nothing."""
    service.put("/v1/collections/films", {"fields": {"year": {"type": "integer"}}, "embed": {}})
    return service


def upload(service: Service, content: bytes, **options: Any) -> list[dict[str, Any]]:
    answer = service.request("POST", BULK, content=content, headers=NDJSON, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_lines_go_in_and_a_summary_comes_last(empty: Service) -> None:
    """600 documents are three batches (256, 256, 88), each with its lines, then the sum."""
    content = b"".join(b'{"id": "%d", "year": %d}\n' % (n, n) for n in range(600))
    lines = upload(empty, content)
    assert [(line["first_line"], line["last_line"]) for line in lines[:-1]] == [(1, 256), (257, 512), (513, 600)]
    summary = lines[-1]
    assert (summary["type"], summary["lines"], summary["added"], summary["failed"]) == ("summary", 600, 600, 0)
    assert empty.post("/v1/collections/films/count").json() == {"count": 600}
    again = upload(empty, content)[-1]
    assert (again["added"], again["skipped"]) == (0, 600)


def test_bad_lines_are_named_and_the_rest_goes_in(empty: Service) -> None:
    """Not JSON, not an object, a wrong type: by line and reason; blank lines and a last line without end are fine."""
    content = b'\xef\xbb\xbf{"id": "1"}\r\n\n{"id": \n[1]\n{"id": "4", "year": "x"}\n{"id": "5"}'
    lines = upload(empty, content)
    bad = {line["line"]: line["code"] for line in lines if line["type"] == "error"}
    assert set(bad) == {3, 4, 5}
    assert bad[3] == "invalid_json"
    assert bad[4] == "wrong_type"
    year = next(line for line in lines if line.get("line") == 5)
    assert year["pointer"] == "/year"
    assert {key: lines[-1][key] for key in ("lines", "added", "failed", "stopped")} == {
        "lines": 6, "added": 2, "failed": 3, "stopped": False,
    }  # fmt: skip


@pytest.mark.parametrize("bad", [b"nonsense", b'{"id": "x", "year": "x"}'])
def test_strict_stops_at_the_first_bad_line(empty: Service, bad: bytes) -> None:
    """What stands before it is written, what follows is not."""
    content = b'{"id": "1"}\n' + bad + b'\n{"id": "3"}\n'
    lines = upload(empty, content, params={"strict": "true"})
    assert [line["line"] for line in lines if line["type"] == "error"] == [2]
    assert (lines[-1]["added"], lines[-1]["failed"], lines[-1]["stopped"]) == (1, 1, True)
    assert empty.post("/v1/collections/films/documents:fetch", {"ids": ["1", "3"]}).json() == {
        "documents": [{"id": "1"}, None]
    }


def test_a_line_may_arrive_in_pieces(empty: Service) -> None:
    """Line and piece ends need not agree; two lines may share a piece."""
    pieces = [b'{"id"', b': "1"}', b'\n{"id": "2"}\n{"i', b'd": "3"}']
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = empty.send(http_scope("POST", BULK, NDJSON), messages)
    summary = json.loads(b"".join(message.get("body", b"") for message in sent).splitlines()[-1])
    assert (summary["lines"], summary["added"]) == (3, 3)


def test_a_line_that_is_too_long_is_dropped_and_named(tmp_path: Path) -> None:
    """The next line is read as usual."""
    with serving(tmp_path, line_bytes_max=1024) as service:
        service.put("/v1/collections/films", {"embed": {}})
        content = b'{"id": "1"}\n{"id": "2", "x": "' + b"y" * 5000 + b'"}\n{"id": "3"}\n'
        lines = upload(service, content)
    assert [(line["line"], line["code"]) for line in lines if line["type"] == "error"] == [(2, "line_too_long")]
    assert lines[-1]["added"] == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \r\n "])
def test_an_empty_upload_is_refused(empty: Service, content: bytes) -> None:
    """422: most likely the caller meant to send something."""
    problem_of(empty.request("POST", BULK, content=content, headers=NDJSON), 422, "empty_batch")


def test_what_fails_before_the_answer_begins_has_a_status(empty: Service) -> None:
    """Another type is 415, no collection 404, a bad option 422."""
    line = b'{"id": "1"}'
    problem_of(empty.request("POST", BULK, content=line, headers={"content-type": "text/csv"}), 415)
    problem_of(empty.request("POST", BULK.replace("films", "no"), content=line, headers=NDJSON), 404)
    problem_of(empty.request("POST", f"{BULK}?strict=1", content=line, headers=NDJSON), 422)


def test_an_upload_that_is_cut_off_ends(empty: Service) -> None:
    """The caller went away in the middle: no answer, a line in the log, and the service goes on."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"id": "1"}\n{"id', "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert empty.send(http_scope("POST", BULK, NDJSON), messages) == []
    assert empty.log()[-1]["status"] == 499
    assert empty.get("/healthz").status_code == 200


def test_an_upload_that_stands_still_is_ended(tmp_path: Path) -> None:
    """408 when nothing has been answered yet; the wait is bounded by request_seconds_max."""
    with serving(tmp_path, request_seconds_max=0.1) as service:
        service.put("/v1/collections/films", {"embed": {}})
        messages = [{"type": "http.request", "body": b'{"id": "1"}\n', "more_body": True}]
        sent = service.send(http_scope("POST", BULK, NDJSON), messages)
    assert sent[0]["status"] == 408


def test_an_upload_over_its_limit_is_refused(tmp_path: Path) -> None:
    """413 by the declared length."""
    with serving(tmp_path, bulk_bytes_max=1024) as service:
        service.put("/v1/collections/films", {"embed": {}})
        problem_of(service.request("POST", BULK, content=b"x" * 1025, headers=NDJSON), 413)


def test_an_upload_that_stands_still_later_ends_with_an_error_line(tmp_path: Path) -> None:
    """The answer has begun: what was written is told, then the error, then the sum."""
    with serving(tmp_path, request_seconds_max=0.1) as service:
        service.put("/v1/collections/films", {"embed": {}})
        content = b"".join(b'{"id": "%d"}\n' % number for number in range(300))
        sent = service.send(
            http_scope("POST", BULK, NDJSON), [{"type": "http.request", "body": content, "more_body": True}]
        )
    lines = [json.loads(line) for line in b"".join(message.get("body", b"") for message in sent).splitlines()]
    assert [line["type"] for line in lines] == ["batch", "error", "summary"]
    assert lines[1]["code"] == "body_timeout"
    assert (lines[2]["added"], lines[2]["stopped"]) == (256, True)
    assert sent[-1]["more_body"] is False


def test_a_byte_order_mark_may_come_in_pieces(empty: Service) -> None:
    """It is left out wherever the pieces end; alone it is an empty upload."""
    pieces = [b"\xef", b"\xbb", b'\xbf{"id": "1"}\n', b'{"id": "2"}']
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    sent = empty.send(http_scope("POST", BULK, NDJSON), [*messages, {"type": "http.request", "body": b""}])
    summary = json.loads(b"".join(message.get("body", b"") for message in sent).splitlines()[-1])
    assert (summary["added"], summary["failed"]) == (2, 0)
    problem_of(empty.request("POST", BULK, content=b"\xef\xbb\xbf", headers=NDJSON), 422, "empty_batch")
