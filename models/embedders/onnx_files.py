"""Embeddings by ready ONNX files, as sentence-transformers, optimum and many repositories of the Hub have them.

A directory holds `model.onnx` (or `onnx/model.onnx`), `config.json`, `tokenizer.json`, and what else
sentence-transformers writes. Any architecture will do: the graph takes `input_ids`, `attention_mask` and perhaps
`token_type_ids`, and gives `sentence_embedding` (batch, dim) or vectors of tokens (batch, tokens, dim), which are
pooled here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.embedder import PROBE_TEXT, TokenOffsets, Vectors, check_texts, probe_fingerprint
from models.embedders.model_files import (
    REVISION_CHARACTERS,
    file_checksum,
    read_normalized,
    read_number,
    read_optional_object,
    read_pooling,
    read_prompts,
)
from models.embedders.session import LOAD_ERRORS, default_threads, open_session
from models.embedders.tokens import TokenMatrix, batches, load_tokenizer, padded, tokenization
from models.errors import ModelDamagedError, ModelNotFoundError, ModelUnsupportedError

PLACES = ("model.onnx", "onnx/model.onnx")
SENTENCE_OUTPUT = "sentence_embedding"
TOKEN_OUTPUTS = ("last_hidden_state", "token_embeddings")

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_CHUNK_TEXTS = 1024  # texts tokenized and sorted at once
_DEFAULT_SEQUENCE_LENGTH = 512
_SEQUENCE_LENGTH_MAX = 1_000_000  # tokenizers that know no limit write a very large number


def is_ready(directory: Path) -> bool:
    """Whether there is an ONNX file, and no weights that our own graph is built from."""
    return _graph_of(directory) is not None and not (directory / "model.safetensors").is_file()


class OnnxFilesEmbedder:
    """Runs a ready graph; safe to call from many threads, which share one session.

    Args:
        directory: the files above.
        name: the model's name as users know it.
        threads: CPU threads of one embedding; by default every core this process may use, at most 16.

    Raises:
        ModelNotFoundError: a file is missing.
        ModelUnsupportedError: the graph wants or gives something else, or the pooling is neither mean nor CLS.
        ModelDamagedError: a file is unreadable or does not fit the others.
    """

    def __init__(self, directory: Path, *, name: str, threads: int | None = None) -> None:
        graph = _graph_of(directory)
        missing = [file for file in ("config.json", "tokenizer.json") if not (directory / file).is_file()]
        if graph is None or missing:
            missing = [*([] if graph else [PLACES[0]]), *missing]
            raise ModelNotFoundError(
                f"model directory is incomplete: directory={directory} missing={', '.join(missing)}", missing=missing
            )
        self.name, self.revision = name, graph_checksum(directory)[:REVISION_CHARACTERS]
        self._pad_token_id = read_number(directory / "config.json", "pad_token_id", 0)
        self.pooling, self.normalized = read_pooling(directory), read_normalized(directory)
        prompts = read_prompts(directory)
        self.query_prefix = prompts.get("query", "")
        self.document_prefix = prompts.get("document", prompts.get("passage", ""))
        length = _sequence_length(directory)
        vocabulary = read_number(directory / "config.json", "vocab_size", 0) or 2**31
        self._tokenizer = load_tokenizer(directory / "tokenizer.json", vocabulary)
        self._tokenizer.enable_truncation(length)
        self._untruncated_tokenizer = load_tokenizer(directory / "tokenizer.json", vocabulary)
        self.tokenization = tokenization(self._untruncated_tokenizer, length, self.query_prefix, self.document_prefix)
        taken = self._tokenizer.num_special_tokens_to_add(is_pair=False) + len(self.token_offsets(self.document_prefix))
        self.max_tokens = max(length - taken, 1)
        self._graph = graph
        self._session = _session(graph, threads or default_threads())
        self._inputs = _inputs(self._session, graph)
        self._output = _output(self._session, graph)
        # A tokenizer of another model shows by tokens that the graph has no embedding for.
        last = np.array([[max(self._tokenizer.get_vocab(with_added_tokens=True).values())]], dtype=np.int32)
        self._run(last, np.ones_like(last))
        vector = self._embed([PROBE_TEXT], "", dim=None)[0]
        if not np.isfinite(vector).all():
            raise ModelDamagedError(f"model gives NaN: file={graph}", file=str(graph))
        self.dim, self.fingerprint = len(vector), probe_fingerprint(vector)
        self.normalized = self.normalized or abs(float(np.linalg.norm(vector)) - 1.0) < 1e-4

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`."""
        check_texts(texts)
        return self._embed(texts, self.document_prefix, self.dim)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; see `Embedder`."""
        check_texts(texts)
        return self._embed(texts, self.query_prefix, self.dim)

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, (tokens, 2) int64; see `Embedder`."""
        check_texts([text])
        offsets = self._untruncated_tokenizer.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int64).reshape(-1, 2)

    def _embed(self, texts: Sequence[str], prefix: str, dim: int | None) -> Vectors:
        vectors: Vectors | None = None if dim is None else np.empty((len(texts), dim), dtype=np.float32)
        for start in range(0, len(texts), _CHUNK_TEXTS):
            encodings = self._tokenizer.encode_batch_fast([prefix + t for t in texts[start : start + _CHUNK_TEXTS]])
            for rows in batches([len(encoding) for encoding in encodings]):
                made = self._run(*padded([encodings[row] for row in rows], self._pad_token_id))
                if vectors is None:
                    vectors = np.empty((len(texts), made.shape[1]), dtype=np.float32)
                vectors[start + rows] = made
        assert vectors is not None
        return vectors

    def _run(self, input_ids: TokenMatrix, attention_mask: TokenMatrix) -> Vectors:
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": np.zeros_like(input_ids)}
        feeds = {name: given[name].astype(kind, copy=False) for name, kind in self._inputs.items()}
        try:
            (found,) = self._session.run([self._output], feeds)
        except LOAD_ERRORS as error:  # such as a token that the graph has no embedding for
            raise ModelDamagedError(
                f"model does not run: file={self._graph} reason={error}", file=str(self._graph)
            ) from error
        vectors = found.astype(np.float32, copy=False)
        if vectors.ndim == 3:
            vectors = vectors[:, 0] if self.pooling == "cls" else _means(vectors, attention_mask)
        if self.normalized:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        result: Vectors = np.ascontiguousarray(vectors)
        return result


