"""Embeddings through ONNX Runtime on CPU, without torch."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Encoding

from models.embedder import PROBE_TEXT, Progress, TokenOffsets, Vectors, check_texts, probe_fingerprint
from models.embedders.bert_graph import (
    ATTENTION_MASK,
    BUILDER_VERSION,
    INPUT_IDS,
    TOKEN_VECTORS,
    VECTORS,
    Precision,
    build_graph,
)
from models.embedders.graph_cache import cached_graph
from models.embedders.model_files import (
    REVISION_CHARACTERS,
    SPECIAL_TOKENS,
    ModelFiles,
    file_checksum,
    read_model_files,
)
from models.embedders.quantization import PROBE_TEXTS, QuantizationLoss, instruction_set
from models.embedders.session import default_threads, load_session
from models.embedders.tokens import TokenMatrix, batches, load_tokenizer, padded, tokenization
from models.errors import ModelDamagedError

log = logging.getLogger(__name__)

PrecisionChoice: TypeAlias = Literal["auto", "float32", "int8"]

CHUNK_TEXTS = 1024  # texts tokenized and sorted at once, which bounds memory for calls of any length


class OnnxEmbedder:
    """A BERT-family embedder; safe to call from many threads, which share one session and its thread pool.

    The fingerprint of int8 vectors is derived from that of the float32 ones, measured when the graph was built:
    rounding to integers amplifies the differences between machines, so that a probe would not be equal everywhere.

    Args:
        directory: config.json, tokenizer.json, model.safetensors and what else sentence-transformers writes.
        name: the model's name as users know it.
        cache_directory: where built graphs are kept; made if missing.
        threads: CPU threads of one embedding; by default every core this process may use, at most 16.
        precision: "int8" is 2 times as fast or more where the processor multiplies integers (VNNI); "auto" takes
            it where `QuantizationLoss.is_acceptable` on this machine.
        progress: called with a stage and a fraction 0..1 of it, while graphs are built and loaded.

    Attributes:
        precision: what was chosen; `graph` is its file.
        tokenization: how texts become what the model reads, prefixes and window included; equal for equal readings.
        loss: what int8 costs in quality; None where it was not asked for.

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
        precision: PrecisionChoice = "float32",
        progress: Progress | None = None,
    ) -> None:
        files = read_model_files(directory)
        report = progress or (lambda _stage, _fraction: None)
        report("checking the model files", 0.0)
        checksum = file_checksum(files.weights)
        self.name, self.directory = name, directory
        self.revision = checksum[:REVISION_CHARACTERS]
        self.vocabulary_size = files.bert.vocab_size
        self.dim = files.bert.hidden_size
        self.normalized = files.normalized
        self._query_prefix, self._document_prefix = files.query_prefix, files.document_prefix
        self._pad_token_id = files.bert.pad_token_id
        self._tokenizer, self._untruncated_tokenizer = (
            load_tokenizer(files.tokenizer, files.bert.vocab_size, special_tokens=SPECIAL_TOKENS) for _ in range(2)
        )
        self._tokenizer.enable_truncation(files.sequence_length)
        prefix_tokens = len(self.token_ids(files.document_prefix))
        self.max_tokens = max(files.sequence_length - SPECIAL_TOKENS - prefix_tokens, 1)
        self.tokenization = tokenization(
            self._untruncated_tokenizer, files.sequence_length, files.query_prefix, files.document_prefix
        )
        described = f"{checksum} {files.bert} {files.pooling} {files.normalized} {BUILDER_VERSION}"
        self._graphs = _Graphs(
            files, described, self.tokenization, cache_directory, threads or default_threads(), report
        )
        self.precision = Precision.FLOAT32
        self.loss: QuantizationLoss | None = None
        self._session, self.fingerprint = self._open(precision)
        self.graph = self._graphs.path(self.precision)
        report("model ready", 1.0)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`."""
        return self._embed(texts, self._document_prefix)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; see `Embedder`."""
        return self._embed(texts, self._query_prefix)

    def token_vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """Vectors of every token the model reads of each text, special ones left out; for late interaction.

        Returns:
            One (tokens, dim) float32 of each text, not normalised; truncated like the texts' own vectors.

        Raises:
            InvalidTextError: an element is not a string or holds a lone surrogate.
        """
        check_texts(texts)
        vectors: list[Vectors] = [np.empty((0, self.dim), np.float32)] * len(texts)
        for rows, encodings in self._batches(texts, ""):
            hidden = self._run(self._session, encodings, TOKEN_VECTORS)
            for row, encoding, tokens in zip(rows, encodings, hidden, strict=True):
                vectors[row] = tokens[: len(encoding)][np.array(encoding.special_tokens_mask) == 0]
        return vectors

    def embed_tokens(self, ids: npt.NDArray[np.int32]) -> Vectors:
        """Vectors of single tokens, each as a text of its own, (n, dim) float32; for distillation.

        Args:
            ids: (n,) int32, below `vocabulary_size`.
        """
        first, last = (self._tokenizer.encode("").ids[index] for index in (0, -1))
        input_ids = np.stack([np.full_like(ids, first), ids, np.full_like(ids, last)], axis=1)
        return self._vectors(self._session, input_ids, np.ones_like(input_ids), VECTORS)

    def token_ids(self, text: str) -> list[int]:
        """Ids of the tokens of `text`, untruncated and without special tokens."""
        return self._untruncated_tokenizer.encode(text, add_special_tokens=False).ids

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every token of `text`, (tokens, 2) int64; see `Embedder`."""
        check_texts([text])
        offsets = self._untruncated_tokenizer.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int64).reshape(-1, 2)

    def _embed(self, texts: Sequence[str], prefix: str) -> Vectors:
        check_texts(texts)
        return self._embed_with(self._session, texts, prefix)

    def _embed_with(self, session: ort.InferenceSession, texts: Sequence[str], prefix: str = "") -> Vectors:
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for rows, encodings in self._batches(texts, prefix):
            vectors[rows] = self._run(session, encodings, VECTORS)
        return vectors

    def _batches(self, texts: Sequence[str], prefix: str) -> Iterator[tuple[npt.NDArray[np.intp], list[Encoding]]]:
        """Rows of `texts` with their tokens, in batches of similar length."""
        for start in range(0, len(texts), CHUNK_TEXTS):
            chunk = [prefix + text for text in texts[start : start + CHUNK_TEXTS]]
            encodings = self._tokenizer.encode_batch_fast(chunk)
            for rows in batches([len(encoding) for encoding in encodings]):
                yield start + rows, [encodings[row] for row in rows]

    def _run(self, session: ort.InferenceSession, encodings: Sequence[Encoding], output: str) -> Vectors:
        """One run of the graph over texts of similar length, padded to the longest of them."""
        return self._vectors(session, *padded(encodings, self._pad_token_id), output)

    def _vectors(
        self, session: ort.InferenceSession, input_ids: TokenMatrix, attention_mask: TokenMatrix, output: str
    ) -> Vectors:
        (vectors,) = session.run([output], {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask})
        result: Vectors = vectors
        return result

    def _open(self, precision: PrecisionChoice) -> tuple[ort.InferenceSession, str]:
        """The session of the precision that is asked for or, with "auto", good enough; and its fingerprint."""
        if precision == "float32":
            session = self._graphs.session(Precision.FLOAT32)
            return session, self._probe(session)
        session = self._graphs.session(Precision.INT8)
        self.loss = self._graphs.loss(lambda: self._measured_loss(session))
        if precision == "auto" and not self.loss.is_acceptable:
            log.info("model.float32_chosen", extra={"model": self.name, "cosine_min": self.loss.cosine_min})
            return self._open("float32")
        self.precision = Precision.INT8
        return session, self.loss.fingerprint

    def _measured_loss(self, int8: ort.InferenceSession) -> QuantizationLoss:
        float32 = self._graphs.session(Precision.FLOAT32)
        exact, rounded = (self._embed_with(session, PROBE_TEXTS) for session in (float32, int8))
        return QuantizationLoss.between(exact, rounded, fingerprint=self._probe(float32))

    def _probe(self, session: ort.InferenceSession) -> str:
        vector = self._embed_with(session, [PROBE_TEXT])[0]
        if not np.isfinite(vector).all():
            raise ModelDamagedError(f"model gives NaN: file={self._graphs.weights}", file=str(self._graphs.weights))
        return probe_fingerprint(vector)


class _Graphs:
    """The graphs of one model in the cache directory, and what was measured when they were built."""

    def __init__(
        self,
        files: ModelFiles,
        described: str,
        tokenization: str,
        directory: Path,
        threads: int,
        progress: Progress,
    ) -> None:
        self.weights = files.weights
        self._files, self._threads, self._progress = files, threads, progress
        self._tokenization = tokenization
        self._base = directory / f"bert-{hashlib.sha256(described.encode()).hexdigest()[:16]}"

    def path(self, precision: Precision) -> Path:
        return self._base.with_name(f"{self._base.name}-{precision}.onnx")

    def session(self, precision: Precision) -> ort.InferenceSession:
        self._progress("loading the model", 0.0)
        return load_session(
            self.path(precision), lambda: build_graph(self._files, precision, self._progress), self._threads
        )

    def loss(self, measure: Callable[[], QuantizationLoss]) -> QuantizationLoss:
        """What int8 costs on this kind of processor and with these tokens: measured once and kept beside the graphs."""
        path = self._base.with_name(f"{self._base.name}-int8-{self._tokenization}-{instruction_set()}.json")

        def build() -> bytes:
            self._progress("measuring the quality of int8", 0.0)
            return measure().to_json()

        return QuantizationLoss.from_json(cached_graph(path, build).read_bytes())
