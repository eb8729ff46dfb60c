"""The log of slow requests: how they ran, and nothing of what they were about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lumaai.slow import explained
from tests.lumaai.serving import FILMS, Service, serving

EVERYTHING_IS_SLOW = 1e-9


def slow_lines(service: Service) -> list[dict[str, Any]]:
    return [line for line in service.log() if line["event"] == "request.slow"]


def test_slow_requests_are_logged_with_how_they_ran(tmp_path: Path) -> None:
    """Searches with parts, rows and times, answers with steps; texts, filters and questions are in no line."""
    with serving(tmp_path, slow_request_seconds=EVERYTHING_IS_SLOW) as service:
        body = {"embed": {"vector": {"from": ["title", "plot"], "model": "hashing:16"}}}
        service.put("/v1/collections/films", body)
        service.post("/v1/collections/films/documents", {"documents": FILMS})
        path = "/v1/collections/films/search"
        service.post(path, {"query": "hacker simulation"})
        service.post(path, {"query": "hacker simulation", "mode": "hybrid", "filter": {"title": "The Matrix"}})
        service.post("/v1/ask", {"question": "which films are from 1979?"})
        lines = slow_lines(service)
        assert "lumaai_http_slow_requests_total 5.0" in service.get("/metrics").text
    plain, hybrid, answer = (line["explain"] for line in lines[-3:])
    assert plain["parts"][0]["rows"] == 3
    assert [step["step"] for step in hybrid["steps"]] == ["semantic", "keyword", "fusion"]
    assert answer["steps"][0]["op"] == "scan"
    assert answer["steps"][0]["rows_in"] == 3
    assert set(answer["milliseconds"]) >= {"plan", "execute"}
    logged = json.dumps(lines)
    assert not [word for word in ("hacker", "simulation", "Matrix", "1979", "Alien") if word in logged]


def test_quick_requests_are_logged_once(tmp_path: Path) -> None:
    """Below the bound, or without one, there is the canonical line alone."""
    for bound in (60.0, None):
        with serving(tmp_path / str(bound), slow_request_seconds=bound) as service:
            service.get("/healthz")
            assert slow_lines(service) == []


def test_an_explanation_keeps_its_own_words_only() -> None:
    """Numbers and the program's words stay, whatever else is text goes, however deep."""
    given = {"how": "bitmap", "query": "secret", "n": 3, "steps": [{"why": "few", "terms": ["secret"], "ok": True}]}
    assert explained(given) == {"how": "bitmap", "n": 3, "steps": [{"why": "few", "ok": True}]}
    deep: Any = "secret"
    for _ in range(50):
        deep = {"inner": deep, "n": 1}
    assert "secret" not in json.dumps(explained(deep))