def _graph_of(directory: Path) -> Path | None:
    return next((directory / place for place in PLACES if (directory / place).is_file()), None)


def graph_checksum(directory: Path) -> str:
    """SHA-256 of the graph and of weights kept beside it, hexadecimal.

    Raises:
        ModelNotFoundError: there is no graph.
    """
    graph = _graph_of(directory)
    if graph is None:
        raise ModelNotFoundError(f"model directory is incomplete: directory={directory} missing={PLACES[0]}")
    beside = [path for path in sorted(graph.parent.glob(f"{graph.name}?data*")) if path.is_file()]
    if not beside:
        return file_checksum(graph)
    return hashlib.sha256("".join(map(file_checksum, [graph, *beside])).encode()).hexdigest()


def _sequence_length(directory: Path) -> int:
    given = [
        read_optional_object(directory / "sentence_bert_config.json").get("max_seq_length"),
        read_optional_object(directory / "tokenizer_config.json").get("model_max_length"),
        read_optional_object(directory / "config.json").get("max_position_embeddings"),
    ]
    known = [int(length) for length in given if isinstance(length, int | float) and 2 < length < _SEQUENCE_LENGTH_MAX]
    return min(known, default=_DEFAULT_SEQUENCE_LENGTH)


def _session(graph: Path, threads: int) -> ort.InferenceSession:
    try:
        return open_session(graph, threads)
    except LOAD_ERRORS as error:
        raise ModelDamagedError(f"model file is damaged: file={graph} reason={error}", file=str(graph)) from error


def _inputs(session: ort.InferenceSession, graph: Path) -> dict[str, npt.DTypeLike]:
    """What the graph takes, by name."""
    types: dict[str, npt.DTypeLike] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
    taken_inputs = session.get_inputs()
    found = {given.name: types[given.type] for given in taken_inputs if given.type in types}
    if not {"input_ids", "attention_mask"} <= found.keys() <= _INPUTS or len(found) < len(taken_inputs):
        taken = ", ".join(f"{given.name} {given.type}" for given in taken_inputs)
        raise ModelUnsupportedError(f"model takes other inputs: file={graph} got={taken} expected={sorted(_INPUTS)}")
    return found


def _output(session: ort.InferenceSession, graph: Path) -> str:
    names = [given.name for given in session.get_outputs()]
    for wanted in (SENTENCE_OUTPUT, *TOKEN_OUTPUTS):
        if wanted in names:
            return wanted
    raise ModelUnsupportedError(
        f"model gives other outputs: file={graph} got={', '.join(names)} "
        f"expected={SENTENCE_OUTPUT} or {' or '.join(TOKEN_OUTPUTS)}"
    )


def _means(vectors: Vectors, attention_mask: TokenMatrix) -> Vectors:
    """Mean of each text's own tokens."""
    mask = attention_mask[:, :, np.newaxis].astype(np.float32)
    means: Vectors = (vectors * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1e-9)
    return means
