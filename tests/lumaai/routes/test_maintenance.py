"""Checking, compacting and purging over HTTP; the memory account; lanes of their own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.lumaai.serving import Service, problem_of, serving

FILMS_PATH = "/v1/collections/films"


def test_a_sound_database_has_no_problems(films: Service) -> None:
    """What was read is counted."""
    report = films.post("/v1/check").json()
    assert report["problems"] == []
    assert report["documents"] == 3
    assert report["rows"] == 3


def test_a_damaged_segment_is_named_and_repaired(films: Service) -> None:
    """First only named, then built again from the store; searches are right throughout."""
    films.post(f"{FILMS_PATH}/optimize")
    file = max((films.database.path / "indexes").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    report = films.post("/v1/check", {"repair": False}).json()
    assert [item["repaired"] for item in report["problems"]] == [False]
    assert Path(report["problems"][0]["file"]) in {file, file.parent}
    report = films.post("/v1/check").json()
    assert [item["repaired"] for item in report["problems"]] == [True]
    assert films.post("/v1/check").json()["problems"] == []
    assert films.post(f"{FILMS_PATH}/search", {"query": "a creature on a moon"}).json()["hits"][0]["id"] == "2"


@pytest.mark.parametrize("path", ["/v1/compact", "/v1/purge"])
def test_disk_is_given_back(films: Service, path: str) -> None:
    """Bytes before and after; what is not deleted stays."""
    films.post(f"{FILMS_PATH}/documents:delete", {"ids": ["1"]})
    figures = films.post(path).json()
    assert {"disk_bytes_before", "disk_bytes_after", "seconds"} <= figures.keys()
    assert films.post(f"{FILMS_PATH}/count").json() == {"count": 2}
    problem_of(films.post(path, {"force": True}), 422, "unknown_key")


def test_a_purge_ends_scrolls_under_way(films: Service) -> None:
    """They would go on reading what is to vanish: their cursors are gone, and the purge need not wait."""
    cursor = films.post(f"{FILMS_PATH}/scroll", {"limit": 1}).json()["next_cursor"]
    films.post(f"{FILMS_PATH}/documents:delete", {"ids": ["1", "2"]})
    assert films.post("/v1/purge").status_code == 200
    problem_of(films.post(f"{FILMS_PATH}/scroll", {"cursor": cursor}), 410)


def test_purged_text_is_in_no_file(films: Service) -> None:
    """Read as raw bytes, whatever the store compressed is out of sight; a rare word in a small store is not."""
    word = "zyxwvutsrqponmlkjihgfedcba0123456789"
    films.post(f"{FILMS_PATH}/documents", {"documents": [{"id": "9", "title": word}]})
    files = [path for path in films.database.path.rglob("*") if path.is_file()]
    assert any(word.encode() in path.read_bytes() for path in files)
    films.post(f"{FILMS_PATH}/documents:delete", {"ids": ["9"]})
    films.post("/v1/purge")
    files = [path for path in films.database.path.rglob("*") if path.is_file()]
    assert [path for path in files if word.encode() in path.read_bytes()] == []


def test_the_memory_account_is_in_stats_and_metrics(films: Service) -> None:
    """Each figure of the account is a gauge, limits apart from what is taken."""
    stats, metrics = films.get("/v1/stats").json(), films.get("/metrics").text
    for part, gauge in (("memory", "lumaai_memory_bytes"), ("memory_limits", "lumaai_memory_limit_bytes")):
        assert stats[part]
        for name in stats[part]:
            assert f'{gauge}{{kind="{name}"}}' in metrics
    assert "path" not in stats  # where the service keeps its files is for its operator to know


def test_long_work_has_no_limit_of_time_and_starves_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a check goes on beyond the limit on requests, searches are answered, and too many checks are refused."""
    running, go_on = threading.Event(), threading.Event()
    with serving(tmp_path, request_seconds_max=0.3, maintenance_queue_max=0) as service:
        service.put("/v1/collections/films", {"embed": {}})
        compact = service.database.compact

        def slow(**options: Any) -> dict[str, Any]:
            running.set()
            assert go_on.wait(20)
            return compact(**options)

        monkeypatch.setattr(service.database, "compact", slow)

        async def exchange() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                first = asyncio.create_task(client.post("/v1/compact", json={}))
                await asyncio.to_thread(running.wait, 20)
                counted = await client.post(f"{FILMS_PATH}/count", json={})
                refused = await client.post("/v1/compact", json={})
                await asyncio.sleep(0.5)
                go_on.set()
                return [await first, counted, refused]

        first, counted, refused = service.runner.run(exchange())
        assert (first.status_code, counted.status_code) == (200, 200)
        problem = problem_of(refused, 503, "overloaded")
        assert problem["retryable"]
