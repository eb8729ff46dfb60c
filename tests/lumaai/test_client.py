"""The client's own part: what it sends, how it repeats, and what its errors say.

Equality with the embedded database is the matter of tests/congruence.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

import lumaai
from lumaai.client import Client
from lumaai.demo.service import free_port
from lumaai.errors import (
    ConflictError,
    ConnectionFailedError,
    InternalError,
    InvalidRequestError,
    LumaError,
    NotFoundError,
    OverloadedError,
    UnauthorizedError,
)

Reply = tuple[int, dict[str, str], bytes]
HANG_UP: Reply = (0, {}, b"")
HIT = b'{"id": "a", "score": 0.5, "document": {"id": "a"}, "passage": null}'
HITS = b'{"hits": [' + HIT + b'], "sequence": 3, "milliseconds": 1.5}'


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: tuple[str, int]


@dataclass
class ScriptedService:
    """A real HTTP server that answers as a test says and keeps what it was asked."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def says(self, *replies: Reply) -> None:
        self.replies.extend(replies)


def ok(body: bytes = b"{}") -> Reply:
    return 200, {"content-type": "application/json"}, body


def refused(error: LumaError, **headers: str) -> Reply:
    return (
        error.status,
        {"content-type": "application/problem+json", **headers},
        json.dumps(error.to_problem()).encode(),
    )


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    script: ScriptedService

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            content = self.rfile.read(length)
            body = json.loads(content) if content else None
            headers = {key.lower(): value for key, value in self.headers.items()}
            script.received.append(Received(self.command, self.path, headers, body, self.client_address))
            status, reply_headers, reply = script.replies.pop(0)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for key, value in {**reply_headers, "content-length": str(len(reply))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script = ScriptedService(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield script
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(service: ScriptedService) -> Iterator[Client]:
    with Client(service.url, api_key="opensesame", timeout_seconds=5) as client:
        yield client


@pytest.fixture
def films(client: Client, service: ScriptedService) -> lumaai.RemoteCollection:
    service.says(ok(b'{"name": "films", "documents": 1, "sequence": 1, "schema": {"fields": {}}}'))
    collection = client["films"]
    service.received.clear()
    return collection


def test_connect_gives_a_client_for_an_address() -> None:
    """`connect` of an address makes no connection yet."""
    with lumaai.connect(f"http://127.0.0.1:{free_port()}") as client:
        assert isinstance(client, Client)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http:///path"])
def test_an_address_without_a_host_is_refused(url: str) -> None:
    """The error names the address."""
    with pytest.raises(InvalidRequestError, match="address"):
        Client(url)


def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown() -> None:
    """A newline would end the header; the message does not repeat the secret."""
    with pytest.raises(InvalidRequestError) as caught:
        Client("http://127.0.0.1", api_key="secret\r\nHost: other")
    assert "secret" not in str(caught.value)


def test_the_key_travels_in_the_authorization_header(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """As a bearer token, with every request."""
    service.says(ok(b'{"count": 7}'))
    assert films.count() == 7
    assert service.received[0].headers["authorization"] == "Bearer opensesame"


def test_a_vector_travels_as_base64_float32(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """Little-endian float32 bytes, from float64 numbers, in a body without what was not given."""
    service.says(ok(HITS))
    hits = films.search(vector=np.array([1.0, -2.5]), limit=3, filter={"year": 1999})
    sent = service.received[0].body
    assert base64.b64decode(sent.pop("vector")) == np.array([1.0, -2.5], "<f4").tobytes()
    assert sent == {"limit": 3, "filter": {"year": 1999}}
    assert hits.ids == ["a"]
    assert hits.scores.tolist() == [0.5]


def test_connections_are_kept_alive(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """Two requests come from the same port."""
    service.says(ok(b'{"count": 1}'), ok(b'{"count": 2}'))
    assert (films.count(), films.count({"a": 1})) == (1, 2)
    assert service.received[0].connection == service.received[1].connection


def test_a_name_is_quoted_in_the_path(client: Client, service: ScriptedService) -> None:
    """A question mark in a name does not begin a query, dots do not lead elsewhere, a slash leads nowhere."""
    service.says(*[refused(NotFoundError("collection does not exist", code="collection_not_found"))] * 2)
    for name in ("a?b", "..", "a/b"):
        with pytest.raises(NotFoundError):
            client[name]
    assert [item.path for item in service.received] == ["/v1/collections/a%3Fb", "/v1/collections/%2E%2E"]


def test_collections_are_read_page_by_page(client: Client, service: ScriptedService) -> None:
    """All pages, in order of name."""
    service.says(
        ok(b'{"collections": [{"name": "b"}], "next_cursor": "two"}'),
        ok(b'{"collections": [{"name": "a"}], "next_cursor": null}'),
    )
    assert client.collections() == ["a", "b"]
    assert [item.path for item in service.received] == ["/v1/collections", "/v1/collections?cursor=two"]


def test_creating_what_exists_is_a_conflict_unless_allowed(client: Client, service: ScriptedService) -> None:
    """The service answers 200 to an identical PUT, where the embedded database raises."""
    service.says(ok(), ok())
    client.create_collection("films", exist_ok=True)
    with pytest.raises(ConflictError) as caught:
        client.create_collection("films")
    assert caught.value.code == "collection_exists"


def test_a_refused_request_is_sent_again(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """503 and 429 say that nothing was done."""
    busy = refused(OverloadedError("busy"))
    service.says(busy, refused(OverloadedError("busy", status=429)), ok(b'{"count": 7}'))
    assert films.count() == 7
    assert len(service.received) == 3


def test_retry_after_is_waited_for(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """Not sooner than the service asks."""
    service.says(refused(OverloadedError("busy"), **{"retry-after": "1"}), ok(b'{"count": 7}'))
    started = time.monotonic()
    films.count()
    assert time.monotonic() - started >= 1.0


def test_a_long_retry_after_is_not_waited_for(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """The caller decides about a minute's wait."""
    service.says(refused(OverloadedError("busy"), **{"retry-after": "60"}))
    with pytest.raises(OverloadedError) as caught:
        films.count()
    assert caught.value.retry_after == 60.0
    assert len(service.received) == 1


def test_retries_end(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """Four attempts, then the error."""
    service.says(*[refused(OverloadedError("busy"))] * 10)
    with pytest.raises(OverloadedError):
        films.count()
    assert len(service.received) == 4


def test_an_error_of_meaning_is_not_repeated(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """422 stays 422; its details come along."""
    service.says(refused(InvalidRequestError("filter is wrong", code="filter_invalid")))
    with pytest.raises(InvalidRequestError) as caught:
        films.count({"year": "soon"})
    assert (caught.value.code, caught.value.status) == ("filter_invalid", 422)
    assert len(service.received) == 1


def test_a_wrong_key_is_unauthorized(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """401 has a class of its own."""
    service.says(refused(UnauthorizedError("the API key is wrong")))
    with pytest.raises(UnauthorizedError, match="wrong"):
        films.count()


def test_a_read_that_broke_is_repeated(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """The connection closes without an answer; counting twice does no harm."""
    service.says(HANG_UP, ok(b'{"count": 7}'))
    assert films.count() == 7


WRITTEN = b'{"sequence": 2, "durability": "sync", "added": 1, "replaced": 0, "skipped": 0}'
DELETED = b'{"sequence": 3, "durability": "sync", "deleted": 1}'


@pytest.mark.parametrize(
    ("call", "reply"),
    [
        (lambda films: films.add([{"title": "no id"}]), WRITTEN),
        (lambda films: films.insert([{"id": "1", "title": "an id"}]), WRITTEN),
        (lambda films: films.patch([{"id": "1", "title": "an id"}]), WRITTEN),
        (lambda films: films.add([{"id": "1"}], if_version={"1": 4}), WRITTEN),
    ],
)
def test_a_write_that_broke_is_repeated_under_its_key(
    films: lumaai.RemoteCollection, service: ScriptedService, call: Callable[[Any], Any], reply: bytes
) -> None:
    """Nobody knows whether it was done; under the same idempotency key the service does it once. No replay is told."""
    replayed = (200, {**ok(reply)[1], "idempotency-replayed": "true"}, reply)
    service.says(HANG_UP, replayed)
    assert not call(films).replayed
    first, second = (received.headers["idempotency-key"] for received in service.received)
    assert first == second


def test_each_write_has_a_key_of_its_own(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """Two equal writes are two; a key of the caller's goes as it is, and its replay is told."""
    service.says(ok(WRITTEN), ok(WRITTEN), (200, {**ok(WRITTEN)[1], "idempotency-replayed": "true"}, WRITTEN))
    films.add([{"title": "no id"}])
    films.add([{"title": "no id"}])
    assert films.add([{"title": "no id"}], idempotency_key="mine").replayed
    keys = [received.headers["idempotency-key"] for received in service.received]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_what_would_answer_otherwise_the_second_time_is_sent_once(client: Client, service: ScriptedService) -> None:
    """Making, dropping and deleting without a key: after a lost answer, a second one would mislead."""
    films = lumaai.RemoteCollection(client._transport, "films")
    calls: list[Callable[[], object]] = [
        lambda: films.delete(ids=["1"]),
        lambda: client.create_collection("films"),
        lambda: client.drop("films"),
        lambda: client.delete_snapshot("before"),
    ]
    for call in calls:
        service.says(HANG_UP)
        with pytest.raises(ConnectionFailedError):
            call()
    assert len(service.received) == 4


def test_work_on_the_whole_database_is_repeated_under_a_key(client: Client, service: ScriptedService) -> None:
    """The service keeps its answer, and gives it again where it got lost."""
    snapshot = b'{"name": "before", "sequence": 1, "bytes": 10, "files": 2, "made": null}'
    for call in (client.create_snapshot, client.restore_snapshot):
        service.says(HANG_UP, ok(snapshot))
        assert call("before").name == "before"
        first, second = (received.headers["idempotency-key"] for received in service.received[-2:])
        assert first == second


def test_a_deletion_with_a_key_is_repeated(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """The service does it once, and answers the second time what it would have answered the first."""
    service.says(HANG_UP, ok(DELETED))
    assert films.delete(ids=["1"], idempotency_key="mine").deleted == 1
    assert [received.headers["idempotency-key"] for received in service.received] == ["mine", "mine"]


def test_a_write_with_ids_is_repeated(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """Adding the same document under the same id twice does what once does: it needs no key."""
    service.says(HANG_UP, ok(b'{"sequence": 2, "durability": "sync", "added": 0, "replaced": 0, "skipped": 1}'))
    assert films.add([{"id": "1", "title": "an id"}]).skipped == 1
    assert all("idempotency-key" not in received.headers for received in service.received)


def test_nothing_listening_is_named() -> None:
    """The error says which address."""
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client, pytest.raises(ConnectionFailedError, match=url):
        client.collections()


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    """The time limit holds, and the request is not sent again."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with Client(url, timeout_seconds=0.2) as client, pytest.raises(ConnectionFailedError, match="in time"):
            client.collections()
        assert time.monotonic() - started < 2.0


def test_an_answer_that_is_not_json_is_an_error(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """A proxy's page, say: the error names the type, not a traceback of the decoder's."""
    service.says((200, {"content-type": "text/html"}, b"<html>welcome"))
    with pytest.raises(InternalError, match="text/html"):
        films.count()


def test_an_error_page_keeps_its_status(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """A proxy's 404 is still a NotFoundError."""
    service.says((404, {"content-type": "text/html"}, b"<html>no"))
    with pytest.raises(NotFoundError):
        films.count()


def test_a_malformed_filter_is_not_sent(films: lumaai.RemoteCollection, service: ScriptedService) -> None:
    """It is refused here with the words of the embedded database."""
    with pytest.raises(InvalidRequestError) as caught:
        films.count({"year": {"$near": 1}})
    assert caught.value.code == "filter_invalid"
    assert service.received == []


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), (1, 2), {1: "one"}, "\ud800"])
def test_a_value_without_a_json_form_is_refused(films: lumaai.RemoteCollection, value: object) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError):
        films.add([{"id": "1", "value": value}])


def test_the_client_imports_little() -> None:
    """Nothing of an index, a store, a model or the service comes along."""
    heavy = ("faiss", "onnxruntime", "pyarrow", "rocksdict", "starlette", "pydantic", "models", "typer")
    code = f"import sys, lumaai.client; print([name for name in {heavy!r} if name in sys.modules])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
