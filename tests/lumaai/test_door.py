"""What becomes of more searches than can be answered, by sockets; and that the short way to an operation is the way."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lumaai.turns import WAITING_MAX, Turns
from tests.lumaai.serving import Address, listening, serving

SEARCH = "/v1/collections/films/search"
BODY = json.dumps({"query": "moon", "mode": "keyword"}).encode()


def request(body: bytes = BODY, *, path: str = SEARCH, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of one answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    lines = head.split("\r\n")
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:] if line)}
    return int(lines[0].split()[1]), headers, json.loads(await reader.readexactly(int(headers["content-length"])))


async def crowd(address: Address, count: int) -> list[tuple[int, dict[str, str], Any]]:
    """So many callers at once; each then asks something else."""
    host, port = address.removeprefix("http://").split(":")
    connections = [await asyncio.open_connection(host, int(port)) for _ in range(count)]
    for number, (_, writer) in enumerate(connections):
        writer.write(request(headers="X-Request-Id: mine\r\n" if number % 2 else ""))
    answers = [await answer(reader) for reader, _ in connections]
    for reader, writer in connections:
        writer.write(request(b'{"filter": {"year": 1979}}', path="/v1/collections/films/count"))
        status, _, body = await answer(reader)
        assert (status, body) in ((200, {"count": 1}), (503, body))
        writer.close()
    return answers


def filled(address: Address) -> None:
    service = address.app.state.service
    films = service.database.create_collection("films", {"title": {"type": "text"}}, embed={})
    films.add(ids=["1", "2"], fields={"title": ["the moon", "the sun"], "year": [1979, 1999]})
    films.search("moon", mode="keyword")


def test_what_comes_when_too_many_wait_is_refused_at_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a problem like any other, counted and logged; the connection goes on, and so does the service."""
    count, give = 6 * WAITING_MAX, Turns._give

    def held(turns: Turns, loop: asyncio.AbstractEventLoop) -> None:
        """Nobody has a turn before all are there, however fast the service is."""
        if turns.given + turns.refused + len(turns) < count:
            loop.call_later(0.01, turns._give, loop)
        else:
            give(turns, loop)

    with listening(tmp_path) as address:
        filled(address)
        service = address.app.state.service
        monkeypatch.setattr(Turns, "_give", held)
        answers = asyncio.run(crowd(address, count))
        statuses = Counter(status for status, _, _ in answers)
        assert statuses == {200: WAITING_MAX, 503: count - WAITING_MAX}
        for number, (status, headers, body) in enumerate(answers):
            if number % 2:
                assert headers["x-request-id"] == "mine"
            if status == 200:
                assert [hit["id"] for hit in body["hits"]] == ["1"]
            else:
                assert headers["content-type"] == "application/problem+json"
                assert headers["retry-after"] == "1"
                assert (body["code"], body["status"], body["retryable"]) == ("overloaded", 503, True)
                assert body["instance"] == headers["x-request-id"]
        metrics = service.telemetry.exposition().decode()
        line = f'route="/v1/collections/{{c}}/search",status="503"}} {statuses[503]}.0'
        assert line in metrics


