"""Tokenizers of model directories, and rows of tokens as padded batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from models.embedders.quantization import PROBE_TEXTS
from models.errors import ModelDamagedError

BATCH_TOKENS = 1024  # padding included; larger batches fall out of the CPU's caches, smaller ones waste calls

TokenMatrix = npt.NDArray[np.int32]  # (rows, tokens)


def load_tokenizer(path: Path, vocab_size: int, *, special_tokens: int | None = None) -> Tokenizer:
    """The tokenizer in `path`, without padding and truncation.

    Args:
        path: of tokenizer.json.
        vocab_size: embeddings that the model has.
        special_tokens: that a text must get around it; None where the model does not care.

    Raises:
        ModelDamagedError: the file is unreadable, knows a token that the model has no embedding for, or puts other
            special tokens around a text.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself for every unreadable file
        raise ModelDamagedError(f"model file is damaged: file={path} reason={error}", file=str(path)) from error
    tokens = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    if not 0 < tokens <= vocab_size:
        raise ModelDamagedError(
            f"tokenizer does not fit the model: file={path} expected={vocab_size} got={tokens}", file=str(path)
        )
    added = tokenizer.num_special_tokens_to_add(is_pair=False)
    if special_tokens is not None and added != special_tokens:
        raise ModelDamagedError(
            f"tokenizer does not fit the model: file={path} special_tokens: expected={special_tokens} got={added}",
            file=str(path),
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def tokenization(tokenizer: Tokenizer, *settings: object) -> str:
    """Hexadecimal hash of how texts become what the model reads.

    Made of what the tokenizer does (its vocabulary, and the tokens of some texts), not of how its file is written: a
    file that says the same in other words, or another version of the library, gives the same.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        settings: what else counts, such as prefixes and the length that texts are cut to.
    """
    vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: (item[1], item[0]))
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(PROBE_TEXTS))]
    return hashlib.sha256(json.dumps([vocabulary, ids, settings]).encode()).hexdigest()[:16]


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
