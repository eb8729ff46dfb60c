"""A logistic head on stored embeddings: cheap to train again after every few labels."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from promptql.cascade.threads import one_thread

Features: TypeAlias = npt.NDArray[np.float64]  # (rows, dim), the last column 1
Labels: TypeAlias = npt.NDArray[np.int8]
Scores: TypeAlias = npt.NDArray[np.float64]

COMPONENTS_MAX = 128
SPREAD = 10.0  # of a row from the middle: what the penalty then allows suits some hundred labels
PENALTY = 8.0
WORD_DIM = 2_048
COMMON_SHARE = 0.3  # of the texts; a word of more tells nothing
TEXT_CHARACTERS_MAX = 8_000
AXES_ROWS_MAX = 2_000  # cubic in them: about two seconds
_WORD = re.compile(r"\w{3,}")
STEPS_MAX = 8
FOLDS = 2
SLOPE_MAX = 6.0
TOLERANCE = 1e-2  # of the loss that another step would save, in nats over all labels


@one_thread()
def features_of(
    vectors: npt.NDArray[np.floating],
    texts: Sequence[str] | None = None,
    similarity: npt.NDArray[np.floating] | None = None,
    components: int = COMPONENTS_MAX,
) -> Features:
    """What the head is trained on: principal components of meaning and words, likeness, and a 1.

    Directions in which these rows do not differ would only be noise to so few labels. Words (hashed, by TF-IDF) count
    as much as the embedding does: many instructions come down to a word that an embedding blurs. Of many rows the axes
    are those of an even sample.

    Args:
        vectors: (rows, dim).
        texts: (rows,) what was embedded; None: the embedding alone.
        similarity: (rows,) of each row to the instruction.
        components: kept at most.
    """
    parts = [_of_even_length(np.asarray(vectors, dtype=np.float32))]
    if texts is not None:
        parts.append(_of_even_length(words_of(texts)))
    columns = [_principal(np.hstack(parts), components)]
    if similarity is not None:
        likeness = np.asarray(similarity, dtype=np.float64)
        columns.append(((likeness - likeness.mean()) * (SPREAD / max(float(likeness.std()), 1e-9)))[:, None])
    return np.hstack([*columns, np.ones((len(vectors), 1))])


def words_of(texts: Sequence[str], dim: int = WORD_DIM) -> npt.NDArray[np.float32]:
    """(texts, dim) hashed words by TF-IDF, each row of length 1, without words of one text only, or of many texts.

    Weinberger et al., Feature hashing, ICML 2009: a sign by the hash keeps collisions from adding up.
    """
    counts = [Counter(_WORD.findall(text[:TEXT_CHARACTERS_MAX].lower())) for text in texts]
    known = Counter(word for words in counts for word in words)
    matrix = np.zeros((len(texts), dim), dtype=np.float32)
    for place, words in enumerate(counts):
        for word, count in words.items():
            if 2 <= known[word] <= COMMON_SHARE * len(texts):
                code = zlib.crc32(word.encode())
                weight = (1 + math.log(count)) * math.log(len(texts) / known[word])
                matrix[place, code % dim] += weight if code >> 31 else -weight
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    return matrix


def _of_even_length(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The rows about their mean, with a mean squared length of 1."""
    if not len(rows):
        return rows
    centred = rows - rows.mean(axis=0)
    scaled: npt.NDArray[np.float32] = centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9)
    return scaled


def _principal(rows: npt.NDArray[np.float32], components: int) -> Features:
    """Rows on their first principal axes, `SPREAD` long on average."""
    sample = rows if len(rows) <= AXES_ROWS_MAX else rows[np.linspace(0, len(rows) - 1, AXES_ROWS_MAX).astype(np.int64)]
    if len(sample) < rows.shape[1]:  # the axes of the rows from those of their products: the smaller matrix
        values, sides = np.linalg.eigh(sample @ sample.T)
        kept = np.argsort(-values)[: min(components, int((values > 1e-6 * values.max(initial=0.0)).sum()))]
        axes = sample.T @ (sides[:, kept] / np.sqrt(values[kept]))
    else:
        values, axes = np.linalg.eigh(sample.T @ sample)
        axes = axes[:, np.argsort(-values)[:components]]
    columns: Features = (rows @ axes).astype(np.float64) * SPREAD
    return columns


