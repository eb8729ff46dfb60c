"""engine.vector.ivf: centroids are taken over from an index that is mapped from its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.index import load_index, save_index
from engine.vector.ivf import InvertedLists
from tests.engine.vector.data import clustered


@pytest.mark.parametrize(
    ("kind", "quantization"),
    [
        (IndexKind.IVF_FLAT, Quantization.NONE),
        (IndexKind.IVF_FLAT, Quantization.FP16),
        (IndexKind.IVF_FLAT, Quantization.SQ8),
        (IndexKind.IVF_PQ, Quantization.PQ4),
        (IndexKind.IVF_PQ, Quantization.RABITQ),
    ],
)
def test_a_mapped_index_lends_its_centroids(tmp_path: Path, kind: IndexKind, quantization: Quantization) -> None:
    """The second segment of a collection is built like the first, and holds its own rows only."""
    spec, vectors = VectorField(32, Metric.L2, kind, quantization=quantization), clustered(3_000, 32)
    first = InvertedLists.build(vectors[:1_500], spec, kind, quantization, threads=1, stop=lambda: False)
    save_index(first.index, tmp_path / "first.faiss")
    mapped = InvertedLists(load_index(tmp_path / "first.faiss", 32), kind, quantization)

    second = InvertedLists.build(vectors[1_500:], spec, kind, quantization, threads=1, stop=lambda: False, like=mapped)

    assert second.index.ntotal == second.sizes.sum() == 1_500
    assert mapped.index.ntotal == mapped.sizes.sum() == 1_500
    np.testing.assert_array_equal(second.nearest_lists(vectors[:5]), mapped.nearest_lists(vectors[:5]))
