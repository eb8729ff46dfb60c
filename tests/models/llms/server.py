"""An HTTP server on loopback that speaks both providers' protocols, checks every request and plays scripts.

Requests of a probe (`models.llms.probe`) are answered by what the server `supports` and `ignores`; all others get the
next answer of the script, unless they ask for structured output in a way that the server refuses.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from models.llms.probe import PROBE, PROBE_SCHEMA
from tests.models.llms.protocols import mode_of, schema_of, violations

ALL_MODES = frozenset({"json_schema", "tool", "structured_outputs", "guided_json", "grammar", "json_object", "plain"})


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]
    mode: str


@dataclass
class Answer:
    """One JSON body."""

    status: int
    body: Any
    delay_seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=lambda: {"retry-after-ms": "1"})


@dataclass
class Stream:
    """Server-sent events; after the last the connection is closed in order, or cut."""

    events: Sequence[bytes]
    pause_seconds: float = 0.0
    cut: bool = False


@dataclass
class Cut:
    """The connection is closed in the midst of a JSON body."""


Scripted = Answer | Stream | Cut


@dataclass
class Provider:
    """The server's script, its abilities and its record."""

    url: str = ""
    answers: deque[Scripted] = field(default_factory=deque)
    otherwise: Callable[[Received], Scripted] | None = None  # what is answered when the script has ended
    supports: frozenset[str] = ALL_MODES
    ignores: frozenset[str] = frozenset()
    extended: bool = True  # knows the parameters of vLLM and llama.cpp
    requests: list[Received] = field(default_factory=list)
    probes: list[Received] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)  # a client went away before its answer's end
    released: threading.Event = field(default_factory=threading.Event)  # the test is over

    def play(self, *answers: Scripted) -> None:
        self.answers.extend(answers)

    def answer(self, request: Received) -> Scripted:
        protocol = "anthropic" if request.path.endswith("/messages") else "openai"
        if wrong := violations(request.body, protocol, extended=self.extended):
            self.violations.extend(wrong)
            return refusal_of(protocol, 400, f"invalid request: {wrong}")
        is_probe = PROBE.messages[-1].content in str(request.body["messages"])
        (self.probes if is_probe else self.requests).append(request)
        if request.mode not in self.supports | self.ignores:
            return refusal_of(protocol, 400, f"{request.mode} is not supported")
        if is_probe:
            return _probed(protocol, request, obeys=request.mode in self.supports)
        if not self.answers and self.otherwise is not None:
            return self.otherwise(request)
        return self.answers.popleft() if self.answers else refusal_of(protocol, 418, "script has ended")


def _probed(protocol: str, request: Received, *, obeys: bool) -> Answer:
    if not obeys or (request.mode in {"json_object", "plain"} and "JSON schema" not in str(request.body)):
        words = "Hello, nice to meet you!"
        return openai_reply(words) if protocol == "openai" else anthropic_reply({"type": "text", "text": words})
    assert schema_of(request.body) in (PROBE_SCHEMA, None)
    value = {"greeting": "hello"}
    if protocol == "openai":
        return openai_tool_call(json.dumps(value)) if request.mode == "tool" else openai_reply(json.dumps(value))
    if request.mode == "tool":
        return anthropic_reply({"type": "tool_use", "id": "t1", "name": "reply", "input": value})
    return anthropic_reply({"type": "text", "text": json.dumps(value)})


def refusal_of(protocol: str, status: int, message: str) -> Answer:
    return openai_refusal(status, message) if protocol == "openai" else anthropic_refusal(status, message)


def _openai_body(message: dict[str, Any], finish_reason: str) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def openai_reply(content: str | None, *, finish_reason: str = "stop", refusal: str | None = None) -> Answer:
    return Answer(200, _openai_body({"role": "assistant", "content": content, "refusal": refusal}, finish_reason))


