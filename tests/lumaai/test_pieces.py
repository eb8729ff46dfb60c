"""Batches larger than a service takes in one request: what is split, what is not, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumaai.client import Client
from lumaai.errors import InvalidRequestError, TooLargeError
from tests.lumaai.serving import listening


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Of a service that takes 100 documents, 20,000 bytes and 2,000 characters to embed at once."""
    limits = {"batch_documents_max": 100, "body_bytes_max": 20_000, "embed_characters_max": 2_000}
    with listening(tmp_path, model="hashing:16", **limits) as address, Client(address) as client:
        yield client


def numbered(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": str(number), "n": number, **more} for number in range(count)]


def test_pieces_become_as_small_as_the_service_takes(client: Client) -> None:
    """By documents, by bytes and by text; all arrive, in order, with their vectors."""
    plain = client.create_collection("plain", embed={})
    told: list[tuple[int, int]] = []
    result = plain.add(numbered(450), on_progress=lambda done, total: told.append((done, total)))
    assert (result.added, list(result.ids)) == (450, [str(number) for number in range(450)])
    assert told == sorted(told)
    assert told[-1] == (450, 450)
    assert len(told) >= 5
    vectors = np.random.default_rng(3).normal(size=(300, 64)).astype(np.float32)
    points = client.create_collection("points", {"v": {"type": "vector", "dim": 64}}, embed={})
    assert points.add(ids=[str(n) for n in range(300)], vectors=vectors).added == 300
    assert points.search(vector=vectors[271], limit=1).ids == ["271"]
    texts = client.create_collection("texts")
    assert texts.add(numbered(60, title="word " * 20)).added == 60
    assert texts.count() == 60


def test_a_fault_is_named_by_its_place_in_the_whole_batch(client: Client) -> None:
    """And what is written already is said: each piece is all or nothing by itself."""
    plain = client.create_collection("plain", {"n": "integer"}, embed={})
    documents = numbered(300)
    documents[250]["n"] = "no number"
    with pytest.raises(InvalidRequestError, match="of 300 documents are written") as found:
        plain.add(documents)
    assert [(each.pointer, each.index) for each in found.value.errors] == [("/documents/250/n", 250)]
    count = plain.count()
    assert 0 < count <= 250
    assert f"the first {count} of 300" in str(found.value)
    rest = plain.add(documents, atomic=False)
    assert [each.index for each in rest.errors] == [250]
    assert (plain.count(), len(rest.results)) == (299, 300)


def test_what_is_all_or_nothing_is_not_split(client: Client) -> None:
    """Conditions, keys, insertions and patches: refused as too large, and nothing is written."""
    plain = client.create_collection("plain", embed={})
    for options in ({"if_absent": True}, {"idempotency_key": "once"}):
        with pytest.raises(TooLargeError):
            plain.add(numbered(200), **options)
    with pytest.raises(TooLargeError):
        plain.insert(numbered(200))
    assert plain.count() == 0
    assert plain.insert(numbered(200), atomic=False).added == 200
    with pytest.raises(TooLargeError):
        plain.patch([{"id": str(n), "m": 1} for n in range(200)])
    assert plain.patch([{"id": str(n), "m": 1} for n in range(200)], atomic=False).replaced == 200


def test_one_document_that_is_too_large_is_refused(client: Client) -> None:
    """There is nothing to split; those before it are written."""
    plain = client.create_collection("plain", embed={})
    with pytest.raises(TooLargeError, match="body is too large"):
        plain.add([{"id": "1", "text": "x" * 30_000}])
    with pytest.raises(TooLargeError, match="the first 2 of 3 documents are written"):
        plain.add([{"id": "1"}, {"id": "2"}, {"id": "3", "text": "x" * 30_000}])
    assert plain.count() == 2
