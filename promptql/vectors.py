"""Arithmetic on vectors: likeness, clusters and near copies. Pure functions of arrays."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Vectors: TypeAlias = npt.NDArray[np.float32]  # (n, dim)
Numbers: TypeAlias = npt.NDArray[np.int64]
CLUSTERS_TRIED = range(2, 11)
ROUNDS_MAX = 50
SILHOUETTE_ROWS = 400
BLOCK_ROWS = 1_024


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Vectors of length 1; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def k_means(vectors: Vectors, k: int) -> Numbers:
    """Spherical k-means from k-means++ seeds: the number of each row's cluster, the largest cluster first.

    Dhillon and Modha, Machine Learning 42, 2001; Arthur and Vassilvitskii, SODA 2007. The same rows give the same
    clusters: the seeds are drawn by a fixed generator.

    Args:
        vectors: (n, dim) of length 1.
        k: clusters, at most n.
    """
    centres = _seeds(vectors, k)
    numbers = np.full(len(vectors), -1, dtype=np.int64)
    for _ in range(ROUNDS_MAX):
        nearest = np.argmax(vectors @ centres.T, axis=1)
        if (nearest == numbers).all():
            break
        numbers = nearest
        sums = np.zeros_like(centres)
        np.add.at(sums, numbers, vectors)
        filled = np.bincount(numbers, minlength=k) > 0
        centres = np.where(filled[:, None], unit(sums), centres)
    sizes = np.bincount(numbers, minlength=k)
    rank = np.empty(k, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(k)
    ranked: Numbers = rank[numbers]
    return ranked


def _seeds(vectors: Vectors, k: int) -> Vectors:
    generator = np.random.default_rng(0)
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    near = vectors @ vectors[chosen[0]]
    while len(chosen) < k:
        far = np.maximum(0.0, 1.0 - near) ** 2
        total = far.sum()
        place = int(np.searchsorted(np.cumsum(far), generator.random() * total)) if total > 0 else len(chosen)
        chosen.append(min(place, len(vectors) - 1))
        near = np.maximum(near, vectors @ vectors[chosen[-1]])
    return vectors[chosen]


def best_clusters(vectors: Vectors) -> Numbers:
    """k-means with as many clusters, of two to ten, as are told apart best: by the mean silhouette of a sample.

    Rousseeuw, Journal of Computational and Applied Mathematics 20, 1987.
    """
    if len(vectors) < 3:
        return np.zeros(len(vectors), dtype=np.int64)
    sample = np.linspace(0, len(vectors) - 1, min(len(vectors), SILHOUETTE_ROWS)).astype(np.int64)
    distances = 1.0 - vectors[sample] @ vectors[sample].T
    best, found = -1.0, np.zeros(len(vectors), dtype=np.int64)
    for k in CLUSTERS_TRIED:
        if k >= len(vectors):
            break
        numbers = k_means(vectors, k)
        score = _silhouette(distances, numbers[sample])
        if score > best + 1e-9:
            best, found = score, numbers
    return found


def _silhouette(distances: npt.NDArray[np.floating], numbers: Numbers) -> float:
    kinds = np.unique(numbers)
    if len(kinds) < 2:
        return -1.0
    members = (numbers[:, None] == kinds[None, :]).astype(np.float64)
    sizes = members.sum(axis=0)
    sums = distances @ members
    own = members.argmax(axis=1)
    rows = np.arange(len(numbers))
    within = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
    others = sums / sizes
    others[rows, own] = np.inf
    nearest = others.min(axis=1)
    widths = np.where(sizes[own] > 1, (nearest - within) / np.maximum(np.maximum(nearest, within), 1e-12), 0.0)
    return float(widths.mean())


def near_copies(vectors: Vectors, threshold: float) -> Numbers:
    """Of each row the number of the first row kept that it is at least `threshold` alike, from 0 in order.

    Zeros, which stand for no text, are like nothing.
    """
    numbers = np.full(len(vectors), -1, dtype=np.int64)
    kept: list[int] = []
    for begin in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[begin : begin + BLOCK_ROWS]
        earlier = block @ vectors[kept].T if kept else np.zeros((len(block), 0), dtype=np.float32)
        within = block @ block.T
        new: list[int] = []
        for row in range(len(block)):
            alike = np.concatenate([earlier[row], within[row, new]]) >= threshold - 1e-6
            place = int(np.argmax(alike)) if alike.any() else len(kept) + len(new)
            if place == len(kept) + len(new):
                new.append(row)
            numbers[begin + row] = place
        kept += [begin + row for row in new]
    return numbers


def diverse_best(vectors: Vectors, scores: npt.NDArray[np.floating], count: int, weight: float = 0.7) -> list[int]:
    """Maximal marginal relevance: rows that score high and are unlike those chosen before, best first.

    Carbonell and Goldstein, SIGIR 1998, https://doi.org/10.1145/290941.291025
    """
    chosen: list[int] = []
    likeness = np.zeros(len(vectors))
    open_rows = np.ones(len(vectors), dtype=bool)
    while len(chosen) < min(count, len(vectors)):
        value = np.where(open_rows, weight * scores - (1 - weight) * likeness, -np.inf)
        best = int(np.argmax(value))
        chosen.append(best)
        open_rows[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen
