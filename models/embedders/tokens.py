"""Tokenizers of model directories, and rows of tokens as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from models.errors import ModelDamagedError

BATCH_TOKENS = 1024  # padding included; larger batches fall out of the CPU's caches, smaller ones waste calls

TokenMatrix = npt.NDArray[np.int32]  # (rows, tokens)


def load_tokenizer(path: Path, vocab_size: int) -> Tokenizer:
    """The tokenizer in `path`, without padding and truncation.

    Raises:
        ModelDamagedError: the file is unreadable, or knows more tokens than the model has embeddings.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself for every unreadable file
        raise ModelDamagedError(f"model file is damaged: file={path} reason={error}", file=str(path)) from error
    tokens = tokenizer.get_vocab_size(with_added_tokens=True)
    if tokens > vocab_size:
        raise ModelDamagedError(
            f"tokenizer does not fit the model: file={path} expected={vocab_size} got={tokens}", file=str(path)
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def batches(lengths: Sequence[int], tokens: int = BATCH_TOKENS) -> Iterator[npt.NDArray[np.intp]]:
    """Rows grouped by similar length, each group at most `tokens` when padded, or a single row."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        full = end < len(order) and (end - start + 1) * lengths[order[end]] > tokens
        if full or end == len(order):
            yield order[start:end]
            start = end


def padded(encodings: Sequence[Encoding], pad_token_id: int) -> tuple[TokenMatrix, TokenMatrix]:
    """Token ids and attention mask, both (rows, longest) int32."""
    shape = (len(encodings), max(map(len, encodings)))
    input_ids = np.full(shape, pad_token_id, dtype=np.int32)
    attention_mask = np.zeros(shape, dtype=np.int32)
    for row, encoding in enumerate(encodings):
        input_ids[row, : len(encoding)] = encoding.ids
        attention_mask[row, : len(encoding)] = 1
    return input_ids, attention_mask
