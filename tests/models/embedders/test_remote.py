"""The real SDK against a local service that checks every request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models import Embedder, InvalidTextError, RemoteModelError, RemoteReplyError, RemoteUnavailableError
from models.embedders.remote import RemoteEmbedder
from models.retries import RetryPolicy
from tests.models.embedding_server import DIM, KEY, Fault, Service, floats_of, vectors_of

POLICY = RetryPolicy(attempts=4, first_seconds=0.001, longest_seconds=0.001, timeout_seconds=2.0)
Connect = Callable[..., RemoteEmbedder]


@pytest.fixture
def connect(service: Service) -> Iterator[Connect]:
    """An embedder of the service; the request that learns the dimension is taken off its record."""
    made: list[RemoteEmbedder] = []

    def connect(**options: Any) -> RemoteEmbedder:
        made.append(RemoteEmbedder(model="m", api_key=KEY, base_url=service.url, policy=POLICY, **options))
        service.requests.clear()
        return made[-1]

    yield connect
    for embedder in made:
        embedder.close()


def test_vectors_are_the_service_s_in_our_order(service: Service, connect: Connect) -> None:
    """The service answers last first; its dimension was learned at the start."""
    embedder = connect()
    texts = [f"text {number}" for number in range(7)]
    np.testing.assert_allclose(embedder.embed_documents(texts), vectors_of(texts), atol=1e-7)
    assert isinstance(embedder, Embedder)
    assert (embedder.name, embedder.dim, embedder.normalized) == ("remote:m", DIM, True)
    assert service.requests == [{"model": "m", "input": texts, "encoding_format": "base64"}]
    assert embedder.embed_queries([]).shape == (0, DIM)


def test_requests_are_bounded_by_texts_and_by_tokens(service: Service, connect: Connect) -> None:
    """At most 3 texts, and at most 10 estimated tokens unless one text alone has more."""
    embedder = connect(batch_texts=3, batch_tokens=10)
    texts = ["a b", "c", "d", "e", "word " * 9, "word " * 30, "f", "g"]
    np.testing.assert_allclose(embedder.embed_documents(texts), vectors_of(texts), atol=1e-7)
    assert sorted(service.sizes()) == [1, 2, 2, 3]
    inputs = [request["input"] for request in service.requests]
    assert ["a b", "c", "d"] in inputs
    assert ["e", "word " * 9] in inputs


def test_a_request_that_is_too_large_is_halved(service: Service, connect: Connect) -> None:
    """413 says so; a single text that is too large is an error."""
    embedder = connect()
    service.batch_max = 3
    texts = [f"text {number}" for number in range(10)]
    np.testing.assert_allclose(embedder.embed_documents(texts), vectors_of(texts), atol=1e-7)
    assert max(service.sizes()[1:]) == 5
    service.batch_max = 0
    with pytest.raises(RemoteModelError, match="status=413"):
        embedder.embed_documents(["a"])


def test_servers_without_base64_are_asked_for_floats_and_remembered(service: Service, connect: Connect) -> None:
    """The refusal is met once, by the first request of all."""
    service.base64 = False
    embedder = connect()
    np.testing.assert_allclose(embedder.embed_documents(["a"]), vectors_of(["a"]), atol=1e-6)
    assert [request["encoding_format"] for request in service.requests] == ["float"]


def test_prefixes_and_dimensions_are_sent(service: Service, connect: Connect) -> None:
    """E5 behind a server wants "query: "; shorter vectors are asked for by name."""
    embedder = connect(query_prefix="query: ", document_prefix="passage: ", dimensions=8)
    embedder.embed_queries(["a"])
    embedder.embed_documents(["a"])
    assert [request["input"] for request in service.requests] == [["query: a"], ["passage: a"]]
    assert [request["dimensions"] for request in service.requests] == [8, 8]
    assert embedder.dim == 8


def test_empty_text_is_embedded_as_a_space(service: Service, connect: Connect) -> None:
    """Services refuse an empty one."""
    connect().embed_documents(["", "a"])
    assert service.requests[0]["input"] == [" ", "a"]


def test_failures_that_pass_are_not_seen(service: Service, connect: Connect) -> None:
    """Rate limit, 5xx and a cut connection in one ingestion of ten requests."""
    embedder = connect(batch_texts=2)
    service.fail(Fault(429, headers={"retry-after-ms": "1"}), Fault(503), Fault(cut=True))
    texts = [f"text {number}" for number in range(20)]
    np.testing.assert_allclose(embedder.embed_documents(texts), vectors_of(texts), atol=1e-7)
    assert len(service.requests) == 13


def test_a_failing_part_fails_the_call(service: Service, connect: Connect) -> None:
    """No vectors of half the texts; the next call works."""
    embedder = connect(batch_texts=2)
    service.fail(*[Fault(500)] * 40)
    with pytest.raises(RemoteUnavailableError):
        embedder.embed_documents([f"text {number}" for number in range(8)])
    service.faults.clear()
    assert embedder.embed_documents(["a"]).shape == (1, DIM)


def without_last(answer: Any) -> Any:
    return answer | {"data": answer["data"][:-1]}


def with_rows(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    return lambda answer: answer | {"data": [change(row) for row in answer["data"]]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_last, "wrong number of vectors: model=m expected=2 got=1"),
        (lambda answer: answer | {"data": None}, "got=no list"),
        (lambda answer: [answer], "got=no list"),
        (lambda answer: "vectors", "something else than JSON"),
        (with_rows(lambda row: row | {"index": 0}), "wrong indexes"),
        (with_rows(lambda row: row | {"embedding": [0.0] * DIM}), "zeros"),
        (with_rows(lambda row: row | {"index": True}), "without an index"),
        (with_rows(lambda row: None), "without an index"),
        (with_rows(lambda row: row | {"embedding": floats_of(row)[:-1]}), "wrong size: model=m expected=16 got=15"),
        (with_rows(lambda row: row | {"embedding": [*floats_of(row), 1.0]}), "expected=16 got=17"),
        (with_rows(lambda row: row | {"embedding": []}), "empty vector"),
        (with_rows(lambda row: row | {"embedding": None}), "else than numbers"),
        (with_rows(lambda row: row | {"embedding": ["1"] * 16}), "else than numbers"),
        (with_rows(lambda row: row | {"embedding": [True] * 16}), "else than numbers"),
        (with_rows(lambda row: row | {"embedding": "no base64!"}), "else than numbers"),
        (with_rows(lambda row: row | {"embedding": "AAAA"}), "else than numbers"),
        (with_rows(lambda row: row | {"embedding": [1e999] * 16}), "NaN or infinity"),
        (with_rows(lambda row: row | {"embedding": [1e300] * 16}), "NaN or infinity"),
        (with_rows(lambda row: row | {"embedding": [10**400] * 16}), "else than numbers|NaN or infinity"),
    ],
)
def test_nonsense_is_an_error(service: Service, connect: Connect, change: Callable[[Any], Any], reason: str) -> None:
    """Never a vector that was guessed."""
    embedder = connect()
    service.fail(Fault(change=change))
    with pytest.raises(RemoteReplyError, match=reason):
        embedder.embed_documents(["a", "b"])


def test_nonsense_at_the_start_is_an_error(service: Service) -> None:
    """The dimension that was asked for is another than the one that came."""
    service.fail(Fault(change=with_rows(lambda row: row | {"embedding": [1.0] * 5})))
    with pytest.raises(RemoteReplyError, match="expected=8 got=5"):
        RemoteEmbedder(model="m", api_key=KEY, base_url=service.url, dimensions=8, policy=POLICY)


def test_openai_itself_wants_a_key() -> None:
    """Said before any request."""
    with pytest.raises(RemoteModelError, match="API key is missing"):
        RemoteEmbedder(model="m")


def test_the_fingerprint_stands_for_model_dimension_and_prefixes(connect: Connect) -> None:
    """Equal from one connection to the next; different where vectors would be."""
    plain, again = connect().fingerprint, connect().fingerprint
    assert plain == again
    assert len({plain, connect(dimensions=8).fingerprint, connect(query_prefix="query: ").fingerprint}) == 3


def test_tokens_are_estimated_with_their_spans(connect: Connect) -> None:
    """Four letters, three digits, one mark; a character of three bytes counts twice, one of four three times."""
    embedder = connect()
    text = "Embedding 12345 é東😀."
    spans = [text[start:end] for start, end in embedder.token_offsets(text)]
    assert spans == ["Embe", "ddin", "g", "123", "45", "é", "東", "東", "😀", "😀", "😀", "."]
    assert embedder.token_offsets("").shape == (0, 2)


def test_what_is_not_text_is_refused_before_any_request(service: Service, connect: Connect) -> None:
    """The index is that of the call."""
    embedder = connect()
    with pytest.raises(InvalidTextError) as caught:
        embedder.embed_documents(["a", "\ud800"])
    assert caught.value.details["index"] == 1
    assert service.requests == []
