"""Any model of sentence-transformers, on CPU or CUDA (extra `torch`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.batcher import SLICE_CHARACTERS
from models.embedder import PROBE_TEXT, TokenOffsets, Vectors, check_texts, probe_fingerprint
from models.errors import ModelDamagedError, ModelError, ModelNotFoundError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH_CHARACTERS = {"cpu": 16_384, "cuda": 1 << 20}  # padding included: about a quarter as many tokens
_BATCH_TEXTS_MAX = 2_048
_SLICE_CHARACTERS = {"cuda": 1 << 18}  # about 0.1 s of a card: so long a query may wait for documents
_SPECIAL_TOKENS = 2


class SentenceTransformersEmbedder:
    """Runs a model with torch; safe to call from many threads, which take turns.

    Texts are run in order of length, in batches sized by their padded length. On CUDA they are copied from pinned
    memory while the batch before is computed, and vectors come back in one piece at the end: nothing waits in between.
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
        self.slice_characters = _SLICE_CHARACTERS.get(self._device, SLICE_CHARACTERS)
        self._lock = threading.Lock()
        self._tokenizer: Any = self._model.tokenizer
        self._document_prompt = self._model.prompts.get("document") or self._model.prompts.get("passage") or ""
        taken = _SPECIAL_TOKENS + (len(self.token_offsets(self._document_prompt)) if self._document_prompt else 0)
        self.max_tokens = max(int(self._model.max_seq_length or 512) - taken, 1)
        self.normalized = False
        vector = self._embed([PROBE_TEXT], "")[0]
        if not np.isfinite(vector).all():
            raise ModelDamagedError(f"model gives NaN: model={name}")
        self.dim = len(vector)
        self.normalized = abs(float(np.linalg.norm(vector)) - 1.0) < 1e-2
        self.fingerprint = probe_fingerprint(vector)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`."""
        check_texts(texts)
        return self._embed(texts, self._document_prompt)

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
            if prompt and not _reads_prompts(self._model):
                made = self._model.encode(
                    list(texts), prompt=prompt, convert_to_numpy=True, show_progress_bar=False
                )  # leaves the prompt's tokens out of the mean
            else:
                made = self._run([prompt + text for text in texts])
        return np.ascontiguousarray(made, dtype=np.float32)

    def _run(self, texts: Sequence[str]) -> Vectors:
        import torch

        parts, places = [], []
        with torch.inference_mode():
            for rows in _batches(texts, _BATCH_CHARACTERS.get(self._device, _BATCH_CHARACTERS["cpu"])):
                given = self._model.tokenize([texts[row] for row in rows])
                features = {name: self._moved(value) for name, value in given.items()}
                parts.append(self._model(features)["sentence_embedding"].float())
                places += rows
            made = torch.cat(parts)
            if self.normalized:  # which bfloat16 is only to the second decimal
                made = torch.nn.functional.normalize(made, dim=1)
            vectors: Vectors = np.empty(made.shape, dtype=np.float32)
            vectors[places] = made.cpu().numpy()
        return vectors

    def _moved(self, value: Any) -> Any:
        """A tensor on the model's device; its copying goes on while the processor prepares the next batch."""
        if not hasattr(value, "to"):
            return value
        return value.pin_memory().to(self._device, non_blocking=True) if self._device == "cuda" else value


def _batches(texts: Sequence[str], characters: int) -> Iterator[list[int]]:
    """Rows in order of length, longest first: a batch that is too large for the device shows at once."""
    rows: list[int] = []
    for row in sorted(range(len(texts)), key=lambda row: -len(texts[row])):
        if rows and ((len(rows) + 1) * len(texts[rows[0]]) > characters or len(rows) == _BATCH_TEXTS_MAX):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _reads_prompts(model: Any) -> bool:
    """Whether the tokens of a prompt count like those of the text."""
    return all(getattr(module, "include_prompt", True) for module in model)


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
