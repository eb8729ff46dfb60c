"""Collects the nodes and weights of an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 17
_IR_VERSION = 8
_FUSED_OPSET = 1


class GraphWriter:
    """Every node has one output, named by the caller or by the next number."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.float32] | npt.NDArray[np.int64] | npt.NDArray[np.int8]) -> str:
        """A weight called `name`."""
        self._initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str | None = None, **attributes: float) -> str:
        """An operator of ONNX itself."""
        name = output or f"n{len(self._nodes)}_{operator}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def fused(self, operator: str, inputs: list[str], outputs: int = 1, **attributes: float) -> str:
        """A com.microsoft operator; only its first output is used."""
        name = f"n{len(self._nodes)}_{operator}"
        names = [name, *(f"{name}_{index}" for index in range(1, outputs))]
        self._nodes.append(helper.make_node(operator, inputs, names, name=name, domain="com.microsoft", **attributes))
        return name

    def serialize(self, inputs: Sequence[str], outputs: Mapping[str, Sequence[str | int]]) -> bytes:
        """The model; equal calls give equal bytes.

        Args:
            inputs: names of (rows, tokens) int32 matrices.
            outputs: name → shape of each float32 output.
        """

        def matrix(name: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.INT32, ["rows", "tokens"])

        results = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, "bert", [matrix(name) for name in inputs], results, self._initializers)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", _FUSED_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="lumaai")
        model.ir_version = _IR_VERSION
        return bytes(model.SerializeToString(deterministic=True))
