"""Ready ONNX files: the same vectors as our own graph of the same weights; damage and strangers are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models import (
    ModelDamagedError,
    ModelNotFoundError,
    ModelUnsupportedError,
    load_embedder,
    model_information,
)
from models.embedders.onnx_files import OnnxFilesEmbedder, is_ready
from tests.models.embedders.tiny_bert import CONFIG, random_weights, write_model

TEXTS = ["a b c", "", "j", "abc def ghij " * 3, "b a d"]


def embedding_graph(table: Any, *, output: str = "last_hidden_state", inputs: tuple[str, ...] = ()) -> bytes:
    """A graph that looks tokens up: (batch, tokens) → (batch, tokens, dim)."""
    names = inputs or ("input_ids", "attention_mask")
    node = helper.make_node("Gather", ["table", names[0]], [output])
    graph = helper.make_graph(
        [node],
        "lookup",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in names],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "tokens", table.shape[1]])],
        [helper.make_tensor("table", TensorProto.FLOAT, table.shape, table.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def table() -> Any:
    return np.random.default_rng(3).normal(size=(CONFIG["vocab_size"], 8)).astype(np.float32)


@pytest.fixture
def ready(tmp_path: Path, table: Any) -> Path:
    """A directory as the Hub has them: onnx/model.onnx beside the configuration, and no safetensors."""
    directory = write_model(tmp_path / "ready", prompts={"query": "a "})
    (directory / "model.safetensors").unlink()
    (directory / "onnx").mkdir()
    (directory / "onnx" / "model.onnx").write_bytes(embedding_graph(table))
    return directory


def expected(embedder: OnnxFilesEmbedder, table: Any, text: str) -> Any:
    """Mean of the table's rows, of length 1; [CLS] and [SEP] included, cut at 12 tokens."""
    ids = embedder._tokenizer.encode(text).ids
    mean = table[ids].mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_vectors_are_pooled_means(ready: Path, table: Any, tmp_path: Path) -> None:
    """Worked out by hand, for texts of many lengths in one call; queries with their prefix."""
    embedder = load_embedder(str(ready), cache_directory=tmp_path)
    assert isinstance(embedder, OnnxFilesEmbedder)
    assert (embedder.dim, embedder.max_tokens, embedder.normalized) == (8, 10, True)
    vectors = embedder.embed_documents(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(vector, expected(embedder, table, text), atol=1e-6)
    np.testing.assert_allclose(embedder.embed_queries(["b"])[0], expected(embedder, table, "a b"), atol=1e-6)
    assert embedder.token_offsets("ab c").tolist() == [[0, 1], [1, 2], [3, 4]]


def test_cls_pooling_and_no_normalisation(tmp_path: Path, table: Any) -> None:
    """As the modules say."""
    directory = write_model(tmp_path / "cls", pooling="cls_token", normalize=False)
    (directory / "model.safetensors").unlink()
    (directory / "model.onnx").write_bytes(embedding_graph(table))
    embedder = OnnxFilesEmbedder(directory, name="cls")
    np.testing.assert_allclose(embedder.embed_documents(["a b"])[0], table[2], atol=1e-6)  # [CLS]
    assert not embedder.normalized


def test_our_own_graph_gives_the_same(tmp_path: Path) -> None:
    """Weights as safetensors are preferred; as ONNX exported by us they are the same model."""
    own = write_model(tmp_path / "own", weights=random_weights())
    embedder = load_embedder(str(own), cache_directory=tmp_path / "cache")
    (graph,) = (tmp_path / "cache").glob("*.onnx")
    model = onnx.load(str(graph))
    names = {each.name for each in model.graph.output}
    assert "vectors" in names
    for node in model.graph.node:
        node.output[:] = ["sentence_embedding" if name == "vectors" else name for name in node.output]
        node.input[:] = ["sentence_embedding" if name == "vectors" else name for name in node.input]
    for each in model.graph.output:
        each.name = "sentence_embedding" if each.name == "vectors" else each.name
    exported = tmp_path / "exported"
    shutil.copytree(own, exported)
    (exported / "model.safetensors").unlink()
    onnx.save(model, str(exported / "model.onnx"))
    assert is_ready(exported)
    assert not is_ready(own)
    ready = load_embedder(str(exported), cache_directory=tmp_path / "cache")
    np.testing.assert_allclose(ready.embed_documents(TEXTS), embedder.embed_documents(TEXTS), atol=1e-5)
    assert ready.fingerprint == embedder.fingerprint


def test_it_is_described(ready: Path) -> None:
    """Checksum, size and kind."""
    known = model_information(f"onnx:{ready}")
    assert (known.kind, known.dim, known.query_prefix) == ("onnx", 8, "a ")
    assert known.checksum is not None
    assert known.checksum.startswith(known.revision or "-")


def test_damage_and_strangers_are_named(ready: Path, table: Any) -> None:
    """A cut file, other inputs, other outputs, a tokenizer of another model, missing files."""
    graph = ready / "onnx" / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelDamagedError, match="damaged"):
        OnnxFilesEmbedder(ready, name="x")
    graph.write_bytes(embedding_graph(table, inputs=("pixels", "attention_mask")))
    with pytest.raises(ModelUnsupportedError, match="pixels"):
        OnnxFilesEmbedder(ready, name="x")
    graph.write_bytes(embedding_graph(table, output="logits"))
    with pytest.raises(ModelUnsupportedError, match="logits"):
        OnnxFilesEmbedder(ready, name="x")
    graph.write_bytes(embedding_graph(table[:4]))  # fewer embeddings than the tokenizer has tokens
    with pytest.raises(ModelDamagedError, match="does not run"):
        OnnxFilesEmbedder(ready, name="x")
    graph.write_bytes(embedding_graph(np.full_like(table, np.nan)))
    with pytest.raises(ModelDamagedError, match="NaN"):
        OnnxFilesEmbedder(ready, name="x")
    config = json.loads((ready / "config.json").read_text(encoding="utf-8"))
    (ready / "config.json").write_text(json.dumps(config | {"vocab_size": 3}), encoding="utf-8")
    graph.write_bytes(whole)
    with pytest.raises(ModelDamagedError, match="tokenizer does not fit"):
        OnnxFilesEmbedder(ready, name="x")
    (ready / "config.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"missing=config\.json"):
        OnnxFilesEmbedder(ready, name="x")


def test_a_changed_file_is_another_model(ready: Path, table: Any) -> None:
    """Another revision and another fingerprint."""
    before = OnnxFilesEmbedder(ready, name="x")
    (ready / "onnx" / "model.onnx").write_bytes(embedding_graph(-table[::-1].copy()))
    after = OnnxFilesEmbedder(ready, name="x")
    assert before.revision != after.revision
    assert before.fingerprint != after.fingerprint
