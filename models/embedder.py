"""The embedder protocol: texts in, vectors out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.errors import InvalidTextError

Vectors: TypeAlias = npt.NDArray[np.float32]  # (n, dim), C-contiguous
TokenOffsets: TypeAlias = npt.NDArray[np.int64]  # (tokens, 2): character span [start, end) of each token
Progress: TypeAlias = Callable[[str, float], None]  # what is being done, fraction 0..1 of it


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. Safe to call from many threads.

    Prefixes that a model wants before queries or documents are added inside.
    """

    @property
    def name(self) -> str:
        """The model's name, by which it can be loaded again."""

    @property
    def revision(self) -> str:
        """Which weights: start of their checksum."""

    @property
    def dim(self) -> int:
        """Numbers in one vector."""

    @property
    def max_tokens(self) -> int:
        """Tokens of a document that the model reads, counted as `token_offsets` does: no special ones, no prefix."""

    @property
    def normalized(self) -> bool:
        """Whether every vector has length 1."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal hash of a rounded probe embedding; equal for equal vectors on any machine."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32.

        Texts longer than `max_tokens` are truncated, as sentence-transformers does.

        Raises:
            InvalidTextError: an element is not a string or holds a lone surrogate.
        """

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; otherwise as `embed_documents`."""

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, untruncated and without special tokens."""


PROBE_TEXT = "the quick brown fox jumps over the lazy dog while 42 ships wait in the harbour"

_PROBE_COMPONENTS = 32
_PROBE_STEP = 1 / 64  # machines differ by about 1e-7, so a component crosses a step about once in 100,000


def probe_fingerprint(vector: npt.NDArray[np.float32]) -> str:
    """Hash of an embedding of `PROBE_TEXT`, coarse enough to be equal across machines and thread counts.

    Args:
        vector: (dim,) float32; its first components, scaled to length 1, are rounded before hashing.
    """
    scaled = vector.astype(np.float64) / max(float(np.linalg.norm(vector)), 1e-12)
    steps = np.rint(scaled[:_PROBE_COMPONENTS] / _PROBE_STEP).astype("<i4")
    return hashlib.sha256(len(vector).to_bytes(4, "little") + steps.tobytes()).hexdigest()[:16]


def check_texts(texts: Sequence[str]) -> None:
    """Raise InvalidTextError, naming the index, for anything that is not encodable text."""
    if isinstance(texts, str):
        raise InvalidTextError("texts must be a sequence of strings: got=str", index=None)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidTextError(f"text is not a string: index={index} got={type(text).__name__}", index=index)
        if not _is_encodable(text):
            raise InvalidTextError(f"text holds a lone surrogate: index={index}", index=index)


def _is_encodable(text: str) -> bool:
    if text.isascii():  # a flag of the string object, so it costs nothing
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
