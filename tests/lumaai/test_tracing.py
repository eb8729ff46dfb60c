"""Traces of requests and steps: into memory, as a collector would get them."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.lumaai.serving import FILMS, serving

QUESTION = "how many films after 1980"


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("stream", [False, True])
def test_steps_are_spans_within_their_request(tmp_path: Path, stream: bool) -> None:
    """Each with its operation and rows, under the request's, which has route, id and planner; and no content."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with serving(tmp_path, spans=provider) as service:
        service.put("/v1/collections/films", {"embed": {}})
        service.post("/v1/collections/films/documents", {"documents": FILMS})
        kept.clear()
        answer = service.post("/v1/ask", {"question": QUESTION, "stream": stream})
        assert answer.status_code == 200
        id_ = answer.headers["x-request-id"]
        spans = kept.get_finished_spans()
    (request,) = (span for span in spans if not span.name.startswith("step "))
    assert request.name == "POST /v1/ask"
    assert attributes(request)["http.route"] == "/v1/ask"
    assert attributes(request)["lumaai.request_id"] == id_
    assert attributes(request)["lumaai.planner"] == "rules"
    steps = [span for span in spans if span is not request]
    assert [span.name for span in steps] == ["step scan", "step group", "step answer"]
    context = request.get_span_context()
    assert context is not None
    assert {span.parent.span_id for span in steps if span.parent} == {context.span_id}
    assert attributes(steps[0])["lumaai.step.rows_out"] == 2
    assert "1980" not in str([attributes(span) for span in spans])


def test_a_trace_goes_on_from_the_callers(tmp_path: Path) -> None:
    """W3C traceparent: the request is a part of the trace that the caller has begun."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with serving(tmp_path, spans=provider) as service:
        service.get("/healthz", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    (span,) = kept.get_finished_spans()
    context = span.get_span_context()
    assert context is not None
    assert f"{context.trace_id:032x}" == trace_id


def test_spans_reach_a_collector(tmp_path: Path) -> None:
    """OTLP over HTTP, to the address of the settings; what waits is sent before the service ends."""
    got: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            with serving(tmp_path, otlp_endpoint=f"http://127.0.0.1:{collector.server_port}/") as service:
                service.get("/healthz")
        finally:
            collector.shutdown()
            thread.join()
    assert {path for path, _ in got} == {"/v1/traces"}
    assert b"/healthz" in b"".join(body for _, body in got)
