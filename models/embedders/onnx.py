"""Embeddings through ONNX Runtime on CPU, without torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from tokenizers import Encoding, Tokenizer

from models.embedder import PROBE_TEXT, Progress, TokenOffsets, Vectors, check_texts, probe_fingerprint
from models.embedders.bert_graph import ATTENTION_MASK, BUILDER_VERSION, INPUT_IDS, VECTORS, build_graph
from models.embedders.graph_cache import cached_graph
from models.embedders.model_files import ModelFiles, file_checksum, read_model_files
from models.errors import ModelDamagedError, ModelError

BATCH_TOKENS = 1024  # padding included; larger batches fall out of the CPU's caches, smaller ones waste calls
CHUNK_TEXTS = 1024  # texts tokenized and sorted at once, which bounds memory for calls of any length
SPECIAL_TOKENS = 2  # [CLS] and [SEP]
MAX_DEFAULT_THREADS = 16

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxEmbedder:
    """A BERT-family embedder; safe to call from many threads, which share one session and its thread pool.

    Args:
        directory: config.json, tokenizer.json, model.safetensors and what else sentence-transformers writes.
        name: the model's name as users know it.
        cache_directory: where the built graph is kept; made if missing.
        threads: CPU threads of one embedding; by default every core this process may use, at most 16.
        progress: called with a stage and a fraction 0..1 of it, while the graph is built and loaded.

    Raises:
        ModelNotFoundError: the directory lacks a required file.
        ModelUnsupportedError: the architecture is not BERT's, or its pooling is neither mean nor CLS.
        ModelDamagedError: a file is unreadable or contradicts the configuration.
        ModelError: the cache directory cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        cache_directory: Path,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        files = read_model_files(directory)
        report = progress or (lambda _stage, _fraction: None)
        report("checking the model files", 0.0)
        checksum = file_checksum(files.weights)
        self.name = name
        self.revision = checksum[:16]
        self.dim = files.bert.hidden_size
        self.max_tokens = files.sequence_length - SPECIAL_TOKENS
        self.normalized = files.normalized
        self._query_prefix, self._document_prefix = files.query_prefix, files.document_prefix
        self._pad_token_id = files.bert.pad_token_id
        self._tokenizer = _load_tokenizer(files)
        self._tokenizer.enable_truncation(files.sequence_length)
        self._untruncated_tokenizer = _load_tokenizer(files)
        self._session = _load_session(files, checksum, cache_directory, threads or default_threads(), report)
        self.fingerprint = self._probe(files)
        report("model ready", 1.0)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`."""
        return self._embed(texts, self._document_prefix)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; see `Embedder`."""
        return self._embed(texts, self._query_prefix)

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, (tokens, 2) int64; see `Embedder`."""
        check_texts([text])
        offsets = self._untruncated_tokenizer.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int64).reshape(-1, 2)

    def _embed(self, texts: Sequence[str], prefix: str) -> Vectors:
        check_texts(texts)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), CHUNK_TEXTS):
            chunk = [prefix + text for text in texts[start : start + CHUNK_TEXTS]]
            encodings = self._tokenizer.encode_batch_fast(chunk)
            for rows in _batches([len(encoding) for encoding in encodings], BATCH_TOKENS):
                vectors[start + rows] = self._run([encodings[row] for row in rows])
        return vectors

    def _run(self, encodings: Sequence[Encoding]) -> Vectors:
        """One run of the graph over texts of similar length, padded to the longest of them."""
        shape = (len(encodings), max(map(len, encodings)))
        input_ids = np.full(shape, self._pad_token_id, dtype=np.int32)
        attention_mask = np.zeros(shape, dtype=np.int32)
        for row, encoding in enumerate(encodings):
            input_ids[row, : len(encoding)] = encoding.ids
            attention_mask[row, : len(encoding)] = 1
        (vectors,) = self._session.run([VECTORS], {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask})
        result: Vectors = vectors
        return result

    def _probe(self, files: ModelFiles) -> str:
        vector = self._embed([PROBE_TEXT], "")[0]
        if not np.isfinite(vector).all():
            raise ModelDamagedError(f"model gives NaN: file={files.weights}", file=str(files.weights))
        return probe_fingerprint(vector)


def default_threads() -> int:
    """Cores that this process may use, at most 16: beyond that one text gains nothing."""
    return min(len(os.sched_getaffinity(0)), MAX_DEFAULT_THREADS)


def _batches(lengths: Sequence[int], tokens: int) -> Iterator[np.ndarray]:
    """Rows grouped by similar length, each group at most `tokens` when padded, or a single row."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        full = end < len(order) and (end - start + 1) * lengths[order[end]] > tokens
        if full or end == len(order):
            yield order[start:end]
            start = end


def _load_tokenizer(files: ModelFiles) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(files.tokenizer))
    except Exception as error:  # the library raises Exception itself for every unreadable file
        raise ModelDamagedError(
            f"model file is damaged: file={files.tokenizer} reason={error}", file=str(files.tokenizer)
        ) from error
    tokens = tokenizer.get_vocab_size(with_added_tokens=True)
    if tokens > files.bert.vocab_size:
        raise ModelDamagedError(
            f"tokenizer does not fit the model: file={files.tokenizer} expected={files.bert.vocab_size} got={tokens}",
            file=str(files.tokenizer),
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _load_session(
    files: ModelFiles, checksum: str, cache_directory: Path, threads: int, progress: Progress
) -> ort.InferenceSession:
    """A session over the cached graph; a graph that does not load is built once more."""
    described = f"{checksum} {files.bert} {files.pooling} {files.normalized} {BUILDER_VERSION}"
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    path = cache_directory / f"bert-{key}.onnx"

    def build() -> bytes:
        return build_graph(files, progress)

    graph = cached_graph(path, build)
    progress("loading the model", 0.0)
    try:
        return _session(graph, threads)
    except _LOAD_ERRORS:
        graph = cached_graph(path, build, rebuild=True)
    try:
        return _session(graph, threads)
    except _LOAD_ERRORS as error:
        raise ModelError(f"model graph does not load: file={path} reason={error}", file=str(path)) from error


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads sleep instead of spinning: a query takes 3.6 ms instead of 2.7 ms (2 cores), and the cores
    # are free for the rest of the service between queries.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Batches have many shapes; the arena keeps the largest of each for ever and was no faster.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
