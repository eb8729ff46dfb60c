"""Tokenizers that do not fit their model, and what tells two of them apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import ModelDamagedError, load_embedder
from models.embedders.tokens import load_tokenizer, tokenization
from tests.models.embedders.tiny_bert import VOCABULARY, write_model


def changed(directory: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The model in a directory, its tokenizer.json changed."""
    path = write_model(directory) / "tokenizer.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def hash_of(path: Path, *settings: object) -> str:
    return tokenization(load_tokenizer(path, len(VOCABULARY)), *settings)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content["model"]["vocab"].update(z=len(VOCABULARY) + 9), "expected=24 got=34"),
        (lambda content: content.update(post_processor=None), "special_tokens: expected=2 got=0"),
        (lambda content: content["model"].update(type="WordSalad"), "model file is damaged"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    """A token without an embedding, no [CLS] and [SEP], an unknown kind: before any text is read, naming the file."""
    path = changed(tmp_path / "model", change)
    with pytest.raises(ModelDamagedError, match=reason) as failure:
        load_embedder(str(path.parent), cache_directory=tmp_path / "cache")
    assert str(path) in str(failure.value)


def test_a_tokenization_is_what_is_read_not_how_the_file_is_written(tmp_path: Path) -> None:
    """Spaces and the order of the vocabulary do not count; numbers, letters' case and settings do."""

    def reorder(content: dict[str, Any]) -> None:
        content["model"]["vocab"] = dict(reversed(content["model"]["vocab"].items()))

    def swap(content: dict[str, Any]) -> None:
        content["model"]["vocab"].update({"##i": VOCABULARY.index("##j"), "##j": VOCABULARY.index("##i")})

    first = hash_of(write_model(tmp_path / "first") / "tokenizer.json", 24)
    assert hash_of(changed(tmp_path / "reordered", reorder), 24) == first
    different = [
        hash_of(tmp_path / "first" / "tokenizer.json", 23),
        hash_of(changed(tmp_path / "swapped", swap), 24),
        hash_of(changed(tmp_path / "cased", lambda content: content["normalizer"].update(lowercase=False)), 24),
    ]
    assert len({first, *different}) == 4
