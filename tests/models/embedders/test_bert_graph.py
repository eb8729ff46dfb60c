from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, load_from_string

from models import ModelDamagedError, ModelNotFoundError, ModelUnsupportedError
from models.embedders.bert_graph import build_graph
from models.embedders.model_files import read_model_files
from models.embedders.onnx import OnnxEmbedder
from tests.models.embedders.tiny_bert import random_weights, reference, write_model

CLS, SEP, A, B, C = 2, 3, 4, 5, 6


def embedder_of(directory: Path) -> OnnxEmbedder:
    return OnnxEmbedder(directory, name="tiny", cache_directory=directory / "cache", threads=1)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [True, False])
def test_graph_computes_what_bert_is_defined_to_compute(tmp_path: Path, pooling: str, normalize: bool) -> None:
    """Equal to a NumPy implementation, for rows of different lengths in one batch."""
    mode = {"mean": "mean_tokens", "cls": "cls_token"}[pooling]
    model = embedder_of(write_model(tmp_path, pooling=mode, normalize=normalize))
    expected = [
        reference([CLS, *words, SEP], random_weights(), pooling=pooling, normalize=normalize)
        for words in ([A], [A, B, C], [C, C, B, A, A, B])
    ]
    vectors = model.embed_documents(["a", "a b c", "c c b a a b"])
    assert model.normalized is normalize
    np.testing.assert_allclose(vectors, expected, atol=2e-5)


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    """gte-small is stored as float16; the graph is float32 all the same."""
    weights = {name: tensor.astype(np.float16) for name, tensor in random_weights().items()}
    directory = write_model(tmp_path, weights=weights)
    vector = embedder_of(directory).embed_documents(["a b"])[0]
    np.testing.assert_allclose(vector, reference([CLS, A, B, SEP], weights), atol=2e-5)
    graph = load_from_string(build_graph(read_model_files(directory))).graph
    assert {tensor.data_type for tensor in graph.initializer} == {TensorProto.FLOAT, TensorProto.INT64}


def test_weights_saved_under_a_head_are_found(tmp_path: Path) -> None:
    """Some repositories carry the encoder under "bert."."""
    weights = {f"bert.{name}": tensor for name, tensor in random_weights().items()}
    directory = write_model(tmp_path, weights=weights, architectures=["BertForMaskedLM"])
    vector = embedder_of(directory).embed_documents(["a b"])[0]
    np.testing.assert_allclose(vector, reference([CLS, A, B, SEP], random_weights()), atol=2e-5)


def test_a_directory_without_modules_is_mean_pooled_and_not_normalized(tmp_path: Path) -> None:
    """That is what sentence-transformers makes of a bare encoder."""
    model = embedder_of(write_model(tmp_path, pooling=None, max_seq_length=None))
    assert model.max_tokens == 22
    expected = reference([CLS, A, SEP], random_weights(), normalize=False)
    np.testing.assert_allclose(model.embed_documents(["a"])[0], expected, atol=2e-5)


def test_prompts_of_the_model_are_put_before_texts(tmp_path: Path) -> None:
    """E5 wants "query: " before queries; here it is "a "."""
    model = embedder_of(write_model(tmp_path, prompts={"query": "a ", "document": "b "}))
    expected = [reference([CLS, first, C, SEP], random_weights()) for first in (A, B)]
    vectors = [model.embed_queries(["c"])[0], model.embed_documents(["c"])[0]]
    np.testing.assert_allclose(vectors, expected, atol=2e-5)


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    """Concurrent builders depend on it."""
    files = read_model_files(write_model(tmp_path))
    assert build_graph(files) == build_graph(files)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"architectures": ["NewModel"], "model_type": "new"}, "NewModel"),
        ({"architectures": ["RobertaModel"], "model_type": "roberta"}, "RobertaModel"),
        ({"hidden_act": "relu"}, "hidden_act=relu"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
    ],
)
def test_other_architectures_are_refused_by_name(tmp_path: Path, config: dict[str, Any], named: str) -> None:
    """The error says what was found and what is supported."""
    with pytest.raises(ModelUnsupportedError, match=named):
        read_model_files(write_model(tmp_path, **config))


