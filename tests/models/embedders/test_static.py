from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from models import Embedder, InvalidTextError, ModelDamagedError, ModelNotFoundError, load_embedder
from models.embedders.static import StaticEmbedder
from tests.models.embedders.tiny_bert import VOCABULARY, write_model

A, B, UNKNOWN = VOCABULARY.index("a"), VOCABULARY.index("b"), VOCABULARY.index("[UNK]")


def table() -> Any:
    """Two columns: [UNK] up-left, a to the right, b up and twice as long, everything else nothing."""
    rows = np.zeros((len(VOCABULARY), 2), dtype=np.float32)
    rows[A], rows[B], rows[UNKNOWN] = (1, 0), (0, 2), (-1, 1)
    return rows


def write_static(directory: Path, tensors: dict[str, Any] | None = None) -> Path:
    write_model(directory)
    save_file(tensors if tensors is not None else {"embeddings": table()}, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps({"model_type": "model2vec", "seq_length": 6}), encoding="utf-8")
    return directory


def test_a_vector_is_the_scaled_mean_of_its_tokens(tmp_path: Path) -> None:
    """By hand: "a b" is (1, 2), "a a a b" (3, 2), each divided by its length."""
    embedder = StaticEmbedder(write_static(tmp_path), name="static")
    vectors = embedder.embed_documents(["a b", "a a a b"])
    np.testing.assert_allclose(vectors, np.array([[1, 2], [3, 2]]) / np.sqrt([[5], [13]]), atol=1e-6)
    np.testing.assert_array_equal(embedder.embed_queries(["a b"]), vectors[:1])
    assert vectors.dtype == np.float32
    assert isinstance(embedder, Embedder)
    assert (embedder.dim, embedder.max_tokens, embedder.normalized) == (2, 6, True)


def test_texts_without_meaning_have_length_one_all_the_same(tmp_path: Path) -> None:
    """Empty: the unknown token's vector. Tokens that add up to nothing: the first axis."""
    embedder = StaticEmbedder(write_static(tmp_path), name="static")
    vectors = embedder.embed_documents(["", "!!", "c"])
    np.testing.assert_allclose(vectors, [[-np.sqrt(0.5), np.sqrt(0.5)]] * 2 + [[1, 0]], atol=1e-6)
    assert embedder.embed_documents([]).shape == (0, 2)


def test_long_texts_are_truncated_and_offsets_are_not(tmp_path: Path) -> None:
    """Six tokens are read; spans are given of all."""
    embedder = StaticEmbedder(write_static(tmp_path), name="static")
    np.testing.assert_allclose(embedder.embed_documents(["a " * 6 + "b"]), [[1, 0]], atol=1e-6)
    assert len(embedder.token_offsets("a " * 6 + "b")) == 7
    with pytest.raises(InvalidTextError):
        embedder.embed_documents(["\ud800"])


def test_rows_may_be_shared_and_weighted(tmp_path: Path) -> None:
    """Newer files keep fewer rows, a mapping from tokens to them, and weights of the tokens."""
    mapping = np.zeros(len(VOCABULARY), dtype=np.int64)
    mapping[B] = 1
    weights = np.ones(len(VOCABULARY), dtype=np.float32)
    weights[B] = 3
    rows = np.array([[1, 0], [0, 1]], dtype=np.float16)
    tensors = {"embeddings": rows, "mapping": mapping, "weights": weights}
    embedder = StaticEmbedder(write_static(tmp_path, tensors), name="static")
    np.testing.assert_allclose(embedder.embed_documents(["a b"]), [[1 / np.sqrt(10), 3 / np.sqrt(10)]], atol=1e-6)


def test_a_directory_is_recognized_by_its_configuration(tmp_path: Path) -> None:
    """`load_embedder` takes its path, whatever the precision."""
    directory = write_static(tmp_path / "static")
    embedder = load_embedder(str(directory), cache_directory=tmp_path / "cache", precision="int8")
    assert isinstance(embedder, StaticEmbedder)
    assert embedder.name == str(directory)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "tensors",
    [
        {"other": table()},
        {"embeddings": table()[:5]},
        {"embeddings": table()[0]},
        {"embeddings": table() * np.float32("nan")},
        {"embeddings": table(), "mapping": np.full(len(VOCABULARY), 99)},
        {"embeddings": table(), "weights": np.ones(3, np.float32)},
    ],
)
def test_damage_is_named(tmp_path: Path, tensors: dict[str, Any]) -> None:
    """No table, fewer rows than tokens, no matrix, NaN, rows that are not there, weights of another length."""
    with pytest.raises(ModelDamagedError, match=str(tmp_path)):
        StaticEmbedder(write_static(tmp_path, tensors), name="static")


def test_missing_and_truncated_files_are_named(tmp_path: Path) -> None:
    """As for other models."""
    directory = write_static(tmp_path)
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ModelDamagedError, match=r"model\.safetensors"):
        StaticEmbedder(directory, name="static")
    weights.unlink()
    with pytest.raises(ModelNotFoundError, match=r"missing=model\.safetensors"):
        StaticEmbedder(directory, name="static")
