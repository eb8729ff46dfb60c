from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, load_from_string

from models import Embedder
from models.embedder import PROBE_TEXT
from models.embedders import bert_graph, onnx
from models.embedders.bert_graph import Precision, build_graph
from models.embedders.model_files import read_model_files
from models.embedders.onnx import OnnxEmbedder
from models.embedders.quantization import PROBE_TEXTS, QuantizationLoss, instruction_set, quantized_columns
from models.embedders.weights import FloatArray
from tests.models.embedders.tiny_bert import write_model


def coarse_columns(matrix: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Four bits instead of eight: a loss that must be noticed."""
    scales = (np.abs(matrix).max(axis=0) / 7).astype(np.float32)
    return np.rint(matrix / scales).astype(np.int8), scales


def load(directory: Path, cache: Path, precision: onnx.PrecisionChoice) -> OnnxEmbedder:
    return OnnxEmbedder(directory, name="m", cache_directory=cache, threads=2, precision=precision)


@pytest.fixture(scope="module")
def int8(model_directory: Path, graph_cache: Path) -> OnnxEmbedder:
    return load(model_directory, graph_cache, "int8")


def test_each_column_has_its_own_scale() -> None:
    """By hand: 2 and 254 divided by 127; zeros keep scale 1 and stay zeros."""
    matrix = np.array([[2.0, -254.0, 0.0], [-1.0, 3.0, 0.0]], dtype=np.float32)
    integers, scales = quantized_columns(matrix)
    np.testing.assert_allclose(scales, [2 / 127, 2.0, 1.0], rtol=1e-6)
    assert integers.tolist() == [[127, -127, 0], [-64, 2, 0]]
    assert integers.dtype == np.int8


def test_rounding_is_within_half_a_step() -> None:
    """For any matrix of usual weights."""
    matrix = np.random.default_rng(0).normal(0, 0.1, (64, 48)).astype(np.float32)
    integers, scales = quantized_columns(matrix)
    assert (np.abs(integers * scales - matrix) <= scales / 2 * 1.001).all()


def test_loss_is_measured_in_cosines() -> None:
    """By hand: the second vector is turned by 60 degrees, towards the first from which it stood 90 apart."""
    exact = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    rounded = np.array([[3.0, 0.0], [np.sin(np.pi / 3), np.cos(np.pi / 3)]], dtype=np.float32)
    loss = QuantizationLoss.between(exact, rounded, fingerprint="f")
    assert loss.cosine_min == pytest.approx(0.5)
    assert loss.cosine_mean == pytest.approx(0.75)
    assert loss.similarity_error_max == pytest.approx(np.sqrt(0.75))
    assert not loss.is_acceptable
    assert QuantizationLoss.between(exact, exact, fingerprint="f").is_acceptable
    assert QuantizationLoss.from_json(loss.to_json()) == loss


def test_a_loss_that_is_not_a_number_is_not_acceptable() -> None:
    """NaN compares false."""
    exact = np.ones((2, 2), dtype=np.float32)
    assert not QuantizationLoss.between(exact, exact * np.nan, fingerprint="f").is_acceptable


def test_int8_vectors_are_near_the_float32_ones(int8: OnnxEmbedder, embedder: Embedder) -> None:
    """And not the same: the default model, sentences of all kinds, one by one as queries come."""
    assert int8.precision is Precision.INT8
    assert int8.loss is not None
    cosines = [float(int8.embed_queries([t])[0] @ embedder.embed_queries([t])[0]) for t in PROBE_TEXTS]
    assert min(cosines) > 0.96
    assert 0.99 < np.mean(cosines) < 0.9999
    np.testing.assert_allclose(np.linalg.norm(int8.embed_documents(["a", "b c"]), axis=1), 1.0, atol=1e-6)


def test_int8_weights_are_a_quarter_in_size(model_directory: Path) -> None:
    """The multiplications are int8, everything else float32."""
    graph = load_from_string(build_graph(read_model_files(model_directory), Precision.INT8)).graph
    sizes = dict.fromkeys((TensorProto.INT8, TensorProto.FLOAT, TensorProto.INT64), 0)
    for tensor in graph.initializer:
        sizes[tensor.data_type] += len(tensor.raw_data)
    assert sizes[TensorProto.INT8] == pytest.approx(6 * 12 * 384**2, rel=0.01)
    assert sum(node.op_type == "DynamicQuantizeMatMul" for node in graph.node) == 6 * 6


def test_auto_takes_int8_where_it_is_good_enough(model_directory: Path, graph_cache: Path) -> None:
    """The default model on a processor that multiplies integers exactly; what was measured is in the cache."""
    auto = load(model_directory, graph_cache, "auto")
    assert auto.loss is not None
    assert auto.precision is (Precision.INT8 if auto.loss.is_acceptable else Precision.FLOAT32)
    (path,) = [path for path in graph_cache.glob("*.json") if "int8" in path.name]
    assert QuantizationLoss.from_json(path.read_bytes()) == auto.loss


def test_auto_refuses_int8_that_is_too_coarse(
    model_directory: Path, tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights of four bits the same model is served in float32, with its own fingerprint."""
    monkeypatch.setattr(bert_graph, "quantized_columns", coarse_columns)
    auto = load(model_directory, tmp_path, "auto")
    assert auto.precision is Precision.FLOAT32
    assert auto.loss is not None
    assert auto.loss.cosine_mean < 0.97
    assert auto.fingerprint == embedder.fingerprint
    assert load(model_directory, tmp_path, "int8").precision is Precision.INT8


def test_the_loss_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start reads it, and does not load the float32 graph; a damaged file is measured again."""
    directory, cache = write_model(tmp_path / "model"), tmp_path / "cache"
    first = load(directory, cache, "int8")
    monkeypatch.setattr(onnx, "build_graph", None)
    second = load(directory, cache, "int8")
    assert (second.loss, second.fingerprint) == (first.loss, first.fingerprint)
    (path,) = cache.glob("*.json")
    path.write_bytes(b"{}")
    assert load(directory, cache, "int8").loss == first.loss


def test_precisions_are_different_models(int8: OnnxEmbedder, embedder: Embedder) -> None:
    """A collection of float32 vectors does not open with int8; the fingerprint is equal on every machine."""
    assert int8.fingerprint != embedder.fingerprint
    assert int8.fingerprint == "67047d128c5ea2be"
    assert int8.revision == embedder.revision


def test_company_changes_an_int8_vector_little(int8: OnnxEmbedder) -> None:
    """Activations are scaled by the largest of a run, so that other texts in it matter: within the rounding."""
    together = int8.embed_documents(PROBE_TEXTS)
    alone = np.concatenate([int8.embed_documents([text]) for text in PROBE_TEXTS])
    least = 0.95 if "vnni" in instruction_set() else 0.9  # without it sums of products may saturate
    assert (together * alone).sum(axis=1).min() > least
    np.testing.assert_array_equal(int8.embed_queries([PROBE_TEXT]), int8.embed_queries([PROBE_TEXT]))
