from __future__ import annotations

import io
import json
import subprocess
import sys

from lumaai.telemetry import RequestRecord, Telemetry


def test_a_request_is_one_line_and_counted() -> None:
    """The line has id, method, route, status, seconds and rows; the counter and the histogram have the route."""
    log = io.BytesIO()
    telemetry = Telemetry(log)
    telemetry.record(RequestRecord("abc", "POST", "/v1/collections/{c}/search", 200, 0.25, rows=10))
    line = json.loads(log.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request", "level": "info", "id": "abc", "method": "POST", "route": "/v1/collections/{c}/search",
        "status": 200, "seconds": 0.25, "rows": 10,
    }  # fmt: skip
    shown = telemetry.exposition().decode()
    labels = 'method="POST",route="/v1/collections/{c}/search"'
    assert f'lumaai_http_requests_total{{{labels},status="200"}} 1.0' in shown
    assert f'lumaai_http_request_duration_seconds_bucket{{le="0.25",{labels}}} 1.0' in shown
    assert f"lumaai_http_rows_total{{{labels}}} 10.0" in shown


def test_registries_do_not_meet() -> None:
    """Two services in one process count for themselves."""
    first, second = Telemetry(io.BytesIO()), Telemetry(io.BytesIO())
    first.record(RequestRecord("a", "GET", "/healthz", 200, 0.001))
    assert b"/healthz" not in second.exposition()


def test_gauges_are_read_when_metrics_are() -> None:
    """What is watched shows its value of that moment."""
    telemetry = Telemetry(io.BytesIO())
    values = iter([1.0, 2.0])
    telemetry.watch(lambda: [("lumaai_documents", "Documents.", {"collection": "films"}, next(values))])
    assert 'lumaai_documents{collection="films"} 1.0' in telemetry.exposition().decode()
    assert 'lumaai_documents{collection="films"} 2.0' in telemetry.exposition().decode()


def test_failures_are_logged_without_what_they_quote() -> None:
    """The line says where, not what: an exception's message may quote a document."""
    log = io.BytesIO()
    try:
        int("the text of a document")
    except ValueError as error:
        Telemetry(log).failed(RequestRecord("abc", "POST"), error)
    line = json.loads(log.getvalue())
    assert (line["event"], line["error"], line["id"]) == ("request.failed", "ValueError", "abc")
    assert "document" not in json.dumps(line["at"]).replace("test_failures_are_logged_without_what_they_quote", "")


def test_exceptions_of_libraries_are_logged_without_contents() -> None:
    """Neither messages nor local variables: class, file, line and function of what uvicorn or asyncio report."""
    program = """
import logging
from lumaai.telemetry import log_core
log_core()
def fail(key):
    raise ValueError("the text of " + key)
for name in ("uvicorn.error", "asyncio"):
    try:
        fail("sesame")
    except ValueError as error:
        logging.getLogger(name).error("Exception in ASGI application", exc_info=error)
logging.getLogger("engine").error("segment.failed", extra={"code": "x"})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line.get("error") for line in lines] == ["ValueError", "ValueError", None]
    assert lines[0]["at"][-1].endswith("fail")
    assert lines[2]["event"] == "segment.failed"
    assert "sesame" not in done.stderr
    assert "the text of" not in done.stderr
