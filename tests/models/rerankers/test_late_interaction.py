from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models import Embedder, InvalidTextError, ModelUnsupportedError, Reranker, Vectors
from models.embedders.hashing import HashingEmbedder
from models.embedders.onnx import OnnxEmbedder
from models.rerankers.late_interaction import LateInteractionReranker
from tests.models.embedders.tiny_bert import random_weights, reference_tokens, write_model

CLS, SEP, A, B, C = 2, 3, 4, 5, 6


class Letters:
    """A token for each letter: x and y at right angles, z between them, all of different lengths."""

    name = "letters"

    def token_vectors(self, texts: Sequence[str]) -> list[Vectors]:
        rows = {"x": (3.0, 0.0), "y": (0.0, 2.0), "z": (1.0, 1.0)}
        return [np.array([rows[letter] for letter in text], np.float32).reshape(-1, 2) for text in texts]


def test_scores_are_the_mean_of_the_best_cosines() -> None:
    """By hand: for "xy", text "x" has best cosines 1 and 0, "z" has √½ twice, "yx" has 1 and 1."""
    reranker = LateInteractionReranker(Letters())
    scores = reranker.score("xy", ["x", "z", "yx", ""])
    np.testing.assert_allclose(scores, [0.5, np.sqrt(0.5), 1.0, -1.0], atol=1e-6)
    assert scores.dtype == np.float32
    assert isinstance(reranker, Reranker)
    assert reranker.name == "late-interaction:letters"


def test_nothing_asked_or_nothing_given() -> None:
    """A query without tokens prefers no text."""
    reranker = LateInteractionReranker(Letters())
    assert reranker.score("", ["x", ""]).tolist() == [0, 0]
    assert reranker.score("x", []).shape == (0,)


def test_token_vectors_are_the_last_hidden_state(tmp_path: Path) -> None:
    """Without [CLS] and [SEP], truncated as the text's own vector is, in the order of the texts."""
    embedder = OnnxEmbedder(write_model(tmp_path), name="tiny", cache_directory=tmp_path, threads=1)
    vectors = embedder.token_vectors(["a b c", "b", "", "c " * 50])
    assert [len(tokens) for tokens in vectors] == [3, 1, 0, 10]
    expected = reference_tokens([CLS, A, B, C, SEP], random_weights(), [0] * 5)
    np.testing.assert_allclose(vectors[0], expected[1:-1], atol=2e-5)
    np.testing.assert_allclose(vectors[1], reference_tokens([CLS, B, SEP], random_weights(), [0] * 3)[1:-1], atol=2e-5)


def test_a_text_that_answers_scores_higher(embedder: Embedder) -> None:
    """With the default model, and words that do not overlap."""
    reranker = LateInteractionReranker(embedder)
    texts = ["Bake the bread at 220 degrees.", "Execute a command and return its output.", "The moon is far away."]
    assert reranker.score("run a program and capture what it prints", texts).argmax() == 1


def test_an_embedder_without_token_vectors_is_refused() -> None:
    """The error names it."""
    with pytest.raises(ModelUnsupportedError, match="HashingEmbedder"):
        LateInteractionReranker(HashingEmbedder(8))


def test_what_is_not_text_is_refused(embedder: Embedder) -> None:
    """Query and texts."""
    reranker = LateInteractionReranker(embedder)
    for query, texts in (("\ud800", ["a"]), ("a", ["b", "\ud800"])):
        with pytest.raises(InvalidTextError):
            reranker.score(query, texts)
