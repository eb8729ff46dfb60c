"""ONNX graphs for BERT-family weights, written by ourselves: no torch, no exporter.

The operators are those of ONNX and the fused ones of ONNX Runtime (domain `com.microsoft`), documented at
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. Pooling and normalisation, or the head
of a cross-encoder, are inside the graph, so one run gives finished results:

    embedder        input_ids, attention_mask            ->  vectors (rows, dim), token_vectors (rows, tokens, dim)
    cross-encoder   input_ids, attention_mask, segments  ->  scores (rows,)

Inputs are (rows, tokens) int32, outputs float32; only the outputs that a run asks for are computed.

Which operators, by measurement (1,024 tokens of all-MiniLM-L6-v2, 2 cores, ONNX Runtime 1.32): residual as `Add` and
`LayerNormalization` takes 0.2 ms where `SkipLayerNormalization` takes 1.1 ms; three multiplications and
`MultiHeadAttention` take 80 % of `Attention`.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from onnx import TensorProto

from models.embedder import Progress
from models.embedders.graph_writer import GraphWriter
from models.embedders.model_files import BertConfig, ModelFiles
from models.embedders.quantization import quantized_columns
from models.embedders.weights import FloatArray, Weights, open_weights

BUILDER_VERSION = "2"  # part of the cache key: raise it whenever a graph changes

INPUT_IDS, ATTENTION_MASK, SEGMENTS = "input_ids", "attention_mask", "segments"
VECTORS, TOKEN_VECTORS, SCORES = "vectors", "token_vectors", "scores"

_NORM_FLOOR = 1e-12  # torch.nn.functional.normalize divides by max(norm, 1e-12)


class Precision(StrEnum):
    """How the weights of the large multiplications are kept; everything else is float32."""

    FLOAT32 = "float32"
    INT8 = "int8"


def build_graph(files: ModelFiles, precision: Precision = Precision.FLOAT32, progress: Progress | None = None) -> bytes:
    """The serialized embedder of `files`; equal input gives equal bytes.

    Raises:
        ModelDamagedError: the safetensors file is unreadable, lacks a tensor, or holds one of the wrong shape.
    """
    with open_weights(files.weights) as weights:
        encoder = _Encoder(weights, files.bert, precision, progress)
        graph, hidden = encoder.graph, encoder.build(segments="")
    pooled = _mean_pooling(graph, hidden) if files.pooling == "mean" else _cls_pooling(graph, hidden)
    if files.normalized:
        pooled = _normalisation(graph, pooled)
    graph.node("Identity", [pooled], VECTORS)
    graph.node("Identity", [hidden], TOKEN_VECTORS)
    size = files.bert.hidden_size
    outputs = {VECTORS: ("rows", size), TOKEN_VECTORS: ("rows", "tokens", size)}
    return graph.serialize([INPUT_IDS, ATTENTION_MASK], outputs)


def build_cross_encoder_graph(
    files: ModelFiles, precision: Precision = Precision.FLOAT32, progress: Progress | None = None
) -> bytes:
    """The serialized cross-encoder of `files`: transformers' BertForSequenceClassification with one label.

    Raises:
        ModelDamagedError: as `build_graph`; also where the head is missing or has more than one label.
    """
    size = files.bert.hidden_size
    with open_weights(files.weights) as weights:
        encoder = _Encoder(weights, files.bert, precision, progress)
        graph, first = encoder.graph, _cls_pooling(encoder.graph, encoder.build(segments=SEGMENTS))
        pooler = weights("pooler.dense.weight", size, size), weights("pooler.dense.bias", size)
        classifier = weights.head("classifier.weight", 1, size), weights.head("classifier.bias", 1)
    for name, (weight, bias) in {"pooler": pooler, "classifier": classifier}.items():
        matrix = graph.constant(f"{name}.weight", np.ascontiguousarray(weight.T))
        first = graph.node("Gemm", [first, matrix, graph.constant(f"{name}.bias", bias)])
        first = graph.node("Tanh", [first]) if name == "pooler" else first
    axis = graph.constant("axis_1", np.array([1], dtype=np.int64))
    graph.node("Squeeze", [first, axis], SCORES)
    return graph.serialize([INPUT_IDS, ATTENTION_MASK, SEGMENTS], {SCORES: ("rows",)})


class _Encoder:
    """Writes embeddings and layers of one model into a graph."""

    def __init__(self, weights: Weights, bert: BertConfig, precision: Precision, progress: Progress | None) -> None:
        self.graph = GraphWriter()
        self._weights, self._bert, self._precision = weights, bert, precision
        self._report = progress or (lambda _stage, _fraction: None)

    def build(self, segments: str) -> str:
        """The last hidden state, (rows, tokens, hidden_size); `segments` is the name of an input or "" for none."""
        self._weights.check_layers(self._bert.num_hidden_layers)
        hidden = self._embeddings(segments)
        for layer in range(self._bert.num_hidden_layers):
            self._report("building the model graph", layer / self._bert.num_hidden_layers)
            hidden = self._layer(f"encoder.layer.{layer}", hidden)
        return hidden

    def _embeddings(self, segments: str) -> str:
        size = self._bert.hidden_size
        words = self._weights("embeddings.word_embeddings.weight", self._bert.vocab_size, size)
        positions = self._weights("embeddings.position_embeddings.weight", self._bert.max_position_embeddings, size)
        types = self._weights("embeddings.token_type_embeddings.weight", self._bert.type_vocab_size, size)
        if not segments:  # one text: all segments are 0 and their row is added to the positions
            positions = positions + types[0]
        inputs = [
            INPUT_IDS,
            segments,
            self.graph.constant("word_embeddings", words),
            self.graph.constant("position_embeddings", positions),
            self.graph.constant("segment_embeddings", types) if segments else "",
            *self._norm_weights("embeddings.LayerNorm"),
        ]
        return self.graph.fused("EmbedLayerNormalization", inputs, outputs=2, epsilon=self._bert.layer_norm_eps)

    def _layer(self, name: str, hidden: str) -> str:
        """One encoder layer: attention and feed-forward, each followed by residual and normalisation."""
        size, inner = self._bert.hidden_size, self._bert.intermediate_size
        attended = self._attention(f"{name}.attention.self", hidden)
        attended = self._dense(f"{name}.attention.output.dense", attended, (size, size))
        hidden = self._residual(f"{name}.attention.output.LayerNorm", attended, hidden)
        expanded = self._dense(f"{name}.intermediate.dense", hidden, (inner, size))
        activated = self.graph.fused("Gelu", [expanded])  # the exact one, with erf
        reduced = self._dense(f"{name}.output.dense", activated, (size, inner))
        return self._residual(f"{name}.output.LayerNorm", reduced, hidden)

    def _attention(self, name: str, hidden: str) -> str:
        size = self._bert.hidden_size
        parts = [self._dense(f"{name}.{part}", hidden, (size, size)) for part in ("query", "key", "value")]
        heads = self._bert.num_attention_heads
        return self.graph.fused("MultiHeadAttention", [*parts, "", ATTENTION_MASK], num_heads=heads)

    def _dense(self, name: str, hidden: str, shape: tuple[int, int]) -> str:
        """A torch Linear, whose weight is stored (out, in)."""
        weight: FloatArray = np.ascontiguousarray(self._weights(f"{name}.weight", *shape).T)
        bias = self.graph.constant(f"{name}.bias", self._weights(f"{name}.bias", shape[0]))
        if self._precision is Precision.FLOAT32:
            product = self.graph.node("MatMul", [hidden, self.graph.constant(f"{name}.weight", weight)])
            return self.graph.node("Add", [product, bias])
        columns, scales = quantized_columns(weight)
        inputs = [
            hidden,
            self.graph.constant(f"{name}.weight", columns),
            self.graph.constant(f"{name}.scale", scales),
            self.graph.constant(f"{name}.zero", np.zeros(shape[0], dtype=np.int8)),
            bias,
        ]
        return self.graph.fused("DynamicQuantizeMatMul", inputs)

    def _residual(self, name: str, change: str, hidden: str) -> str:
        inputs = [self.graph.node("Add", [change, hidden]), *self._norm_weights(name)]
        return self.graph.node("LayerNormalization", inputs, axis=-1, epsilon=self._bert.layer_norm_eps)

    def _norm_weights(self, name: str) -> list[str]:
        names = [f"{name}.{part}" for part in ("weight", "bias")]
        return [self.graph.constant(part, self._weights(part, self._bert.hidden_size)) for part in names]


def _mean_pooling(graph: GraphWriter, hidden: str) -> str:
    """Mean over the tokens that are not padding, as mask × hidden ÷ number of tokens."""
    mask = graph.node("Cast", [ATTENTION_MASK], to=TensorProto.FLOAT)
    axis = graph.constant("axis_1", np.array([1], dtype=np.int64))
    total = graph.node("MatMul", [graph.node("Unsqueeze", [mask, axis]), hidden])  # (rows, 1, dim)
    count = graph.node("ReduceSum", [mask, axis], keepdims=1)  # (rows, 1)
    return graph.node("Div", [graph.node("Squeeze", [total, axis]), count])


def _cls_pooling(graph: GraphWriter, hidden: str) -> str:
    first = graph.constant("first_token", np.array(0, dtype=np.int64))
    return graph.node("Gather", [hidden, first], axis=1)


def _normalisation(graph: GraphWriter, pooled: str) -> str:
    square = graph.node("Mul", [pooled, pooled])
    axis = graph.constant("axis_last", np.array([-1], dtype=np.int64))
    norm = graph.node("Sqrt", [graph.node("ReduceSum", [square, axis], keepdims=1)])
    floor = graph.constant("norm_floor", np.array(_NORM_FLOOR, dtype=np.float32))
    return graph.node("Div", [pooled, graph.node("Max", [norm, floor])])