def test_a_body_that_comes_after_its_refusal_is_no_next_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of it is read and forgotten; then the connection is as good as new."""
    with listening(tmp_path) as address:
        filled(address)
        turns = address.app.state.service.turns

        async def main() -> list[int]:
            host, port = address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            statuses = []
            content = request(b" " * 100_000 + BODY)
            with monkeypatch.context() as patched:
                patched.setattr(type(turns), "is_full", True)
                writer.write(content[:200])
                statuses.append((await answer(reader))[0])
                writer.write(content[200:50_000])
                await asyncio.sleep(0.05)
                writer.write(content[50_000:])
                writer.write(request())  # pipelined behind it
                statuses.append((await answer(reader))[0])
            writer.write(request())
            statuses.append((await answer(reader))[0])
            with monkeypatch.context() as patched:
                patched.setattr(type(turns), "is_full", True)
                writer.write(request(headers="Connection: close\r\n"))
                statuses.append((await answer(reader))[0])
                assert await reader.read() == b""  # closed
            writer.close()
            return statuses

        assert asyncio.run(main()) == [503, 503, 200, 503]


def test_many_requests_at_once_are_no_large_head(tmp_path: Path) -> None:
    """Where a piece of what comes ends amid a head, the requests before it do not count as part of it."""
    one = request(b'{"limit":' + b" " * 500 + b"1}", path="/v1/nothing")
    many = 500
    with listening(tmp_path) as address:

        async def main() -> list[int]:
            host, port = address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(one * many)  # more than is taken in at once
            statuses = [(await answer(reader))[0] for _ in range(many)]
            writer.close()
            return statuses

        assert set(asyncio.run(main())) == {404}


@pytest.mark.parametrize("name", ["Upgrade", "upgrade"])
def test_who_asks_for_http_2_is_answered_by_http_1(tmp_path: Path, name: str) -> None:
    """As Java's HttpClient does with each first request: its body counts, and the connection goes on."""
    asks = f"Connection: Upgrade, HTTP2-Settings\r\n{name}: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    with listening(tmp_path) as address:
        filled(address)

        async def main() -> None:
            host, port = address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            for content in (request(headers=asks), request()):
                writer.write(content)
                status, _, body = await answer(reader)
                assert (status, [hit["id"] for hit in body["hits"]]) == (200, ["1"])
            # Where its head comes in pieces the answer is the last on the connection: nothing hangs.
            content = request(headers=asks)
            place = content.lower().index(b"upgrade:") + 3
            writer.write(content[:place])
            await asyncio.sleep(0.05)
            writer.write(content[place:] + request())
            await answer(reader)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

        asyncio.run(main())


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
@pytest.mark.parametrize(
    ("target", "rest", "status"),
    [
        (b"example.org:443", b"", 400),
        (b"/v1/limits", b"", 405),
        (b"/v1/limits", b"Content-Length: 100\r\n\r\npart", 405),
        (b"/nothing", b"Connection: keep-alive\r\n", 404),
        (SEARCH.encode(), b"Content-Length: 2\r\n\r\n{}GET /healthz HTTP/1.1\r\nHost: localhost\r\n", 405),
    ],
)
def test_who_asks_for_a_tunnel_is_answered_and_left(
    tmp_path: Path, before: bytes, target: bytes, rest: bytes, status: int
) -> None:
    """CONNECT leads nowhere: one answer that says that it is the last, and nothing that follows is a request."""

    async def main(address: Address) -> list[bytes]:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        if before:
            writer.write(before)
            assert (await answer(reader))[0] == 200
        writer.write(b"CONNECT %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (target, rest))
        found = await asyncio.wait_for(reader.read(), 4)  # the server ends the connection, not its keep-alive timer
        writer.close()
        return found.lower().split(b"http/1.1 ")[1:]

    with listening(tmp_path) as address:
        (told,) = asyncio.run(main(address))
        assert told.startswith(b"%d " % status)
        assert b"\r\nconnection: close\r\n" in told


def test_who_does_not_read_refusals_gets_no_more_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be kept for that caller without end: once the connection takes no more, neither do we."""
    some, times = request() * 1_000, 80
    with listening(tmp_path) as address:
        filled(address)
        turns = address.app.state.service.turns
        monkeypatch.setattr(type(turns), "is_full", True)

        async def main() -> None:
            host, port = address.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port), limit=1_000)
            writer.write(some * times)
            seen = -1
            while turns.refused != seen:
                seen = turns.refused
                await asyncio.sleep(0.5)
            writer.transport.abort()

        asyncio.run(main())
        assert 0 < turns.refused < 1_000 * times / 2


PATHS = (
    "/v1/collections/films", "/v1/collections/films/", "/v1/collections/a/b", "/v1/collections/films/documents/a/b%2Fc",
    "/v1/collections/films/documents/x/search", "/v1/collections/%66ilms/search", "/v1/collections//search",
    "/v1/nothing", "/v1/jobs/x/y", "/docs", "/healthz", "/v1/models/a/b", "/v1/collections/films/search/",
    "/v1/collections/f%0Ailms", "/v1/collections/films%0A", "/v1/collections/films/documents/a%0Ab", "//v1/sql",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "OPTIONS"])
def test_the_short_way_to_an_operation_leads_where_the_long_one_does(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same status, headers and problem for whatever path, through Starlette's router or past it."""
    with serving(tmp_path) as service:

        def found(path: str) -> tuple[int, dict[str, str], Any]:
            given = service.request(method, path, headers={"X-Request-Id": "same"})
            return given.status_code, dict(given.headers), given.content

        service.put("/v1/collections/films", {"embed": {}})
        straight = [found(path) for path in PATHS]
        monkeypatch.setattr(service.app, "_edge", None)
        assert [found(path) for path in PATHS] == straight
