"""The real application over a real database, driven in process without sockets."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from opentelemetry.trace import TracerProvider

from lumaai.app import create_app
from lumaai.database import Database
from lumaai.protocol import BoundedProtocol
from lumaai.questions import LLMSource
from lumaai.server import url_of
from lumaai.settings import Settings
from lumaai.telemetry import Telemetry

Answer = httpx.Response

FILMS = [
    {"id": "1", "title": "The Matrix", "plot": "A hacker learns that his world is a simulation.", "year": 1999},
    {"id": "2", "title": "Alien", "plot": "A crew meets a creature on a distant moon.", "year": 1979},
    {"id": "3", "title": "Amélie", "plot": "A waitress in Paris decides to help people.", "year": 2001},
]
VECTORS = [{"id": "a", "vector": [1.0, 0.0]}, {"id": "b", "vector": [0.6, 0.8]}, {"id": "c", "vector": [0.0, 1.0]}]


class Service:
    """One application; requests wait for their answers."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner, log: io.BytesIO) -> None:
        self.app = app
        self.runner = runner
        self._log = log

    @property
    def database(self) -> Database:
        database: Database = self.app.state.service.database
        return database

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """One answer; `options` are httpx's."""
        return self.runner.run(self._request(method, path, **options))

    async def _request(self, method: str, path: str, **options: Any) -> Answer:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("PUT", path, json={} if body is None else body, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        if "content" not in options:
            options["json"] = {} if body is None else body
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.request("DELETE", path, **options)

    def send(self, scope: dict[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the application sends when the server hands it these messages, and then nothing more."""
        return self.runner.run(_exchange(self.app, scope, messages))

    def log(self) -> list[dict[str, Any]]:
        """The lines logged so far."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]


@contextmanager
def serving(
    directory: Path, *, llm: LLMSource = None, spans: TracerProvider | None = None, **settings: Any
) -> Iterator[Service]:
    """A service of a database in `directory`, shut down in order at the end; `spans`: where its traces go."""
    log = io.BytesIO()
    with asyncio.Runner() as runner:
        app = create_app(
            Database(directory / "data", llm=llm),
            Settings(directory=directory, **settings),
            telemetry=Telemetry(log),
            spans=spans,
        )
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        try:
            yield Service(app, runner, log)
        finally:
            runner.run(lifespan.__aexit__(None, None, None))


class Address(str):
    """Where an application listens."""

    __slots__ = ("app",)

    app: FastAPI


@contextmanager
def listening(directory: Path, **settings: Any) -> Iterator[Address]:
    """As `serving`, on a port of this machine, from a thread of this process, for clients that need sockets."""
    chosen = Settings(directory=directory, **settings)
    database = Database(directory / "data", default_model=chosen.model, model_options=chosen.model_options)
    app = create_app(database, chosen, telemetry=Telemetry(io.BytesIO()))
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        loop="uvloop",
        http=BoundedProtocol,
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.005)
        address = Address(url_of(server.servers[0].sockets[0]))
        address.app = app
        yield address
    finally:
        server.should_exit = True
        thread.join()


def http_scope(method: str, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """What an ASGI server says of a request."""
    given = {"host": "localhost", **(headers or {})}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }


async def _exchange(app: FastAPI, scope: dict[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def problem_of(answer: Answer, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem details of an answer, checked for what all of them have."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["instance"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail", "code", "errors", "retryable"} <= set(problem)
    if code is not None:
        assert problem["code"] == code, problem
    return problem
