"""The real HTTP client against a local service that checks every request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models import RemoteModelError, RemoteReplyError, RemoteUnavailableError, Reranker
from models.rerankers.remote import RemoteReranker
from models.retries import RetryPolicy
from tests.models.embedding_server import KEY, Fault, Service

POLICY = RetryPolicy(attempts=3, first_seconds=0.001, longest_seconds=0.001, timeout_seconds=2.0)
TEXTS = ["red", "a red bicycle", "nothing", "bicycle"]


@pytest.fixture
def reranker(service: Service) -> Iterator[RemoteReranker]:
    reranker = RemoteReranker(model="m", base_url=service.url, api_key=KEY, policy=POLICY)
    yield reranker
    reranker.close()


def test_scores_come_in_the_order_of_the_texts(service: Service, reranker: RemoteReranker) -> None:
    """The service answers best first; it was asked for all of them."""
    assert reranker.score("red bicycle", TEXTS).tolist() == [1, 2, 0, 1]
    assert service.requests == [{"model": "m", "query": "red bicycle", "documents": TEXTS, "top_n": 4}]
    assert isinstance(reranker, Reranker)
    assert reranker.score("red", []).shape == (0,)


def test_voyage_s_name_of_the_list_is_read(service: Service, reranker: RemoteReranker) -> None:
    """It answers under "data"."""
    service.fail(Fault(change=lambda answer: {"object": "list", "data": answer["results"]}))
    assert reranker.score("red bicycle", TEXTS).tolist() == [1, 2, 0, 1]


def test_many_texts_go_in_several_requests(service: Service, reranker: RemoteReranker) -> None:
    """At most 256 in one; empty ones as a space."""
    texts = ["red"] * 300 + [""]
    np.testing.assert_array_equal(reranker.score("red", texts), [1] * 300 + [0])
    assert service.sizes() == [256, 45]


def test_failures_that_pass_are_not_seen_and_others_are(service: Service, reranker: RemoteReranker) -> None:
    """Two in a row pass, three do not; a refusal is raised at once."""
    service.fail(Fault(429), Fault(cut=True))
    assert reranker.score("red", ["red"]).tolist() == [1]
    service.fail(Fault(500), Fault(500), Fault(500))
    with pytest.raises(RemoteUnavailableError):
        reranker.score("red", ["red"])
    service.key = "another"
    with pytest.raises(RemoteModelError, match="API key"):
        reranker.score("red", ["red"])


def with_rows(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    return lambda answer: {"results": [change(row) for row in answer["results"]]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda answer: {"results": answer["results"][:1]}, "expected=2 got=1"),
        (lambda answer: {"error": "busy"}, "got=no list"),
        (lambda answer: [], "got=no list"),
        (with_rows(lambda row: row | {"index": 0}), "wrong indexes"),
        (with_rows(lambda row: row | {"index": row["index"] + 5}), "wrong indexes"),
        (with_rows(lambda row: {"index": row["index"]}), "else than a score"),
        (with_rows(lambda row: row | {"relevance_score": "1"}), "else than a score"),
        (with_rows(lambda row: row | {"relevance_score": float("nan")}), "else than a score"),
        (with_rows(lambda row: 0.5), "else than a score"),
    ],
)
def test_nonsense_is_an_error(
    service: Service, reranker: RemoteReranker, change: Callable[[Any], Any], reason: str
) -> None:
    """Never a score that was guessed."""
    service.fail(Fault(change=change))
    with pytest.raises(RemoteReplyError, match=reason):
        reranker.score("red", ["red", "blue"])
