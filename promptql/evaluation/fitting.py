"""Fitting the ranking model to questions whose right answers are known, not their right readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
BATCH_QUESTIONS = 256
BETA = (0.9, 0.999)


@dataclass(frozen=True, slots=True)
class Example:
    """The readings of one question: features of each, and which of them give the right answer."""

    readings: Sequence[Mapping[str, float]]
    right: Sequence[bool]
    weight: float = 1.0


def fit(
    examples: Iterable[Example],
    start: Mapping[str, float],
    *,
    epochs: int = 12,
    l2: float = 2e-5,
    l1: float = 0.0,
    rate: float = 0.03,
    seen_min: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Weights that make right readings likely: the marginal likelihood of all right readings, maximised.

    Adam over mini-batches of questions; examples without a right or without a wrong reading teach nothing
    and are left out. Features that fewer than `seen_min` questions have are left out too.
    """
    data = _packed(examples, seen_min)
    rng = np.random.default_rng(seed)
    weights = np.array([start.get(name, 0.0) for name in data.names], np.float32)
    anchor = weights * 0
    mean, square, step = np.zeros_like(weights), np.zeros_like(weights), 0
    total = epochs * (len(data.questions) // BATCH_QUESTIONS + 1)
    for _ in range(epochs):
        order = rng.permutation(len(data.questions))
        for begin in range(0, len(order), BATCH_QUESTIONS):
            gradient = _gradient(data, order[begin : begin + BATCH_QUESTIONS], weights)
            gradient += l2 * (weights - anchor) + l1 * np.sign(weights)
            step += 1
            mean = BETA[0] * mean + (1 - BETA[0]) * gradient
            square = BETA[1] * square + (1 - BETA[1]) * gradient**2
            slower = 0.5 * (1 + np.cos(np.pi * step / total))
            move = rate * slower * (mean / (1 - BETA[0] ** step)) / (np.sqrt(square / (1 - BETA[1] ** step)) + 1e-8)
            weights -= move.astype(np.float32)
    return {name: float(weight) for name, weight in zip(data.names, weights, strict=True) if abs(weight) > 1e-3}


@dataclass(frozen=True, slots=True)
class _Packed:
    names: list[str]
    ids: npt.NDArray[np.int32]  # features of all readings, one after the other
    values: Floats
    readings: npt.NDArray[np.int64]  # where each reading's features begin; one more at the end
    questions: list[tuple[int, int]]  # first and last + 1 reading
    right: npt.NDArray[np.bool_]
    weights: Floats  # of questions


def _packed(examples: Iterable[Example], seen_min: int) -> _Packed:
    from array import array

    numbers: dict[str, int] = {}
    seen: dict[int, int] = {}
    ids, values, starts, right, questions, weights = array("i"), array("f"), array("q", [0]), array("b"), [], []
    for example in examples:
        if not any(example.right) or all(example.right):
            continue
        begin = len(starts) - 1
        present = set()
        for reading, is_right in zip(example.readings, example.right, strict=True):
            for name, value in reading.items():
                number = numbers.setdefault(name, len(numbers))
                ids.append(number)
                values.append(value)
                present.add(number)
            starts.append(len(ids))
            right.append(is_right)
        for number in present:
            seen[number] = seen.get(number, 0) + 1
        questions.append((begin, len(starts) - 1))
        weights.append(example.weight)
    rare = np.array([seen.get(number, 0) < seen_min for number in range(len(numbers))])
    packed_values = np.frombuffer(values, np.float32).copy()
    packed_ids = np.frombuffer(ids, np.int32)
    packed_values[rare[packed_ids]] = 0.0
    return _Packed(
        list(numbers), packed_ids, packed_values, np.frombuffer(starts, np.int64), questions,
        np.frombuffer(right, np.int8).astype(bool), np.array(weights, np.float32),
    )  # fmt: skip


def _gradient(data: _Packed, batch: npt.NDArray[np.int64], weights: Floats) -> Floats:
    gradient = np.zeros(len(weights), np.float64)
    for question in batch:
        first, last = data.questions[question]
        low, high = data.readings[first], data.readings[last]
        ids, values = data.ids[low:high], data.values[low:high]
        starts = data.readings[first:last] - low
        scores = np.add.reduceat(weights[ids] * values, starts)
        likely = np.exp(scores - scores.max())
        likely /= likely.sum()
        right = data.right[first:last]
        among = likely * right
        pull = likely - among / max(among.sum(), 1e-12)
        sizes = np.diff(np.append(starts, high - low))
        gradient += data.weights[question] * np.bincount(ids, np.repeat(pull, sizes) * values, len(weights))
    return (gradient / len(batch)).astype(np.float32)
