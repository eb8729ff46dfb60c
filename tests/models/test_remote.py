"""One endpoint: retries, waits, and errors that say what happened and never hold the key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models import RemoteModelError, RemoteReplyError, RemoteUnavailableError, restrict_llms_to_loopback
from models.remote import RemoteEndpoint
from models.retries import RetryPolicy
from tests.models.embedding_server import KEY, Fault, Service

BODY = {"model": "m", "input": ["text"]}
POLICY = RetryPolicy(attempts=4, first_seconds=0.1, longest_seconds=0.3, timeout_seconds=2.0)


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def endpoint(service: Service, waits: list[float]) -> Iterator[RemoteEndpoint]:
    endpoint = RemoteEndpoint(service.url, api_key=KEY, model="m", policy=POLICY, sleep=waits.append)
    yield endpoint
    endpoint.close()


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(
    service: Service, endpoint: RemoteEndpoint, waits: list[float], status: int
) -> None:
    """Two failures, then the answer: two waits, drawn below 0.1 and 0.2 seconds."""
    service.fail(Fault(status), Fault(status))
    assert isinstance(endpoint.post("/embeddings", BODY), dict)
    assert len(service.requests) == 3
    assert waits[0] <= 0.1
    assert waits[1] <= 0.2


def test_attempts_are_bounded(service: Service, endpoint: RemoteEndpoint, waits: list[float]) -> None:
    """Four requests, three waits, then the last failure with its status."""
    service.fail(*[Fault(503)] * 9)
    with pytest.raises(RemoteUnavailableError, match=r"status=503 reason=.*told to fail") as caught:
        endpoint.post("/embeddings", BODY)
    assert caught.value.retryable
    assert (len(service.requests), len(waits)) == (4, 3)


@pytest.mark.parametrize(
    ("headers", "least"),
    [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "250"}, 0.25), ({"retry-after": "9999"}, 60)],
)
def test_the_server_says_how_long_to_wait(
    service: Service, endpoint: RemoteEndpoint, waits: list[float], headers: dict[str, str], least: float
) -> None:
    """Never less than it asked for, and a minute at most."""
    service.fail(Fault(429, headers=headers))
    endpoint.post("/embeddings", BODY)
    assert least <= waits[0] <= max(least, 0.1)


def test_a_date_in_retry_after_is_passed_over(service: Service, endpoint: RemoteEndpoint, waits: list[float]) -> None:
    """Our own backoff then."""
    service.fail(Fault(429, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}))
    endpoint.post("/embeddings", BODY)
    assert waits[0] <= 0.1


def test_waits_are_drawn_and_not_all_the_same() -> None:
    """Jitter: many clients that failed together do not come back together; the limit holds."""
    drawn = [POLICY.wait_seconds(attempt, None) for attempt in range(50)]
    assert len(set(drawn)) == 50
    assert max(drawn) <= 0.3


def test_a_cut_connection_is_tried_again(service: Service, endpoint: RemoteEndpoint, waits: list[float]) -> None:
    """Half a body came."""
    service.fail(Fault(cut=True))
    assert isinstance(endpoint.post("/embeddings", BODY), dict)
    assert len(waits) == 1


def test_a_server_that_is_not_there_is_unavailable(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on the port."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    endpoint = RemoteEndpoint("http://127.0.0.1:1/v1", api_key=None, model="m", policy=POLICY, sleep=waits.append)
    with pytest.raises(RemoteUnavailableError, match="cannot be reached: model=m"):
        endpoint.post("/embeddings", BODY)
    assert len(waits) == 3
    endpoint.close()


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_is_not_tried_again(service: Service, endpoint: RemoteEndpoint, status: int) -> None:
    """The same request would be refused again."""
    service.fail(Fault(status))
    with pytest.raises(RemoteModelError, match=f"refused the request: model=m status={status}") as caught:
        endpoint.post("/embeddings", BODY)
    assert not caught.value.retryable
    assert len(service.requests) == 1


def test_a_refused_key_is_not_shown(service: Service, endpoint: RemoteEndpoint) -> None:
    """Servers quote it; our message does not, nor do its causes."""
    service.key = "another"
    with pytest.raises(RemoteModelError, match="refused the API key") as caught:
        endpoint.post("/embeddings", BODY)
    assert KEY not in repr(caught.value)
    assert caught.value.__cause__ is None
    service.fail(Fault(400, body=b'{"error": {"message": "bad ' + KEY.encode() + b'"}}'))
    with pytest.raises(RemoteModelError, match=r"\[key\]"):
        endpoint.post("/embeddings", BODY)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"<html>busy</html>", "text/html"), (b"{", "application/json"), (b"", "application/json")],
)
def test_what_is_not_json_is_nonsense(
    service: Service, endpoint: RemoteEndpoint, body: bytes, content_type: str
) -> None:
    """A proxy's page, half a document, nothing."""
    service.fail(Fault(200, body=body, headers={"Content-Type": content_type}))
    with pytest.raises(RemoteReplyError):
        endpoint.post("/embeddings", BODY)


def test_no_call_leaves_this_machine_while_that_is_forbidden(waits: list[float]) -> None:
    """The switch of the language models holds here, too."""
    restrict_llms_to_loopback()
    endpoint = RemoteEndpoint("https://api.openai.com/v1", api_key=KEY, model="m", sleep=waits.append)
    with pytest.raises(RemoteModelError, match="only loopback is allowed"):
        endpoint.post("/embeddings", BODY)
    assert waits == []
    endpoint.close()
