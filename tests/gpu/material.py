"""Segments to search, each built once."""

from __future__ import annotations

from functools import cache

import numpy as np

from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.allowed import Allowed
from engine.vector.build import build_vectors
from engine.vector.index import prepare_vectors
from engine.vector.parameters import SearchParameters
from engine.vector.sealed import SealedVectors
from tests.engine.vector.data import Array, clustered

ROWS, DIM, K = 4_000, 32, 10
EXACT = SearchParameters(exact=True)


@cache
def segment(
    metric: Metric = Metric.L2, kind: IndexKind = IndexKind.FLAT, quantization: Quantization = Quantization.NONE
) -> SealedVectors:
    spec = VectorField(DIM, metric, kind, m=8, ef_construction=60, quantization=quantization)
    return build_vectors(prepare_vectors(clustered(ROWS, DIM), metric), spec, 1, lambda: False)


def questions(metric: Metric = Metric.L2, count: int = 20) -> Array:
    return prepare_vectors(clustered(count, DIM, 1), metric)


def some(share: float, seed: int = 0) -> Allowed:
    return Allowed(np.random.default_rng(seed).random(ROWS) < share)
