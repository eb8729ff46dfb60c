from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from lumaai.access import Caller
from lumaai.auth import Gatekeeper
from lumaai.errors import ForbiddenError, UnauthorizedError
from lumaai.limits import Lane
from lumaai.settings import Settings

KEY = "correct horse"


class Door:
    """A gatekeeper whose answers are waited for."""

    def __init__(self, settings: Settings) -> None:
        self._gatekeeper = Gatekeeper(settings)

    def admit(self, path: str, headers: list[tuple[bytes, bytes]]) -> Caller:
        lane = Lane("identify", threads=1, queue_max=1)
        try:
            return asyncio.run(self._gatekeeper.admit(path, headers, lane))
        finally:
            lane.close(timeout_seconds=1.0)


@pytest.fixture
def guarded() -> Door:
    return Door(Settings(api_key=SecretStr(KEY)))


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer correct horse"),
        (b"authorization", b"bearer  correct horse"),
        (b"x-api-key", b"correct horse"),
    ],
)
def test_the_key_opens_in_either_header(guarded: Door, header: tuple[bytes, bytes]) -> None:
    """Authorization: Bearer KEY (the scheme in any case) and X-Api-Key: KEY; the Host does not matter."""
    guarded.admit("/v1/collections", [(b"host", b"example.org"), header])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic Y29ycmVjdCBob3JzZQ==")],
        [(b"authorization", b"correct horse")],
        [(b"x-api-key", b"correct hors")],
        [(b"x-api-key", "corr\xe9ct".encode("latin-1"))],
        [(b"x-api-key", b"")],
    ],
)
def test_without_the_key_nothing_opens(guarded: Door, headers: list[tuple[bytes, bytes]]) -> None:
    """No key, a wrong one, another scheme, bytes that are no ASCII: 401."""
    with pytest.raises(UnauthorizedError):
        guarded.admit("/v1/collections", headers)


def test_liveness_needs_no_key(guarded: Door) -> None:
    """/healthz and the documentation are open, /readyz and /metrics are not: they tell of what is inside."""
    for path in ("/healthz", "/", "/docs", "/openapi.json"):
        guarded.admit(path, [])
    for path in ("/readyz", "/metrics", "/docs/oauth2-redirect", "/healthz/", "//docs"):
        with pytest.raises(UnauthorizedError):
            guarded.admit(path, [])


@pytest.mark.parametrize(
    "host", [b"localhost", b"localhost:8000", b"127.0.0.1:1", b"[::1]", b"[::1]:8000", b"LOCALHOST:8000"]
)
def test_without_a_key_this_machines_names_are_served(host: bytes) -> None:
    """Names and addresses of loopback, with or without a port."""
    Door(Settings()).admit("/v1/collections", [(b"host", host)])


@pytest.mark.parametrize(
    "host",
    [b"example.org", b"example.org:8000", b"127.0.0.1.example.org", b"192.168.0.1:8000", b"localhost.evil", b"",
     b"::ffff:1.2.3.4", b"localhost:8000:80", b"\xff"],
)  # fmt: skip
def test_without_a_key_other_hosts_are_refused(host: bytes) -> None:
    """A page whose name was rebound to 127.0.0.1 sends its own name as Host."""
    with pytest.raises(ForbiddenError):
        Door(Settings()).admit("/v1/collections", [(b"host", host)])


def test_insecure_serves_every_host() -> None:
    """Whoever says --insecure answers for the network."""
    Door(Settings(insecure=True)).admit("/v1/collections", [(b"host", b"example.org")])
