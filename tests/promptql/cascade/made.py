"""Made rows with known labels: Gaussian clusters, one of which belongs, and proxies that mislead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from promptql.cascade import Certificate, Quality, Selection, Target, features_of, select
from promptql.cascade.head import Features

Labels = npt.NDArray[np.int8]
RECALL = Quality(Target.RECALL, 0.9, 0.1)
PRECISION = Quality(Target.PRECISION, 0.9, 0.1)


def rows_of(labels: Labels, distance: float, seed: int = 0, dim: int = 6) -> Features:
    """Features of rows: those that belong lie `distance` standard deviations from the others; 0 tells nothing."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((len(labels), dim))
    vectors[:, 0] += distance * labels
    return features_of(vectors.astype(np.float32), components=dim)


def labels_of(rows: int, share: float, seed: int = 0) -> Labels:
    """So many ones among the rows, anywhere."""
    labels = np.zeros(rows, dtype=np.int8)
    labels[: round(share * rows)] = 1
    return np.random.default_rng(seed).permutation(labels)


@dataclass
class CountingJudge:
    """Says what is in the labels, and remembers whom it was asked about."""

    labels: Labels
    asked: list[int] = field(default_factory=list)

    def __call__(self, places: npt.NDArray[np.int64]) -> Labels:
        self.asked += places.tolist()
        return self.labels[places]


def recall(selection: Selection, labels: Labels) -> float:
    """Of the rows that belong, how many were kept; 1 where none belongs."""
    return float((selection.kept & (labels == 1)).sum() / max(1, (labels == 1).sum())) if (labels == 1).any() else 1.0


def precision(selection: Selection, labels: Labels) -> float:
    """Of the rows kept, how many belong; 1 where none was kept."""
    return float((selection.kept & (labels == 1)).sum() / selection.kept.sum()) if selection.kept.any() else 1.0


def failures(
    runs: int, made: Callable[[int], tuple[Features, Labels]], quality: Quality = RECALL
) -> tuple[int, list[Certificate]]:
    """How many of the runs broke their promise, and all certificates. A recall promises as much precision."""
    broken, certificates = 0, []
    for run in range(runs):
        features, labels = made(run)
        selection = select(features, lambda places, labels=labels: labels[places], quality, seed=run)  # type: ignore[misc]
        kept = precision(selection, labels) >= quality.value
        if quality.target is Target.RECALL:
            kept = kept and recall(selection, labels) >= quality.value
        broken += not kept
        certificates.append(selection.certificate)
    return broken, certificates
