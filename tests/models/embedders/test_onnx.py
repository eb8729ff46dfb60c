from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Embedder, InvalidTextError, load_embedder
from models.embedder import PROBE_TEXT, probe_fingerprint
from models.embedders.tokens import BATCH_TOKENS, batches
from tests.models.embedders.tiny_bert import write_model

# First components from sentence-transformers 6.2.0 on torch 2.13.0 (CPU, float32).
CANONICAL = {
    "A man is eating a piece of bread.": [
        0.052518, 0.055241, -0.011188, -0.005745, -0.127208, -0.022252, 0.076879, 0.013185,
    ],
    "Which protein binds to the receptor?": [
        -0.006708, -0.087217, -0.105455, 0.016286, 0.00345, 0.071382, 0.057714, 0.072185,
    ],
    "Zürich, naïve café: ½ × ∞ 東京": [
        0.065655, 0.047483, 0.058381, -0.018392, -0.023976, 0.002769, 0.005166, 0.038191,
    ],
}  # fmt: skip


def test_vectors_are_those_of_sentence_transformers(embedder: Embedder) -> None:
    """Three sentences, to the sixth decimal: pins the model without torch."""
    vectors = embedder.embed_documents(list(CANONICAL))
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:, :8], list(CANONICAL.values()), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_the_default_model_describes_itself(embedder: Embedder) -> None:
    """256 tokens with [CLS] and [SEP] leave 254 of the text's own."""
    assert (embedder.name, embedder.dim, embedder.max_tokens) == ("all-MiniLM-L6-v2", 384, 254)
    assert embedder.normalized
    assert embedder.revision == "53aa51172d142c89"
    assert isinstance(embedder, Embedder)


def test_fingerprint_is_the_same_on_every_machine(embedder: Embedder) -> None:
    """Pinned, and far enough from every rounding boundary that noise of 1e-5 does not change it."""
    assert embedder.fingerprint == "ae55bb60ad701fab"
    vector = embedder.embed_documents([PROBE_TEXT])[0]
    noise = np.random.default_rng(0).uniform(-1e-5, 1e-5, (50, 384)).astype(np.float32)
    assert {probe_fingerprint(vector + row) for row in noise} == {embedder.fingerprint}


def test_different_weights_have_different_fingerprints(tmp_path: Path) -> None:
    """Pooling alone changes it."""
    mean = write_model(tmp_path / "mean")
    cls = write_model(tmp_path / "cls", pooling="cls_token")
    embedders = [load_embedder(str(path), cache_directory=tmp_path) for path in (mean, cls)]
    assert embedders[0].fingerprint != embedders[1].fingerprint


def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    """The shape still says the dimension."""
    assert embedder.embed_documents([]).shape == (0, 384)
    assert embedder.embed_queries([]).shape == (0, 384)


def test_order_and_company_do_not_change_a_vector(embedder: Embedder) -> None:
    """Sorting and padding inside are not seen outside: each text gets what it gets alone."""
    texts = ["a", "two words", "", "three words here " * 30, "b", "two words", "x " * 400]
    together = embedder.embed_documents(texts)
    alone = np.concatenate([embedder.embed_documents([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_long_texts_are_truncated(embedder: Embedder) -> None:
    """What comes after 254 tokens does not count; the last one before does."""
    first = "cat " * 253
    a, b, c = embedder.embed_documents([first + "dog " + "bird " * 50, first + "dog", first + "fish"])
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(b - c).max() > 1e-3


def test_a_prefix_takes_its_tokens_of_the_window(tmp_path: Path) -> None:
    """12 tokens less [CLS], [SEP] and the two of the prefix leave 8: the last of them counts, one more does not."""
    prompts = {"query": "a ", "document": "b c "}
    embedder = load_embedder(str(write_model(tmp_path / "model", prompts=prompts)), cache_directory=tmp_path)
    assert embedder.max_tokens == 8
    a, b, c = embedder.embed_documents(["d " * 8, "d " * 7 + "e", "d " * 8 + "e"])
    assert np.abs(a - b).max() > 1e-3
    np.testing.assert_allclose(a, c, atol=1e-6)


def test_texts_of_like_meaning_are_near(embedder: Embedder) -> None:
    """A sanity check with words that do not overlap."""
    query = embedder.embed_queries(["run a program and capture what it prints"])[0]
    near, far = embedder.embed_documents(["execute a command and return its output", "bake bread with yeast"])
    assert query @ near > query @ far + 0.2


@pytest.mark.parametrize(("text", "reason"), [(7, "got=int"), (None, "got=NoneType"), ("\ud800", "lone surrogate")])
def test_what_is_not_text_is_refused_with_its_index(embedder: Embedder, text: Any, reason: str) -> None:
    """The second text is the wrong one."""
    for embed in (embedder.embed_documents, embedder.embed_queries):
        with pytest.raises(InvalidTextError, match=reason) as caught:
            embed(["fine", text])
        assert caught.value.details["index"] == 1


def test_a_bare_string_is_refused(embedder: Embedder) -> None:
    """It would be taken for a sequence of letters."""
    with pytest.raises(InvalidTextError, match="sequence of strings"):
        embedder.embed_documents(cast("list[str]", "hello"))


def test_token_offsets_are_character_spans(embedder: Embedder) -> None:
    """Characters, not bytes; no special tokens; no truncation."""
    text = "Café 東京 embeddings"
    spans = [text[start:end] for start, end in embedder.token_offsets(text)]
    assert spans == ["Café", "東", "京", "em", "bed", "ding", "s"]
    assert embedder.token_offsets("").shape == (0, 2)
    assert len(embedder.token_offsets("cat " * 1000)) == 1000


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(max_size=60), max_size=6))
def test_any_text_has_a_finite_vector_of_length_one(embedder: Embedder, texts: list[str]) -> None:
    """Control characters, emoji and empty strings included."""
    vectors = embedder.embed_documents(texts)
    assert vectors.shape == (len(texts), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@given(lengths=st.lists(st.integers(1, 300), max_size=80))
def test_batches_hold_every_row_once_and_stay_small(lengths: list[int]) -> None:
    """Sorted by length; padded size within the limit unless a row alone exceeds it."""
    made = list(batches(lengths, BATCH_TOKENS))
    assert sorted(int(row) for batch in made for row in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[row] for row in batch) <= BATCH_TOKENS for batch in made)
    for left, right in pairwise(made):
        assert max(lengths[row] for row in left) <= min(lengths[row] for row in right)
        assert (len(left) + 1) * lengths[right[0]] > BATCH_TOKENS  # no batch is split without need


def test_many_threads_get_the_vectors_of_one(embedder: Embedder) -> None:
    """Eight threads share the session."""
    texts = [f"sentence number {number} about topic {number % 5}" for number in range(40)]
    expected = embedder.embed_documents(texts)
    with ThreadPoolExecutor(8) as threads:
        vectors = np.concatenate(list(threads.map(lambda text: embedder.embed_queries([text]), texts)))
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