def openai_tool_call(arguments: str) -> Answer:
    call = {"id": "t1", "type": "function", "function": {"name": "reply", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return Answer(200, _openai_body(message, "tool_calls"))


def openai_refusal(
    status: int, message: str, param: str | None = None, *, headers: dict[str, str] | None = None
) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return Answer(status, {"error": error}, headers=headers or {"retry-after-ms": "1"})


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


def openai_chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return sse({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def openai_stream(
    *pieces: str,
    finish_reason: str | None = "stop",
    tool: bool = False,
    usage: bool = True,
    pause_seconds: float = 0.0,
    cut: bool = False,
) -> Stream:
    """A reply in pieces; with `tool`, of a tool call's arguments."""
    events = [openai_chunk({"role": "assistant", "content": None if tool else ""})]
    for number, piece in enumerate(pieces):
        function = {"arguments": piece} | ({"name": "reply"} if number == 0 else {})
        call = {"index": 0, "function": function} | ({"id": "t1", "type": "function"} if number == 0 else {})
        events.append(openai_chunk({"tool_calls": [call]} if tool else {"content": piece}))
    if finish_reason is not None:
        events.append(openai_chunk({}, finish_reason))
        if usage:
            tokens = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
            head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            events.append(sse({**head, "choices": [], "usage": tokens}))
        events.append(sse("[DONE]"))
    return Stream(events, pause_seconds, cut)


def anthropic_reply(*content: dict[str, Any], stop_reason: str = "end_turn") -> Answer:
    return Answer(200, _anthropic_message(list(content), stop_reason, 7))


def _anthropic_message(content: list[dict[str, Any]], stop_reason: str | None, tokens_out: int) -> dict[str, Any]:
    body = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": content}
    usage = {"input_tokens": 11, "output_tokens": tokens_out}
    return body | {"stop_reason": stop_reason, "stop_sequence": None, "usage": usage}


def anthropic_refusal(status: int, message: str, kind: str = "invalid_request_error") -> Answer:
    return Answer(status, {"type": "error", "error": {"type": kind, "message": message}})


def anthropic_stream(
    *pieces: str,
    stop_reason: str | None = "end_turn",
    tool: bool = False,
    pause_seconds: float = 0.0,
    cut: bool = False,
) -> Stream:
    """A reply in pieces; with `tool`, of a tool call's input."""
    block = {"type": "tool_use", "id": "t1", "name": "reply", "input": {}} if tool else {"type": "text", "text": ""}
    kind, name = ("input_json_delta", "partial_json") if tool else ("text_delta", "text")
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": _anthropic_message([], None, 1)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
    ]
    events += [{"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: piece}} for piece in pieces]
    if stop_reason is not None:
        events.append({"type": "content_block_stop", "index": 0})
        delta = {"stop_reason": stop_reason, "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})
        events.append({"type": "message_stop"})
    return Stream([sse(event, event["type"]) for event in events], pause_seconds, cut)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.provider.answer(Received(self.path, headers, body, mode_of(body)))
        try:
            self._play(answer)
        except OSError:
            self.provider.left.set()

    def _play(self, answer: Scripted) -> None:
        match answer:
            case Answer():
                content = json.dumps(answer.body).encode()
                self._wait(answer.delay_seconds)
                self._head(answer.status, {"Content-Type": "application/json", "Content-Length": str(len(content))})
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            case Stream():
                self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
                self.end_headers()
                for event in answer.events:
                    self._wait(answer.pause_seconds)
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                    self.wfile.flush()
                if answer.cut:
                    self.close_connection = True
                else:
                    self.wfile.write(b"0\r\n\r\n")
            case Cut():
                self._head(200, {"Content-Type": "application/json", "Content-Length": "1000"})
                self.end_headers()
                self.wfile.write(b'{"id": "c1", ')
                self.close_connection = True

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)

    def _wait(self, seconds: float) -> None:
        """Pause, and look whether the client is still there."""
        ends = time.monotonic() + seconds
        self.connection.settimeout(0.005)
        while (left := ends - time.monotonic()) > 0 and not self.provider.released.wait(min(left, 0.01)):
            try:
                if self.connection.recv(1) == b"":
                    raise ConnectionResetError
            except TimeoutError:
                continue
        self.connection.settimeout(None)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # connections that wait while the machine is busy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting has closed its connection."""


@contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": provider}))
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
