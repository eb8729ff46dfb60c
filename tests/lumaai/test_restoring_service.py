"""A service that goes back to a snapshot while it is being used."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from lumaai import Client, Database
from tests.congruence.conftest import served
from tests.lumaai.films import FILMS

ROUNDS = 5


@pytest.fixture
def wrong() -> list[Any]:
    return []


def test_requests_during_a_restore_succeed_or_are_to_be_sent_again(tmp_path: Path, wrong: list[Any]) -> None:
    """2xx, or 503 with `retryable` and Retry-After; never a 500, never an answer from half a database."""
    stop = threading.Event()
    statuses: set[int] = set()

    def ask(url: str, number: int) -> None:
        with httpx.Client(base_url=f"{url}/v1/collections/films", timeout=20) as http:
            while not stop.is_set():
                for path, body in (
                    ("/count", {}),
                    ("/documents:fetch", {"ids": ["1"], "versions": True}),
                    ("/search", {"query": "a creature on a moon"}),
                    ("/documents", {"documents": [{"id": f"t{number}", "title": "meanwhile"}]}),
                ):
                    answer = http.post(path, json=body)
                    statuses.add(answer.status_code)
                    if answer.status_code == 503:
                        problem = answer.json()
                        if not (problem["retryable"] and "retry-after" in answer.headers):
                            wrong.append(problem)
                    elif answer.status_code != 200 or answer.json().get("documents") == [None]:
                        wrong.append(answer.text)

    with Database(tmp_path / "data", default_model="hashing") as database, served(database, tmp_path) as url:
        database.create_collection("films").add(FILMS)
        with Client(url) as client:
            client.create_snapshot("one")
            threads = [threading.Thread(target=ask, args=(url, number)) for number in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(ROUNDS):
                client.restore_snapshot("one")
                client["films"].add([{"id": "x", "title": "after"}])
            stop.set()
            for thread in threads:
                thread.join()
            assert wrong == []
            assert 200 in statuses
            client.restore_snapshot("one")
            assert client["films"].get(["1", "x"]) == [FILMS[0], None]


def test_the_client_does_not_notice_a_restore(tmp_path: Path, wrong: list[Any]) -> None:
    """It sends again what it is told to send again."""
    stop = threading.Event()

    def ask(url: str) -> None:
        with Client(url) as client:
            films = client["films"]
            while not stop.is_set():
                try:
                    assert films.count() == 3
                    assert films.search("a creature on a moon", limit=1).ids == ["2"]
                except BaseException as error:  # noqa: BLE001 - told below
                    wrong.append(error)
                    return

    with Database(tmp_path / "data", default_model="hashing") as database, served(database, tmp_path) as url:
        database.create_collection("films").add(FILMS)
        with Client(url) as client:
            client.create_snapshot("one")
            threads = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(ROUNDS):
                client.restore_snapshot("one")
            stop.set()
            for thread in threads:
                thread.join()
        assert wrong == []
