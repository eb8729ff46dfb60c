"""The models in use, and whether they are still those that a collection was embedded with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from engine import Embedding
from lumaai.embedding_cache import EmbeddingCaches, cache_figures
from lumaai.errors import ModelMismatchError
from models import BatchingEmbedder, CachingEmbedder, Embedder

LoadEmbedder = Callable[[str], Embedder]
LoadPrecise = Callable[[str, str | None], Embedder]  # name, precision (None: as the settings say)

# Collections from before there was a choice.
FIRST_PRECISION = "float32"


class Closeable(Protocol):
    """What holds connections."""

    def close(self) -> None:
        """Let go of them."""


@dataclass(frozen=True, slots=True)
class _Model:
    """A model as it was loaded, and as it is used: batched, behind the caches where these pay."""

    bare: Embedder
    batching: BatchingEmbedder
    used: Embedder


class Embedders:
    """The models in use, each loaded when it is first needed and then kept. Safe for many threads.

    Calls from many threads are joined into few runs of a model, queries first; a text that was embedded before is
    taken from the caches. The lock guards loading, so that two threads never load one model twice.
    """

    def __init__(self, load: LoadPrecise, caches: EmbeddingCaches) -> None:
        self._load = load
        self.caches = caches
        self._loaded: dict[tuple[str, str | None], _Model] = {}
        self._lock = threading.Lock()

    def get(self, model: str, precision: str | None = None) -> Embedder:
        """The model of that name.

        Args:
            model: its name.
            precision: of a collection that there is; None is what the settings choose for one that is to be made.

        Raises:
            ModelError: its weights are missing or damaged.
        """
        return self._get(model, precision).used

    def bare(self, embedding: Embedding, collection: str) -> Embedder:
        """As `of`, but without batches and caches: for what only the model itself can do, such as token vectors."""
        check_identity(embedding, self.of(embedding, collection), collection)
        return self._get(embedding.model, precision_of(embedding.identity)).bare

    def bare_of(self, model: str) -> Embedder:
        """As `get`, but without batches and caches."""
        return self._get(model, None).bare

    def of(self, embedding: Embedding, collection: str) -> Embedder:
        """The model that made a collection's vectors.

        Raises:
            ModelMismatchError: what is installed under that name makes other vectors now.
        """
        found = self._get(embedding.model, precision_of(embedding.identity))
        try:
            check_identity(embedding, found.used, collection)
        except ModelMismatchError:
            if is_remote(found.bare):
                self._forget(found)  # what a service answered once may be another thing the next time
            raise
        return found.used

    def forget_all(self) -> None:
        """Empty the caches; see `EmbeddingCaches.forget_all`."""
        self.caches.forget_all()

    def figures(self) -> dict[str, Any]:
        """Hits and misses of the caches."""
        counts = [each.used.counts() for each in set(self._loaded.values()) if isinstance(each.used, CachingEmbedder)]
        return cache_figures(counts, self.caches.kind)

    def close(self) -> None:
        """Answer what waits, then let the models go."""
        with self._lock:
            for each in set(self._loaded.values()):
                each.batching.close()
                if is_remote(each.bare):  # others are shared with whoever has loaded them, too
                    each.bare.close()
            self._loaded.clear()
            self.caches.close()

    def _get(self, model: str, precision: str | None) -> _Model:
        found = self._loaded.get((model, precision))
        if found is not None:
            return found
        with self._lock:
            found = self._loaded.get((model, precision))
            if found is None:
                found = self._made(self._load(model, precision))
                # Whoever asks for what was chosen by its name shares it.
                self._loaded[model, precision] = found
                self._loaded.setdefault((model, _precision(found.bare) or FIRST_PRECISION), found)
            return found

    def _forget(self, model: _Model) -> None:
        with self._lock:
            self._loaded = {key: each for key, each in self._loaded.items() if each is not model}

    def _made(self, bare: Embedder) -> _Model:
        batching = BatchingEmbedder(bare)
        caches = () if getattr(bare, "is_cheap", False) else tuple(self.caches.open())
        return _Model(bare, batching, CachingEmbedder(batching, caches) if caches else batching)


def is_remote(model: object) -> TypeGuard[Closeable]:
    """Whether a service runs it; asking for its class would load what talks to services, a third of a second."""
    return bool(getattr(model, "is_remote", False))


def identity_of(embedder: Embedder) -> dict[str, Any]:
    """What must stay the same for a collection's vectors to mean anything."""
    optional = {"precision": _precision(embedder), "tokenization": getattr(embedder, "tokenization", None)}
    return {
        "revision": embedder.revision,
        "dim": embedder.dim,
        "normalized": embedder.normalized,
        "fingerprint": embedder.fingerprint,
        **{name: value for name, value in optional.items() if value is not None},
    }


def precision_of(identity: Mapping[str, Any]) -> str:
    """The precision that a collection was made with."""
    return str(identity.get("precision", FIRST_PRECISION))


def check_identity(embedding: Embedding, embedder: Embedder, collection: str) -> None:
    """Refuse a model that is not the one the collection was embedded with.

    The fingerprint decides, because it is made from a vector: the same weights in another file are the same model. So
    does the tokenization where both are known: another vocabulary may leave the fingerprint's probe as it is.

    Raises:
        ModelMismatchError: naming both.
    """
    stored, current = embedding.identity, identity_of(embedder)
    decide = ["dim", "normalized", "fingerprint"]
    decide += ["tokenization"] if {"tokenization"} <= stored.keys() & current.keys() else []
    if all(stored.get(key) == current[key] for key in decide):
        return
    expected, got = _described(embedding.model, stored), _described(embedder.name, current)
    raise ModelMismatchError(
        f"collection {collection!r} was embedded with another model: expected={expected} got={got}"
    )


def _precision(embedder: Embedder) -> str | None:
    given = getattr(embedder, "precision", None)
    return None if given is None else str(given)


def _described(model: str, identity: Mapping[str, Any]) -> str:
    keys = ("revision", "dim", "fingerprint", "tokenization")
    facts = [f"{key} {identity[key]}" for key in keys if key in identity]
    return f"{model} ({', '.join(facts)})"
