"""Three databases that should not differ: one opened in this process, two behind real services on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from lumaai import Client, Database
from lumaai.app import create_app
from lumaai.settings import Settings
from tests.congruence.blocked import Blocked, blocked

START_SECONDS_MAX = 20.0


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "embedded", default_model="hashing") as database:
        yield database


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Client]:
    with (
        Database(tmp_path / "remote", default_model="hashing") as database,
        served(database, tmp_path) as url,
        Client(url, timeout_seconds=20) as client,
    ):
        yield client


@pytest.fixture
def asynchronous(tmp_path: Path) -> Iterator[Blocked]:
    with (
        Database(tmp_path / "asynchronous", default_model="hashing") as database,
        served(database, tmp_path) as url,
        blocked(url) as client,
    ):
        yield client


@contextmanager
def served(database: Database, directory: Path) -> Iterator[str]:
    """The address of a uvicorn that serves `database` from a thread of this process."""
    settings = Settings(directory=directory / "remote", port=0)
    config = uvicorn.Config(
        create_app(database, settings), host="127.0.0.1", port=0, loop="uvloop", http="httptools",
        log_config=None, access_log=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            assert time.monotonic() < deadline, "the service did not start in time"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
