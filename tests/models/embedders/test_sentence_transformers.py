"""The torch embedder beside sentence-transformers' own `encode`, on CPU, and on a GPU where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models.embedders.tiny_bert import write_model

torch = pytest.importorskip("torch", reason="needs the extra torch (sentence-transformers)")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs the extra torch")

from models.embedders.sentence_transformers import SentenceTransformersEmbedder, _batches  # noqa: E402

TEXTS = ["a b c", "", "j " * 40, "abc def", "b", "c d e f g h i j"] * 9


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny", prompts={"query": "a b ", "document": "c "})


def test_vectors_are_those_of_encode(directory: Path) -> None:
    """For texts of many lengths in one call, with the prompts of each kind, in the order given."""
    ours = SentenceTransformersEmbedder(str(directory), name="torch:tiny", device="cpu")
    theirs = sentence_transformers.SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    assert (ours.dim, ours.max_tokens, ours.normalized) == (32, 9, True)  # 12 less [CLS], [SEP] and the prefix
    documents = theirs.encode(TEXTS, prompt="c ", show_progress_bar=False)
    queries = theirs.encode(TEXTS, prompt="a b ", show_progress_bar=False)
    np.testing.assert_allclose(ours.embed_documents(TEXTS), documents, atol=1e-5)
    np.testing.assert_allclose(ours.embed_queries(TEXTS), queries, atol=1e-5)
    assert ours.embed_documents([]).shape == (0, 32)


def test_batches_are_of_like_length_and_bounded() -> None:
    """Longest first; each at most so many characters when padded, or one text."""
    texts = ["x" * size for size in (5, 100, 3, 40, 40, 41, 1)]
    found = list(_batches(texts, 90))
    assert found == [[1], [5, 3], [4, 0], [2, 6]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_gives_nearly_the_same(directory: Path) -> None:
    """bfloat16 rounds in the third decimal."""
    cpu = SentenceTransformersEmbedder(str(directory), name="torch:tiny", device="cpu").embed_documents(TEXTS)
    gpu = SentenceTransformersEmbedder(str(directory), name="torch:tiny", device="cuda").embed_documents(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(gpu, axis=1), 1.0, atol=1e-5)
    assert (cpu * gpu).sum(axis=1).min() > 0.99
