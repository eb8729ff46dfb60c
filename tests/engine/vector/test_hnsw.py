"""engine.vector.hnsw: the graph, and what its vectors are kept in."""

from __future__ import annotations

import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.hnsw import Graph
from tests.engine.vector.data import clustered

VECTORS = clustered(300, 16)


@pytest.mark.parametrize(
    ("quantization", "lossy", "bytes_a_row"),
    [(Quantization.NONE, False, 64), (Quantization.FP16, False, 32), (Quantization.SQ8, True, 16)],
)
def test_vectors_are_kept_as_the_field_says(quantization: Quantization, lossy: bool, bytes_a_row: int) -> None:
    """And counted so, besides edges of four bytes: 2 × m on the ground, and few above."""
    spec = VectorField(16, Metric.L2, IndexKind.HNSW, m=4, quantization=quantization)
    graph = Graph.build(VECTORS, spec, 1, lambda: False)
    assert (graph.quantization, graph.lossy) == (quantization, lossy)
    edges = graph.memory_bytes() - 300 * bytes_a_row
    assert 300 * 8 * 4 <= edges <= 300 * 8 * 4 * 2


def test_a_graph_keeps_at_least_as_many_candidates_as_are_asked_for() -> None:
    """ef_search below k would return fewer."""
    graph = Graph.build(VECTORS, VectorField(16, Metric.L2, IndexKind.HNSW, m=4), 1, lambda: False)
    effort = next(graph.efforts())
    assert graph.parameters(effort, 10, None).efSearch == effort.ef_search == 16
    assert graph.parameters(effort, 100, None).efSearch == 100
