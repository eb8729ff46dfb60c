"""From signs of an answer's being right to how often such answers are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promptql.evaluation.fitting import Floats, minimize
from promptql.rules.confidence import logistic

TRUST_L2 = 2.0
TRUST_MIN = 0.02  # smaller weights are not kept
ITERATIONS = 100


@dataclass(frozen=True, slots=True)
class Trusted:
    """The answer to a held-out question: signs of its being right (none: no answer), and whether it was."""

    signs: Mapping[str, float]
    right: bool
    category: str = ""


def calibrate_trust(sets: Mapping[str, Sequence[Trusted]], precision_min: Mapping[str, float]) -> dict[str, Any]:
    """Weights of signs, and the confidence from which on answers need no reserve.

    The threshold comes from answers that the weights do not know: each half of the questions is judged by weights
    that were fitted to the other half. It is such that of each set the answers above it are precise enough together.

    Args:
        sets: held-out answers by the name of their set, in the order of their tables, which the halves keep apart.
        precision_min: by the same names.
    """
    answered = {name: [item for item in items if item.signs] for name, items in sets.items()}
    said: dict[str, list[tuple[float, bool]]] = {name: [] for name in sets}
    halves: list[dict[str, list[Trusted]]] = [{}, {}]
    for name, items in answered.items():
        halves[0][name], halves[1][name] = list(items[: len(items) // 2]), list(items[len(items) // 2 :])
    for known, unknown in (halves, halves[::-1]):
        trust = fit_trust([item for items in known.values() for item in items])
        for name, items in unknown.items():
            said[name] += [(judged(trust, item), item.right) for item in items]
    needed = [threshold(sorted(pairs), precision_min[name]) for name, pairs in said.items()]
    trust = fit_trust([item for items in answered.values() for item in items])
    return {
        "answer_confidence_min": round(max(needed), 4),
        "trust": {name: round(weight, 3) for name, weight in sorted(trust.items()) if abs(weight) >= TRUST_MIN},
    }


def fit_trust(answers: Sequence[Trusted]) -> dict[str, float]:
    """Weights of signs by logistic regression, held near 0."""
    names: dict[str, int] = {}
    for answer in answers:
        for name in answer.signs:
            names.setdefault(name, len(names))
    signs = np.zeros((len(answers), len(names)))
    for row, answer in enumerate(answers):
        for name, value in answer.signs.items():
            signs[row, names[name]] += value
    right = np.array([answer.right for answer in answers], np.float64)

    def loss(at: Floats) -> tuple[float, Floats]:
        scores = signs @ at
        value = float(np.logaddexp(0.0, scores).sum() - right @ scores) + TRUST_L2 * float(at @ at) / 2
        return value, signs.T @ (1 / (1 + np.exp(-scores)) - right) + TRUST_L2 * at

    weights = minimize(loss, np.zeros(len(names)), ITERATIONS)
    return {name: float(weights[number]) for name, number in names.items()}


def judged(trust: Mapping[str, float], answer: Trusted) -> float:
    """How sure those weights are of an answer."""
    return logistic(sum(trust.get(name, 0.0) * value for name, value in answer.signs.items()))


def threshold(ordered: Sequence[tuple[float, bool]], precision_min: float) -> float:
    """The least probability such that answers from there on are precise enough; 1 where there is none."""
    right, best = 0, 1.0
    for number, (probability, is_right) in enumerate(reversed(ordered), 1):
        right += is_right
        if right >= precision_min * number:
            best = probability
    return best
