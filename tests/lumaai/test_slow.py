"""The log of slow requests: how they ran, and nothing of what they were about."""

from __future__ import annotations

import json
import re
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


def test_slow_sql_is_logged_with_how_it_ran(tmp_path: Path) -> None:
    """Tables with the rows considered; of a query that took its time, or was stopped, the operators; no content."""
    slowly = "SELECT count(*) FROM films, range({rows}) a WHERE title <> 'Alien' AND hash(a.range) % 7 = 3"
    with serving(tmp_path, slow_request_seconds=EVERYTHING_IS_SLOW) as service:
        service.put("/v1/collections/films", {"embed": {}})
        service.post("/v1/collections/films/documents", {"documents": FILMS})
        assert service.post("/v1/sql", {"sql": "SELECT title FROM films WHERE year = 1979"}).status_code == 200
        quick = slow_lines(service)[-1]["explain"]
        rows = 1_000_000
        while "operators" not in (found := slow_lines(service)[-1]["explain"]):  # until it is slow on this machine
            assert service.post("/v1/sql", {"sql": slowly.format(rows=rows)}).status_code == 200
            rows *= 4
        endless = {"sql": slowly.format(rows=10**12), "timeout": 0.2}
        assert service.post("/v1/sql", endless).status_code == 408
        stopped = slow_lines(service)[-1]["explain"]
        lines = json.dumps(slow_lines(service))
    assert quick["tables"][0]["rows_considered"] == 3
    assert "operators" not in quick
    for told in (found, stopped):
        assert told["tables"][0]["rows_considered"] == 3
        assert told["milliseconds"] >= 100
        assert "AGGREGATE" in told["operators"][0]["operator"] or "AGGREGATE" in told["operators"][1]["operator"]
    assert not [word for word in ("Alien", "hash", "title") if word in lines]
    assert re.search(r"(?<![\w.])1979(?![\w.])", lines) is None  # milliseconds and ids may have these digits
