"""Our graphs beside transformers and sentence-transformers, on seeded random models of every family that we take."""

from __future__ import annotations

import importlib.util
import os
import random
from pathlib import Path

import numpy as np
import pytest

from models import Vectors
from models.embedders.onnx import OnnxEmbedder
from models.rerankers.cross_encoder import CrossEncoderReranker
from tests.models.embedders.random_models import FAMILIES, Family, write_family

if importlib.util.find_spec("sentence_transformers") is None:
    pytest.skip("needs the extra torch (sentence-transformers)", allow_module_level=True)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

IDS = [family.name for family in FAMILIES]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")


def some_texts(count: int) -> list[str]:
    """Words of the tiny vocabulary, from none to more than a model reads."""
    chooser = random.Random(5)
    return [" ".join(chooser.choices("abcdefghij", k=min(number * number // 7, 200))) for number in range(count)]


def cosines(ours: Vectors, theirs: Vectors) -> Vectors:
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    result: Vectors = (ours * theirs).sum(axis=1) / lengths
    return result


@pytest.mark.parametrize("family", FAMILIES, ids=IDS)
def test_vectors_equal_those_of_sentence_transformers(tmp_path: Path, family: Family) -> None:
    """Pooling, prefixes, truncation and normalisation: cosine of at least 0.9999, and equal numbers."""
    from sentence_transformers import SentenceTransformer

    directory = write_family(tmp_path / "model", family)
    ours = OnnxEmbedder(directory, name=family.name, cache_directory=tmp_path, threads=2)
    theirs = SentenceTransformer(str(directory), device="cpu")
    texts = some_texts(40)
    prompts = family.prompts or {}
    for embed, prompt in ((ours.embed_queries, "query"), (ours.embed_documents, "document")):
        expected = theirs.encode(texts, prompt=prompts.get(prompt) or None, batch_size=8, convert_to_numpy=True)
        vectors = embed(texts)
        assert cosines(vectors, expected).min() >= 0.9999
        np.testing.assert_allclose(vectors, expected, atol=2e-4)
    spread = cosines(vectors[5:-1], vectors[6:])
    assert spread.min() < 0.999  # the texts' vectors do differ


@pytest.mark.parametrize("family", [FAMILIES[0], FAMILIES[3]], ids=[IDS[0], IDS[3]])
def test_scores_equal_those_of_transformers(tmp_path: Path, family: Family) -> None:
    """The logits of BertForSequenceClassification, for texts of many lengths."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    directory = write_family(tmp_path / "model", family, cross_encoder=True)
    ours = CrossEncoderReranker(directory, name=family.name, cache_directory=tmp_path, threads=2)
    model = AutoModelForSequenceClassification.from_pretrained(directory, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    texts, query = some_texts(30), "a b j c"
    expected = []
    with torch.no_grad():
        for text in texts:
            # In lists, because a lone empty text would be taken for none.
            inputs = tokenizer(
                [query],
                [text],
                truncation="only_second",
                max_length=128,
                return_token_type_ids=True,
                return_tensors="pt",
            )
            expected.append(float(model(**inputs).logits[0, 0]))
    scores = ours.score(query, texts)
    np.testing.assert_allclose(scores, expected, atol=5e-4)
    assert np.std(scores) > 0.01


def test_the_torch_embedder_is_sentence_transformers(tmp_path: Path, model_directory: Path) -> None:
    """Loaded by the prefix; its vectors, offsets and limits are those of the ONNX embedder on the same files."""
    from models import Embedder, load_embedder

    theirs = load_embedder(f"torch:{model_directory}", cache_directory=tmp_path)
    ours = load_embedder(cache_directory=tmp_path, threads=2)
    texts = ["a man eats bread", "", "Zürich 東京 😀", "word " * 400]
    assert isinstance(theirs, Embedder)
    assert (theirs.dim, theirs.max_tokens, theirs.normalized) == (ours.dim, ours.max_tokens, True)
    for embed, expected in ((theirs.embed_documents, ours.embed_documents), (theirs.embed_queries, ours.embed_queries)):
        assert cosines(embed(texts), expected(texts)).min() >= 0.9999
    assert theirs.embed_documents([]).shape == (0, 384)
    assert theirs.fingerprint == ours.fingerprint
    np.testing.assert_array_equal(theirs.token_offsets(texts[2]), ours.token_offsets(texts[2]))


def test_a_model_that_is_not_here_is_not_found(tmp_path: Path) -> None:
    """Nothing is downloaded."""
    from models import ModelNotFoundError, load_embedder

    with pytest.raises(ModelNotFoundError, match="not on this machine"):
        load_embedder("torch:nobody/nothing", cache_directory=tmp_path)
