"""Any model of sentence-transformers, on CPU or CUDA (extra `torch`)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.embedder import PROBE_TEXT, TokenOffsets, Vectors, check_texts, probe_fingerprint
from models.errors import ModelDamagedError, ModelError, ModelNotFoundError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH_TEXTS = {"cpu": 32, "cuda": 256}
_SPECIAL_TOKENS = 2


class SentenceTransformersEmbedder:
    """Runs a model with torch; safe to call from many threads, which take turns.

    float32 on CPU, bfloat16 on CUDA, whose vectors differ in the third decimal: their fingerprint is that of the
    float32 ones only where rounding does not matter, so a collection is best kept to one kind of device.

    Args:
        path: a local directory, or a name that is in the Hub's cache on this machine; nothing is downloaded.
        name: the model's name as users know it.
        device: "cpu" or "cuda"; by default CUDA where there is one.

    Raises:
        ModelNotFoundError: the extra is not installed, or there is no such model on this machine.
        ModelDamagedError: the model cannot be loaded, or gives NaN.
    """

    def __init__(self, path: str, *, name: str, device: str | None = None) -> None:
        self.name, self.revision = name, "torch"
        self._model = _load(path, device)
        self._device = self._model.device.type
        self._lock = threading.Lock()
        self._tokenizer: Any = self._model.tokenizer
        self.max_tokens = int(self._model.max_seq_length or 512) - _SPECIAL_TOKENS
        vector = self._embed([PROBE_TEXT], "")[0]
        if not np.isfinite(vector).all():
            raise ModelDamagedError(f"model gives NaN: model={name}")
        self.dim = len(vector)
        self.normalized = abs(float(np.linalg.norm(vector)) - 1.0) < 1e-2
        self.fingerprint = probe_fingerprint(vector)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`."""
        check_texts(texts)
        prompts = self._model.prompts
        return self._embed(texts, prompts.get("document") or prompts.get("passage") or "")

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; see `Embedder`."""
        check_texts(texts)
        return self._embed(texts, self._model.prompts.get("query") or "")

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, (tokens, 2) int64; see `Embedder`.

        Raises:
            ModelError: the model's tokenizer does not know where its tokens come from (one without the Rust library).
        """
        check_texts([text])
        try:
            encoded = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
            )
        except NotImplementedError as error:
            raise ModelError(f"model's tokenizer gives no offsets: model={self.name}") from error
        return np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)

    def _embed(self, texts: Sequence[str], prompt: str) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(texts),
                prompt=prompt or None,
                batch_size=_BATCH_TEXTS.get(self._device, 32),
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _load(path: str, device: str | None) -> SentenceTransformer:
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ModelNotFoundError(
            f"model needs the extra torch: model={path!r}. Install it with: pip install 'lumaai[torch]'", name=path
        ) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    options = {"torch_dtype": torch.bfloat16} if device == "cuda" else {}
    try:
        return SentenceTransformer(path, device=device, local_files_only=True, model_kwargs=options)
    except OSError as error:  # the Hub's own errors are among them
        raise ModelNotFoundError(f"model is not on this machine: name={path!r} reason={error}", name=path) from error
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelDamagedError(f"model cannot be loaded: name={path!r} reason={error}") from error
