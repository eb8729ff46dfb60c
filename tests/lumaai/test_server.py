from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from lumaai.protocol import HEAD_BYTES_MAX, REST_SECONDS_MAX
from lumaai.server import url_of

PROGRAM = "from lumaai.server import serve; serve()"
START_SECONDS_MAX = 30


def environment(directory: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LUMAAI_")}
    return {**kept, "LUMAAI_DATA": str(directory), "LUMAAI_PORT": "0", **settings}


def start(directory: Path, program: str = PROGRAM, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment(directory, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(directory: Path, program: str = PROGRAM, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its address; killed at the end if it is still there."""
    child = start(directory, program, **settings)
    assert child.stdout is not None
    watchdog = threading.Timer(START_SECONDS_MAX, child.kill)
    watchdog.start()
    try:
        line = child.stdout.readline()
        watchdog.cancel()
        assert " at http://" in line, child.communicate()[1]
        yield child, line.split(" at ")[1].split()[0]
    finally:
        watchdog.cancel()
        child.kill()
        child.communicate()


def refused(directory: Path, **settings: str) -> tuple[int, str]:
    """Exit code and the one line on stderr of a server that does not start."""
    child = start(directory, **settings)
    try:
        _, said = child.communicate(timeout=START_SECONDS_MAX)
    finally:
        child.kill()
    assert "Traceback" not in said
    lines = [line for line in said.splitlines(keepends=True) if not line.startswith("{")]  # those of the log beside it
    assert len(lines) == 1, said
    assert lines[0].startswith("lumaai serve: ")
    return child.returncode, lines[0]


def test_it_serves_and_stops_in_order(tmp_path: Path) -> None:
    """Port 0 becomes a real port; SIGTERM ends it with 0; what was written is there at the next start."""
    with running(tmp_path / "data") as (child, url):
        with httpx.Client(base_url=url) as client:
            assert client.get("/healthz").json()["status"] == "ok"
            assert client.get("/readyz").json() == {"ready": True, "reasons": []}
            assert client.put("/v1/collections/a", json={"embed": {}}).status_code == 201
            assert client.put("/v1/collections/a/documents/1", json={"x": 1}).status_code == 201
        child.send_signal(signal.SIGTERM)
        assert child.wait(START_SECONDS_MAX) == 0
    with running(tmp_path / "data") as (child, url):
        assert httpx.get(f"{url}/v1/collections/a/documents/1").json() == {"id": "1", "x": 1}
        child.send_signal(signal.SIGINT)
        assert child.wait(START_SECONDS_MAX) == 0


def test_it_says_what_it_loads_and_how_it_ends(tmp_path: Path) -> None:
    """What there is to serve, each model that is used, that it drains and has stopped: a JSON line each."""
    body = {"embed": {"vector": {"from": ["title"], "model": "hashing:16"}}}
    with running(tmp_path / "data") as (_, url), httpx.Client(base_url=url) as client:
        client.put("/v1/collections/a", json=body)
        path = "/v1/collections/a/documents"
        client.put("/v1/collections/b", json={"embed": {}})
        assert client.post(path, json={"documents": [{"id": "1", "title": "x"}]}).status_code == 200
    with running(tmp_path / "data") as (child, url):
        assert httpx.get(f"{url}/readyz").status_code == 200
        time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        assert child.wait(START_SECONDS_MAX) == 0
        assert child.stderr is not None
        lines = [json.loads(line) for line in child.stderr.read().splitlines()]
    told = {line["event"]: line for line in lines if line["event"] != "request"}
    opened = told["database.opened"]
    assert (opened["collections"], opened["documents"], opened["models"]) == (2, 1, ["hashing:16"])
    assert told["model.loaded"]["model"] == "hashing:16"
    assert list(told)[-2:] == ["service.draining", "service.stopped"]


def test_other_addresses_need_a_key(tmp_path: Path) -> None:
    """0.0.0.0 without a key is refused with 2 and nothing is made; with a key, or --insecure, it starts."""
    code, said = refused(tmp_path / "data", LUMAAI_HOST="0.0.0.0")
    assert code == 2
    assert "LUMAAI_API_KEY" in said
    assert not (tmp_path / "data").exists()
    with running(tmp_path / "data", LUMAAI_HOST="0.0.0.0", LUMAAI_API_KEY="sesame") as (_, url):
        assert httpx.get(f"{url}/v1/collections").status_code == 401
        assert httpx.get(f"{url}/v1/collections", headers={"X-Api-Key": "sesame"}).status_code == 200
    with running(tmp_path / "data", LUMAAI_HOST="0.0.0.0", LUMAAI_INSECURE="true") as (_, url):
        assert httpx.get(f"{url}/v1/collections").status_code == 200


def test_what_cannot_be_done_is_one_line_and_a_code(tmp_path: Path) -> None:
    """A port in use, an address that is not here, wrong settings, a directory that is a file."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(tmp_path / "data", LUMAAI_PORT=str(port))
        assert (code, "in use" in said, str(port) in said) == (1, True, True)
    code, said = refused(tmp_path / "data", LUMAAI_HOST="203.0.113.1", LUMAAI_INSECURE="true")
    assert (code, "203.0.113.1" in said) == (1, True)
    code, said = refused(tmp_path / "data", LUMAAI_PORT="http")
    assert code == 2
    code, said = refused(tmp_path / "data", LUMAAI_LLM_BASE_URL="http://127.0.0.1:1/v1")
    assert (code, "LUMAAI_LLM_MODEL" in said) == (2, True)
    (tmp_path / "file").write_text("not a directory")
    code, said = refused(tmp_path / "file")
    assert (code, str(tmp_path / "file") in said) == (1, True)


def test_a_directory_in_use_names_its_owner(tmp_path: Path) -> None:
    """The second server on a directory says which process has it."""
    with running(tmp_path / "data") as (child, _):
        code, said = refused(tmp_path / "data")
        assert code == 1
        assert str(child.pid) in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_one_line(tmp_path: Path) -> None:
    """No traceback, exit code 1."""
    tmp_path.chmod(0o500)
    assert refused(tmp_path / "data")[0] == 1


def test_large_bodies_and_cut_off_bodies_over_sockets(tmp_path: Path) -> None:
    """Too large: 413 before the body is read; cut off in the middle: the connection ends and the service goes on."""
    with running(tmp_path / "data", LUMAAI_BODY_BYTES_MAX="2048") as (_, url):
        answer = httpx.post(f"{url}/v1/ask", content=b" " * 100_000, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        host, port = url.removeprefix("http://").split(":")
        head = (
            f"POST /v1/ask HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"
        )
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode())
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"NOT HTTP AT ALL\r\n\r\n")
            answer_400 = connection.recv(1000)
            assert answer_400.startswith(b"HTTP/1.1 400")
            assert b"application/problem+json" in answer_400
            assert json.loads(answer_400.partition(b"\r\n\r\n")[2])["code"] == "invalid_http"
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_heads_without_end_are_cut_off(tmp_path: Path) -> None:
    """A head that grows without end is 431 and the connection is closed."""
    with running(tmp_path / "data") as (_, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            sent = 0
            while sent <= HEAD_BYTES_MAX:
                sent += connection.send(b"X-%d: %s\r\n" % (sent, b"y" * 1000))
            assert _received(connection, b"HTTP/1.1 431")
        assert httpx.get(f"{url}/healthz", headers={"X-Long": "y" * 10_000}).status_code == 200


def test_an_upload_is_answered_while_it_comes_in(tmp_path: Path) -> None:
    """The first batch's line arrives before the last document is sent."""
    with running(tmp_path / "data") as (_, url):
        httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = "POST /v1/collections/a/documents:bulk HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n"
            connection.sendall((head.format(host) + "Content-Type: application/x-ndjson\r\n\r\n").encode())
            lines = b"".join(b'{"id": "%d"}\n' % number for number in range(256))
            connection.sendall(b"%x\r\n%s\r\n" % (len(lines), lines))
            assert _received(connection, b'"batch"')
            connection.sendall(b'd\r\n{"id": "last"}\r\n0\r\n\r\n'.replace(b"d\r\n", b"e\r\n", 1))
            assert _received(connection, b'"added":257')


def test_a_sender_that_does_not_listen_does_not_stop_an_upload(tmp_path: Path) -> None:
    """More answer than the sockets hold, unread until all is sent: neither side waits for the other."""
    mixed = b"".join(b'{"id": "%d"}\nx\n' % number for number in range(40_000))
    with running(tmp_path / "data") as (_, url):
        httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
        answer = httpx.post(
            f"{url}/v1/collections/a/documents:bulk", content=mixed, timeout=60,
            headers={"content-type": "application/x-ndjson"},
        )  # fmt: skip
    assert json.loads(answer.text.splitlines()[-1])["failed"] == 40_000


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    """SIGTERM during a request: its answer comes, then the process ends."""
    with running(tmp_path / "data") as (child, url):
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps({"embed": {}}).encode()
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = f"PUT /v1/collections/a HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
            time.sleep(0.2)
            child.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body[5:])
            assert _received(connection, b"HTTP/1.1 201")
        assert child.wait(START_SECONDS_MAX) == 0


def test_an_upload_that_has_no_end_stops_at_its_next_batch(tmp_path: Path) -> None:
    """SIGTERM amid an upload: after a while its answer says where it goes on, and the process ends; nothing is lost."""
    with running(tmp_path / "data") as (child, url):
        httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
        with connected(url) as connection:
            lines = b"".join(b'{"id": "%d"}\n' % number for number in range(300))
            connection.sendall(UPLOAD_HEAD + b"%x\r\n%s\r\n" % (len(lines), lines))
            assert _received(connection, b'"last_line":256')
            child.send_signal(signal.SIGTERM)
            said = _all_received(connection)
        assert b'"code":"shutting_down"' in said
        assert b'"stopped":true,"next_line":257' in said
        assert said.endswith(b"0\r\n\r\n")
        assert child.wait(START_SECONDS_MAX) == 0
    with running(tmp_path / "data") as (_, url):
        assert httpx.post(f"{url}/v1/collections/a/count", json={}).json() == {"count": 256}


def test_connections_that_ask_nothing_make_room_for_others(tmp_path: Path) -> None:
    """Many are opened and left alone: who comes then is answered, and so is who was there before and asks again."""
    with running(tmp_path / "data", LUMAAI_CONNECTIONS_MAX="8") as (_, url):
        host, port = url.removeprefix("http://").split(":")
        with httpx.Client(base_url=url) as client, ExitStack() as opened:
            assert client.put("/v1/collections/a", json={"embed": {}}).status_code == 201
            idle = [opened.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(40)]
            assert idle[0].recv(1) == b""  # closed without a word
            with httpx.Client(base_url=url) as late:
                assert late.get("/healthz").status_code == 200
            assert client.post("/v1/collections/a/count", json={}).json() == {"count": 0}


def test_where_all_connections_are_at_work_others_are_refused(tmp_path: Path) -> None:
    """503 and no more; what is under way goes on, and afterwards there is room."""
    with running(tmp_path / "data", LUMAAI_CONNECTIONS_MAX="2") as (_, url), ExitStack() as opened:
        httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
        at_work = [opened.enter_context(connected(url)) for _ in range(2)]
        for connection in at_work:
            connection.sendall(UPLOAD_HEAD + b'c\r\n{"id": "1"}\n\r\n')
        time.sleep(0.3)
        with connected(url) as late:
            assert code_of(late, 503) == "too_many_connections"
        for connection in at_work:
            connection.sendall(b"0\r\n\r\n")
            assert _received(connection, b'"type":"summary"')
        with connected(url) as late:
            late.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert _received(late, b"HTTP/1.1 200")


HEAD = b"POST /v1/collections/a/count HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def sent_until_closed(connection: socket.socket, piece: bytes, most: int) -> int:
    """How many bytes the other side took before it closed."""
    sent = 0
    try:
        while sent < most:
            sent += connection.send(piece)
    except OSError:
        return sent
    return sent


@pytest.mark.parametrize("piece", [b"x-a: " + b"b" * 1000 + b"\r\n", b"b" * 1000])
def test_trailers_without_end_are_cut_off(tmp_path: Path, piece: bytes) -> None:
    """Many trailers, or one without end: 431 and the connection is closed; few are left out."""
    with running(tmp_path / "data") as (_, url):
        httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        with connected(url) as connection:
            connection.sendall(head + b"x-a: b\r\n\r\n")
            assert _received(connection, b'{"count":0}')
        with connected(url) as connection:
            connection.sendall(head)
            time.sleep(0.2)  # the body is read by now
            assert sent_until_closed(connection, piece, 64 << 20) < 16 << 20
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_bodies_that_nobody_reads_do_not_hold_connections(tmp_path: Path) -> None:
    """Answered before its body came: the rest is waited for a little, then the connection is closed."""
    with running(tmp_path / "data") as (_, url), connected(url) as connection, connected(url) as other:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        other.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        assert _received(connection, b"HTTP/1.1 404")
        assert _received(other, b"HTTP/1.1 404")
        connection.sendall(b"x")
        other.sendall(b"12345")
        started = time.monotonic()
        assert not _received(connection, b"never said")
        assert time.monotonic() - started < REST_SECONDS_MAX + 3
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert _received(other, b"HTTP/1.1 200")


BODY_HEAD = HEAD + b"Content-Length: 99\r\n\r\n"
UPLOAD_HEAD = (
    b"POST /v1/collections/a/documents:bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def code_of(connection: socket.socket, status: int) -> str:
    """The code of the problem that comes before the connection is closed."""
    connection.settimeout(10)
    answer = b""
    while piece := connection.recv(65_536):
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status), answer
    assert b"application/problem+json" in head
    return str(json.loads(body)["code"])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (BODY_HEAD + b'{"fil', "body_incomplete"),
        (BODY_HEAD, "body_incomplete"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}", "body_incomplete"),
        (UPLOAD_HEAD + b'20\r\n{"id": "1"}\n', "body_incomplete"),
        (HEAD, "head_incomplete"),
    ],
)
def test_what_ends_in_its_middle_is_answered_at_once(tmp_path: Path, sent: bytes, code: str) -> None:
    """The sender says that nothing more comes: 400, long before any time is over."""
    patient = {"LUMAAI_IDLE_SECONDS_MAX": "60"}
    with running(tmp_path / "data", **patient) as (_, url), connected(url) as connection:
        httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert code_of(connection, 400) == code
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_what_stops_coming_is_refused(tmp_path: Path) -> None:
    """Heads and bodies, after idle_seconds_max; what still comes, however slowly, and uploads are taken."""
    with running(tmp_path / "data", LUMAAI_IDLE_SECONDS_MAX="0.5") as (_, url):
        httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
        for sent, code in ((BODY_HEAD + b'{"fil', "body_timeout"), (BODY_HEAD, "body_timeout"), (HEAD, "head_timeout")):
            with connected(url) as connection:
                connection.sendall(sent)
                assert code_of(connection, 408) == code
        whole = HEAD + b"Content-Length: 10\r\n\r\n        {}"
        with connected(url) as slow, connected(url) as upload:
            upload.sendall(UPLOAD_HEAD + b'c\r\n{"id": "1"}\n\r\n')
            for place in range(0, len(whole), 16):  # 100 bytes and more in a second and more
                slow.sendall(whole[place : place + 16])
                time.sleep(0.15)
            assert _received(slow, b'{"count":')
            upload.sendall(b"0\r\n\r\n")
            assert _received(upload, b'"added":1')


def test_it_ends_even_where_a_thread_hangs(tmp_path: Path) -> None:
    """An embedding service that never answers holds its thread: SIGTERM ends the process all the same."""
    program = "import lumaai.server as s; s.DRAIN_SECONDS_MAX = 1; s.END_SECONDS_MAX = 4; s.serve()"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with running(
            tmp_path / "data", program, LUMAAI_EMBEDDING_BASE_URL=service
        ) as (child, url), connected(url) as connection:  # fmt: skip
            body = json.dumps({"embed": {"vector": {"from": ["title"], "model": "openai:m"}}}).encode()
            head = b"PUT /v1/collections/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            silent.settimeout(10)
            with silent.accept()[0]:
                child.send_signal(signal.SIGTERM)
                started = time.monotonic()
                assert child.wait(START_SECONDS_MAX) == 1
                assert time.monotonic() - started < 10


def test_a_language_model_that_never_answers_is_left_at_the_end(tmp_path: Path) -> None:
    """Closing the database gives its call up, so that the process ends in order."""
    program = "import lumaai.server as s; s.DRAIN_SECONDS_MAX = 1; s.serve()"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        model = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with running(
            tmp_path / "data", program, LUMAAI_LLM_BASE_URL=model, LUMAAI_LLM_MODEL="m"
        ) as (child, url), connected(url) as connection:  # fmt: skip
            httpx.put(f"{url}/v1/collections/a", json={"embed": {}})
            httpx.put(f"{url}/v1/collections/a/documents/1", json={"title": "x", "year": 1})
            body = json.dumps({"question": "How many films are there?", "planner": "llm"}).encode()
            head = HEAD.replace(b"collections/a/count", b"ask") + b"Content-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
            silent.settimeout(10)
            with silent.accept()[0]:
                child.send_signal(signal.SIGTERM)
                started = time.monotonic()
                assert child.wait(START_SECONDS_MAX) == 0
                assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("family", "address", "prefix"),
    [
        (socket.AF_INET, "127.0.0.1", "http://127.0.0.1:"),
        (socket.AF_INET, "0.0.0.0", "http://127.0.0.1:"),
        (socket.AF_INET6, "::1", "http://[::1]:"),
    ],
)
def test_the_printed_address_can_be_opened(family: socket.AddressFamily, address: str, prefix: str) -> None:
    """All addresses are shown as this machine's; IPv6 in brackets."""
    with socket.socket(family) as listener:
        try:
            listener.bind((address, 0))
        except OSError:
            pytest.skip(f"no {address} here")
        assert url_of(listener).startswith(prefix)


def _received(connection: socket.socket, wanted: bytes) -> bool:
    got = b""
    while wanted not in got:
        piece = connection.recv(65_536)
        if not piece:
            return False
        got += piece
    return True


def _all_received(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)