@dataclass(frozen=True, slots=True)
class LogisticHead:
    """Weights of a logistic regression; `scores` are log odds."""

    weights: npt.NDArray[np.float64]

    def scores(self, features: Features) -> Scores:
        """(rows,) log odds of a 1."""
        odds: Scores = features @ self.weights
        return odds

    def probabilities(self, features: Features) -> Scores:
        """(rows,) in 0 .. 1."""
        return sigmoid(self.scores(features))


@one_thread()
def fit_head(
    features: Features, labels: Labels, *, penalty: float = PENALTY, before: LogisticHead | None = None
) -> LogisticHead:
    """Penalised maximum likelihood by Newton's method, from the weights of `before` where they are given.

    Two pseudo-labels, one of each kind, on the mean row keep the intercept finite where all labels agree.

    Args:
        features: (n, dim), the last column 1, which is not penalised.
        labels: (n,) of 0 and 1.
        penalty: of the squared weights, halved.
        before: where to begin.
    """
    dim = features.shape[1]
    weights = np.zeros(dim) if before is None else before.weights.copy()
    penalties = np.full(dim, penalty)
    penalties[-1] = 1e-6
    middle = np.zeros(dim)
    middle[-1] = 1.0
    x = np.vstack([features, middle, middle])
    y = np.concatenate([labels.astype(np.float64), [0.0, 1.0]])
    loss = _loss(x, y, weights, penalties)
    for _ in range(STEPS_MAX):
        p = sigmoid(x @ weights)
        gradient = x.T @ (p - y) + penalties * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x
        curvature[np.diag_indices(dim)] += penalties
        step = np.linalg.solve(curvature, gradient)
        promised = float(gradient @ step)
        if promised < TOLERANCE:
            break
        size = 1.0
        while size > 1e-3 and (tried := _loss(x, y, weights - size * step, penalties)) > loss - 0.1 * size * promised:
            size *= 0.5
        weights, loss = weights - size * step, tried
    return LogisticHead(weights)


@one_thread()
def calibration_of(features: Features, labels: Labels, head: LogisticHead) -> tuple[float, float]:
    """Slope and offset that make held-out log odds likeliest: Platt scaling over folds of the labels.

    A penalised head is less sure than it could be, most of all where the kinds lie far apart. Platt, Advances in Large
    Margin Classifiers, 1999. The slope is at least 1, and at most `SLOPE_MAX`.
    """
    held_out = np.zeros(len(labels))
    for fold in range(FOLDS):
        left = np.arange(len(labels)) % FOLDS == fold
        held_out[left] = fit_head(features[~left], labels[~left], before=head).scores(features[left])
    slope, offset = 1.0, 0.0
    y = np.concatenate([labels.astype(np.float64), [0.0, 1.0]])
    x = np.column_stack([np.concatenate([held_out, [-1.0, 1.0]]), np.ones(len(y))])
    weights = np.array([slope, offset])
    prior = np.array([0.5, 0.5])
    for _ in range(STEPS_MAX):
        p = sigmoid(x @ weights)
        gradient = x.T @ (p - y) + prior * (weights - np.array([1.0, 0.0]))
        curvature = (x * np.maximum(p * (1 - p), 1e-4)[:, None]).T @ x + np.diag(prior)
        weights -= np.clip(np.linalg.solve(curvature, gradient), -1.0, 1.0)
    return float(np.clip(weights[0], 1.0, SLOPE_MAX)), float(np.clip(weights[1], -3.0, 3.0))


def _loss(
    x: Features, y: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], penalties: npt.NDArray[np.float64]
) -> float:
    odds = x @ weights
    return float(np.logaddexp(0.0, odds).sum() - y @ odds + 0.5 * penalties @ (weights * weights))


def sigmoid(odds: npt.NDArray[np.float64]) -> Scores:
    """1 / (1 + exp(−odds)), without overflow."""
    values: Scores = 0.5 * (1.0 + np.tanh(0.5 * odds))
    return values
