"""engine.vector.ivf: lists, and in which of them each row is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.ivf import InvertedLists, list_count
from tests.engine.vector.data import clustered

VECTORS = clustered(1_500, 64)


def lists(kind: IndexKind, quantization: Quantization) -> InvertedLists:
    return InvertedLists.build(
        VECTORS, VectorField(64, Metric.L2, kind), kind, quantization, threads=1, stop=lambda: False
    )


@pytest.mark.parametrize(
    ("rows", "count"), [(1_000, 32), (4_096, 64), (60_000, 256), (1_000_000, 1_024), (10**9, 4_096), (100, 16)]
)
def test_there_are_about_as_many_lists_as_rows_in_each(rows: int, count: int) -> None:
    """A power of two near the root, within bounds."""
    assert list_count(rows) == count


@pytest.mark.parametrize(
    ("kind", "quantization"),
    [
        (IndexKind.IVF_FLAT, Quantization.NONE),
        (IndexKind.IVF_PQ, Quantization.PQ4),
        (IndexKind.IVF_PQ, Quantization.RABITQ),
    ],
)
def test_each_row_is_in_the_list_of_its_nearest_centroid(kind: IndexKind, quantization: Quantization) -> None:
    """Which is the first of the lists that a search for it looks through."""
    index = lists(kind, quantization)
    order = index.nearest_lists(VECTORS)
    assert order.shape == (1_500, index.lists)
    assert (order[:, 0] == index.list_of).mean() > 0.99  # ties and rounding
    assert index.sizes.tolist() == np.bincount(index.list_of, minlength=index.lists).tolist()
    assert sorted(order[0].tolist()) == list(range(index.lists))


def test_efforts_go_from_cheap_to_dear() -> None:
    """More lists, and for codes more candidates; never more lists than there are."""
    codes, plain = lists(IndexKind.IVF_PQ, Quantization.PQ4), lists(IndexKind.IVF_FLAT, Quantization.NONE)
    asked = [(effort.nprobe, effort.oversample) for effort in codes.efforts()]
    assert asked == sorted(asked)
    assert asked[-1][0] == codes.lists == 32
    assert {effort.oversample for effort in plain.efforts()} == {1.0}


def test_as_many_lists_as_are_wanted_and_the_rows_allow() -> None:
    """FAISS wants 39 rows for each; centroids of an index with another number are not taken over."""
    vectors = clustered(4_000, 16)
    spec = VectorField(16, Metric.L2, IndexKind.IVF_FLAT, nlist=100)

    def build(spec: VectorField, like: InvertedLists | None = None) -> InvertedLists:
        return InvertedLists.build(
            vectors, spec, IndexKind.IVF_FLAT, Quantization.NONE, threads=2, stop=lambda: False, like=like
        )

    hundred = build(spec)
    assert hundred.lists == 100
    fewer = replace(spec, nlist=20)
    assert build(fewer, like=hundred).lists == 20
    again = build(spec, like=hundred)
    assert np.array_equal(again.centroids, hundred.centroids)
    assert build(replace(spec, nlist=65_536)).lists == 4_000 // 39
