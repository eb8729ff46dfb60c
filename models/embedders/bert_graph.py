"""An ONNX graph for BERT-family weights, written by ourselves: no torch, no exporter.

The operators are the fused ones of ONNX Runtime (domain `com.microsoft`), documented at
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. Pooling and normalisation are
inside the graph, so one run gives finished vectors:

    input_ids (rows, tokens) int32, attention_mask (rows, tokens) int32  ->  vectors (rows, dim) float32

The weights stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors import SafetensorError, safe_open

from models.embedder import Progress
from models.embedders.model_files import BertConfig, ModelFiles
from models.errors import ModelDamagedError

BUILDER_VERSION = "1"  # part of the cache key: raise it whenever the graph changes

INPUT_IDS, ATTENTION_MASK, VECTORS = "input_ids", "attention_mask", "vectors"

_OPSET = 17
_IR_VERSION = 8
_FUSED_OPSET = 1
_NORM_FLOOR = 1e-12  # torch.nn.functional.normalize divides by max(norm, 1e-12)

FloatArray = npt.NDArray[np.float32]


def build_graph(files: ModelFiles, progress: Progress | None = None) -> bytes:
    """The serialized ONNX model of `files`; equal input gives equal bytes.

    Raises:
        ModelDamagedError: the safetensors file is unreadable, lacks a tensor, or holds one of the wrong shape.
    """
    bert = files.bert
    report = progress or (lambda _stage, _fraction: None)
    with _open_weights(files.weights) as weights:
        graph = _GraphWriter()
        hidden = _embeddings(graph, weights, bert)
        for layer in range(bert.num_hidden_layers):
            report("building the model graph", layer / bert.num_hidden_layers)
            hidden = _layer(graph, weights, bert, layer, hidden)
    pooled = _mean_pooling(graph, hidden) if files.pooling == "mean" else _cls_pooling(graph, hidden)
    if files.normalized:
        pooled = _normalisation(graph, pooled)
    graph.node("Identity", [pooled], VECTORS)
    return graph.serialize(bert)


class _Weights:
    """Tensors of a safetensors file by their BERT name, checked and as float32."""

    def __init__(self, path: Path, tensors: safe_open) -> None:
        self._path = path
        self._tensors = tensors
        self._names = frozenset(tensors.keys())  # type: ignore[no-untyped-call]  # the library's stubs
        # Weights saved from a head model (BertForMaskedLM) carry the encoder under "bert.".
        self._prefix = "" if "embeddings.word_embeddings.weight" in self._names else "bert."

    def __call__(self, name: str, *shape: int) -> FloatArray:
        full_name = self._prefix + name
        if full_name not in self._names:
            raise self._damaged(f"tensor={name} is missing")
        try:
            stored = self._tensors.get_tensor(full_name)  # type: ignore[no-untyped-call]  # the library's stubs
            tensor: FloatArray = np.asarray(stored).astype(np.float32)
        except (SafetensorError, TypeError) as error:
            raise self._damaged(f"tensor={name} {error}") from error
        if tensor.shape != shape:
            raise self._damaged(f"tensor={name} has the wrong shape: expected={shape} got={tensor.shape}")
        if not np.isfinite(tensor).all():
            raise self._damaged(f"tensor={name} holds NaN or infinity")
        return tensor

    def _damaged(self, reason: str) -> ModelDamagedError:
        return ModelDamagedError(f"model file is damaged: file={self._path} {reason}", file=str(self._path))


@contextmanager
def _open_weights(path: Path) -> Iterator[_Weights]:
    try:
        tensors = safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise ModelDamagedError(f"model file is damaged: file={path} reason={error}", file=str(path)) from error
    with tensors as opened:
        yield _Weights(path, opened)


class _GraphWriter:
    """Collects nodes and weights; every node has one output, named by the caller or by the next number."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        self._initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str | None = None, **attributes: float) -> str:
        name = output or f"n{len(self._nodes)}_{operator}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def fused(self, operator: str, inputs: list[str], outputs: int = 1, **attributes: float) -> str:
        """A com.microsoft operator; only its first output is used."""
        name = f"n{len(self._nodes)}_{operator}"
        names = [name, *(f"{name}_{index}" for index in range(1, outputs))]
        self._nodes.append(helper.make_node(operator, inputs, names, name=name, domain="com.microsoft", **attributes))
        return name

    def serialize(self, bert: BertConfig) -> bytes:
        def matrix(name: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.INT32, ["rows", "tokens"])

        output = helper.make_tensor_value_info(VECTORS, TensorProto.FLOAT, ["rows", bert.hidden_size])
        graph = helper.make_graph(
            self._nodes, "bert", [matrix(INPUT_IDS), matrix(ATTENTION_MASK)], [output], self._initializers
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", _FUSED_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="lumaai")
        model.ir_version = _IR_VERSION
        return bytes(model.SerializeToString(deterministic=True))


def _layer_norm(graph: _GraphWriter, weights: _Weights, bert: BertConfig, name: str) -> list[str]:
    return [
        graph.constant(f"{name}.{part}", weights(f"{name}.{part}", bert.hidden_size)) for part in ("weight", "bias")
    ]


def _embeddings(graph: _GraphWriter, weights: _Weights, bert: BertConfig) -> str:
    size = bert.hidden_size
    words = weights("embeddings.word_embeddings.weight", bert.vocab_size, size)
    positions = weights("embeddings.position_embeddings.weight", bert.max_position_embeddings, size)
    types = weights("embeddings.token_type_embeddings.weight", bert.type_vocab_size, size)
    inputs = [
        INPUT_IDS,
        "",  # segment ids: an embedder reads one text, so all are 0 and their row is added to the positions
        graph.constant("word_embeddings", words),
        graph.constant("position_embeddings", positions + types[0]),
        "",
        *_layer_norm(graph, weights, bert, "embeddings.LayerNorm"),
    ]
    return graph.fused("EmbedLayerNormalization", inputs, outputs=2, epsilon=bert.layer_norm_eps)


def _layer(graph: _GraphWriter, weights: _Weights, bert: BertConfig, layer: int, hidden: str) -> str:
    """One encoder layer: attention and feed-forward, each followed by residual and normalisation."""
    name = f"encoder.layer.{layer}"
    size, inner = bert.hidden_size, bert.intermediate_size
    attention = _attention(graph, weights, bert, f"{name}.attention.self", hidden)
    attention = _dense(graph, weights, f"{name}.attention.output.dense", attention, (size, size))
    bias = graph.constant(f"{name}.attention.bias", weights(f"{name}.attention.output.dense.bias", size))
    norm = _layer_norm(graph, weights, bert, f"{name}.attention.output.LayerNorm")
    inputs = [attention, hidden, *norm, bias]
    hidden = graph.fused("SkipLayerNormalization", inputs, epsilon=bert.layer_norm_eps)

    expanded = _dense(graph, weights, f"{name}.intermediate.dense", hidden, (inner, size))
    bias = graph.constant(f"{name}.intermediate.bias", weights(f"{name}.intermediate.dense.bias", inner))
    activated = graph.fused("BiasGelu", [expanded, bias])  # the exact one, with erf
    reduced = _dense(graph, weights, f"{name}.output.dense", activated, (size, inner))
    bias = graph.constant(f"{name}.output.bias", weights(f"{name}.output.dense.bias", size))
    inputs = [reduced, hidden, *_layer_norm(graph, weights, bert, f"{name}.output.LayerNorm"), bias]
    return graph.fused("SkipLayerNormalization", inputs, epsilon=bert.layer_norm_eps)


def _dense(graph: _GraphWriter, weights: _Weights, name: str, hidden: str, shape: tuple[int, int]) -> str:
    """Multiplication by a torch Linear's weight, which is stored (out, in); the bias is fused elsewhere."""
    return graph.node("MatMul", [hidden, graph.constant(f"{name}.weight", weights(f"{name}.weight", *shape).T)])


def _attention(graph: _GraphWriter, weights: _Weights, bert: BertConfig, name: str, hidden: str) -> str:
    """Query, key and value as one (hidden, 3 × hidden) multiplication."""
    size = bert.hidden_size
    parts = ("query", "key", "value")
    stacked = np.concatenate([weights(f"{name}.{part}.weight", size, size).T for part in parts], axis=1)
    biases = np.concatenate([weights(f"{name}.{part}.bias", size) for part in parts])
    inputs = [
        hidden,
        graph.constant(f"{name}.weight", stacked),
        graph.constant(f"{name}.bias", biases),
        ATTENTION_MASK,
    ]
    return graph.fused("Attention", inputs, num_heads=bert.num_attention_heads)


def _mean_pooling(graph: _GraphWriter, hidden: str) -> str:
    """Mean over the tokens that are not padding, as mask × hidden ÷ number of tokens."""
    mask = graph.node("Cast", [ATTENTION_MASK], to=TensorProto.FLOAT)
    axis = graph.constant("axis_1", np.array([1], dtype=np.int64))
    total = graph.node("MatMul", [graph.node("Unsqueeze", [mask, axis]), hidden])  # (rows, 1, dim)
    count = graph.node("ReduceSum", [mask, axis], keepdims=1)  # (rows, 1)
    return graph.node("Div", [graph.node("Squeeze", [total, axis]), count])


def _cls_pooling(graph: _GraphWriter, hidden: str) -> str:
    first = graph.constant("first_token", np.array(0, dtype=np.int64))
    return graph.node("Gather", [hidden, first], axis=1)


def _normalisation(graph: _GraphWriter, pooled: str) -> str:
    square = graph.node("Mul", [pooled, pooled])
    axis = graph.constant("axis_last", np.array([-1], dtype=np.int64))
    norm = graph.node("Sqrt", [graph.node("ReduceSum", [square, axis], keepdims=1)])
    floor = graph.constant("norm_floor", np.array(_NORM_FLOOR, dtype=np.float32))
    return graph.node("Div", [pooled, graph.node("Max", [norm, floor])])
