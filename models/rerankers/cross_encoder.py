"""Reranking by a cross-encoder through ONNX Runtime: query and text are read together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.embedder import Progress, check_texts
from models.embedders.bert_graph import (
    ATTENTION_MASK,
    BUILDER_VERSION,
    INPUT_IDS,
    SCORES,
    SEGMENTS,
    Precision,
    build_cross_encoder_graph,
)
from models.embedders.model_files import (
    CROSS_ENCODER,
    REVISION_CHARACTERS,
    ModelFiles,
    file_checksum,
    read_architectures,
    read_label_count,
    read_model_files,
)
from models.embedders.session import default_threads, load_session
from models.embedders.tokens import batches, load_tokenizer, padded
from models.errors import ModelUnsupportedError
from models.reranker import Scores


class CrossEncoderReranker:
    """BertForSequenceClassification with one label (ms-marco-MiniLM-*, for example); safe to call from many threads.

    Scores are the raw ones (logits): a sigmoid would keep their order but make the best of them equal in float32.
    The text is cut, not the query, where both together are longer than the model reads.

    Args:
        directory: config.json, tokenizer.json, model.safetensors.
        name: the model's name as users know it.
        cache_directory: where the built graph is kept; made if missing.
        threads: CPU threads of one call; by default every core this process may use, at most 16.
        precision: of the large multiplications.
        progress: called with a stage and a fraction 0..1 of it.

    Raises:
        ModelNotFoundError: the directory lacks a required file.
        ModelUnsupportedError: another architecture, or more than one label.
        ModelDamagedError: a file is unreadable or contradicts the configuration.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        cache_directory: Path,
        threads: int | None = None,
        precision: Precision = Precision.FLOAT32,
        progress: Progress | None = None,
    ) -> None:
        files = read_model_files(directory)
        _check_head(directory)
        checksum = file_checksum(files.weights)
        self.name, self.revision = name, checksum[:REVISION_CHARACTERS]
        self._pad_token_id = files.bert.pad_token_id
        self._tokenizer = load_tokenizer(files.tokenizer, files.bert.vocab_size)
        self._tokenizer.enable_truncation(files.sequence_length, strategy="only_second")
        self._longest_query = _longest_query(files)
        self._query_tokenizer = load_tokenizer(files.tokenizer, files.bert.vocab_size)
        described = f"{checksum} {files.bert} {precision} {BUILDER_VERSION}"
        path = cache_directory / f"cross-encoder-{hashlib.sha256(described.encode()).hexdigest()[:16]}.onnx"
        self._session = load_session(
            path, lambda: build_cross_encoder_graph(files, precision, progress), threads or default_threads()
        )

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """One score for each text, (n,) float32; see `Reranker`."""
        check_texts([query])
        check_texts(texts)
        query = self._cut(query)
        encodings = self._tokenizer.encode_batch([(query, text) for text in texts])
        scores = np.empty(len(texts), dtype=np.float32)
        for rows in batches([len(encoding) for encoding in encodings]):
            part = [encodings[row] for row in rows]
            input_ids, attention_mask = padded(part, self._pad_token_id)
            segments = np.zeros_like(input_ids)
            for row, encoding in enumerate(part):
                segments[row, : len(encoding)] = encoding.type_ids
            inputs = {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask, SEGMENTS: segments}
            (scores[rows],) = self._session.run([SCORES], inputs)
        return scores

    def _cut(self, query: str) -> str:
        """The query, at most half of what the model reads: the other half is the text's."""
        offsets = self._query_tokenizer.encode(query, add_special_tokens=False).offsets
        return query[: offsets[self._longest_query - 1][1]] if len(offsets) > self._longest_query else query


def _longest_query(files: ModelFiles) -> int:
    return max(files.sequence_length // 2, 1)


def _check_head(directory: Path) -> None:
    architectures = read_architectures(directory)
    if architectures != [CROSS_ENCODER]:
        raise ModelUnsupportedError(
            f"reranker architecture is not supported: got={', '.join(architectures) or 'none named'} "
            f"supported={CROSS_ENCODER}",
            architectures=architectures,
        )
    labels = read_label_count(directory)
    if labels != 1:
        raise ModelUnsupportedError(f"reranker has more than one label: got={labels} supported=1")
