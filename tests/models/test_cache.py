from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from models import CachingEmbedder, Embedder, InvalidTextError, MemoryCache, SqliteCache, Vectors
from models.cache import decode_vector, encode_vector, text_digest
from models.embedders.hashing import HashingEmbedder


class CountingEmbedder(HashingEmbedder):
    """Records what it is asked to embed; queries are told apart by a word before them."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__(dim)
        self.asked: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return super().embed_documents(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_documents([f"query: {text}" for text in texts])


@pytest.fixture
def counting() -> CountingEmbedder:
    return CountingEmbedder()


def test_a_text_is_embedded_once(counting: CountingEmbedder) -> None:
    """Repeated within a call and between calls; order is that of the texts."""
    embedder = CachingEmbedder(counting, [MemoryCache()])
    texts = ["a", "b", "a", "c"]
    expected = HashingEmbedder(8).embed_documents(texts)
    np.testing.assert_array_equal(embedder.embed_documents(texts), expected)
    np.testing.assert_array_equal(embedder.embed_documents(["d", *texts])[1:], expected)
    assert counting.asked == ["a", "b", "c", "d"]
    assert isinstance(embedder, Embedder)
    assert embedder.embed_documents([]).shape == (0, 8)


def test_queries_and_documents_are_different_texts(counting: CountingEmbedder) -> None:
    """The model puts a prefix before queries."""
    embedder = CachingEmbedder(counting, [MemoryCache()])
    document, query = embedder.embed_documents(["a"]), embedder.embed_queries(["a"])
    assert not np.array_equal(document, query)
    np.testing.assert_array_equal(embedder.embed_queries(["a"]), query)
    assert counting.asked == ["a", "query: a"]


def test_hits_and_misses_are_counted(counting: CountingEmbedder, tmp_path: Path) -> None:
    """By cache; a text that a later cache has is put into the earlier one."""
    file = SqliteCache(tmp_path / "v.sqlite3")
    CachingEmbedder(counting, [file]).embed_documents(["a", "b"])
    embedder = CachingEmbedder(counting, [MemoryCache(), file])
    assert embedder.counts().hit_rate == 0.0
    embedder.embed_documents(["a", "a", "c"])
    embedder.embed_documents(["a", "c"])
    counts = embedder.counts()
    assert (counts.hits, counts.misses) == ({"memory": 2, "sqlite": 2}, 1)
    assert counts.hit_rate == pytest.approx(4 / 5)
    file.close()


def test_forgotten_texts_are_embedded_anew(counting: CountingEmbedder, tmp_path: Path) -> None:
    """From every cache, as query and as document; others stay."""
    file = SqliteCache(tmp_path / "v.sqlite3")
    embedder = CachingEmbedder(counting, [MemoryCache(), file])
    embedder.embed_documents(["a", "b"])
    embedder.embed_queries(["a"])
    embedder.forget(["a"])
    counting.asked.clear()
    embedder.embed_documents(["a", "b"])
    embedder.embed_queries(["a"])
    assert counting.asked == ["a", "query: a"]
    embedder.forget_all()
    counting.asked.clear()
    embedder.embed_documents(["a", "b"])
    assert counting.asked == ["a", "b"]
    file.close()


def test_another_model_has_other_vectors(tmp_path: Path) -> None:
    """The fingerprint tells them apart, also of one dimension."""

    class OtherModel(HashingEmbedder):
        def __init__(self) -> None:
            super().__init__(8)
            self.fingerprint = "other"

        def embed_documents(self, texts: Sequence[str]) -> Vectors:
            return -super().embed_documents(texts)

    cache = MemoryCache()
    one = CachingEmbedder(HashingEmbedder(8), [cache]).embed_documents(["a"])
    other = CachingEmbedder(OtherModel(), [cache]).embed_documents(["a"])
    np.testing.assert_array_equal(one, -other)


def test_what_is_not_text_is_refused_before_any_cache(counting: CountingEmbedder) -> None:
    """The index is the caller's."""
    embedder = CachingEmbedder(counting, [MemoryCache()])
    with pytest.raises(InvalidTextError) as caught:
        embedder.embed_documents(["a", "\ud800"])
    assert caught.value.details["index"] == 1
    assert counting.asked == []


def test_encoded_vectors_come_back_or_not_at_all() -> None:
    """Every flipped bit of the encoding is noticed, and so is every cut."""
    vector = np.array([1.5, -2.0], dtype=np.float32)
    data = encode_vector(vector)
    decoded = decode_vector(data)
    assert decoded is not None
    assert decoded.tolist() == [1.5, -2.0]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode_vector(bytes(flipped)) is None
    assert all(decode_vector(data[:length]) is None for length in range(len(data)))


def test_digests_tell_texts_and_kinds_apart() -> None:
    """Pinned, because files and servers keep them."""
    assert text_digest("a", "query") != text_digest("a", "document")
    assert text_digest("é", "query") != text_digest("e\u0301", "query")
    assert text_digest("a", "document").hex() == "0553ab8d84acecc8e7cebd48ad8c4793"


class Tokenizing(CountingEmbedder):
    """One that says how it cuts texts into tokens, which is part of the key."""

    tokenization = "abc"


def test_what_a_later_cache_has_is_put_into_the_first(tmp_path: Path) -> None:
    """Under the key that it is looked for by: the second time the file is not asked."""
    embedder = Tokenizing()
    with closing(SqliteCache(tmp_path / "vectors.sqlite")) as file:
        CachingEmbedder(embedder, [file]).embed_documents(["a", "b"])
        caching = CachingEmbedder(embedder, [MemoryCache(), file])
        for _ in range(2):
            caching.embed_documents(["a", "b"])
        assert caching.counts().hits == {"memory": 2, "sqlite": 2}
    assert embedder.asked == ["a", "b"]
