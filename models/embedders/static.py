"""Embeddings by table: the mean of fixed token vectors. Some forty times faster than all-MiniLM-L6-v2.

Files as model2vec writes them (https://github.com/MinishLab/model2vec): `config.json`, `tokenizer.json`, and in
`model.safetensors` the tensor `embeddings` (vocabulary, dim), optionally `weights` (vocabulary,) and `mapping`
(vocabulary,), from token to row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from models.embedder import PROBE_TEXT, TokenOffsets, Vectors, check_texts, probe_fingerprint
from models.embedders.model_files import REQUIRED_FILES, REVISION_CHARACTERS, file_checksum
from models.embedders.tokens import load_tokenizer, tokenization
from models.errors import ModelDamagedError, ModelNotFoundError

MODEL_TYPE = "model2vec"
DEFAULT_MAX_TOKENS = 512  # the table has no limit of its own; a mean over more words says little

_CHUNK_TEXTS = 4096


class StaticEmbedder:
    """Looks tokens up and averages them; safe to call from many threads.

    A text without known tokens gets the vector of the unknown token, which is no text's meaning but has length 1.

    Args:
        directory: the files above.
        name: the model's name as users know it.

    Raises:
        ModelNotFoundError: a file is missing.
        ModelDamagedError: a file is unreadable or does not fit the others.
    """

    normalized = True
    is_cheap = True  # a cache would cost more than it spares

    def __init__(self, directory: Path, *, name: str) -> None:
        missing = [file for file in REQUIRED_FILES if not (directory / file).is_file()]
        if missing:
            raise ModelNotFoundError(
                f"model directory is incomplete: directory={directory} missing={', '.join(missing)}", missing=missing
            )
        weights = directory / "model.safetensors"
        self.name, self.revision = name, file_checksum(weights)[:REVISION_CHARACTERS]
        self.max_tokens = _max_tokens(directory / "config.json")
        self._table = _table(weights)
        self.dim = self._table.shape[1]
        self._tokenizer = load_tokenizer(directory / "tokenizer.json", len(self._table))
        self._untruncated_tokenizer = load_tokenizer(directory / "tokenizer.json", len(self._table))
        self._tokenizer.enable_truncation(self.max_tokens)
        self.tokenization = tokenization(self._untruncated_tokenizer, self.max_tokens)
        unknown = self._tokenizer.token_to_id("[UNK]")
        self._empty = np.array([unknown if unknown is not None else 0])
        self.fingerprint = probe_fingerprint(self.embed_documents([PROBE_TEXT])[0])

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`."""
        check_texts(texts)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _CHUNK_TEXTS):
            chunk = list(texts[start : start + _CHUNK_TEXTS])
            encodings = self._tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
            tokens = [np.array(encoding.ids) if len(encoding) else self._empty for encoding in encodings]
            vectors[start : start + len(chunk)] = self._means(tokens)
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, the same as those of documents."""
        return self.embed_documents(texts)

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, (tokens, 2) int64; see `Embedder`."""
        check_texts([text])
        offsets = self._untruncated_tokenizer.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int64).reshape(-1, 2)

    def _means(self, tokens: Sequence[npt.NDArray[np.int64]]) -> Vectors:
        """Sums over tokens, scaled to length 1: the count of tokens cancels out."""
        sums: Vectors = np.stack([self._table[ids].sum(axis=0) for ids in tokens])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        sums[norms[:, 0] == 0, 0] = 1.0  # words that cancel out: still a vector of length 1
        means: Vectors = (sums / np.where(norms > 0, norms, 1.0)).astype(np.float32)
        return means


def is_static(directory: Path) -> bool:
    """Whether the configuration in `directory` says so; False where it is unreadable."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == MODEL_TYPE


def _max_tokens(path: Path) -> int:
    try:
        return int(json.loads(path.read_text(encoding="utf-8")).get("seq_length", DEFAULT_MAX_TOKENS))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelDamagedError(f"model file is unreadable: file={path} reason={error}", file=str(path)) from error


def _table(path: Path) -> Vectors:
    """One row for each token, (vocabulary, dim) float32."""
    try:
        with safe_open(path, framework="numpy") as tensors:
            stored = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - no mapping
        table: Vectors = np.asarray(stored["embeddings"]).astype(np.float32)
        if "mapping" in stored:
            table = table[stored["mapping"]]
        if "weights" in stored:
            table *= np.asarray(stored["weights"]).astype(np.float32)[:, np.newaxis]
    except (SafetensorError, OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelDamagedError(f"model file is damaged: file={path} reason={error}", file=str(path)) from error
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ModelDamagedError(f"model file is damaged: file={path} tensor=embeddings shape={table.shape}")
    return table
