"""A small HTTP server on loopback that speaks both providers' protocols and keeps every request."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]


@dataclass
class Answer:
    status: int
    body: Any
    delay_seconds: float = 0.0


@dataclass
class Provider:
    """The server's script and its record."""

    url: str = ""
    answers: deque[Answer] = field(default_factory=deque)
    requests: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def play(self, *answers: Answer) -> None:
        self.answers.extend(answers)


def openai_reply(content: str | None, *, finish_reason: str = "stop", refusal: str | None = None) -> Answer:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return Answer(200, body)


def openai_refusal(status: int, message: str, param: str | None = None) -> Answer:
    return Answer(
        status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
    )


def anthropic_reply(*content: dict[str, Any], stop_reason: str = "end_turn") -> Answer:
    usage = {"input_tokens": 11, "output_tokens": 7}
    body = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": list(content)}
    return Answer(200, body | {"stop_reason": stop_reason, "stop_sequence": None, "usage": usage})


def anthropic_refusal(status: int, message: str) -> Answer:
    return Answer(status, {"type": "error", "error": {"type": "invalid_request_error", "message": message}})


@contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.requests.append(Received(self.path, headers, body))
            answer = provider.answers.popleft() if provider.answers else Answer(599, {"error": "script has ended"})
            provider.released.wait(answer.delay_seconds)
            content = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("retry-after-ms", "1")  # the SDKs wait this long before they try again
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that gave up waiting has closed its connection."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield provider
    finally:
        provider.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
