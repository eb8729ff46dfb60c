"""Rerankers by name, and the texts that they read of what a search has found."""

from __future__ import annotations

import textwrap
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

import engine
from lumaai.embedders import Embedders, is_remote
from lumaai.errors import ErrorDetail, InvalidRequestError
from models import LATE_INTERACTION, ModelName, Reranker

Scores: TypeAlias = npt.NDArray[np.float32]  # (n,), larger is better
Scorer: TypeAlias = Callable[[str, Sequence[str]], Scores]  # query, texts
Ordinals: TypeAlias = npt.NDArray[np.uint32]  # (n,)
LoadReranker: TypeAlias = Callable[[str, object], Reranker]  # name, the embedder of the collection or None

# Of documents that were found as wholes: windows that a model can read as one, and how many of them are read.
WINDOW_CHARACTERS = 1_000
WINDOWS_MAX = 16

RERANKED = 50  # hits that are reranked where nothing is said
_LOADED_MAX = 4

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Rerankers:
    """The rerankers in use, each loaded when it is first asked for. Safe for many threads; the lock guards loading.

    Args:
        load: how to get one by its name.
        embedders: those of the collections, for late interaction.
        default: the reranker of searches that name none.
    """

    def __init__(self, load: LoadReranker, embedders: Embedders, default: str = LATE_INTERACTION) -> None:
        self._load = load
        self.default = default
        self._embedders = embedders
        self._lock = threading.Lock()
        self._loaded: OrderedDict[tuple[str, int], Reranker] = OrderedDict()

    def resolve(self, name: str | None, embedding: engine.Embedding | None, collection: str) -> Scorer:
        """What scores texts by a query.

        Args:
            name: None for the default, "late-interaction", a directory with a cross-encoder, "openai:NAME" or
                "openai:NAME@ADDRESS".
            embedding: of the vector field that was searched; needed by late interaction only.
            collection: its name, for messages.

        Raises:
            InvalidRequestError: late interaction in a collection without a model, or with one that gives no vectors of
                tokens.
            ModelError: the reranker cannot be had.
        """
        wanted = self.default if name is None else name
        bare: object = None
        if wanted == LATE_INTERACTION:
            if embedding is None:
                raise _refused(f"collection {collection!r} embeds no text, which {LATE_INTERACTION} needs")
            bare = self._embedders.bare(embedding, collection)
        return self._scorer(wanted, bare)

    def standing(self, name: str | None, embedder: str) -> Scorer:
        """What scores texts of no collection; late interaction reads the vectors of tokens of the `embedder` named.

        Raises:
            InvalidRequestError: it gives none.
            ModelError: the reranker cannot be had.
        """
        wanted = self.default if name is None else name
        return self._scorer(wanted, self._embedders.bare_of(embedder) if wanted == LATE_INTERACTION else None)

    def _scorer(self, wanted: str, bare: object) -> Scorer:
        key = (wanted, id(bare) if bare is not None else 0)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = self._load(wanted, bare)
            self._loaded.move_to_end(key)
            while len(self._loaded) > _LOADED_MAX:
                self._loaded.popitem(last=False)
            return self._loaded[key].score

    def close(self) -> None:
        """Let go of connections; doing it twice does no harm."""
        with self._lock:
            while self._loaded:
                _, reranker = self._loaded.popitem()
                if is_remote(reranker):
                    reranker.close()


def reranked(
    rerankers: Rerankers,
    snapshot: engine.Snapshot,
    query: str,
    top: int,
    *,
    model: str | None = None,
    vector_fields: Sequence[str] = (),
) -> engine.Rerank:
    """How a search orders its first `top` hits anew.

    Args:
        rerankers: those in use.
        snapshot: that the search runs on.
        query: what is looked for.
        top: hits that are compared with it.
        model: the reranker's name; None: the default.
        vector_fields: those that are searched; none: those that the collection embeds.

    Raises:
        ModelError: the reranker cannot be had.
    """
    schema = snapshot.schema
    embedding = next((schema.embed[name] for name in vector_fields or schema.embed if name in schema.embed), None)
    scorer = rerankers.resolve(model, embedding, snapshot.name)
    text_fields = [name for name, field in schema.fields.items() if field.type is engine.FieldType.TEXT]
    fields = embedding.fields if embedding is not None and embedding.fields else text_fields
    return engine.Rerank(top, rerank(scorer, query, snapshot, fields))


def rerank(
    scorer: Scorer, query: str, snapshot: engine.Snapshot, fields: Sequence[str]
) -> Callable[[Ordinals, Sequence[engine.Passage | None]], Scores]:
    """What a search of the engine orders its hits by: scores of their passages, as one call of the reranker.

    A document that was found as a whole has the score of its best window.

    Args:
        scorer: from `Rerankers.resolve`.
        query: what is looked for.
        snapshot: that the search runs on.
        fields: whose text is read of documents that were found as wholes.
    """

    def score(ordinals: Ordinals, passages: Sequence[engine.Passage | None]) -> Scores:
        texts: list[str] = []
        starts = []
        for body, passage in zip(snapshot.documents_raw(ordinals), passages, strict=True):
            starts.append(len(texts))
            texts.extend(_texts(_decode(body), passage, fields))
        if not texts:
            return np.empty(0, dtype=np.float32)
        best: Scores = np.maximum.reduceat(np.asarray(scorer(query, texts), dtype=np.float32), starts)
        return best

    return score


def check_over_http(name: str | None, own: str | None = None) -> None:
    """Refuse directories and addresses: which files are read and which services are asked is for the operator to say.

    Args:
        name: as the caller gave it.
        own: the service's own reranker, which is allowed whatever it is.

    Raises:
        InvalidRequestError: it is one (code "model_not_found").
    """
    if name is None or name in {own, LATE_INTERACTION}:
        return
    named = ModelName.parse(name)
    if named.runtime != "openai" or named.base_url is not None:
        raise _refused(f"a reranker over HTTP is {LATE_INTERACTION} or openai:NAME: got={name!r:.100}")


def _texts(document: dict[str, Any], passage: engine.Passage | None, fields: Sequence[str]) -> list[str]:
    """What is read of a document: the passage, or windows of the whole; never none."""
    if passage is not None:
        return [str(document[passage.field])[passage.start : passage.end]]
    values = (document.get(name) for name in fields)
    parts = (part for value in values for part in (value if isinstance(value, list) else [value]))
    whole = "\n".join(part for part in parts if isinstance(part, str))
    windows = textwrap.wrap(
        whole[: WINDOW_CHARACTERS * WINDOWS_MAX], WINDOW_CHARACTERS, replace_whitespace=False, break_on_hyphens=False
    )
    return windows or [""]


def _refused(message: str) -> InvalidRequestError:
    detail = ErrorDetail("/rerank/model", "model_not_found", message)
    return InvalidRequestError(message, code="model_not_found", errors=[detail])
