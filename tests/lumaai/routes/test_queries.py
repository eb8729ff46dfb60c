"""Queries in SQL and other languages: they take as long as they are let, and nothing else waits for them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from lumaai.errors import OverloadedError
from lumaai.routes.service import Service as Parts
from tests.lumaai.serving import Service, http_scope, problem_of

ENDLESS = "SELECT count(*) FROM range(1000000000000) a WHERE hash(a.range) % 7 = 3"


def parts_of(service: Service) -> Parts:
    found: Parts = service.app.state.service
    return found


def test_nothing_waits_for_long_queries(films: Service) -> None:
    """As many as there are threads for them: searches, counts, documents and writes go on; one more is told to wait."""
    lane = parts_of(films).queries
    release = threading.Event()

    async def busy() -> None:
        for _ in range(lane.capacity):
            asyncio.ensure_future(lane.run(release.wait, 60))  # noqa: RUF006 - they end by themselves
        await asyncio.sleep(0)

    films.runner.run(busy())
    try:
        path = "/v1/collections/films"
        assert films.post(f"{path}/search", {"query": "a crew"}).status_code == 200
        assert films.post(f"{path}/count").json() == {"count": 3}
        assert films.get(f"{path}/documents/1").status_code == 200
        assert films.post(f"{path}/documents", {"documents": [{"id": "9"}]}).status_code == 200
        for path, body in (("/v1/sql", {"sql": "SELECT 1"}), ("/v1/query", {"language": "nql", "query": "x"})):
            problem = problem_of(films.post(path, body), 503)
            assert problem["retryable"]
    finally:
        release.set()


def test_a_query_ends_when_its_caller_leaves(films: Service) -> None:
    """Long before its time: its thread is free again."""
    body = json.dumps({"sql": ENDLESS, "timeout": 600}).encode()
    scope = http_scope("POST", "/v1/sql", {"content-type": "application/json", "content-length": str(len(body))})
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    films.send(scope, messages)
    lane = parts_of(films).queries
    for _ in range(400):
        if not lane.taken:
            break
        time.sleep(0.05)
    assert lane.taken == 0
    assert lane.done == 1


def test_a_lane_that_stands_refuses_before_the_body_is_read(films: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the path alone."""

    def check_room() -> None:
        raise OverloadedError("too many requests of this kind at once")

    monkeypatch.setattr(parts_of(films).queries, "check_room", check_room)
    problem_of(films.post("/v1/sql", content=b"no JSON"), 503)
