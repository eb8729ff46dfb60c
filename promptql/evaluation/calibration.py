"""From probabilities of a model to how often such answers are right."""

from __future__ import annotations

from collections.abc import Sequence

from promptql.rules.model import Model

BLOCKS = 12  # points of the curve at most


def calibrate(outcomes: Sequence[tuple[float, bool]], precision_min: float) -> tuple[list[tuple[float, float]], float]:
    """A rising curve (probability, share right), and the confidence from which on answers are right often enough.

    Isotonic regression over equally filled blocks by pooling adjacent violators (Ayer et al., 1955).

    Args:
        outcomes: (probability, right) of held-out questions.
        precision_min: that all answers above the returned confidence have together.
    """
    ordered = sorted(outcomes)
    size = max(1, len(ordered) // BLOCKS)
    blocks = [ordered[begin : begin + size] for begin in range(0, len(ordered), size)]
    pooled: list[list[float]] = []  # probability, share right, questions
    for block in blocks:
        number = len(block)
        pooled.append([sum(p for p, _ in block) / number, sum(right for _, right in block) / number, float(number)])
        while len(pooled) > 1 and pooled[-2][1] >= pooled[-1][1]:
            high, low = pooled.pop(), pooled.pop()
            total = low[2] + high[2]
            pooled.append([(low[i] * low[2] + high[i] * high[2]) / total for i in (0, 1)] + [total])
    points = [(round(p, 4), round(share, 4)) for p, share, _ in pooled]
    return points, round(_on_curve(points, _threshold(ordered, precision_min)), 4)


def _threshold(ordered: Sequence[tuple[float, bool]], precision_min: float) -> float:
    """The least probability such that answers from there on are precise enough; 1 where there is none."""
    right, best = 0, 1.0
    for number, (probability, is_right) in enumerate(reversed(ordered), 1):
        right += is_right
        if right >= precision_min * number:
            best = probability
    return best


def _on_curve(points: Sequence[tuple[float, float]], probability: float) -> float:

    return Model({}, points).confidence(probability)
