"""Vectors kept by what they were made of: which model, which text, query or document.

A cache costs speed when it fails and never an answer: what it cannot read is embedded again. Only forgetting may not
fail silently, because deleted text must be gone.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from models.embedder import Embedder, TokenOffsets, Vectors, check_texts

TextKind: TypeAlias = Literal["query", "document"]
Vector: TypeAlias = npt.NDArray[np.float32]  # (dim,)

DIGEST_BYTES = 16

_KINDS: tuple[TextKind, ...] = ("query", "document")
_CHECKSUM_BYTES = 4


class EmbeddingCache(Protocol):
    """Vectors by text digest and model fingerprint. Safe to call from many threads."""

    @property
    def name(self) -> str:
        """What it is called in metrics: "memory", "sqlite" or "redis"."""

    def get_many(self, model: str, digests: Sequence[bytes]) -> list[Vector | None]:
        """The vector under each digest, or None; never raises for a failing or damaged cache."""

    def put_many(self, model: str, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors, (n, dim) float32; may keep none of them."""

    def delete_many(self, digests: Sequence[bytes]) -> None:
        """Forget these digests, of all models; their bytes are in no file afterwards.

        Raises:
            CacheUnavailableError: they may still be there; retry later.
        """

    def clear(self) -> None:
        """Forget everything; raises what `delete_many` does."""

    def close(self) -> None:
        """Let go of files and connections; idempotent."""


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Texts asked for since the start: `hits` by the name of the cache that had them, `misses` were embedded."""

    hits: dict[str, int]
    misses: int

    @property
    def hit_rate(self) -> float:
        """Share of the texts that were in a cache, 0..1; 0 before the first."""
        hits = sum(self.hits.values())
        return hits / (hits + self.misses) if hits else 0.0


def text_digest(text: str, kind: TextKind) -> bytes:
    """16 bytes that stand for a text; queries and documents differ because models may put prefixes before them."""
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES, person=kind.encode()).digest()


def encode_vector(vector: Vector) -> bytes:
    """A vector for a file or a server: CRC-32, then little-endian float32."""
    content = vector.astype("<f4", copy=False).tobytes()
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") + content


def decode_vector(data: bytes) -> Vector | None:
    """What `encode_vector` wrote; None where it is damaged."""
    content = memoryview(data)[_CHECKSUM_BYTES:]
    if not content or len(content) % 4 or zlib.crc32(content) != int.from_bytes(data[:_CHECKSUM_BYTES], "little"):
        return None
    return np.frombuffer(content, dtype="<f4")


class CachingEmbedder:
    """An embedder that embeds no text twice while a cache remembers it; equal texts of one call are embedded once.

    Args:
        embedder: makes the vectors that no cache has.
        caches: asked in this order; what a later one has is put into those before it. They stay the caller's to close.

    The lock guards the counters.
    """

    def __init__(self, embedder: Embedder, caches: Sequence[EmbeddingCache]) -> None:
        self._embedder, self._caches = embedder, tuple(caches)
        self.name, self.revision = embedder.name, embedder.revision
        self.dim, self.max_tokens = embedder.dim, embedder.max_tokens
        self.normalized, self.fingerprint = embedder.normalized, embedder.fingerprint
        self.precision: str | None = getattr(embedder, "precision", None)
        self.tokenization: str | None = getattr(embedder, "tokenization", None)
        # Another tokenizer with the same weights makes other vectors, even if it reads the fingerprint's probe alike.
        self._key = self.fingerprint if self.tokenization is None else f"{self.fingerprint}-{self.tokenization}"
        self._lock = threading.Lock()
        self._counts = CacheCounts({cache.name: 0 for cache in self._caches}, 0)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; see `Embedder`."""
        return self._embed(texts, "query", self._embedder.embed_queries)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`."""
        return self._embed(texts, "document", self._embedder.embed_documents)

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, (tokens, 2) int64; not cached."""
        return self._embedder.token_offsets(text)

    def counts(self) -> CacheCounts:
        """Hits and misses since the start."""
        with self._lock:
            return replace(self._counts, hits=dict(self._counts.hits))

    def forget(self, texts: Sequence[str]) -> None:
        """Delete what the caches know of these texts, as queries and as documents, of all models.

        Raises:
            CacheUnavailableError: a cache may still hold some; all of them were asked.
        """
        digests = [text_digest(text, kind) for text in texts for kind in _KINDS]
        self._all(lambda cache: cache.delete_many(digests))

    def forget_all(self) -> None:
        """Empty the caches; raises what `forget` does."""
        self._all(lambda cache: cache.clear())

    def _all(self, act: Callable[[EmbeddingCache], None]) -> None:
        """Act on every cache, the shared ones first so that none fills an earlier one again; raise the first error."""
        errors = []
        for cache in reversed(self._caches):
            try:
                act(cache)
            except Exception as error:  # noqa: BLE001 - raised below, after the others had their turn
                errors.append(error)
        if errors:
            raise errors[0]

    def _embed(self, texts: Sequence[str], kind: TextKind, embed: Callable[[Sequence[str]], Vectors]) -> Vectors:
        check_texts(texts)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        rows: dict[bytes, list[int]] = {}
        for row, text in enumerate(texts):
            rows.setdefault(text_digest(text, kind), []).append(row)
        missing = self._fill(vectors, rows)
        if missing:
            made = embed([texts[rows[digest][0]] for digest in missing])
            for digest, vector in zip(missing, made, strict=True):
                vectors[rows[digest]] = vector
            for cache in self._caches:
                cache.put_many(self._key, missing, made)
        return vectors

    def _fill(self, vectors: Vectors, rows: dict[bytes, list[int]]) -> list[bytes]:
        """Fill in what the caches have; returns the digests that none has."""
        missing, hits = list(rows), dict.fromkeys((cache.name for cache in self._caches), 0)
        for index, cache in enumerate(self._caches):
            if not missing:
                break
            found = cache.get_many(self._key, missing)
            known = {d: v for d, v in zip(missing, found, strict=True) if v is not None and v.shape == (self.dim,)}
            for digest, vector in known.items():
                vectors[rows[digest]] = vector
                hits[cache.name] += len(rows[digest])
            if known and index:
                self._promote(index, known)
            missing = [digest for digest in missing if digest not in known]
        self._count(hits, sum(len(rows[digest]) for digest in missing))
        return missing

    def _promote(self, found_in: int, known: dict[bytes, Vector]) -> None:
        found = np.stack(list(known.values()))
        for cache in self._caches[:found_in]:
            cache.put_many(self._key, list(known), found)

    def _count(self, hits: dict[str, int], misses: int) -> None:
        with self._lock:
            for name, count in hits.items():
                self._counts.hits[name] += count
            self._counts = replace(self._counts, misses=self._counts.misses + misses)
