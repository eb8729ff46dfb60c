"""engine.vector.build with a device: what `auto` builds for vectors that a card holds, and how it says so."""

from __future__ import annotations

from dataclasses import replace

import faiss
import numpy as np
import pytest

from engine.arrays import Vectors
from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.build import build_vectors, choose_kind
from engine.vector.device.training import Card, training_on
from engine.vector.parameters import DEFAULT
from engine.vector.sealed import SealedVectors
from tests.engine.vector.data import clustered

AUTO = VectorField(64, Metric.L2)
LARGE, SMALL = Card("cuda", 80 * 2**30), Card("cuda", 4 * 2**20)


class FaissTrainer:
    """A device that is this machine's processor; `size` is what it says that it holds."""

    def __init__(self, size: Card | None) -> None:
        self._size = size
        self.learnt = 0

    def card(self) -> Card | None:
        return self._size

    def centroids(self, sample: Vectors, count: int, rounds: int) -> Vectors | None:
        """k-means by FAISS."""
        self.learnt += 1
        clustering = faiss.Kmeans(sample.shape[1], count, niter=rounds, min_points_per_centroid=1, seed=1)
        clustering.train(sample)
        found: Vectors = clustering.centroids
        return found


@pytest.mark.parametrize("quantization", [Quantization.NONE, Quantization.FP16, Quantization.SQ8])
def test_no_graph_is_built_for_vectors_that_a_card_holds(quantization: Quantization) -> None:
    """It searches them itself: lists are built in a tenth of the time, for where it cannot."""
    spec = replace(AUTO, quantization=quantization)
    held, reason = choose_kind(17_000, spec, LARGE)
    assert (held.index, held.quantization) == (IndexKind.IVF_FLAT, quantization)
    assert reason.endswith(f"lists go with {quantization}, where cuda cannot answer, which holds the vectors")
    for card in (None, SMALL):
        assert choose_kind(17_000, spec, card)[0].index is IndexKind.HNSW


def test_codes_say_whether_a_card_holds_their_vectors() -> None:
    """They are built either way, since the processor answers where the card cannot."""
    for card, said in (
        (None, "searched quickest"),
        (LARGE, "searched quickest, where cuda cannot answer, which holds the vectors"),
        (SMALL, "cuda does not hold the vectors: it has 0.0 GiB, of which one segment may have 50%"),
    ):
        spec, reason = choose_kind(17_000, AUTO, card)
        assert spec.index is IndexKind.IVF_PQ
        assert reason.endswith(said)


def test_few_vectors_and_declared_kinds_are_as_without_a_card() -> None:
    """What is compared with quickly enough never goes there, and who names a kind gets it."""
    assert choose_kind(16_384, AUTO, LARGE) == choose_kind(16_384, AUTO)
    declared = replace(AUTO, index=IndexKind.HNSW)
    assert choose_kind(17_000, declared, LARGE) == (replace(declared, quantization=Quantization.NONE), "declared")


def test_the_device_of_the_thread_decides_what_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where codes find too little, a card that holds the vectors saves the graph; else it is built."""
    monkeypatch.setattr("engine.vector.build.FLAT_BYTES_MAX", 1024)
    monkeypatch.setattr("engine.vector.build.RECALL_AUTO_MIN", 1.1)
    vectors = clustered(1_500, 64)

    def built(card: Card | None) -> tuple[SealedVectors, int]:
        trainer = FaissTrainer(card)
        with training_on(trainer):
            return build_vectors(vectors, AUTO, 1, lambda: False), trainer.learnt

    index, learnt = built(LARGE)
    assert (index.kind, index.info.quantization) == (IndexKind.IVF_FLAT, Quantization.NONE)
    assert "which holds the vectors, but codes find only" in index.info.reason
    assert learnt  # by the device, since lists have centroids
    answer = index.search(vectors[:20], 1, allowed=None, parameters=DEFAULT, threads=1)
    assert answer.rows[:, 0].tolist() == np.arange(20).tolist()
    assert built(Card("cuda", 2**19))[0].kind is IndexKind.HNSW  # 0.4 MiB of vectors, half of 0.5 MiB
    assert built(None)[0].kind is IndexKind.HNSW