def test_other_poolings_are_refused_by_name(tmp_path: Path) -> None:
    """Max pooling is not built."""
    with pytest.raises(ModelUnsupportedError, match="max_tokens"):
        read_model_files(write_model(tmp_path, pooling="max_tokens"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    """An incomplete directory says what it lacks."""
    (write_model(tmp_path) / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"missing=tokenizer\.json"):
        read_model_files(tmp_path)


def test_truncated_weights_are_damaged(tmp_path: Path) -> None:
    """A half-copied file names itself."""
    path = write_model(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelDamagedError, match=r"model\.safetensors"):
        embedder_of(tmp_path)


def test_missing_misshapen_and_not_finite_tensors_are_damaged(tmp_path: Path) -> None:
    """Each is named with the tensor."""
    name = "encoder.layer.1.output.dense.bias"
    for index, (tensor, reason) in enumerate(
        [(None, "missing"), (np.zeros(5, np.float32), "wrong shape"), (np.full(32, np.nan, np.float32), "NaN")]
    ):
        weights = random_weights()
        del weights[name]
        if tensor is not None:
            weights[name] = tensor
        directory = write_model(tmp_path / str(index), weights=weights)
        with pytest.raises(ModelDamagedError, match=f"{name}.*{reason}"):
            embedder_of(directory)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "modules.json"])
def test_unreadable_configuration_is_damaged(tmp_path: Path, file: str) -> None:
    """Half a JSON file names itself."""
    path = write_model(tmp_path) / file
    path.write_text(path.read_text(encoding="utf-8")[:20], encoding="utf-8")
    with pytest.raises(ModelDamagedError, match=file):
        embedder_of(tmp_path)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"architectures": 5}),
        ("config.json", {"num_attention_heads": 5}),
        ("config.json", {"num_attention_heads": 0}),
        ("config.json", {"num_hidden_layers": 0}),
        ("config.json", {"hidden_size": -32}),
        ("config.json", {"type_vocab_size": 0}),
        ("config.json", {"pad_token_id": 24}),
        ("config.json", {"vocab_size": "many"}),
        ("sentence_bert_config.json", {"max_seq_length": "x"}),
        ("sentence_bert_config.json", {"max_seq_length": -4}),
        ("sentence_bert_config.json", {"max_seq_length": 2}),
        ("config_sentence_transformers.json", {"prompts": ["x"]}),
        ("config_sentence_transformers.json", {"prompts": {"query": 7}}),
    ],
)
def test_nonsense_in_a_configuration_is_damaged(tmp_path: Path, file: str, change: dict[str, object]) -> None:
    """The file is named; nothing of it is taken for a number or a text that it is not."""
    path = write_model(tmp_path) / file
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**content, **change}), encoding="utf-8")
    with pytest.raises(ModelDamagedError, match=file):
        embedder_of(tmp_path)


def test_a_configuration_with_fewer_layers_than_the_weights_is_damaged(tmp_path: Path) -> None:
    """A model cut in half would answer, and wrongly; a list of modules that is none would leave out normalisation."""
    with pytest.raises(ModelDamagedError, match=r"more layers than config\.json says: num_hidden_layers=1"):
        embedder_of(write_model(tmp_path / "layers", num_hidden_layers=1))
    (write_model(tmp_path / "modules") / "modules.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelDamagedError, match="names no modules"):
        embedder_of(tmp_path / "modules")


def test_a_prompt_that_is_null_is_none(tmp_path: Path) -> None:
    """Not the word."""
    path = write_model(tmp_path) / "config_sentence_transformers.json"
    path.write_text('{"prompts": {"query": null, "document": "a "}}', encoding="utf-8")
    files = read_model_files(tmp_path)
    assert (files.query_prefix, files.document_prefix) == ("", "a ")


def test_a_tokenizer_with_more_tokens_than_the_model_is_damaged(tmp_path: Path) -> None:
    """Its ids would read beyond the word embeddings."""
    weights = random_weights()
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:20]
    with pytest.raises(ModelDamagedError, match="expected=20 got=24"):
        embedder_of(write_model(tmp_path, weights=weights, vocab_size=20))
