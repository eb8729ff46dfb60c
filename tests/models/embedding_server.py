"""An embedding and reranking service on loopback: checks every request, and fails as it is told to."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from models import Vectors
from models.embedders.hashing import HashingEmbedder

KEY = "sk-secret-1234567890"
DIM = 16


@dataclass(frozen=True)
class Fault:
    """What one request meets instead of an answer, or what becomes of its answer."""

    status: int = 200
    body: bytes = b'{"error": {"message": "told to fail", "type": "server_error", "param": null, "code": null}}'
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False  # the connection ends in the middle of the body
    change: Callable[[Any], Any] | None = None  # applied to the right answer


@dataclass
class Service:
    """The server's script and its record; `refused` holds what was wrong with requests."""

    url: str = ""
    key: str | None = KEY
    batch_max: int | None = None  # more texts are refused with 413
    base64: bool = True  # False: refused with 400, as some servers do
    refuses: str | None = None  # a request with a text that holds this is refused with 400, as too long ones are
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def fail(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def sizes(self) -> list[int]:
        return [len(request.get("input") or request["documents"]) for request in self.requests]


def vectors_of(texts: list[str], dim: int = DIM) -> Vectors:
    """What the service answers."""
    return HashingEmbedder(dim).embed_documents(texts)


def _embeddings(service: Service, body: dict[str, Any]) -> tuple[int, Any]:
    """The published schema: https://platform.openai.com/docs/api-reference/embeddings/create."""
    assert set(body) <= {"model", "input", "encoding_format", "dimensions", "user"}, f"unknown fields {sorted(body)}"
    assert body["model"] == "m"
    texts = body["input"]
    assert isinstance(texts, list), "input is no list"
    assert 1 <= len(texts) <= 2048, f"{len(texts)} texts"
    assert all(isinstance(text, str) and text for text in texts), "an empty text"
    if service.batch_max is not None and len(texts) > service.batch_max:
        return 413, _error("request is too large")
    if service.refuses is not None and any(service.refuses in text for text in texts):
        return 400, _error("input is too long: maximum 8192 tokens")
    encoding = body.get("encoding_format", "float")
    assert encoding in {"float", "base64"}, encoding
    if encoding == "base64" and not service.base64:
        return 400, _error("encoding_format is not supported")
    rows = vectors_of(texts, body.get("dimensions", DIM))
    encoded = [base64.b64encode(row.tobytes()).decode() if encoding == "base64" else row.tolist() for row in rows]
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(encoded)]
    # Order is by the index only.
    return 200, {"object": "list", "data": data[::-1], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def _rerank(service: Service, body: dict[str, Any]) -> tuple[int, Any]:
    """Score: how many words of the query a text holds; best first, as Cohere and Jina answer."""
    assert set(body) == {"model", "query", "documents", "top_n"}, f"fields {sorted(body)}"
    texts = body["documents"]
    assert body["top_n"] == len(texts) >= 1
    assert all(isinstance(text, str) and text for text in [body["query"], *texts])
    words = set(body["query"].split())
    scored = [{"index": index, "relevance_score": len(words & set(text.split()))} for index, text in enumerate(texts)]
    return 200, {"results": sorted(scored, key=lambda row: -row["relevance_score"])}


_ROUTES = {"/v1/embeddings": _embeddings, "/v1/rerank": _rerank}


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


@contextmanager
def running_service() -> Iterator[Service]:
    service = Service()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                service.requests.append(body)
                fault = service.faults.popleft() if service.faults else Fault()
            try:
                assert self.headers["Content-Type"] == "application/json"
                if service.key is not None and self.headers["Authorization"] != f"Bearer {service.key}":
                    status, answer = 401, _error("wrong key " + str(self.headers["Authorization"]))
                else:
                    status, answer = _ROUTES[self.path](service, body)
            except (AssertionError, KeyError) as error:
                service.refused.append(repr(error))
                status, answer = 400, _error(repr(error))
            if fault.change:
                answer = fault.change(answer)
            content = json.dumps(answer).encode()
            if fault.status != 200 or fault.headers:
                status, content = fault.status, fault.body
            self._answer(status, content, fault)

        def _answer(self, status: int, content: bytes, fault: Fault) -> None:
            self.send_response(status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(content))} | fault.headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault.cut else content)
            if fault.cut:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that gave up waiting has closed its connection."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def floats_of(row: dict[str, Any]) -> list[float]:
    """The numbers of one row of an answer, however they are encoded."""
    data = row["embedding"]
    numbers: list[float] = (
        np.frombuffer(base64.b64decode(data), "<f4").astype(float).tolist() if isinstance(data, str) else data
    )
    return numbers
